"""Child processes of `compare`: `latency PEER` and `memory CASE CONTENDER`; each prints a line of JSON."""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .model import Contender

__all__ = ["latency", "main"]


def latency(peer: str, threads: int | None) -> dict[str, float]:
    """Nanoseconds: the import, the first call of the process, the first SpMM, and a second one."""
    import numpy as np
    import torch

    if threads:
        torch.set_num_threads(threads)
    stamp = perf_counter_ns()
    vector_product, product = _scorch_calls() if peer == "scorch" else _torch_calls()
    # torch is imported by then, so only Scorch's own import can be told.
    times: dict[str, float] = {"import": perf_counter_ns() - stamp} if peer == "scorch" else {}
    pos, crd = torch.arange(2001), torch.arange(2000)
    a = torch.sparse_csr_tensor(pos, crd, torch.ones(2000), size=(2000, 2000))
    x, b = torch.ones(2000), torch.from_numpy(np.ones((2000, 64), np.float32))
    for name, call, operand in (("start", vector_product, x), ("first", product, b), ("second", product, b)):
        stamp = perf_counter_ns()
        result = call(a, operand)
        times[name] = perf_counter_ns() - stamp
        if not torch.equal(result, operand):  # a is the identity matrix
            raise RuntimeError(f"{peer}: wrong result of the call {name!r}")
    return times


def _scorch_calls() -> tuple[Callable[..., Any], Callable[..., Any]]:
    import scorch

    einsum = scorch.einsum
    return (lambda a, x: einsum("ij,j->i", a, x)), (lambda a, b: einsum("ik,kj->ij", a, b))


def _torch_calls() -> tuple[Callable[..., Any], Callable[..., Any]]:
    import torch

    return torch.mv, torch.matmul


def _bytes(result: Any) -> int:
    from .check import canonical

    plain = canonical(result)
    if hasattr(plain, "indptr"):
        return int(plain.data.nbytes + plain.indices.nbytes + plain.indptr.nbytes)
    return int(plain.nbytes)


def _memory(case_id: str, label: str, arguments: argparse.Namespace) -> dict[str, int]:
    from . import check, families, peers
    from .model import Options

    if arguments.threads:
        peers.set_threads(arguments.threads)
    case = families.find(case_id, Options(data=arguments.data, quick=arguments.quick))
    operands = case.load()
    for _, contender in peers.contenders(case.operation, operands):
        if contender.label == label:
            return _weighed(contender, check.expect(case.reference, operands))
    raise KeyError(label)


def _weighed(contender: Contender, expected: Any) -> dict[str, int]:
    from . import check, resident

    call = contender.build()
    highest, result = resident.peak(lambda: call)
    wrong = check.mistake(check.canonical(contender.result(result)), expected)
    if wrong:
        raise RuntimeError(f"wrong result: {wrong}")
    return {"peak": highest, "result": _bytes(result)}


def main() -> None:
    """Run one measurement and print it."""
    parser = argparse.ArgumentParser(prog="python -m asv_benchmarks.compare.child", description=__doc__)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("what", choices=("latency", "memory"))
    parser.add_argument("names", nargs="+")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message="Sparse .* tensor support is in beta state")
    if arguments.what == "latency":
        print(json.dumps(latency(arguments.names[0], arguments.threads)))
    else:
        case_id, label = arguments.names
        print(json.dumps(_memory(case_id, label, arguments)))


if __name__ == "__main__":
    main()

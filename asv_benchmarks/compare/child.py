"""Child processes of `compare`: `latency PEER` and `memory CASE CONTENDER`; each prints a line of JSON."""

from __future__ import annotations

import argparse
import ctypes
import json
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from time import perf_counter_ns, sleep
from typing import Any

__all__ = ["latency", "main", "peak"]


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
        call(a, operand)
        times[name] = perf_counter_ns() - stamp
    return times


def _scorch_calls() -> tuple[Callable[..., Any], Callable[..., Any]]:
    import scorch

    einsum = scorch.einsum
    return (lambda a, x: einsum("ij,j->i", a, x)), (lambda a, b: einsum("ik,kj->ij", a, b))


def _torch_calls() -> tuple[Callable[..., Any], Callable[..., Any]]:
    import torch

    return torch.mv, torch.matmul


def peak(call: Callable[[], Any]) -> tuple[int, int]:
    """Bytes by which resident memory rises during a call at most, and bytes of its result.

    The call runs once before, so that compilation is not counted. Where the system lets a process reset its
    peak (`/proc/self/clear_refs`), the figure is exact; elsewhere memory is sampled from a second thread.
    """
    call()
    # What the C library keeps of freed memory would hide what the next call takes.
    ctypes.CDLL(None).malloc_trim(0)
    before = _status("VmRSS")
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        highest, result = _sampled(call)
    else:
        result = call()
        highest = _status("VmHWM")
    return max(0, highest - before), _bytes(result)


def _status(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {key}")


def _sampled(call: Callable[[], Any]) -> tuple[int, Any]:
    highest, done = 0, threading.Event()

    def watch() -> None:
        nonlocal highest
        while not done.is_set():
            highest = max(highest, _status("VmRSS"))
            sleep(0.0002)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        result = call()
    finally:
        done.set()
        watcher.join()
    return max(highest, _status("VmRSS")), result


def _bytes(result: Any) -> int:
    from .check import canonical

    plain = canonical(result)
    if hasattr(plain, "indptr"):
        return int(plain.data.nbytes + plain.indices.nbytes + plain.indptr.nbytes)
    return int(plain.nbytes)


def _memory(case_id: str, label: str, arguments: argparse.Namespace) -> dict[str, int]:
    from . import families, peers
    from .model import Options

    if arguments.threads:
        peers.set_threads(arguments.threads)
    case = families.find(case_id, Options(data=arguments.data, quick=arguments.quick))
    for _, contender in peers.contenders(case.operation, case.load()):
        if contender.label == label:
            highest, size = peak(contender.build())
            return {"peak": highest, "result": size}
    raise KeyError(label)


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

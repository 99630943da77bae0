"""pydata/sparse (Numba), when it is installed. Shown beside; it makes no ratio."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from asv_benchmarks.compare.model import Contender, Peer
from asv_benchmarks.compare.tasks import tensors

__all__ = ["PEER"]


def _wrap(operand: Any) -> Any:
    import sparse  # type: ignore[import-not-found, unused-ignore]

    if not hasattr(operand, "nnz"):
        return operand
    return sparse.GCXS.from_scipy_sparse(operand) if operand.format == "csr" else operand


def _plain(result: Any) -> Any:
    return result.to_scipy_sparse() if hasattr(result, "to_scipy_sparse") else result


def _two(call: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Iterator[Contender]]:
    def contenders(a: Any, b: Any) -> Iterator[Contender]:
        def build() -> Callable[[], Any]:
            left, right = _wrap(a), _wrap(b)
            return lambda: call(left, right)

        yield Contender("pydata gcxs", build, result=_plain)

    return contenders


PEER = Peer(
    name="pydata/sparse",
    operations={
        "spmm": _two(lambda a, b: a @ b),
        "spmm_weight": _two(lambda a, b: a @ b),
        "spmv": _two(lambda a, b: a @ b),
        "spmspm": _two(lambda a, b: a @ b),
        "spmspm_unsorted": _two(lambda a, b: a @ b),
        "add": _two(lambda a, b: a + b),
        "multiply": _two(lambda a, b: a * b),
        **tensors.PYDATA,
    },
    modules=("sparse",),
    counted=False,
)

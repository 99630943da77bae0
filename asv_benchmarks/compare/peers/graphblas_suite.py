"""SuiteSparse:GraphBLAS through python-graphblas, when it is installed. Shown beside; it makes no ratio."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from asv_benchmarks.compare.model import Contender, Peer

__all__ = ["PEER"]


def _matrix(operand: Any) -> Any:
    import graphblas  # type: ignore[import-not-found, unused-ignore]

    if hasattr(operand, "nnz"):
        return graphblas.io.from_scipy_sparse(operand)
    kind = graphblas.Vector if operand.ndim == 1 else graphblas.Matrix
    return kind.from_dense(operand)


def _finished(expression: Any) -> Any:
    # GraphBLAS may put work off until a result is looked at; waiting makes it part of the call.
    result = expression.new()
    result.wait("materialize")
    return result


def _unsorted(expression: Any) -> Any:
    # A product is computed at once; what is put off is the sorting of its rows, which this reader does not ask for.
    return expression.new()


def _plain(result: Any) -> Any:
    import graphblas  # type: ignore[import-not-found, unused-ignore]

    if result.ndim == 1:
        return result.to_dense(fill_value=0)
    if result.nvals == result.nrows * result.ncols:
        return result.to_dense()
    return graphblas.io.to_scipy_sparse(result)


def _two(
    call: Callable[[Any, Any], Any], finish: Callable[[Any], Any] = _finished
) -> Callable[[Any, Any], Iterator[Contender]]:
    def contenders(a: Any, b: Any) -> Iterator[Contender]:
        def build() -> Callable[[], Any]:
            left, right = _matrix(a), _matrix(b)
            return lambda: finish(call(left, right))

        yield Contender("graphblas", build, result=_plain)

    return contenders


def _set_threads(number: int) -> None:
    import graphblas  # type: ignore[import-not-found, unused-ignore]

    graphblas.ss.config["nthreads"] = number


PEER = Peer(
    name="graphblas",
    operations={
        "spmm": _two(lambda a, b: a.mxm(b)),
        "spmm_weight": _two(lambda a, b: a.mxm(b)),
        "spmv": _two(lambda a, x: a.mxv(x)),
        "spmspm": _two(lambda a, b: a.mxm(b)),
        "spmspm_unsorted": _two(lambda a, b: a.mxm(b), _unsorted),
        "add": _two(lambda a, b: a.ewise_add(b, "plus")),
        "multiply": _two(lambda a, b: a.ewise_mult(b, "times")),
    },
    modules=("graphblas", "graphblas.ss"),
    counted=False,
    set_threads=_set_threads,
)

"""Scorch alone, from 1e4 to 3e7 nonzeros, on all threads and on one: how it grows, and what a second thread brings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from operator import add, matmul
from typing import Any

from asv_benchmarks.compare import timing
from asv_benchmarks.compare.model import Case, CaseResult, Contender, Family, Options, Peer
from asv_benchmarks.compare.peers import ours
from asv_benchmarks.inputs import Matrix, generate, load

from .convert import pair
from .operands import dense
from .sddmm import sampled

__all__ = ["FAMILY"]

_SIZES = (10_000, 100_000, 1_000_000, 10_000_000, 30_000_000)
_QUICK_SIZES = (10_000, 100_000)
_ROW = 10  # nonzeros of a row, on average
_MOST_OF_PRODUCTS = 10_000_000  # nonzeros of a factor; beyond, results take gigabytes
_COLUMNS = 32
_ONE = Peer("scorch on one thread", {}, ("scorch",))


def _times_dense(matrix: Matrix) -> tuple[Any, ...]:
    a = load(matrix)
    return a, dense(a.shape[1], _COLUMNS)


def _times_vector(matrix: Matrix) -> tuple[Any, ...]:
    a = load(matrix)
    return a, dense(a.shape[1])


def _squared(matrix: Matrix) -> tuple[Any, ...]:
    a = load(matrix)
    return a, a


def _masked(matrix: Matrix) -> tuple[Any, ...]:
    mask = load(matrix)
    return mask, dense(mask.shape[0], _COLUMNS), dense(mask.shape[1], _COLUMNS, seed=2)


_WORK: tuple[tuple[str, str, Callable[[Matrix], tuple[Any, ...]], Callable[..., Any]], ...] = (
    ("SpMV", "spmv", _times_vector, matmul),
    (f"SpMM K={_COLUMNS}", "spmm", _times_dense, matmul),
    (f"SDDMM d={_COLUMNS}", "sddmm", _masked, sampled),
    ("CSR+CSR", "add", pair, add),
    ("SpMSpM", "spmspm", _squared, matmul),
)


def _cases(options: Options) -> Iterator[Case]:
    for nnz in _QUICK_SIZES if options.quick else _SIZES:
        rows = nnz // _ROW
        matrix = Matrix(
            f"uniform-{nnz:.0e}".replace("e+0", "e"), "generated", partial(generate.uniform, rows, rows, _ROW / rows)
        )
        for variant, operation, operands, reference in _WORK:
            if operation != "spmspm" or nnz <= _MOST_OF_PRODUCTS:
                yield Case("growth", matrix.name, variant, operation, partial(operands, matrix), reference)


def _measure(case: Case, options: Options) -> CaseResult:
    return timing.measure(case, replace(options, roofline=True), _contenders)


def _contenders(operation: str, operands: tuple[Any, ...]) -> Iterator[tuple[Peer, Contender]]:
    for contender in ours.PEER.operations[operation](*operands):
        yield ours.PEER, contender
        yield _ONE, Contender(_ONE.name, partial(_on_one_thread, contender.build))


def _on_one_thread(build: Callable[[], Callable[[], Any]]) -> Callable[[], Any]:
    import scorch

    def call() -> Any:
        with scorch.config.using(threads=1):
            return made()

    with scorch.config.using(threads=1):
        made = build()
    return call


FAMILY = Family(
    "growth",
    "Growth: ten nonzeros a row at random places, on all threads and on one",
    "us",
    _cases,
    _measure,
    averaged=False,
    about="The ratio is what the other threads bring. The roofline has the share of what the memory that holds the "
    "operands allows, which should stay the same.",
)

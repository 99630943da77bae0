"""Conversions and elementwise work: COO -> CSR, CSR -> CSC, CSR + CSR, CSR * CSR."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from operator import add, mul
from typing import Any

import numpy as np
from scipy import sparse

from asv_benchmarks.compare import timing
from asv_benchmarks.compare.model import Case, Family, Options
from asv_benchmarks.inputs import Matrix, load

from .operands import chosen

__all__ = ["FAMILY", "pair"]


def _csr(matrix: Matrix) -> tuple[Any, ...]:
    return (load(matrix),)


def _coo(matrix: Matrix) -> tuple[Any, ...]:
    result = load(matrix).tocoo()
    result.has_canonical_format = True  # so that nobody sorts again what is sorted
    return (result,)


def _shuffled(matrix: Matrix) -> tuple[Any, ...]:
    a = load(matrix).tocoo()
    order = np.random.default_rng(0).permutation(a.nnz)
    coords = tuple(axis[order] for axis in a.coords)
    return (sparse.coo_array((a.data[order], coords), shape=a.shape),)


def pair(matrix: Matrix) -> tuple[Any, ...]:
    """A matrix, and the same with odd columns moved by one, so that the patterns overlap in part."""
    a = load(matrix)
    rows, cols = a.tocoo().coords
    moved = (cols + (cols & 1)) % a.shape[1]
    return a, sparse.csr_array(sparse.coo_array((a.data, (rows, moved)), shape=a.shape))


_Operands = Callable[[Matrix], tuple[Any, ...]]
_WORK: tuple[tuple[str, str, _Operands, Callable[..., Any]], ...] = (
    ("COO->CSR", "coo_to_csr", _coo, sparse.csr_array),
    ("shuffled COO->CSR", "shuffled_to_csr", _shuffled, sparse.csr_array),
    ("CSR->CSC", "csr_to_csc", _csr, sparse.csr_array),
    ("CSR+CSR", "add", pair, add),
    ("CSR*CSR", "multiply", pair, mul),
)


def _cases(options: Options) -> Iterator[Case]:
    for matrix in chosen(options, "generated", "matrix", "graph"):
        for variant, operation, operands, reference in _WORK:
            yield Case(
                family="convert",
                matrix=matrix.name,
                variant=variant,
                operation=operation,
                load=partial(operands, matrix),
                reference=reference,
                real=matrix.real,
            )


FAMILY = Family(
    "convert",
    "Conversions and elementwise work",
    "ms",
    _cases,
    timing.measure,
    about="For a conversion, scorch gets a new tensor at every call, so that nothing is remembered. Its COO is sorted "
    "as soon as it is made, so from shuffled coordinates the whole way from the arrays is timed.",
)

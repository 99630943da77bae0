"""SpMV: sparse times a vector, "ij,j->i"."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from operator import matmul
from typing import Any

from asv_benchmarks.compare import timing
from asv_benchmarks.compare.model import Case, Family, Options
from asv_benchmarks.inputs import Matrix, load

from .operands import chosen, dense

__all__ = ["FAMILY"]


def _operands(matrix: Matrix) -> tuple[Any, ...]:
    a = load(matrix)
    return a, dense(a.shape[1])


def _cases(options: Options) -> Iterator[Case]:
    for matrix in chosen(options):
        yield Case("spmv", matrix.name, "", "spmv", partial(_operands, matrix), matmul, matrix.real)


FAMILY = Family("spmv", "SpMV: sparse x vector", "us", _cases, timing.measure)

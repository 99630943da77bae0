"""SpMM: sparse times dense, "ik,kj->ij", for several numbers of columns."""

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

_COLUMNS = (16, 32, 64, 128, 256)
_QUICK_COLUMNS = (16, 64)
_WEIGHTS = {"pruned", "weight"}  # the kinds of matrices that are frozen


def _operands(matrix: Matrix, columns: int) -> tuple[Any, ...]:
    a = load(matrix)
    return a, dense(a.shape[1], columns)


def _cases(options: Options) -> Iterator[Case]:
    for matrix in chosen(options):
        for columns in _QUICK_COLUMNS if options.quick else _COLUMNS:
            yield Case(
                family="spmm",
                matrix=matrix.name,
                variant=f"K={columns}",
                operation="spmm_weight" if matrix.kind in _WEIGHTS else "spmm",
                load=partial(_operands, matrix, columns),
                reference=matmul,
                real=matrix.real,
            )


FAMILY = Family(
    "spmm",
    "SpMM: sparse x dense, K columns",
    "ms",
    _cases,
    timing.measure,
    about="Pruned weights are frozen (`A.freeze()`), as those of a trained model may be; others are as they are.",
)

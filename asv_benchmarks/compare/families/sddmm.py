"""SDDMM: a dense product sampled at a sparse pattern, "ij,id,jd->ij"."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from asv_benchmarks.compare import timing
from asv_benchmarks.compare.model import Case, Family, Options
from asv_benchmarks.inputs import Matrix, load

from .operands import chosen, dense

__all__ = ["FAMILY", "sampled"]

_DEPTHS = (32, 64, 128)
_QUICK_DEPTHS = (32,)
_CHUNK = 1_000_000


def sampled(mask: Any, q: Any, k: Any) -> Any:
    """The expected result, in pieces that keep memory small."""
    rows, cols = mask.tocoo().coords
    values = np.empty_like(mask.data)
    for start in range(0, len(values), _CHUNK):
        part = slice(start, start + _CHUNK)
        values[part] = mask.data[part] * np.einsum("ed,ed->e", q[rows[part]], k[cols[part]])
    result = mask.copy()
    result.data = values
    return result


def _operands(matrix: Matrix, depth: int) -> tuple[Any, ...]:
    # Ones as values: torch.sparse.sampled_addmm uses the pattern alone.
    mask = load(matrix).copy()
    mask.data = np.ones_like(mask.data)
    rows, cols = mask.shape
    return mask, dense(rows, depth), dense(cols, depth, seed=2)


def _cases(options: Options) -> Iterator[Case]:
    for matrix in chosen(options, "mask", "matrix", "graph"):
        for depth in _QUICK_DEPTHS if options.quick else _DEPTHS:
            yield Case(
                family="sddmm",
                matrix=matrix.name,
                variant=f"d={depth}",
                operation="sddmm",
                load=partial(_operands, matrix, depth),
                reference=sampled,
                real=matrix.real,
            )


FAMILY = Family(
    "sddmm",
    "SDDMM: (Q @ K.T) sampled at a pattern, depth d",
    "ms",
    _cases,
    timing.measure,
    about="Scorch multiplies by the pattern's values (ones); sampled_addmm does not read them. "
    "K^T: mat2 as a contiguous copy instead of a transposed view.",
)

"""Batches: tensors of one shape, with as many stored values each as they have, as one tensor of one dimension more."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from scorch.errors import ShapeError
from scorch.exchange import reformatted, stored_order
from scorch.formats import Dense, Format, Pattern, Storage, dtypes
from scorch.formats.storage import Array

__all__ = ["stacked"]


def stacked(parts: Sequence[Storage]) -> Storage:
    """The tensors behind a dense first level, in the format of the first one: csr becomes dense, dense, compressed.

    Number types are promoted; differentiable. ShapeError if shapes or fills differ.

    >>> rows = [torch.eye(2).to_sparse_csr(), torch.ones(2, 2).to_sparse_csr()]
    >>> from scorch.operand import as_storage
    >>> stacked([as_storage(x) for x in rows])
    Storage(Pattern(shape=(2, 2, 2), format=dense, dense, compressed, nnz=6), dtype=float32)
    """
    first = parts[0]
    for number, part in enumerate(parts):
        if part.pattern.shape != first.pattern.shape or part.fill != first.fill:
            raise ShapeError(
                f"tensors of a batch have one shape and one fill: {first.pattern.shape} and {first.fill} in item 0, "
                f"{part.pattern.shape} and {part.fill} in item {number}"
            )
    format = first.pattern.format.sorted.plain
    if format.blocks:
        format = format.grid
    same = [reformatted(part, format) for part in parts]
    dtype = dtypes.to_torch(dtypes.promote(*(part.dtype for part in parts)))
    values = torch.cat([stored_order(part).to(dtype) for part in same])
    shape = (len(parts), *first.pattern.shape)
    whole = Format((Dense(), *format.levels), (0, *(d + 1 for d in format.order)))
    arrays = [{}, *(_joined(depth, same) for depth in range(len(format.levels)))]
    return Storage(Pattern(shape, whole, arrays, validate=False), values, first.fill)


def _joined(depth: int, parts: Sequence[Storage]) -> dict[str, Array]:
    """The arrays of one level of all tensors, one after the other."""
    levels = [part.pattern.arrays[depth] for part in parts]
    joined: dict[str, Array] = {}
    if "crd" in levels[0]:
        joined["crd"] = np.concatenate([level["crd"] for level in levels])
    if "pos" in levels[0]:
        sizes = [0, *(part.pattern.positions[depth] for part in parts)]
        starts = np.cumsum(sizes)
        ends = [level["pos"][1:].astype(np.int64) + start for level, start in zip(levels, starts, strict=False)]
        joined["pos"] = np.concatenate([np.zeros(1, dtype=np.int64), *ends])
    return joined

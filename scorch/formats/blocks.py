"""Blocks: a tensor stored as a tensor of more dimensions, the coordinates of the blocks and those inside them.

With blocks of r x c, coordinate (i, j) is stored at (i // r, j // c, i % r, j % c). A dimension whose blocks have
length 1 is not divided.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from scorch.errors import ShapeError

__all__ = ["divided", "joined", "split", "stored_shape"]

Array: TypeAlias = np.ndarray[Any, Any]


def divided(blocks: Sequence[int]) -> tuple[int, ...]:
    """The dimensions that blocks divide.

    >>> divided((4, 1, 2))
    (0, 2)
    """
    return tuple(d for d, size in enumerate(blocks) if size > 1)


def stored_shape(shape: Sequence[int], blocks: Sequence[int]) -> tuple[int, ...]:
    """The shape of the tensor that is stored; ShapeError unless whole blocks fill every dimension.

    >>> stored_shape((6, 5, 8), (2, 1, 4))
    (3, 5, 2, 2, 4)
    """
    if any(extent % size for extent, size in zip(shape, blocks, strict=True)):
        raise ShapeError(
            f"blocks of {tuple(blocks)} don't fill a tensor of shape {tuple(shape)}; choose blocks that divide its "
            "extents, or pad it"
        )
    outer = (extent // size for extent, size in zip(shape, blocks, strict=True))
    return (*outer, *(blocks[d] for d in divided(blocks)))


def split(coords: Array, blocks: Sequence[int]) -> Array:
    """Stored coordinates, a row for each stored dimension.

    >>> split(np.array([[5], [3]]), (2, 4)).tolist()
    [[2], [0], [1], [3]]
    """
    sizes = np.array(blocks, dtype=coords.dtype)[:, None]
    return np.concatenate([coords // sizes, (coords % sizes)[list(divided(blocks))]])


def joined(stored: Array, blocks: Sequence[int]) -> Array:
    """The coordinates of stored ones.

    >>> joined(np.array([[2], [0], [1], [3]]), (2, 4)).tolist()
    [[5], [3]]
    """
    coords: Array = stored[: len(blocks)] * np.array(blocks, dtype=stored.dtype)[:, None]
    coords[list(divided(blocks))] += stored[len(blocks) :]
    return coords

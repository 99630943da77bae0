"""Shapes and parts of arrays, under the standard's names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from scorch.array_api.array import Array, as_array, call

__all__ = [
    "astype", "broadcast_arrays", "broadcast_shapes", "broadcast_to", "concat", "expand_dims", "flip",
    "matrix_transpose", "moveaxis", "permute_dims", "repeat", "reshape", "roll", "squeeze", "stack", "take",
    "take_along_axis", "tile", "unstack",
]  # fmt: skip

Axis = int | Sequence[int] | None


def astype(x: Array, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Array:
    """The array in another number type."""
    made: Array = as_array(x.to(dtype))
    return as_array(made.clone()) if copy and made is x else made


def broadcast_to(x: Array, /, shape: Sequence[int]) -> Array:
    """The array repeated along new dimensions and those of extent 1."""
    return call("broadcast_to", x, tuple(shape))  # type: ignore[no-any-return]


def broadcast_arrays(*arrays: Array) -> list[Array]:
    """Arrays in the one shape to which they broadcast."""
    shape = np.broadcast_shapes(*(x.shape for x in arrays))
    return [broadcast_to(x, shape) for x in arrays]


def broadcast_shapes(*shapes: Sequence[int]) -> tuple[int, ...]:
    """The shape to which shapes are broadcast together."""
    return tuple(np.broadcast_shapes(*map(tuple, shapes)))


def concat(arrays: Sequence[Array], /, *, axis: int | None = 0) -> Array:
    """Arrays one behind the other; flattened first if `axis` is None."""
    parts = [call("reshape", x, (-1,)) for x in arrays] if axis is None else list(arrays)
    kind = parts[0].dtype
    for x in parts[1:]:
        kind = torch.promote_types(kind, x.dtype)
    return call("cat", [x.to(kind) for x in parts], axis or 0)  # type: ignore[no-any-return]


def stack(arrays: Sequence[Array], /, *, axis: int = 0) -> Array:
    """Arrays of one shape along a new dimension."""
    return call("stack", list(arrays), axis)  # type: ignore[no-any-return]


def unstack(x: Array, /, *, axis: int = 0) -> tuple[Array, ...]:
    """Each coordinate of a dimension."""
    return tuple(call("unbind", x, axis))


def expand_dims(x: Array, /, *, axis: int = 0) -> Array:
    """With a new dimension of extent 1."""
    return call("unsqueeze", x, axis)  # type: ignore[no-any-return]


def squeeze(x: Array, /, axis: int | Sequence[int]) -> Array:
    """Without dimensions of extent 1; ValueError if one of them is longer."""
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    if any(not -x.ndim <= a < x.ndim for a in axes):
        raise IndexError(f"axis {axis} is out of range for {x.ndim} dimensions")
    if any(x.shape[a] != 1 for a in axes):
        raise ValueError(f"squeeze: an axis of {axis} has another extent than 1 in shape {x.shape}")
    return call("squeeze", x, axes)  # type: ignore[no-any-return]


def flip(x: Array, /, *, axis: Axis = None) -> Array:
    """The coordinates of dimensions in reverse; of all without `axis`."""
    axes = tuple(range(x.ndim)) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
    return call("flip", x, axes)  # type: ignore[no-any-return]


def roll(x: Array, /, shift: int | Sequence[int], *, axis: Axis = None) -> Array:
    """Coordinates moved on, those beyond the end to the front."""
    if axis is not None and isinstance(shift, int) and not isinstance(axis, int):
        shift = [shift] * len(axis)
    return call("roll", x, shift, axis)  # type: ignore[no-any-return]


def reshape(x: Array, /, shape: Sequence[int], *, copy: bool | None = None) -> Array:
    """The values in the same row-major order in another shape."""
    made: Array = call("reshape", x, tuple(shape))
    return as_array(made.clone()) if copy else made


def permute_dims(x: Array, /, axes: Sequence[int]) -> Array:
    """Dimension axes[d] as the d-th."""
    return as_array(x.permute(*axes)) if x.ndim else x


def matrix_transpose(x: Array, /) -> Array:
    """The last two dimensions swapped."""
    return call("transpose", x, -1, -2)  # type: ignore[no-any-return]


def moveaxis(x: Array, source: int | Sequence[int], destination: int | Sequence[int], /) -> Array:
    """Dimensions moved to other positions."""
    return call("movedim", x, source, destination)  # type: ignore[no-any-return]


def repeat(x: Array, repeats: Any, /, *, axis: int | None = None) -> Array:
    """Each coordinate several times."""
    counts = repeats.to_dense() if isinstance(repeats, Array) else repeats
    return call("repeat_interleave", x, counts, axis)  # type: ignore[no-any-return]


def tile(x: Array, repetitions: Sequence[int], /) -> Array:
    """Copies beside each other."""
    return call("tile", x, tuple(repetitions))  # type: ignore[no-any-return]


def take(x: Array, indices: Array, /, *, axis: int | None = None) -> Array:
    """The coordinates of a dimension that a list names."""
    return call("index_select", x, 0 if axis is None else axis, indices.to_dense())  # type: ignore[no-any-return]


def take_along_axis(x: Array, indices: Array, /, *, axis: int = -1) -> Array:
    """Values by the coordinate in one dimension; a dense array."""
    return call("take_along_dim", x, indices.to_dense(), axis)  # type: ignore[no-any-return]

"""What a user hands over to make a Tensor (values, coordinates, arrays, a fill), checked, in one form."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import torch

from scorch.errors import DtypeError, FormatError, ShapeError
from scorch.exchange import to_dense
from scorch.formats import Pattern, dtypes
from scorch.formats.storage import Array, bindable
from scorch.operand import as_storage

__all__ = ["Fill", "as_indices", "as_values", "checked_fill", "index_array", "values_for"]

Fill: TypeAlias = "bool | int | float | complex"


def as_values(values: Any) -> torch.Tensor:
    """Values as a dense torch tensor, history of operations included; DtypeError for unknown number types."""
    if isinstance(values, torch.Tensor) and values.layout is torch.strided and values.is_cpu:
        made = values
    else:
        made = to_dense(as_storage(values))
    dtypes.name_of(made.dtype)
    return made.resolve_conj().resolve_neg()


def values_for(pattern: Pattern, values: Any) -> torch.Tensor:
    """Values that fit a pattern, contiguous in stored order; ShapeError if they don't fit.

    >>> from scorch.formats.storage import dense_pattern
    >>> values_for(dense_pattern((2,), (0,)), [1.0, 2.0])
    tensor([1., 2.])
    """
    given = as_values(values)
    order = pattern.format.order
    if pattern.format.is_dense and tuple(given.shape) == pattern.shape:
        # Kernels read a flat view; one of values in another order would be a copy that misses later changes.
        stored = given.permute(order)
        return given if stored.is_contiguous() else stored.contiguous().permute(tuple(np.argsort(order).tolist()))
    if pattern.format.blocks:
        return _values_of_blocks(pattern, given)
    if tuple(given.shape) != (pattern.nnz,):
        raise ShapeError(f"{pattern} takes values of shape ({pattern.nnz},), got {tuple(given.shape)}")
    return given.contiguous()


def _values_of_blocks(pattern: Pattern, given: torch.Tensor) -> torch.Tensor:
    """Values (blocks, r, c), or as the insides of blocks are stored, contiguous."""
    format = pattern.format
    count, inner = pattern.positions[format.ndim - 1], format.order[format.ndim :]
    shape = (count, *format.blocks)
    if inner != tuple(sorted(inner)):
        shape = (count, *(pattern.stored_shape[d] for d in inner))
    if tuple(given.shape) not in (shape, (pattern.nnz,)):
        raise ShapeError(f"{pattern} takes values of shape {shape}, got {tuple(given.shape)}")
    return given.contiguous()


def as_indices(coords: Any, ndim: int, count: int) -> torch.Tensor:
    """Coordinates of `count` values as an int32 or int64 tensor; FormatError if they are no integers."""
    if isinstance(coords, torch.Tensor):
        coords = coords.detach().numpy()
    array = np.asarray(coords)
    if array.size == 0:
        return torch.zeros((ndim, 0 if ndim else count), dtype=torch.int64)
    if array.dtype.kind not in "iu":
        raise FormatError(f"coordinates must be integers, got {array.dtype}")
    return torch.from_numpy(bindable(index_array(array)))


def index_array(array: Any) -> Array:
    """An index array as kernels know them: int32 and int64 as they are, other integers as int64.

    An empty list becomes int64. Anything else is left for the validation of the pattern to refuse.

    >>> index_array(np.array([1, 2], dtype=np.uint8)).dtype, index_array([]).dtype
    (dtype('int64'), dtype('int64'))
    """
    plain: Array = np.asarray(array)
    if plain.size == 0 and plain.dtype.kind == "f":
        return plain.astype(np.int64)
    if plain.dtype.kind in "iu" and plain.dtype.newbyteorder("=") not in (np.int32, np.int64):
        return plain.astype(np.int64)
    return plain


def checked_fill(fill: Any, dtype: torch.dtype) -> Fill:
    """The fill as a Python number; DtypeError unless `dtype` can hold it.

    >>> checked_fill(np.float32(2.0), torch.float32)
    2.0
    """
    number = fill.item() if hasattr(fill, "item") else fill
    if not isinstance(number, bool | int | float | complex):
        raise DtypeError(f"fill must be a number, got a {type(fill).__name__}")
    if not _holds(dtype, number):
        raise DtypeError(f"a tensor of {dtypes.name_of(dtype)} cannot have the fill {number}")
    return number


def _holds(dtype: torch.dtype, number: Fill) -> bool:
    if number in (0, 1) or dtype.is_complex:
        return True
    if dtype is torch.bool or isinstance(number, complex):
        return False
    if dtype.is_floating_point:
        return True
    limits = torch.iinfo(dtype)
    return limits.min <= number <= limits.max and number == int(number)

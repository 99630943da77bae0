"""Making arrays: dense ones, as the standard's functions do; `asarray` keeps a sparse tensor sparse."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.utils.dlpack

from scorch.array_api.array import Array, as_array, stored
from scorch.errors import UnsupportedError
from scorch.formats import Storage
from scorch.tensor import Tensor

__all__ = [
    "arange", "asarray", "empty", "empty_like", "eye", "from_dlpack", "full", "full_like", "linspace", "meshgrid",
    "ones", "ones_like", "tril", "triu", "zeros", "zeros_like",
]  # fmt: skip

Shape = int | Sequence[int]


def _check_device(device: Any) -> None:
    if device is not None and str(device) != "cpu":
        raise UnsupportedError(f"Scorch runs on CPU; the device {device} is not available")


def _made(values: torch.Tensor, device: Any = None) -> Array:
    _check_device(device)
    made: Array = as_array(values)
    return made


def asarray(obj: Any, /, *, dtype: Any = None, device: Any = None, copy: builtins.bool | None = None) -> Array:
    """An array of numbers, nested sequences or anything that `scorch.tensor` takes; sparse tensors stay sparse.

    >>> asarray([[1, 2], [3, 4]]).to_dense()
    tensor([[1, 2],
            [3, 4]])
    """
    _check_device(device)
    if isinstance(obj, list | tuple) and any(isinstance(part, Tensor) for part in obj):
        obj = [part.to_dense().tolist() for part in obj]
    storage = stored(torch.as_tensor(obj)) if isinstance(obj, builtins.bool | int | float | complex) else stored(obj)
    copied = isinstance(obj, list | tuple | int | float | complex) or dtype not in (None, storage.values.dtype)
    if copy is False and copied:
        raise ValueError("asarray can't make this array without a copy")
    values = storage.values if dtype is None else storage.values.to(dtype)
    if copy and values is storage.values:
        values = values.clone()
    return Array(Storage(storage.pattern, values, storage.fill))


def from_dlpack(x: Any, /, *, device: Any = None, copy: builtins.bool | None = None) -> Array:
    """A dense array on the memory of another library's."""
    return asarray(
        x if isinstance(x, Tensor | torch.Tensor) else torch.utils.dlpack.from_dlpack(x), device=device, copy=copy
    )


def _shape(shape: Shape) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(int(n) for n in shape)


def zeros(shape: Shape, *, dtype: Any = None, device: Any = None) -> Array:
    """A dense array of zeros; `scorch.zeros` makes one without entries."""
    return _made(torch.zeros(_shape(shape), dtype=dtype), device)


def ones(shape: Shape, *, dtype: Any = None, device: Any = None) -> Array:
    """A dense array of ones."""
    return _made(torch.ones(_shape(shape), dtype=dtype), device)


def empty(shape: Shape, *, dtype: Any = None, device: Any = None) -> Array:
    """A dense array that is still to be written; it begins as zeros."""
    return zeros(shape, dtype=dtype, device=device)


def full(shape: Shape, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Array:
    """A dense array of one value."""
    return _made(torch.full(_shape(shape), fill_value, dtype=dtype), device)


def eye(n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: Any = None, device: Any = None) -> Array:
    """A dense matrix with ones on a diagonal; `scorch.eye` makes a sparse one."""
    columns = n_rows if n_cols is None else n_cols
    rows = torch.arange(n_rows)[:, None]
    return _made((torch.arange(columns) - rows == k).to(dtype or torch.get_default_dtype()), device)


def arange(start: Any, /, stop: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None) -> Array:
    """Numbers from start, included, to stop, excluded."""
    first, last = (0, start) if stop is None else (start, stop)
    if (last - first) * step <= 0:
        kind = dtype or torch.arange(0, 1, step).dtype
        return _made(torch.empty(0, dtype=kind), device)
    return _made(torch.arange(first, last, step, dtype=dtype), device)


def linspace(
    start: Any, stop: Any, /, num: int, *, dtype: Any = None, device: Any = None, endpoint: builtins.bool = True
) -> Array:
    """`num` evenly spaced numbers from start to stop, the last included if `endpoint`."""
    whole = np.linspace(start, stop, num, endpoint=endpoint)
    kind = dtype or (torch.complex64 if np.iscomplexobj(whole) else torch.get_default_dtype())
    return _made(torch.from_numpy(whole).to(kind), device)


def _like(x: Tensor, value: Any, dtype: Any, device: Any) -> Array:
    """One value in every place: in the stored entries and the fill of a sparse array."""
    _check_device(device)
    values = torch.full_like(x._storage.values, value, dtype=dtype or x.dtype)
    return Array(Storage(x._storage.pattern, values, 0 if x.format.is_dense else value))


def zeros_like(x: Array, /, *, dtype: Any = None, device: Any = None) -> Array:
    """Zero everywhere, in the format of x."""
    return _like(x, 0, dtype, device)


def ones_like(x: Array, /, *, dtype: Any = None, device: Any = None) -> Array:
    """One everywhere, in the format of x."""
    return _like(x, 1, dtype, device)


def empty_like(x: Array, /, *, dtype: Any = None, device: Any = None) -> Array:
    """Values that are still to be written, in the format of x; they begin as zeros."""
    return _like(x, 0, dtype, device)


def full_like(x: Array, /, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Array:
    """One value everywhere, in the format of x."""
    return _like(x, fill_value, dtype, device)


def tril(x: Array, /, *, k: int = 0) -> Array:
    """The lower triangle of the last two dimensions."""
    made: Array = as_array(x.tril(k))
    return made


def triu(x: Array, /, *, k: int = 0) -> Array:
    """The upper triangle of the last two dimensions."""
    made: Array = as_array(x.triu(k))
    return made


def meshgrid(*arrays: Array, indexing: str = "xy") -> list[Array]:
    """Coordinate arrays of a grid, dense."""
    plain = [x.to_dense() for x in arrays]
    if len(plain) < 2:
        return [asarray(x) for x in plain]
    return [asarray(x) for x in torch.meshgrid(*plain, indexing=indexing)]

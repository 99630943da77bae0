"""Reductions, products, searching, and sorting of dense arrays, under the standard's names."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import torch

from scorch.array_api.array import Array, alike, as_array, call
from scorch.formats import Storage
from scorch.tensor import Tensor

__all__ = [
    "all", "any", "argmax", "argmin", "argsort", "count_nonzero", "cumulative_prod", "cumulative_sum", "diff",
    "isin", "matmul", "max", "mean", "min", "nonzero", "prod", "searchsorted", "sort", "std", "sum", "tensordot",
    "unique_all", "unique_counts", "unique_inverse", "unique_values", "var", "vecdot", "where",
]  # fmt: skip

Axis = int | Sequence[int] | None


def _axes(x: Tensor, axis: Axis) -> tuple[int, ...]:
    return tuple(range(x.ndim)) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)


def _reduced(name: str, x: Tensor, axis: Axis, keepdims: builtins.bool, **more: Any) -> Array:
    axes = _axes(x, axis)
    if not axes and x.ndim:  # nothing is reduced
        return call("clone", x)  # type: ignore[no-any-return]
    return call(name, x, axes, keepdim=keepdims, **more)  # type: ignore[no-any-return]


def sum(x: Array, /, *, axis: Axis = None, dtype: Any = None, keepdims: builtins.bool = False) -> Array:
    """The sum along dimensions."""
    return _reduced("sum", x.to(dtype) if dtype else x, axis, keepdims)


def prod(x: Array, /, *, axis: Axis = None, dtype: Any = None, keepdims: builtins.bool = False) -> Array:
    """The product along dimensions."""
    wanted = dtype or (x.dtype if x.dtype.is_floating_point or x.dtype.is_complex else torch.int64)
    made = x.to(wanted)
    if axis is None and not keepdims:
        return call("prod", made, dtype=wanted)  # type: ignore[no-any-return]
    for a in sorted((a % builtins.max(x.ndim, 1) for a in _axes(x, axis)), reverse=True):
        made = call("prod", made, a, keepdim=True, dtype=wanted)
    kept = made if keepdims else made.reshape([n for d, n in enumerate(made.shape) if d not in _normal(x, axis)])
    return as_array(kept)  # type: ignore[no-any-return]


def _normal(x: Array, axis: Axis) -> set[int]:
    return {a % builtins.max(x.ndim, 1) for a in _axes(x, axis)}


def mean(x: Array, /, *, axis: Axis = None, keepdims: builtins.bool = False) -> Array:
    """The mean along dimensions."""
    return _reduced("mean", x, axis, keepdims)


def var(x: Array, /, *, axis: Axis = None, correction: float = 0.0, keepdims: builtins.bool = False) -> Array:
    """The variance along dimensions."""
    return _reduced("var", x, axis, keepdims, correction=correction)


def std(x: Array, /, *, axis: Axis = None, correction: float = 0.0, keepdims: builtins.bool = False) -> Array:
    """The standard deviation along dimensions."""
    return _reduced("std", x, axis, keepdims, correction=correction)


def max(x: Array, /, *, axis: Axis = None, keepdims: builtins.bool = False) -> Array:
    """The largest value along dimensions."""
    return _reduced("amax", x, axis, keepdims)


def min(x: Array, /, *, axis: Axis = None, keepdims: builtins.bool = False) -> Array:
    """The smallest value along dimensions."""
    return _reduced("amin", x, axis, keepdims)


def any(x: Array, /, *, axis: Axis = None, keepdims: builtins.bool = False) -> Array:
    """Whether one value is not zero."""
    return _reduced("any", x.to(torch.bool), axis, keepdims)


def all(x: Array, /, *, axis: Axis = None, keepdims: builtins.bool = False) -> Array:
    """Whether no value is zero."""
    return _reduced("all", x.to(torch.bool), axis, keepdims)


def count_nonzero(x: Array, /, *, axis: Axis = None, keepdims: builtins.bool = False) -> Array:
    """How many values are not zero."""
    return _reduced("sum", x.to(torch.bool), axis, keepdims)


def argmax(x: Array, /, *, axis: int | None = None, keepdims: builtins.bool = False) -> Array:
    """Where the largest value is."""
    return call("argmax", x, axis, keepdims)  # type: ignore[no-any-return]


def argmin(x: Array, /, *, axis: int | None = None, keepdims: builtins.bool = False) -> Array:
    """Where the smallest value is."""
    return call("argmin", x, axis, keepdims)  # type: ignore[no-any-return]


def nonzero(x: Array, /) -> tuple[Array, ...]:
    """The coordinates of the values that are not zero, one array a dimension."""
    return tuple(call("nonzero", x, as_tuple=True))


def where(condition: Array, x1: Any, x2: Any, /) -> Array:
    """x1 where the condition holds, else x2."""
    return call("where", condition, x1, x2)  # type: ignore[no-any-return]


def isin(x1: Any, x2: Any, /, *, invert: builtins.bool = False) -> Array:
    """Whether each value of x1 is one of those of x2."""
    known = x2.to_dense() if isinstance(x2, Array) else torch.as_tensor(x2)
    if not isinstance(x1, Array):
        return as_array(torch.isin(torch.as_tensor(x1), known, invert=invert))  # type: ignore[no-any-return]
    storage = x1._storage
    fill = torch.isin(storage.values.new_full((1,), storage.fill), known, invert=invert).item()
    return Array(Storage(storage.pattern, torch.isin(storage.values, known, invert=invert), fill))


# --- products -----------------------------------------------------------------------------------------------


def matmul(x1: Array, x2: Array, /) -> Array:
    """The product of matrices, vectors, or batches of them."""
    return as_array(x1 @ x2)  # type: ignore[no-any-return]


def tensordot(x1: Array, x2: Array, /, *, axes: int | Sequence[Sequence[int]] = 2) -> Array:
    """The sum of products over pairs of dimensions."""
    return call("tensordot", x1, x2, axes)  # type: ignore[no-any-return]


def vecdot(x1: Array, x2: Array, /, *, axis: int = -1) -> Array:
    """The sum of conj(x1) * x2 along a dimension."""
    products = call("mul", *alike(call("conj", x1), x2))
    return call("sum", products, axis, dtype=products.dtype)  # type: ignore[no-any-return]


# --- of dense arrays ----------------------------------------------------------------------------------------


def cumulative_sum(
    x: Array, /, *, axis: int | None = None, dtype: Any = None, include_initial: builtins.bool = False
) -> Array:
    """The running sum along a dimension."""
    return _running("cumsum", 0, x, axis, dtype, include_initial)


def cumulative_prod(
    x: Array, /, *, axis: int | None = None, dtype: Any = None, include_initial: builtins.bool = False
) -> Array:
    """The running product along a dimension."""
    return _running("cumprod", 1, x, axis, dtype, include_initial)


def _running(name: str, start: int, x: Array, axis: int | None, dtype: Any, include_initial: builtins.bool) -> Array:
    if axis is None and x.ndim != 1:
        raise ValueError(f"{name} of {x.ndim} dimensions needs its axis")
    at = 0 if axis is None else axis
    made = call(name, x, at, dtype=dtype)
    if not include_initial:
        return made  # type: ignore[no-any-return]
    shape = [1 if d == at % x.ndim else n for d, n in enumerate(x.shape)]
    return call("cat", [as_array(torch.full(shape, start, dtype=made.dtype)), made], at)  # type: ignore[no-any-return]


def diff(
    x: Array, /, *, axis: int = -1, n: int = 1, prepend: Array | None = None, append: Array | None = None
) -> Array:
    """The differences of neighbours along a dimension, n times."""
    parts = [part for part in (prepend, x, append) if part is not None]
    made: Any = call("cat", parts, axis) if len(parts) > 1 else x
    for _ in range(builtins.min(n, made.shape[axis])):
        extent = made.shape[axis]
        made = call("narrow", made, axis, 1, extent - 1) - call("narrow", made, axis, 0, extent - 1)
    return as_array(made)  # type: ignore[no-any-return]


def sort(x: Array, /, *, axis: int = -1, descending: builtins.bool = False, stable: builtins.bool = True) -> Array:
    """The values in order along a dimension; those of a sparse array stay sparse."""
    return call("sort", x, dim=axis, descending=descending, stable=stable)[0]  # type: ignore[no-any-return]


def argsort(x: Array, /, *, axis: int = -1, descending: builtins.bool = False, stable: builtins.bool = True) -> Array:
    """The order that sorts an array along a dimension, dense."""
    return call("argsort", x, dim=axis, descending=descending, stable=stable)  # type: ignore[no-any-return]


def searchsorted(x1: Array, x2: Array, /, *, side: str = "left", sorter: Array | None = None) -> Array:
    """Where values would be put into a sorted dense array."""
    order = None if sorter is None else sorter.to_dense()
    return as_array(torch.searchsorted(x1.to_dense(), x2.to_dense(), side=side, sorter=order))  # type: ignore[no-any-return]


def unique_values(x: Array, /) -> Array:
    """The different values of a dense array, in order; complex ones by their real parts first."""
    return unique_all(x)[0]


def unique_counts(x: Array, /) -> tuple[Array, ...]:
    """The different values, and how often each occurs."""
    values, _, _, counts = unique_all(x)
    return values, counts


def unique_inverse(x: Array, /) -> tuple[Array, ...]:
    """The different values, and the number of each value among them."""
    values, _, inverse, _ = unique_all(x)
    return values, inverse


def unique_all(x: Array, /) -> tuple[Array, ...]:
    """The different values, where each is first, the number of each value among them, and how often each occurs."""
    flat = x.to_dense().reshape(-1)
    if flat.is_complex():
        parts, inverse, counts = torch.unique(torch.view_as_real(flat), dim=0, return_inverse=True, return_counts=True)
        values = torch.view_as_complex(parts)
    else:
        values, inverse, counts = torch.unique(flat, return_inverse=True, return_counts=True)
    first = torch.full((len(values),), len(flat)).scatter_reduce(0, inverse, torch.arange(len(flat)), "amin")
    return as_array((values, first, inverse.reshape(x.shape), counts))  # type: ignore[no-any-return]

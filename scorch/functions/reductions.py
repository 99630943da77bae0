"""Reductions along dimensions, or of everything; entries that are not stored count as the fill."""

from __future__ import annotations

import math
from collections import namedtuple
from collections.abc import Callable, Sequence
from typing import Any

import torch

from scorch.errors import DtypeError, ShapeError, UnsupportedError
from scorch.formats import Storage
from scorch.formats.storage import checked_size
from scorch.functions.elementwise import binary
from scorch.functions.registry import call, implements
from scorch.functions.statement import access, computed, index_names
from scorch.functions.structure import combined_keys, dimension, entries, stored_values
from scorch.tensor import Tensor

__all__ = ["amax", "amin", "mean", "norm", "prod"]

Extremum = namedtuple("Extremum", ("values", "indices"))

Dims = int | Sequence[int] | None


def _dims(dim: Dims, ndim: int) -> tuple[int, ...]:
    """The dimensions that go; all of them for None and for an empty list."""
    given = range(ndim) if dim is None else (dim,) if isinstance(dim, int) else tuple(dim) or range(ndim)
    dims = tuple(dimension(d, ndim) for d in given)
    if len(set(dims)) < len(dims):
        raise ShapeError(f"dimension {dim} stands twice")
    return tuple(sorted(dims)) if ndim else ()


def reduced(x: Tensor, sign: str, dim: Dims, keepdim: bool, dtype: torch.dtype | None = None) -> Any:
    """The reduction `C[...] sign= A[...]`."""
    gone = _dims(dim, x.ndim)
    names = index_names(x.ndim)
    kept = [name for d, name in enumerate(names) if d not in gone]
    made: Any = computed(f"{access('C', kept)} {sign}= {access('A', names)}", A=x, dtype=dtype)
    return kept_dims(made, gone) if keepdim else made


def kept_dims(x: Any, gone: Sequence[int]) -> Any:
    """With an extent of 1 for each dimension that went."""
    for d in gone:
        x = x.unsqueeze(d)
    return x


def with_fill(x: Tensor) -> torch.Tensor:
    """The stored values, and the fill once if any place has it."""
    values = stored_values(x)
    if x.nnz == x._storage.pattern.size:
        return values
    return torch.cat([values, values.new_full((1,), x.fill)])


def places(x: Tensor, gone: Sequence[int]) -> int:
    """How many places are reduced into one."""
    return checked_size([x.shape[d] for d in gone])


# --- sums ---------------------------------------------------------------------------------------------------


@implements("sum", "_sparse_sum")
def total(x: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: torch.dtype | None = None) -> Any:
    """The sum along dimensions, or of everything.

    >>> from scorch import tensor
    >>> total(tensor([[0.0, 1.0], [2.0, 3.0]], "csr"), 1)
    tensor([1., 5.])
    """
    if isinstance(dim, torch.dtype):
        dim, dtype = None, dim
    wanted = dtype or (x.dtype if x.dtype.is_floating_point or x.dtype.is_complex else torch.int64)
    gone = _dims(dim, x.ndim)
    if len(gone) < x.ndim:
        return reduced(x.to(wanted), "+", dim, keepdim)
    value = stored_values(x).sum(dtype=wanted)
    if x.fill != 0:
        value = value + torch.tensor(x.fill * (places(x, gone) - x.nnz), dtype=wanted)
    return kept_dims(value, gone) if keepdim else value


@implements("mean")
def mean(x: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: torch.dtype | None = None) -> Any:
    """The mean along dimensions, entries that are not stored counted."""
    wanted = dtype or x.dtype
    if not (wanted.is_floating_point or wanted.is_complex):
        raise DtypeError(f"mean takes floating-point or complex values, not {wanted}; pass dtype=torch.float32")
    return total(x, dim, keepdim, dtype=wanted) / places(x, _dims(dim, x.ndim))


@implements("logsumexp", "special.logsumexp")
def logsumexp(x: Tensor, dim: Dims, keepdim: bool = False) -> Any:
    """The logarithm of the sum of exponentials along dimensions, entries that are not stored counted as the fill.

    >>> from scorch import tensor
    >>> logsumexp(tensor([[0.0, 0.0], [2.0, 2.0]], "csr"), 1)
    tensor([0.6931, 2.6931])
    """
    gone, names = _dims(dim, x.ndim), index_names(x.ndim)
    kept = access("", [name for d, name in enumerate(names) if d not in gone])
    every = access("", names)
    largest = amax(x, gone)
    text = (
        f"S{kept} += where(stored(A{every}), exp(A{every} - M{kept}), 0); "
        f"N{kept} += where(stored(A{every}), 1, 0); "
        f"C{kept} = M{kept} + log(S{kept} + (n - N{kept}) * exp(fill - M{kept}))"
    )
    count, fill = (torch.tensor(value, dtype=x.dtype) for value in (places(x, gone), x.fill))
    made = computed(text, A=x, M=largest.masked_fill(largest.isinf(), 0), n=count, fill=fill)
    return kept_dims(made, gone) if keepdim else made


@implements("nansum")
def nansum(x: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: torch.dtype | None = None) -> Any:
    """The sum of what is a number."""
    values = x._storage.values
    clean = Tensor(Storage(x._storage.pattern, torch.where(values.isnan(), torch.zeros_like(values), values), x.fill))
    return total(clean, dim, keepdim, dtype=dtype)


@implements("var")
def var(x: Tensor, dim: Any = None, unbiased: bool = True, keepdim: bool = False, *, correction: Any = None) -> Any:
    """The variance along dimensions, entries that are not stored counted."""
    if x.fill != 0:
        raise UnsupportedError(f"var of a tensor whose fill is {x.fill}; use to_dense()")
    gone, names = _dims(dim, x.ndim), index_names(x.ndim)
    if len(gone) == x.ndim:
        flat = x.reshape(-1).reshape(1, -1)
        return kept_dims(var(flat, 1, unbiased, correction=correction)[0], gone if keepdim else ())
    kept = access("", [name for d, name in enumerate(names) if d not in gone])
    every = access("", names)
    count = places(x, gone)
    text = (
        f"V{kept} += where(stored(A{every}), (A{every} - M{kept}) * (A{every} - M{kept}), 0); "
        f"N{kept} += where(stored(A{every}), 1, 0); "
        f"C{kept} = V{kept} + (n - N{kept}) * M{kept} * M{kept}"
    )
    center = mean(x, gone)
    spread = computed(text, A=x, M=center, n=torch.tensor(count, dtype=x.dtype))
    less = correction if correction is not None else int(unbiased)
    result: Any = spread / max(count - less, 0)
    return kept_dims(result, gone) if keepdim else result


@implements("std")
def std(x: Tensor, dim: Any = None, unbiased: bool = True, keepdim: bool = False, *, correction: Any = None) -> Any:
    """The standard deviation along dimensions, entries that are not stored counted."""
    return var(x, dim, unbiased, keepdim, correction=correction).sqrt()


# --- products and truth values ------------------------------------------------------------------------------


@implements("prod")
def prod(x: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: torch.dtype | None = None) -> Any:
    """The product along a dimension, or of everything."""
    if isinstance(dim, torch.dtype):
        dim, dtype = None, dim
    wanted = dtype or (x.dtype if x.dtype.is_floating_point or x.dtype.is_complex else torch.int64)
    if dim is not None and x.ndim > 1:
        return reduced(x.to(wanted), "*", dim, keepdim)
    missing = x._storage.pattern.size - x.nnz
    value = stored_values(x).prod(dtype=wanted)
    if missing:
        value = value * torch.tensor(x.fill, dtype=wanted) ** missing
    return kept_dims(value, range(x.ndim)) if keepdim else value


@implements("any")
def any_of(x: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """Whether one value is not zero."""
    return _truth(x, "|", torch.any, dim, keepdim)


@implements("all")
def all_of(x: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """Whether no value is zero."""
    return _truth(x, "&", torch.all, dim, keepdim)


def _truth(x: Tensor, sign: str, function: Callable[..., torch.Tensor], dim: Any, keepdim: bool) -> Any:
    gone = _dims(dim, x.ndim)
    if x.dtype is torch.uint8:  # torch keeps this type
        return _truth(x.to(torch.bool), sign, function, dim, keepdim).to(torch.uint8)
    if len(gone) == x.ndim:
        value = function(with_fill(x))
        return kept_dims(value, gone) if keepdim else value
    truth = x if x.dtype is torch.bool else binary("ne", "ne", "{0} != {1}", torch.ne, x, 0)
    return reduced(truth, sign, dim, keepdim)


@implements("count_nonzero")
def count_nonzero(x: Tensor, dim: Any = None) -> Any:
    """How many values are not zero."""
    return total(binary("ne", "ne", "{0} != {1}", torch.ne, x, 0), dim)


# --- extrema ------------------------------------------------------------------------------------------------


@implements("amax")
def amax(x: Tensor, dim: Any = (), keepdim: bool = False) -> Any:
    """The largest value along dimensions; entries that are not stored count as the fill.

    >>> from scorch import tensor
    >>> amax(tensor([[0.0, -1.0], [2.0, 3.0]], "csr"), 1)
    tensor([0., 3.])
    """
    return _extremum(x, "max", torch.amax, dim, keepdim)


@implements("amin")
def amin(x: Tensor, dim: Any = (), keepdim: bool = False) -> Any:
    """The smallest value along dimensions; entries that are not stored count as the fill."""
    return _extremum(x, "min", torch.amin, dim, keepdim)


def _extremum(x: Tensor, sign: str, function: Callable[..., torch.Tensor], dim: Any, keepdim: bool) -> Any:
    gone = _dims(dim, x.ndim)
    if x.dtype.is_complex:
        raise DtypeError("complex numbers have no order")
    if places(x, gone) == 0:
        raise ShapeError(f"the {sign} of no values, along dimension {dim} of a tensor of shape {x.shape}")
    if len(gone) == x.ndim:
        value = function(with_fill(x))
        return kept_dims(value, gone) if keepdim else value
    if x.dtype is torch.bool:
        return reduced(x, "|" if sign == "max" else "&", dim, keepdim)
    return reduced(x, sign, dim, keepdim)


@implements("aminmax")
def aminmax(x: Tensor, *, dim: int | None = None, keepdim: bool = False) -> tuple[Any, Any]:
    """The smallest and the largest value."""
    return amin(x, dim, keepdim), amax(x, dim, keepdim)


@implements("max")
def largest(x: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest value; with a dimension its index too, with a tensor the larger of two values."""
    return _max_or_min(x, dim, keepdim, amax, "max", torch.maximum)


@implements("min")
def smallest(x: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest value; with a dimension its index too, with a tensor the smaller of two values."""
    return _max_or_min(x, dim, keepdim, amin, "min", torch.minimum)


def _max_or_min(x: Any, dim: Any, keepdim: bool, function: Callable[..., Any], op: str, pairwise: Any) -> Any:
    if dim is None:
        return function(x)
    if not isinstance(dim, int):
        return binary(pairwise.__name__, op, f"{op}({{0}}, {{1}})", pairwise, x, dim)
    at = dimension(dim, x.ndim)
    values = function(x, at)
    values = values.to_dense() if isinstance(values, Tensor) else values
    indices = _first(x, at, values)
    found = Extremum(values, indices)
    return Extremum(*(part.unsqueeze(at) for part in found)) if keepdim else found


@implements("argmax")
def argmax(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """Where the largest value is, the first of several; without a dimension in the flattened tensor."""
    return _where_extremum(x, dim, keepdim, largest)


@implements("argmin")
def argmin(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """Where the smallest value is, the first of several; without a dimension in the flattened tensor."""
    return _where_extremum(x, dim, keepdim, smallest)


def _where_extremum(x: Tensor, dim: int | None, keepdim: bool, function: Callable[..., Any]) -> Any:
    if dim is not None:
        return function(x, dim, keepdim).indices
    found = function(x.reshape(1, -1), 1).indices[0]
    return kept_dims(found, range(x.ndim)) if keepdim else found


def _first(x: Tensor, dim: int, values: torch.Tensor) -> torch.Tensor:
    """The first coordinate of a dimension at which `x` has these values, one for each place of the others."""
    others = [d for d in range(x.ndim) if d != dim]
    coords, extent = entries(x).coords, x.shape[dim]
    rows = combined_keys(
        [coords[d] for d in others] or [torch.zeros_like(coords[dim])], [x.shape[d] for d in others] or [1]
    )
    wanted, stored = values.detach().reshape(-1), stored_values(x).detach()
    met = wanted[rows]
    same = (stored == met) | (stored.isnan() & met.isnan())
    first = torch.full((len(wanted),), extent, dtype=torch.int64)
    first.scatter_reduce_(0, rows[same], coords[dim][same], "amin")
    gaps = _first_gap(rows, coords[dim], len(wanted))
    is_fill = wanted.isnan() if math.isnan(abs(x.fill)) else wanted == x.fill
    first = torch.where(is_fill & (gaps < extent), torch.minimum(first, gaps), first)
    return first.reshape(values.shape)


def _first_gap(rows: torch.Tensor, coords: torch.Tensor, count: int) -> torch.Tensor:
    """The first coordinate of each row at which nothing is stored."""
    order = torch.argsort(coords, stable=True)
    order = order[torch.argsort(rows[order], stable=True)]
    rows, coords = rows[order], coords[order]
    lengths = torch.bincount(rows, minlength=count)
    starts = lengths.cumsum(0) - lengths
    number = torch.arange(len(rows)) - starts[rows]
    gaps = lengths.clone()
    late = coords != number
    return gaps.scatter_reduce_(0, rows[late], number[late], "amin")


# --- norms --------------------------------------------------------------------------------------------------


@implements("norm", "linalg.vector_norm")
def norm(
    x: Tensor,
    p: Any = 2,
    dim: Any = None,
    keepdim: bool = False,
    out: Any = None,
    dtype: torch.dtype | None = None,
    *,
    ord: Any = None,
) -> Any:
    """The p-norm of the values along dimensions; "fro" is 2."""
    order = 2.0 if p in ("fro", None) else p if ord is None else ord
    if isinstance(order, str):
        raise UnsupportedError(f"the {order} norm is not available for sparse tensors; use x.to_dense()")
    x = abs(x if dtype is None else x.to(dtype))
    if not x.dtype.is_floating_point:
        raise DtypeError(f"norm takes floating-point or complex values, not {x.dtype}; pass dtype=torch.float32")
    if order == math.inf:
        return amax(x, dim, keepdim)
    if order == -math.inf:
        return amin(x, dim, keepdim)
    if order == 0:
        return total(binary("ne", "ne", "{0} != {1}", torch.ne, x, 0).to(x.dtype), dim, keepdim)
    if len(_dims(dim, x.ndim)) == x.ndim and x.fill == 0:
        value = torch.linalg.vector_norm(stored_values(x), order)
        return kept_dims(value, range(x.ndim)) if keepdim else value
    return total(x if order == 1 else x**order, dim, keepdim) ** (1.0 / order)


@implements("linalg.norm")
def linalg_norm(
    x: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: torch.dtype | None = None
) -> Any:
    """The vector norm, or the Frobenius, 1- or infinity-norm of matrices."""
    dims = _dims(dim, x.ndim)
    if ord is None or ord == "fro" or len(dims) == 1:
        return norm(x, 2 if ord in (None, "fro") else ord, dim, keepdim, dtype=dtype)
    if len(dims) != 2 or ord not in (1, -1, math.inf, -math.inf):
        raise UnsupportedError(f"the matrix norm {ord!r} is not available for sparse tensors; use x.to_dense()")
    sums = total(abs(x), dims[0] if abs(ord) == 1 else dims[1], True, dtype=dtype)
    name = "amax" if ord > 0 else "amin"
    return call(name, sums, dims, keepdim) if isinstance(sums, Tensor) else getattr(torch, name)(sums, dims, keepdim)


@implements("nn.functional.normalize")
def normalize(x: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Any = None) -> Any:
    """The values over their p-norm along a dimension."""
    return x / norm(x, p, dim, True).clamp_min(eps)

"""Factory functions: eye, rand, zeros, ones, full, and those that are like another tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from scorch.arguments import Fill, checked_fill
from scorch.errors import ShapeError
from scorch.formats import Format, Storage, dtypes
from scorch.functions.registry import implements
from scorch.functions.shapes import as_sizes
from scorch.functions.structure import linear_size
from scorch.tensor import Tensor, from_coo

__all__ = ["eye", "full_like", "ones_like", "rand", "zeros", "zeros_like"]


def _dtype(dtype: Any) -> torch.dtype:
    return torch.get_default_dtype() if dtype is None else dtypes.to_torch(dtypes.name_of(dtype))


def eye(n: int, m: int | None = None, *, format: Format | str = "csr", dtype: Any = None) -> Tensor:
    """The n x m matrix with ones on its diagonal.

    >>> eye(2, 3).coords().tolist()
    [[0, 1], [0, 1]]
    """
    m = n if m is None else m
    if n < 0 or m < 0:
        raise ShapeError(f"an extent cannot be negative: shape {(n, m)}")
    steps = torch.arange(min(n, m))
    return from_coo(torch.stack([steps, steps]), torch.ones(len(steps), dtype=_dtype(dtype)), (n, m), format)


def zeros(*shape: Any, format: Format | str = "coo", dtype: Any = None, fill: Fill = 0) -> Tensor:
    """A tensor without entries: `fill` everywhere.

    >>> zeros(2, 3).nnz, zeros((2, 3), format="csr").shape
    (0, (2, 3))
    """
    sizes = as_sizes(shape)
    return from_coo(
        torch.empty((len(sizes), 0), dtype=torch.int64), torch.empty(0, dtype=_dtype(dtype)), sizes, format, fill
    )


def rand(
    *shape: Any,
    density: float = 0.01,
    format: Format | str = "coo",
    dtype: Any = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """A tensor with a share of `density` of its places stored, chosen at random, values uniform in [0, 1).

    The number of entries is round(density * places). Complex and integer types hold the same draws converted.

    >>> rand(100, 200, density=0.05, format="csr").nnz
    1000
    """
    sizes = as_sizes(shape)
    if not 0 <= density <= 1:
        raise ShapeError(f"a density lies in 0 ... 1, got {density}")
    total = linear_size(sizes)
    numbers = _sample(total, round(total * density), generator)
    rows: list[torch.Tensor] = []
    for extent in reversed(sizes):
        rows.insert(0, numbers % extent)
        numbers = numbers // extent
    values = torch.rand(len(numbers), generator=generator, dtype=torch.float64).to(_dtype(dtype))
    coords = torch.stack(rows) if rows else torch.empty((0, len(values)), dtype=torch.int64)
    return from_coo(coords, values, sizes, format)


def _sample(total: int, count: int, generator: torch.Generator | None) -> torch.Tensor:
    """`count` different numbers below `total`, ascending."""
    if count * 4 > total:
        return torch.randperm(total, generator=generator)[:count].sort().values
    found = torch.empty(0, dtype=torch.int64)
    while len(found) < count:
        more = torch.randint(total, (count + count // 8 + 8,), generator=generator)
        found = torch.unique(torch.cat([found, more]))
    # Sorted, so that the surplus must be dropped at random, not from the end.
    return found[torch.randperm(len(found), generator=generator)[:count].sort().values]


# --- like another tensor ------------------------------------------------------------------------------------


def _refilled(x: Tensor, value: Any, dtype: Any, fill: Any) -> Tensor:
    made = x.dtype if dtype is None else _dtype(dtype)
    stored = x._storage.values
    return Tensor(Storage(x._storage.pattern, torch.full_like(stored, value, dtype=made), checked_fill(fill, made)))


@implements("zeros_like")
def zeros_like(x: Tensor, *, dtype: Any = None, requires_grad: bool = False, **_: Any) -> Tensor:
    """Zeros on the same pattern; the fill is 0 too."""
    return _refilled(x, 0, dtype, 0).requires_grad_(requires_grad)


@implements("ones_like")
def ones_like(x: Tensor, *, dtype: Any = None, requires_grad: bool = False, **_: Any) -> Tensor:
    """Ones on the same pattern; what isn't stored keeps the fill 0 (torch's dense result would be one everywhere).

    >>> ones_like(eye(2) * 5).values
    tensor([1., 1.])
    """
    return full_like(x, 1, dtype=dtype, requires_grad=requires_grad)


@implements("full_like")
def full_like(x: Tensor, fill_value: Any, *, dtype: Any = None, requires_grad: bool = False, **_: Any) -> Tensor:
    """One value on the same pattern; what isn't stored keeps its fill."""
    return _refilled(x, fill_value, dtype, x.fill).requires_grad_(requires_grad)


@implements("empty_like")
def empty_like(x: Tensor, *, dtype: Any = None, requires_grad: bool = False, **_: Any) -> Tensor:
    """Values that are still to be written on the same pattern; they begin as zeros."""
    return _refilled(x, 0, dtype, x.fill).requires_grad_(requires_grad)


@implements("rand_like")
def rand_like(x: Tensor, *, dtype: Any = None, requires_grad: bool = False, **_: Any) -> Tensor:
    """Uniform values in [0, 1) on the same pattern."""
    values = torch.rand_like(x._storage.values, dtype=_dtype(dtype) if dtype is not None else x.dtype)
    return Tensor(Storage(x._storage.pattern, values.detach(), x.fill)).requires_grad_(requires_grad)


@implements("randn_like")
def randn_like(x: Tensor, *, dtype: Any = None, requires_grad: bool = False, **_: Any) -> Tensor:
    """Standard normal values on the same pattern."""
    values = torch.randn_like(x._storage.values, dtype=_dtype(dtype) if dtype is not None else x.dtype)
    return Tensor(Storage(x._storage.pattern, values.detach(), x.fill)).requires_grad_(requires_grad)


@implements("Tensor.new_zeros")
def new_zeros(x: Tensor, *size: Any, dtype: Any = None, **_: Any) -> torch.Tensor:
    """A dense tensor of zeros of the same number type."""
    return torch.zeros(as_sizes(size), dtype=dtype or x.dtype)


@implements("Tensor.new_ones")
def new_ones(x: Tensor, *size: Any, dtype: Any = None, **_: Any) -> torch.Tensor:
    """A dense tensor of ones of the same number type."""
    return torch.ones(as_sizes(size), dtype=dtype or x.dtype)


@implements("Tensor.new_full")
def new_full(x: Tensor, size: Sequence[int], fill_value: Any, dtype: Any = None, **_: Any) -> torch.Tensor:
    """A dense tensor of one value, of the same number type."""
    return torch.full(tuple(size), fill_value, dtype=dtype or x.dtype)


@implements("Tensor.new_empty")
def new_empty(x: Tensor, *size: Any, dtype: Any = None, **_: Any) -> torch.Tensor:
    """A dense tensor of the same number type, not written yet."""
    return torch.empty(as_sizes(size), dtype=dtype or x.dtype)


__all__ += ["empty_like", "rand_like", "randn_like"]

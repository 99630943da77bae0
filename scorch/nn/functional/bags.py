"""Indices as sparse matrices, which pick and sum the rows of a table."""

from __future__ import annotations

from typing import Any

import torch

import scorch
from scorch.autograd import transforming
from scorch.errors import DtypeError, FormatError, ShapeError, UnsupportedError
from scorch.functions.registry import taker
from scorch.nn.device import check_cpu

__all__ = ["bags", "check_indices", "one_hot"]


def one_hot(indices: torch.Tensor, size: int, dtype: torch.dtype | None = None) -> scorch.Tensor:
    """The csr matrix with a one for each index: (number of indices, size).

    >>> one_hot(torch.tensor([2, 0]), 3).to_dense().tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    check_indices(indices)
    flat = indices.reshape(-1).long()
    return bags(flat, torch.arange(len(flat)), size, dtype)


def bags(indices: torch.Tensor, offsets: torch.Tensor, size: int, dtype: torch.dtype | None = None) -> scorch.Tensor:
    """The csr matrix of bags given as torch.nn.EmbeddingBag takes them: indices, and where each bag begins.

    Raises DtypeError for indices that are no integers, FormatError for one that is no row of `size`, ShapeError for
    offsets that don't divide the indices. To `scorch.compile` it is one call, which runs as it is.

    >>> bags(torch.tensor([2, 0, 2]), torch.tensor([0, 1]), 3).to_dense().tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 1.0]]
    """
    check_indices(indices, offsets)
    if torch.compiler.is_compiling():
        raise UnsupportedError(
            "torch.compile cannot follow how indices become a matrix: make it outside, "
            "bag = scorch.nn.functional.bags(indices, offsets, size), and pass the bag"
        )
    take = taker()
    if take is not None:
        return take("bags", _bags, (indices, offsets, size, dtype), {})  # type: ignore[no-any-return]
    indices, offsets = _untracked(indices), _untracked(offsets)
    # Within torch.func: what is made of integers has no gradient, and is made aside; vmap refuses a batch of them.
    if transforming() and not any(map(torch._C._functorch.is_functorch_wrapped_tensor, (indices, offsets))):
        with torch._C._DisableFuncTorch():
            return _bags(indices, offsets, size, dtype)
    return _bags(indices, offsets, size, dtype)


def _bags(indices: torch.Tensor, offsets: torch.Tensor, size: int, dtype: torch.dtype | None) -> scorch.Tensor:
    if indices.ndim != 1 or offsets.ndim != 1:
        raise ShapeError(f"indices and offsets have one dimension, these have {indices.ndim} and {offsets.ndim}")
    ends = torch.cat([offsets[1:], offsets.new_tensor([len(indices)])])
    first = int(offsets[0]) if len(offsets) else len(indices)
    if first != 0 or bool((ends < offsets).any()):
        raise ShapeError(f"offsets begin at 0 and grow to at most {len(indices)}, the number of indices")
    rows = torch.repeat_interleave(torch.arange(len(offsets)), ends - offsets)
    cols = _within(indices.long(), size)
    ones = torch.ones(len(cols), dtype=dtype)
    return scorch.from_coo(torch.stack([rows, cols]), ones, (len(offsets), size), format="csr")


def _untracked(x: torch.Tensor) -> torch.Tensor:
    while torch._C._functorch.is_gradtrackingtensor(x):
        x = torch._C._functorch.get_unwrapped(x)
    return x


def check_indices(*tensors: Any) -> None:
    """DtypeError for anything but tensors of integers, UnsupportedError for those that are not on the CPU."""
    for x in tensors:
        if not isinstance(x, torch.Tensor):
            raise DtypeError(f"indices are a tensor of integers, not a {type(x).__name__}: pass torch.tensor(indices)")
        if x.dtype is torch.bool:
            raise DtypeError("indices are integers, not torch.bool: pass mask.nonzero().flatten()")
        if x.is_floating_point() or x.is_complex():
            raise DtypeError(f"indices are integers, not {x.dtype}: pass indices.long()")
    check_cpu(*tensors)


def _within(indices: torch.Tensor, size: int) -> torch.Tensor:
    outside = indices[(indices < 0) | (indices >= size)]
    if len(outside):
        raise FormatError(f"index {int(outside[0])} names no row of a table of {size}: they are 0 to {size - 1}")
    return indices

"""Rows of a matrix by index, also where torch.compile traces: as the registered operator `scorch::pick`.

A matrix of the indices could not be traced, since its pattern depends on their numbers.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

import scorch
from scorch.formats import Storage
from scorch.formats.storage import pattern_of
from scorch.functions.registry import taker
from scorch.nn import structure
from scorch.nn.functional.bags import check_indices, one_hot
from scorch.nn.functional.linear import matmul

__all__ = ["pick"]


def pick(table: Any, indices: torch.Tensor) -> torch.Tensor:
    """The rows of a matrix, sparse or dense, that indices (count,) name: (count, features), dense.

    To `scorch.compile` it is one call, which runs as it is.

    >>> pick(scorch.tensor(torch.eye(3), "csr"), torch.tensor([2, 0])).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    check_indices(indices)
    if torch.compiler.is_compiling():
        if isinstance(table, torch.Tensor):
            return F.embedding(indices, table)
        storage = table._storage
        return torch.ops.scorch.pick(storage.pattern.handle, storage.values, indices)  # type: ignore[no-any-return]
    take = taker()
    return _picked(table, indices) if take is None else take("pick", _picked, (table, indices), {})


def _picked(table: Any, indices: torch.Tensor) -> torch.Tensor:
    return matmul(one_hot(indices, table.shape[0], table.dtype), table)


def _table(handle: str, values: torch.Tensor) -> scorch.Tensor:
    return scorch.Tensor(Storage(pattern_of(handle), values))


@torch.library.custom_op("scorch::pick", mutates_args=())
def _pick(handle: str, values: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return _picked(_table(handle, values), indices).contiguous()


@_pick.register_fake
def _(handle: str, values: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    return values.new_empty(indices.shape[0], pattern_of(handle).shape[1])


@torch.library.custom_op("scorch::pick_gradient", mutates_args=())
def _pick_gradient(handle: str, grad: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    return _at_entries(handle, grad, indices).contiguous()


@_pick_gradient.register_fake
def _(handle: str, grad: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    return grad.new_empty(pattern_of(handle).nnz)


def _at_entries(handle: str, grad: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    """For each entry of the table the sum of the gradients of the rows that were picked of it."""
    ones = structure.with_ones(pattern_of(handle), grad.dtype)
    found = scorch.einsum("ij,ki,kj->ij", ones, one_hot(indices, ones.shape[0], grad.dtype), grad)
    assert isinstance(found, scorch.Tensor)  # of the pattern of `ones`
    return found.values


def _remember(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
    ctx.handle, _, indices = inputs
    ctx.save_for_backward(indices)


def _backward(ctx: Any, grad: torch.Tensor) -> tuple[Any, ...]:
    (indices,) = ctx.saved_tensors
    # Where torch records the backward pass (create_graph), it is made of calls that can be differentiated again.
    is_recorded = torch.is_grad_enabled() and not torch.compiler.is_compiling()
    gradient = _at_entries if is_recorded else torch.ops.scorch.pick_gradient
    return None, gradient(ctx.handle, grad, indices), None


_pick.register_autograd(_backward, setup_context=_remember)

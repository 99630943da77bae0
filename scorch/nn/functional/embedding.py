"""Rows of a table picked or summed by a sparse input."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

import scorch
from scorch.errors import NotationError, ShapeError
from scorch.nn.functional.bags import bags, check_indices
from scorch.nn.functional.edges import edge_max
from scorch.nn.functional.epilogue import Activation, epilogue
from scorch.nn.functional.linear import matmul
from scorch.nn.functional.pick import pick
from scorch.nn.graph.normalise import row_norm

__all__ = ["check_mode", "embedding", "embedding_bag"]


def embedding(indices: torch.Tensor, table: Any) -> torch.Tensor:
    """The rows of a table, sparse or dense, that integer indices of any shape name: (..., features), dense.

    Raises DtypeError for indices that are no integers, FormatError for one outside the table.

    >>> embedding(torch.tensor([[2, 0]]), torch.eye(3)).tolist()
    [[[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]]
    """
    check_indices(indices)
    return pick(table, indices.reshape(-1)).reshape(*indices.shape, table.shape[1])


def embedding_bag(
    bag: Any,
    table: Any,
    mode: str = "sum",
    bias: torch.Tensor | None = None,
    activation: Activation = None,
    offsets: torch.Tensor | None = None,
) -> torch.Tensor:
    """activation(bag @ table + bias): each sample's rows of the table, weighted by its sparse row of the bag.

    `bag` is (samples, rows of the table), sparse: counts, or any input that is mostly zero. "mean" divides by the sum
    of a sample's weights; "max" takes the largest of each feature over the stored entries, whatever their weights. As
    torch's, it may also be indices: (samples, length), or one after the other with `offsets`, where each sample begins.
    Raises ShapeError if bag and table don't fit, NotationError for another mode, FormatError for an index outside the
    table.

    >>> bag = scorch.tensor([[1.0, 0.0, 3.0]], "csr")
    >>> embedding_bag(bag, torch.eye(3), "mean")
    tensor([[0.2500, 0.0000, 0.7500]])
    >>> embedding_bag(torch.tensor([[0, 2]]), torch.eye(3))
    tensor([[1., 0., 1.]])
    """
    check_mode(mode)
    if offsets is not None or _are_indices(bag):
        indices, offsets = _in_one_row(bag, offsets)
        if torch.compiler.is_compiling():
            return epilogue(_traced_bag(indices, offsets, table, mode), bias, activation)
        bag = bags(indices, offsets, table.shape[0], table.dtype)
    if len(getattr(bag, "shape", ())) != 2 or bag.shape[1] != table.shape[0]:
        raise ShapeError(
            f"the table has {table.shape[0]} rows, so that a bag is (samples, {table.shape[0]}); {_told(bag)}"
        )
    if mode == "sum":
        return matmul(bag, table, bias, activation)
    matrix = scorch.tensor(bag).to("csr")
    if mode == "mean":
        return matmul(row_norm(matrix), table, bias, activation)
    return epilogue(edge_max(matrix, table), bias, activation)


def check_mode(mode: str) -> None:
    """NotationError for a reduction that bags don't have."""
    if mode not in ("sum", "mean", "max"):
        raise NotationError(f"a bag is reduced by sum, mean or max, not by {mode!r}")


def _are_indices(bag: Any) -> bool:
    """Whether a bag is what torch.nn.EmbeddingBag takes: dense integers."""
    if not isinstance(bag, torch.Tensor) or bag.layout is not torch.strided:
        return False
    return not (bag.is_floating_point() or bag.is_complex())


def _in_one_row(indices: Any, offsets: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices one after the other, and where each bag begins."""
    if offsets is not None:
        return indices, offsets
    if indices.ndim != 2:
        raise ShapeError(
            f"indices are (samples, length), or (count,) with offsets, where each sample begins; these are "
            f"{tuple(indices.shape)}"
        )
    samples, length = indices.shape
    return indices.reshape(-1), torch.arange(samples) * length


def _traced_bag(indices: torch.Tensor, offsets: torch.Tensor, table: Any, mode: str) -> torch.Tensor:
    """torch's own bag where torch.compile traces, which cannot follow how indices become a matrix."""
    check_indices(indices, offsets)
    indices, offsets = indices.long(), offsets.long()
    if isinstance(table, torch.Tensor):
        return F.embedding_bag(indices, table, offsets, mode=mode)
    return F.embedding_bag(torch.arange(indices.shape[0]), pick(table, indices), offsets, mode=mode)


def _told(bag: Any) -> str:
    shape = getattr(bag, "shape", None)
    return f"this is a {type(bag).__name__}" if shape is None else f"this is {tuple(shape)}"

"""Rows of a table picked or summed by a sparse input."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

import scorch
from scorch.errors import DtypeError, NotationError, ShapeError, UnsupportedError
from scorch.nn.functional.edges import edge_max
from scorch.nn.functional.epilogue import Activation, epilogue
from scorch.nn.functional.linear import matmul
from scorch.nn.graph.normalise import row_norm

__all__ = ["bags", "embedding", "embedding_bag", "one_hot"]


def embedding(indices: torch.Tensor, table: Any) -> torch.Tensor:
    """The rows of a table, sparse or dense, that integer indices of any shape name: (..., features), dense.

    Raises DtypeError for indices that are no integers, FormatError for one outside the table.

    >>> embedding(torch.tensor([[2, 0]]), torch.eye(3)).tolist()
    [[[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]]
    """
    _check_integers(indices)
    if torch.compiler.is_compiling() and isinstance(table, torch.Tensor):  # which cannot follow how a matrix is made
        return F.embedding(indices, table)
    picked = matmul(one_hot(indices, table.shape[0], table.dtype), table)
    return picked.reshape(*indices.shape, table.shape[1])


def embedding_bag(
    bag: Any, table: Any, mode: str = "sum", bias: torch.Tensor | None = None, activation: Activation = None
) -> torch.Tensor:
    """activation(bag @ table + bias): each sample's rows of the table, weighted by its sparse row of the bag.

    `bag` is (samples, rows of the table), sparse: counts, or any input that is mostly zero. "mean" divides by the sum
    of a sample's weights; "max" takes the largest of each feature over the stored entries, whatever their weights.
    Raises ShapeError if bag and table don't fit, NotationError for another mode.

    >>> bag = scorch.tensor([[1.0, 0.0, 3.0]], "csr")
    >>> embedding_bag(bag, torch.eye(3), "mean")
    tensor([[0.2500, 0.0000, 0.7500]])
    """
    if bag.shape[-1] != table.shape[0]:
        raise ShapeError(f"the bag is {tuple(bag.shape)}, the table has {table.shape[0]} rows")
    if mode not in ("sum", "mean", "max"):
        raise NotationError(f"a bag is reduced by sum, mean or max, not by {mode!r}")
    if mode == "sum":
        return matmul(bag, table, bias, activation)
    matrix = scorch.tensor(bag).to("csr")
    if mode == "mean":
        return matmul(row_norm(matrix), table, bias, activation)
    return epilogue(edge_max(matrix, table), bias, activation)


def one_hot(indices: torch.Tensor, size: int, dtype: torch.dtype | None = None) -> scorch.Tensor:
    """The csr matrix with a one for each index: (number of indices, size).

    >>> one_hot(torch.tensor([2, 0]), 3).to_dense().tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    _check_integers(indices)
    flat = indices.reshape(-1).long()
    return bags(flat, torch.arange(len(flat)), size, dtype)


def bags(indices: torch.Tensor, offsets: torch.Tensor, size: int, dtype: torch.dtype | None = None) -> scorch.Tensor:
    """The csr matrix of bags given as torch.nn.EmbeddingBag takes them: indices, and where each bag begins.

    >>> bags(torch.tensor([2, 0, 2]), torch.tensor([0, 1]), 3).to_dense().tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 1.0]]
    """
    _check_integers(indices, offsets)
    if torch.compiler.is_compiling():
        raise UnsupportedError(
            "torch.compile cannot follow how indices become a matrix: make it outside, "
            "bag = scorch.nn.functional.bags(indices, offsets, size), and pass the bag"
        )
    if indices.ndim != 1 or offsets.ndim != 1:
        raise ShapeError(f"indices and offsets have one dimension, these have {indices.ndim} and {offsets.ndim}")
    ends = torch.cat([offsets[1:], offsets.new_tensor([len(indices)])])
    if bool((ends < offsets).any()) or (len(offsets) and int(offsets[0]) != 0):
        raise ShapeError(f"offsets begin at 0 and grow to at most {len(indices)}, the number of indices")
    rows = torch.repeat_interleave(torch.arange(len(offsets)), ends - offsets)
    ones = torch.ones(len(indices), dtype=dtype)
    return scorch.from_coo(torch.stack([rows, indices.long()]), ones, (len(offsets), size), format="csr")


def _check_integers(*tensors: torch.Tensor) -> None:
    for x in tensors:
        if not isinstance(x, torch.Tensor):
            raise DtypeError(f"indices are a tensor of integers, not a {type(x).__name__}")
        if x.is_floating_point() or x.is_complex():
            raise DtypeError(f"indices are integers, not {x.dtype}")

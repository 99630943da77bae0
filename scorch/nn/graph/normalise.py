"""Adjacency matrices with self-loops, and with their weights normalised."""

from __future__ import annotations

import torch

import scorch
from scorch.formats import Storage, csr
from scorch.nn import structure
from scorch.nn.remember import remembered

__all__ = ["gcn_norm", "in_dtype", "row_norm", "with_self_loops"]


@remembered
def with_self_loops(adjacency: scorch.Tensor, weight: float = 1.0) -> scorch.Tensor:
    """The adjacency matrix with a self-loop of that weight at each node that has none.

    >>> A = scorch.tensor([[0.0, 2.0], [0.0, 3.0]], "csr")
    >>> with_self_loops(A).to_dense()
    tensor([[1., 2.],
            [0., 3.]])
    """
    matrix = adjacency if adjacency.format == csr else adjacency.to(csr)
    pattern, values = matrix._storage.pattern, matrix.values
    wider = structure.looped(pattern)
    both = torch.cat([values, values.new_full((wider.nnz - pattern.nnz,), weight)])
    return scorch.Tensor(Storage(wider, both[structure.looped_places(pattern)]))


@remembered
def gcn_norm(adjacency: scorch.Tensor, self_loops: bool = True) -> scorch.Tensor:
    """D^-1/2 (A + I) D^-1/2, where D has the sums of the rows of A + I: Kipf and Welling (2017, arXiv 1609.02907).

    Remembered while the adjacency matrix lives; differentiable in its values. Nodes without edges get nothing.

    >>> gcn_norm(scorch.tensor([[0.0, 1.0], [1.0, 0.0]], "csr")).to_dense()
    tensor([[0.5000, 0.5000],
            [0.5000, 0.5000]])
    """
    looped = with_self_loops(adjacency) if self_loops else adjacency
    rows, cols = structure.coordinates(looped._storage.pattern)
    degrees = _row_sums(looped)
    scale = torch.where(degrees > 0, degrees, 1).rsqrt() * (degrees > 0)
    return looped.with_values(scale[rows] * looped.values * scale[cols])


@remembered
def row_norm(adjacency: scorch.Tensor) -> scorch.Tensor:
    """The adjacency matrix with each row divided by its sum; empty rows stay empty.

    >>> row_norm(scorch.tensor([[0.0, 1.0], [3.0, 1.0]], "csr")).to_dense()
    tensor([[0.0000, 1.0000],
            [0.7500, 0.2500]])
    """
    sums, rows = _row_sums(adjacency), structure.coordinates(adjacency._storage.pattern)[0]
    return adjacency.with_values(adjacency.values / torch.where(sums == 0, 1, sums)[rows])


def in_dtype(adjacency: scorch.Tensor, dtype: torch.dtype) -> scorch.Tensor:
    """The adjacency matrix with values of the type that a layer computes in: those of an edge_index are float32.

    >>> in_dtype(scorch.tensor([[0.0, 1.0], [1.0, 0.0]], "csr"), torch.bfloat16).dtype
    torch.bfloat16
    """
    return adjacency if adjacency.dtype == dtype else _cast(adjacency, dtype)


@remembered
def _cast(adjacency: scorch.Tensor, dtype: torch.dtype) -> scorch.Tensor:
    return adjacency.with_values(adjacency.values.to(dtype))


def _row_sums(adjacency: scorch.Tensor) -> torch.Tensor:
    values, rows = adjacency.values, structure.coordinates(adjacency._storage.pattern)[0]
    return values.new_zeros(adjacency.shape[0]).index_add(0, rows, values)

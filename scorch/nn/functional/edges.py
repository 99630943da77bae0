"""Reductions over the entries of each row of a sparse matrix that has a few values (heads) an entry."""

from __future__ import annotations

from typing import Any

import torch

import scorch
from scorch.formats import Storage
from scorch.nn import structure
from scorch.nn.functional.fused import is_plain_call
from scorch.nn.functional.linear import is_sparse
from scorch.nn.functional.pick import pick

__all__ = ["edge_max", "edge_softmax", "edge_sum"]

MAXIMUM = "m[i,f] max= where(stored(A[i,j]), X[j,f], absent)"


def edge_softmax(matrix: scorch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """The softmax of scores (nnz, heads) over the entries of each row, head by head.

    >>> A = scorch.tensor([[1.0, 1.0], [0.0, 1.0]], "csr")
    >>> edge_softmax(A, torch.zeros(3, 1)).T
    tensor([[0.5000, 0.5000, 1.0000]])
    """
    rows, count = structure.coordinates(matrix._storage.pattern)[0], matrix.shape[0]
    index = rows[:, None].expand_as(scores)
    # The largest score of a row only keeps exp in range: the result does not depend on it, nor does a gradient.
    largest = scores.new_zeros(count, scores.shape[1]).scatter_reduce(
        0, index, scores.detach(), "amax", include_self=False
    )
    powers = (scores - largest[rows]).exp()
    sums = scores.new_zeros(count, scores.shape[1]).index_add(0, rows, powers)
    return powers / sums[rows]


def edge_sum(matrix: scorch.Tensor, weights: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """For each row and head the sum of weights (nnz, heads) times x (cols, heads, features): (rows, heads, features).

    Of x (cols, features) each head sums the same features.

    >>> A = scorch.tensor([[1.0, 1.0], [0.0, 1.0]], "csr")
    >>> edge_sum(A, torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[[1.0]], [[10.0]]])).reshape(-1)
    tensor([21., 30.])
    """
    headed = Storage(structure.headed(matrix._storage.pattern, weights.shape[1]), weights.reshape(-1))
    result = scorch.einsum("ijh,jhf->ihf" if x.ndim == 3 else "ijh,jf->ihf", scorch.Tensor(headed), x)
    assert isinstance(result, torch.Tensor)  # rows are dense, and so are heads and features
    return result


def edge_max(matrix: scorch.Tensor, x: Any) -> torch.Tensor:
    """For each row the largest of x (cols, features) over its entries, feature by feature; 0 for an empty row.

    `x` is dense or sparse; what it does not store is 0.

    >>> A = scorch.tensor([[1.0, 1.0], [0.0, 0.0]], "csr")
    >>> edge_max(A, torch.tensor([[1.0, -2.0], [0.5, -1.0]]))
    tensor([[ 1., -1.],
            [ 0.,  0.]])
    """
    if is_plain_call(matrix, x):
        largest = scorch.compute(MAXIMUM, out_format="dense", A=matrix, X=x)
        assert isinstance(largest, torch.Tensor)
        return largest.index_fill_(0, structure.empty_rows(matrix._storage.pattern), 0)
    rows, cols = structure.coordinates(matrix._storage.pattern)
    messages = pick(x, cols) if is_sparse(x) else x[cols]
    index = rows[:, None].expand_as(messages)
    return messages.new_zeros(matrix.shape[0], x.shape[1]).scatter_reduce(
        0, index, messages, "amax", include_self=False
    )

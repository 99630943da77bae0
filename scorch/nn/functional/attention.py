"""Attention over the pairs that a sparse mask stores."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

import scorch
from scorch.errors import ShapeError
from scorch.nn import structure
from scorch.nn.device import check_cpu
from scorch.nn.functional.edges import edge_softmax
from scorch.nn.functional.fused import is_plain_call, scalar

__all__ = ["attention"]

FUSED = """
S[b,i,j] = where(stored(M[i,j]), Q[b,i,d] * K[b,j,d] * scale, absent)
m[b,i] max= where(stored(S[b,i,j]), S[b,i,j], absent)
P[b,i,j] = where(stored(S[b,i,j]), exp(S[b,i,j] - m[b,i]), absent)
t[b,i] += P[b,i,j]
O[b,i,e] = P[b,i,j] * V[b,j,e] / where(t[b,i] == 0, 1, t[b,i])
"""
"""Attention as one kernel: never more scores than a row's; a row without pairs is divided by 1."""


def attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: scorch.Tensor,
    scale: float | None = None,
    dropout: float = 0.0,
) -> torch.Tensor:
    """softmax(scale query key^T) value over the stored pairs of a mask, as torch's scaled_dot_product_attention.

    `query` is (..., queries, d), `key` (..., keys, d), `value` (..., keys, e) with the same leading dimensions; the
    csr `mask` is (queries, keys), its values are not used; the result (..., queries, e). `scale` is 1 / sqrt(d)
    unless given. A query without a pair gets zeros. Time and memory grow with the number of pairs. Raises ShapeError
    if the shapes differ.

    >>> q = torch.ones(2, 3, 4)
    >>> attention(q, q, q, scorch.tensor(torch.eye(3), "csr")).equal(q)
    True
    """
    check_cpu(query, key, value)
    _check(query, key, value, mask)
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    q, k, v = (x.reshape(math.prod(x.shape[:-2]), *x.shape[-2:]) for x in (query, key, value))
    if not dropout and is_plain_call(q, k, v):
        result = _fused(q, k, v, mask, factor)
    else:
        result = _in_steps(q * factor, k, v, mask, dropout)
    return result.reshape(*query.shape[:-1], value.shape[-1])


def _fused(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: scorch.Tensor, factor: float) -> torch.Tensor:
    """One kernel that keeps no scores: where nothing is differentiated."""
    result = scorch.compute(FUSED, out_format="dense", M=mask, Q=q, K=k, V=v, scale=scalar(factor, q.dtype))
    assert isinstance(result, torch.Tensor)
    return result


def _in_steps(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: scorch.Tensor, dropout: float) -> torch.Tensor:
    """Scores, their softmax and its product with the values one after the other, as a backward pass needs them."""
    pattern, batch = mask._storage.pattern, q.shape[0]
    pairs = structure.with_ones(structure.batched(pattern, batch), q.dtype)
    scores = scorch.einsum("bij,bid,bjd->bij", pairs, q, k)
    rows = structure.with_ones(structure.stacked(pattern, batch), q.dtype)
    weights = edge_softmax(rows, scores.values[:, None])[:, 0]  # type: ignore[index]
    if dropout:
        weights = F.dropout(weights, dropout)
    result = scorch.einsum("bij,bjd->bid", pairs.with_values(weights), v)
    assert isinstance(result, torch.Tensor)
    return result


def _check(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: scorch.Tensor) -> None:
    if query.shape[-1] != key.shape[-1] or query.shape[:-2] != key.shape[:-2] or key.shape[:-1] != value.shape[:-1]:
        raise ShapeError(
            "query (..., queries, d), key (..., keys, d) and value (..., keys, e) do not fit together: "
            f"{tuple(query.shape)}, {tuple(key.shape)}, {tuple(value.shape)}"
        )
    if tuple(mask.shape) != (query.shape[-2], key.shape[-2]):
        raise ShapeError(
            f"the mask is {tuple(mask.shape)}; there are {query.shape[-2]} queries and {key.shape[-2]} keys"
        )

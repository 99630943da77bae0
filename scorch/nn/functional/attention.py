"""Attention over the pairs that a sparse mask stores, or over what is not after a query."""

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

__all__ = ["attention", "causal_attention"]

FEWEST, MOST = 16, 512  # tokens of causal attention that Scorch's kernel takes faster than torch's (64 features a head)

FUSED = """
S[b,i,j] = where(stored(M[i,j]), Q[b,i,d] * K[b,j,d] * scale, absent)
m[b,i] max= where(stored(S[b,i,j]), S[b,i,j], absent)
P[b,i,j] = where(stored(S[b,i,j]), exp(S[b,i,j] - m[b,i]), absent)
t[b,i] += P[b,i,j]
O[b,i,e] = P[b,i,j] * V[b,j,e] / where(t[b,i] == 0, 1, t[b,i])
"""
"""Attention as one kernel: never more scores than a row's; a row without pairs is divided by 1."""

GROUPED = FUSED.replace("[b,i", "[b,g,i")
"""The same for groups of query heads that share a head of keys and values (Ainslie et al. 2023, arXiv 2305.13245)."""


def attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: scorch.Tensor,
    scale: float | None = None,
    dropout: float = 0.0,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """softmax(scale query key^T) value over the stored pairs of a mask, as torch's scaled_dot_product_attention.

    `query` is (..., queries, d), `key` (..., keys, d), `value` (..., keys, e) with the same leading dimensions; the
    csr `mask` is (queries, keys), its values are not used; the result (..., queries, e). `scale` is 1 / sqrt(d)
    unless given. A query without a pair gets zeros. Time and memory grow with the number of pairs. With `enable_gqa`
    keys and values may have fewer heads, the dimension before the last two: each is that of as many query heads in
    turn. Raises ShapeError if the shapes differ.

    >>> q = torch.ones(2, 3, 4)
    >>> attention(q, q, q, scorch.tensor(torch.eye(3), "csr")).equal(q)
    True
    """
    check_cpu(query, key, value)
    group = _group(query, key) if enable_gqa else 1
    _check(query, key, value, mask, group)
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    fused = not dropout and is_plain_call(query, key, value)
    if group > 1 and not fused:
        key, value = (x.repeat_interleave(group, -3) for x in (key, value))
    q, k, v = (x.reshape(math.prod(x.shape[:-2]), *x.shape[-2:]) for x in (query, key, value))
    result = _fused(q, k, v, mask, factor, group) if fused else _in_steps(q * factor, k, v, mask, dropout)
    return result.reshape(*query.shape[:-1], value.shape[-1])


def causal_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, enable_gqa: bool = False
) -> torch.Tensor:
    """Attention of each token to those that are not after it: torch's scaled_dot_product_attention with is_causal=True.

    `query`, `key` and `value` are (..., heads, tokens, features); with `enable_gqa` the last two may have fewer heads.
    From 16 to 512 tokens Scorch's kernel over a triangle is faster where only the value is asked for: it skips what
    torch's, by blocks, computes and masks out. Else it is torch's. Raises ShapeError where numbers of tokens differ.

    >>> q = torch.ones(1, 2, 3, 4)
    >>> causal_attention(q, q[:, :1], q[:, :1], enable_gqa=True).equal(q)
    True
    """
    tokens = query.shape[-2]
    if key.shape[-2] != tokens:
        raise ShapeError(f"each query sees the keys up to its own: {tokens} queries, {key.shape[-2]} keys")
    here = not torch.compiler.is_compiling() and query.dtype in (torch.float32, torch.float64)
    if here and FEWEST <= tokens <= MOST and is_plain_call(query, key, value):
        from scorch.nn.attention.masks import Causal, Full  # its package imports this module

        return attention(query, key, value, Causal(Full())(tokens), enable_gqa=enable_gqa)
    return F.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=enable_gqa)


def _group(query: torch.Tensor, key: torch.Tensor) -> int:
    """How many query heads share a head of keys."""
    if min(query.ndim, key.ndim) < 3 or not key.shape[-3] or query.shape[-3] % key.shape[-3]:
        raise ShapeError(
            "enable_gqa takes (..., heads, tokens, features), as many query heads as key heads or a multiple: "
            f"{tuple(query.shape)}, {tuple(key.shape)}"
        )
    return query.shape[-3] // key.shape[-3]


def _fused(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: scorch.Tensor, factor: float, group: int
) -> torch.Tensor:
    """One kernel that keeps no scores: where nothing is differentiated."""
    if group > 1:
        q = q.view(-1, group, *q.shape[1:])
    text = FUSED if group == 1 else GROUPED
    result = scorch.compute(text, out_format="dense", M=mask, Q=q, K=k, V=v, scale=scalar(factor, q.dtype))
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


def _check(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: scorch.Tensor, group: int) -> None:
    lead = query.shape[:-2]
    if group > 1:
        lead = torch.Size([*query.shape[:-3], query.shape[-3] // group])
    if query.shape[-1] != key.shape[-1] or lead != key.shape[:-2] or key.shape[:-1] != value.shape[:-1]:
        raise ShapeError(
            "query (..., queries, d), key (..., keys, d) and value (..., keys, e) do not fit together: "
            f"{tuple(query.shape)}, {tuple(key.shape)}, {tuple(value.shape)}"
        )
    if tuple(mask.shape) != (query.shape[-2], key.shape[-2]):
        raise ShapeError(
            f"the mask is {tuple(mask.shape)}; there are {query.shape[-2]} queries and {key.shape[-2]} keys"
        )

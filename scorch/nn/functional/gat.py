"""Graph attention."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import torch
from torch.nn import functional as F

import scorch
from scorch.nn import structure
from scorch.nn.functional.edges import edge_softmax, edge_sum
from scorch.nn.functional.epilogue import Activation, epilogue
from scorch.nn.functional.fused import finished, is_known, is_plain_call, scalar
from scorch.nn.functional.linear import is_sparse, linear
from scorch.nn.functional.order import sums_first

__all__ = ["gat_conv", "statements"]

GAT = """
S[i,j,h] = where(stored(A[i,j]), where(l[i,h] + r[j,h] > 0, l[i,h] + r[j,h], slope * (l[i,h] + r[j,h])), absent)
m[i,h] max= where(stored(S[i,j,h]), S[i,j,h], absent)
P[i,j,h] = where(stored(S[i,j,h]), exp(S[i,j,h] - m[i,h]), absent)
t[i,h] += P[i,j,h]
U[i,h,e] += P[i,j,h] * X[j,h,e]
"""
"""Graph attention in one kernel, with the statement that `statements` adds: never more scores than a row's. `l` and `r`
are what a node adds to the score as the edge's target and as its source."""


def gat_conv(
    adjacency: scorch.Tensor,
    x: Any,
    source: torch.Tensor,
    target: torch.Tensor,
    negative_slope: float = 0.2,
    dropout: float = 0.0,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    activation: Activation = None,
) -> torch.Tensor:
    """Graph attention, Velickovic et al. (2018, arXiv 1710.10903): (nodes, heads, features), the same shape.

    The score of the edge j -> i is leaky_relu(target . x[i] + source . x[j]), head by head, with `source` and `target`
    of shape (heads, features); a node's scores go through a softmax over its edges. `dropout` is the share of edges
    that are left out. With a `weight` (heads, features, features in), x is (nodes, features in), dense or sparse, and
    x weight.T takes its place: before or after the sum over the neighbours, as `sums_first` says. A `bias` (heads,
    features) is added to the sum, which then goes through the activation.

    >>> A = scorch.tensor(torch.ones(2, 2), "csr")
    >>> zero = torch.zeros(1, 1)
    >>> gat_conv(A, torch.tensor([[[1.0]], [[3.0]]]), zero, zero).reshape(-1)
    tensor([2., 2.])
    """
    if weight is not None and not is_sparse(x) and sums_first(adjacency, x, weight):
        # target . (weight x) is (weight.T target) . x, so that scores don't need the features that come out.
        at_target, at_source = (linear(x, torch.einsum("hof,ho->hf", weight, each)) for each in (target, source))
        sums = _attended(adjacency, x, at_target, at_source, negative_slope, dropout)
        return epilogue(torch.einsum("ihf,hof->iho", sums, weight), bias, activation)
    if weight is not None:
        x = linear(x, weight.flatten(0, 1)).reshape(-1, *weight.shape[:2])
    at_target, at_source = _scores(x, target), _scores(x, source)
    return _attended(adjacency, x, at_target, at_source, negative_slope, dropout, bias, activation)


def _scores(x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """weights . x, head by head: (nodes, heads) of features (nodes, heads, features)."""
    if is_plain_call(x, weights):
        return scorch.einsum("nhe,he->nh", x, weights)  # type: ignore[return-value]
    return (x * weights).sum(-1)


def _attended(
    adjacency: scorch.Tensor,
    x: torch.Tensor,
    at_target: torch.Tensor,
    at_source: torch.Tensor,
    negative_slope: float,
    dropout: float,
    bias: torch.Tensor | None = None,
    activation: Activation = None,
) -> torch.Tensor:
    """For each node and head the sum over its edges of x, (nodes, heads, features) or (nodes, features) for all heads,
    weighted by the softmax of the edges' scores: (nodes, heads, features); plus the bias, through the activation."""
    if not dropout and is_plain_call(adjacency, x, at_target, at_source, bias):
        return _in_one_kernel(adjacency, x, at_target, at_source, negative_slope, bias, activation)
    rows, cols = structure.coordinates(adjacency._storage.pattern)
    weights = edge_softmax(adjacency, F.leaky_relu(at_target[rows] + at_source[cols], negative_slope))
    sums = edge_sum(adjacency, F.dropout(weights, dropout) if dropout else weights, x)
    return epilogue(sums, bias, activation)


def _in_one_kernel(
    adjacency: scorch.Tensor,
    x: torch.Tensor,
    at_target: torch.Tensor,
    at_source: torch.Tensor,
    negative_slope: float,
    bias: torch.Tensor | None,
    activation: Activation,
) -> torch.Tensor:
    """What `_attended` returns, where only its value is asked for."""
    operands = {"l": at_target, "r": at_source, "X": x} | ({} if bias is None else {"b": bias})
    one = at_target.shape[1] == 1
    if one:
        operands = {name: each.squeeze(0 if name == "b" else 1) for name, each in operands.items()}
    known = is_known(activation)
    write = statements if torch.compiler.is_compiling() else _kept_statements
    text = write(one, x.ndim == 2, bias is not None, activation if known else None)  # type: ignore[arg-type]
    slope = scalar(negative_slope, x.dtype)
    made: Any = scorch.compute(text, out_format="dense", A=adjacency, slope=slope, **operands)  # type: ignore[arg-type]
    result: torch.Tensor = made.unsqueeze(1) if one else made
    return result if known else epilogue(result, None, activation)


def statements(one: bool, shared: bool, bias: bool, activation: str | None) -> str:
    """The text of graph attention: with `one` head without an index of heads, `shared` where all heads sum the
    same features; a node without edges is divided by 1.

    >>> statements(True, False, True, "relu").splitlines()[-1]
    'O[i,e] = relu(U[i,e] / where(t[i] == 0, 1, t[i]) + b[e])'
    """
    value = "U[i,h,e] / where(t[i,h] == 0, 1, t[i,h])" + (" + b[h,e]" if bias else "")
    text = f"{GAT}O[i,h,e] = {finished(value, activation)[0]}"
    text = text.replace("X[j,h,e]", "X[j,e]") if shared else text
    return re.sub(r",h(?=[\],])|(?<=\[)h,", "", text) if one else text


_kept_statements = lru_cache(maxsize=256)(statements)

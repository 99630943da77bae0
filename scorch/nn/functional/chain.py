"""Fully connected layers that follow each other, in one kernel where the schedule expects that to be faster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import torch

import scorch
from scorch import engine, recall
from scorch.api import replayable
from scorch.functions.registry import taker
from scorch.nn.functional.epilogue import Activation
from scorch.nn.functional.fused import finished, is_known, is_plain_call
from scorch.nn.functional.linear import is_sparse, linear
from scorch.operand import Stored, bind

__all__ = ["Link", "chain", "gated"]

FLOATS = (torch.float32, torch.float64)
APART = object()
"""In place of a program: the layers are better run one by one."""

Kinds: TypeAlias = "tuple[tuple[bool, Activation], ...]"
"""Of each layer whether it has a bias, and its activation."""


class Link(NamedTuple):
    """A layer: activation(x @ weight.T + bias), with a weight of (out_features, in_features)."""

    weight: Any
    bias: torch.Tensor | None = None
    activation: Activation = None

    def __call__(self, input: torch.Tensor) -> torch.Tensor:
        """What the layer makes of (..., in_features)."""
        return linear(input, self.weight, self.bias, self.activation)


def chain(input: torch.Tensor, links: Sequence[Link]) -> torch.Tensor:
    """The links one after the other: (..., in_features of the first) to (..., out_features of the last).

    Where only the value is asked for and weights are sparse, the links are stated together: the schedule then runs some
    samples at a time through all layers, if it expects that what they make on the way stays in the core's cache, or one
    sample through small layers in a single kernel. Else each is a `linear` of its own. Raises ShapeError where numbers
    of features differ.

    >>> eye = scorch.tensor(torch.eye(2), "csr")
    >>> chain(torch.tensor([[1.0, -2.0], [3.0, 4.0]]), [Link(eye, None, "relu"), Link(eye, torch.ones(2))])
    tensor([[2., 1.],
            [4., 5.]])
    """
    if len(links) > 1 and _may_be_one(input, links):
        taken = taker()
        if taken is not None:
            recorded: torch.Tensor = taken("sparse_chain", chain, (input, links), {})
            return recorded
        made = _together(_chained, input, links, lambda: [input.shape[-1], *(link.weight.shape[0] for link in links)])
        if made is not None:
            return made
    for link in links:
        input = link(input)
    return input


def gated(input: torch.Tensor, gate: Link, up: Link, down: Link) -> torch.Tensor:
    """down(gate(x) * up(x)), a feed-forward network with a gate (Shazeer 2020, arXiv 2002.05202), as `chain` has it.

    (..., in_features of `gate` and `up`) to (..., out_features of `down`).

    >>> eye = scorch.tensor(torch.eye(2), "csr")
    >>> gated(torch.tensor([[1.0, -2.0], [3.0, 4.0]]), Link(eye, None, "relu"), Link(eye), Link(eye))
    tensor([[ 1.,  0.],
            [ 9., 16.]])
    """
    links = (gate, up, down)
    if _may_be_one(input, links) and gate.weight.shape[0] == up.weight.shape[0]:
        taken = taker()
        if taken is not None:
            recorded: torch.Tensor = taken("sparse_gated", gated, (input, *links), {})
            return recorded
        made = _together(_gated, input, links, lambda: (input.shape[-1], input.shape[-1], gate.weight.shape[0]))
        if made is not None:
            return made
    return down(gate(input) * up(input))


def _may_be_one(input: Any, links: Sequence[Link]) -> bool:
    """Whether layers are sparse, and there are dense samples for them."""
    if torch.compiler.is_compiling() or not isinstance(input, torch.Tensor) or is_sparse(input):
        return False
    known = all(isinstance(link.weight, Stored) and is_known(link.activation) for link in links)
    return known and input.ndim > 0 and input.numel() >= input.shape[-1] > 0


def _is_plain(input: torch.Tensor, links: Sequence[Link], wanted: Sequence[int]) -> bool:
    """Whether weights take as many features as are `wanted` of each, all is of one type that kernels compute in, and
    nothing is differentiated."""
    for (weight, bias, _), features in zip(links, wanted, strict=False):
        alike = all(x.dtype == input.dtype for x in (weight, bias) if x is not None)
        if not alike or weight.format.is_dense or weight.shape[1] != features:
            return False
    given = [x for link in links for x in link[:2]]
    return input.dtype in FLOATS and is_plain_call(input, *given)


def _together(
    write: Callable[[Kinds, bool], str], input: torch.Tensor, links: Sequence[Link], wanted: Callable[[], Sequence[int]]
) -> torch.Tensor | None:
    """The result of the one kernel that the layers share; None if they are better off apart."""
    kinds = tuple([(bias is not None, activation) for _, bias, activation in links])
    single = input.numel() == input.shape[-1]
    flat = input.reshape(-1) if single else input if input.ndim == 2 else input.reshape(-1, input.shape[-1])
    operands = [flat, *[x for weight, bias, _ in links for x in (weight, bias) if x is not None]]
    call = (write, kinds, single)
    made: Any = recall.run(call, operands)
    if made is None:
        weights = [link.weight._storage for link in links]
        key = (write, kinds, input.shape, input.dtype, *[weight.key for weight in weights], engine.settings())
        if engine.find(key) is APART:
            return None
        bound = bind(operands) if _is_plain(flat, links, wanted()) else None
        if bound is None:
            return None
        named: dict[str, Any] = dict(zip(_names(kinds), operands, strict=True))
        text = write(kinds, single)
        made = scorch.compute(text, out_format="dense", **named)
        replay = replayable(text, "dense", named)
        # One sample takes as long through a kernel for each layer as through each layer's own call, but one call less.
        if replay is not None and (single or len(replay.steps) < len(links)):
            recall.keep(call, operands, bound[0], replay)
        else:
            engine.remember(key, APART, weights)
    if single:
        made = made.view(*input.shape[:-1], made.shape[0])
    else:
        made = made.t() if input.ndim == 2 else made.t().reshape(*input.shape[:-1], made.shape[0])
    return made  # type: ignore[no-any-return]


def _names(kinds: Kinds) -> list[str]:
    """What the statements call their operands."""
    layers = [(f"W{n}", f"b{n}") if bias else (f"W{n}",) for n, (bias, _) in enumerate(kinds, 1)]
    return ["X", *(name for layer in layers for name in layer)]


@lru_cache(maxsize=256)
def _chained(kinds: Kinds, single: bool) -> str:
    """The statements of layers that follow each other, for samples or a `single` one.

    >>> print(_chained(((True, "relu"), (False, None)), False).replace("; ", chr(10)))
    T1[o1,n] += W1[o1,i] * X[n,i]
    H1[o1,n] = relu(T1[o1,n] + b1[o1])
    T2[o2,n] += W2[o2,o1] * H1[o1,n]
    H2[o2,n] = T2[o2,n]
    >>> print(_chained(((True, "relu"),), True).replace("; ", chr(10)))
    T1[o1] += W1[o1,i] * X[i]
    H1[o1] = relu(T1[o1] + b1[o1])
    """
    read, below, statements = "X[n,i]", "i", []
    for n, kind in enumerate(kinds, 1):
        row = f"o{n}"
        statements += [f"T{n}[{row},n] += W{n}[{row},{below}] * {read}", f"H{n}[{row},n] = {_value(n, row, kind)}"]
        read, below = f"H{n}[{row},n]", row
    return _for_samples("; ".join(statements), single)


@lru_cache(maxsize=256)
def _gated(kinds: Kinds, single: bool) -> str:
    """The statements of a layer of the product of two others, for samples or a `single` one.

    >>> print(_gated(((False, "relu"), (False, None), (True, None)), False).replace("; ", chr(10)))
    T1[o,n] += W1[o,i] * X[n,i]
    T2[o,n] += W2[o,i] * X[n,i]
    G[o,n] = relu(T1[o,n])
    H[o,n] = G[o,n] * (T2[o,n])
    T3[p,n] += W3[p,o] * H[o,n]
    C[p,n] = T3[p,n] + b3[p]
    """
    gate, up, down = (_value(n, row, kind) for n, row, kind in zip((1, 2, 3), "oop", kinds, strict=True))
    products = "T1[o,n] += W1[o,i] * X[n,i]; T2[o,n] += W2[o,i] * X[n,i]"
    text = f"{products}; G[o,n] = {gate}; H[o,n] = G[o,n] * ({up}); T3[p,n] += W3[p,o] * H[o,n]; C[p,n] = {down}"
    return _for_samples(text, single)


def _for_samples(text: str, single: bool) -> str:
    """Statements as they are, or without the index of the sample."""
    return text.replace("[n,", "[").replace(",n]", "]") if single else text


def _value(layer: int, row: str, kind: tuple[bool, Activation]) -> str:
    """A layer's value, given the sum of its products."""
    bias, activation = kind
    return finished(f"T{layer}[{row},n]" + (f" + b{layer}[{row}]" if bias else ""), activation)[0]

"""A graph layer by the kernels that its last call took, without the way to them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch

import scorch
from scorch import recall
from scorch.api import replayable
from scorch.nn.functional.epilogue import Activation, epilogue
from scorch.nn.functional.fused import finished, is_known
from scorch.operand import as_storage, bind

__all__ = ["by_statements", "keep", "recalled"]


def recalled(name: str, operands: Sequence[Any], activation: Activation) -> torch.Tensor | None:
    """What a layer gives, if it was given operands like these before, else None.

    The first operand is the adjacency matrix. For calls of which `is_plain_call` holds, and that nobody traces.
    """
    result: torch.Tensor | None = recall.run(_call(name, operands, activation), operands)
    return result if result is None or is_known(activation) else epilogue(result, None, activation)


def keep(name: str, operands: Sequence[Any], activation: Activation, program: Any, order: Sequence[int] | None) -> None:
    """Remember the program of a layer, which gives all but an activation that is torch's."""
    bound = bind(operands)
    if bound is not None:
        recall.keep(_call(name, operands, activation), operands, bound[0], program, order)


def by_statements(name: str, operands: Sequence[Any], has_root: bool, activation: Activation) -> torch.Tensor:
    """activation(A (X W) + X R + b) for operands A, X, W, R if the layer `has_root`, and b if there is one more."""
    # Of an activation that is torch's nothing is kept: it may be a module.
    known, rest = (activation, None) if is_known(activation) else (None, activation)
    text = _text(has_root, len(operands) > 3 + has_root, known)
    letters = ("A", "X", "W", *("R" if has_root else ""), "b")
    named = dict(zip(letters, operands, strict=False))
    result: torch.Tensor = scorch.compute(text, out_format="dense", **named)  # type: ignore[assignment]
    replay = replayable(text, "dense", named)
    if replay is not None and replay.is_direct:
        keep(name, operands, activation, replay, None)
    return result if rest is None else epilogue(result, None, rest)


def _call(name: str, operands: Sequence[Any], activation: Activation) -> object:
    return name, as_storage(operands[0]).key, activation, len(operands)


@lru_cache(maxsize=256)
def _text(has_root: bool, has_bias: bool, activation: str | None) -> str:
    """The statements of a layer with an activation that kernels compute.

    >>> print(_text(True, False, "relu"))
    H[j,o] += X[j,f] * W[f,o]; N[i,o] += A[i,j] * H[j,o]; S[i,o] += X[i,f] * R[f,o]; C[i,o] = relu(N[i,o] + S[i,o])
    """
    own = "S[i,o] += X[i,f] * R[f,o]; " if has_root else ""
    value, _ = finished("N[i,o]" + " + S[i,o]" * has_root + " + b[o]" * has_bias, activation)
    return f"H[j,o] += X[j,f] * W[f,o]; N[i,o] += A[i,j] * H[j,o]; {own}C[i,o] = {value}"

"""A whole graph layer as one kernel, which keeps the sum over one node's neighbours at a time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch

import scorch
from scorch import engine
from scorch.api import kept
from scorch.functions.registry import taker
from scorch.nn.functional.epilogue import Activation, epilogue
from scorch.nn.functional.fused import finished
from scorch.nn.functional.whole import keep
from scorch.operand import as_storage, bind

__all__ = ["aggregated"]

_APART = object()  # what is remembered of layers that are several kernels, by price


def aggregated(
    name: str, operands: Sequence[Any], has_root: bool = False, activation: Activation = None
) -> torch.Tensor | None:
    """activation((A X) W + X R + b) in one kernel, for operands A, X, W, R if the layer `has_root`, and b if there is
    one more; None where the schedule expects more of several, or torch traces the call.

    For calls of which `is_plain_call` holds, and dense X. `name` is that under which it is kept.

    >>> A = scorch.tensor(torch.eye(2), "csr")
    >>> x, weight = torch.ones(2, 16), torch.ones(16, 16)
    >>> made = aggregated("layer", (A, x, weight, torch.ones(16)), activation="relu")
    >>> made is None or bool((made == 17).all())
    True
    """
    if torch.compiler.is_compiling() or taker() is not None:
        return None
    letters = ("A", "X", "W", *("R" if has_root else ""), "b")
    given = {letter: x if letter == "A" else x.contiguous() for letter, x in zip(letters, operands, strict=False)}
    bound = bind(given.values())
    if bound is None:
        return None
    key = ("aggregated", activation, tuple(given), bound[0], engine.settings())
    found = engine.find(key) or _decided(key, given, activation)
    if found is _APART:
        return None
    program, slots, rest = found
    vals = bound[1]
    result: torch.Tensor = program([vals[n] for n in slots])
    if program.direct is not None:
        keep(name, operands, activation, program, slots)
    return result if rest is None else epilogue(result, None, rest)


def _decided(key: object, given: dict[str, Any], activation: Activation) -> Any:
    """The program of the layer's statements and what is left to torch, if they are one kernel; kept under the key."""
    value, rest = finished("T[i,o] + b[o]" if "b" in given else "T[i,o]", activation)
    # Whether a dense product is better made in the kernel than by torch shows with one weight: torch has no kernel for
    # a sum of two products, so that the price of several kernels says little there.
    program = _one_kernel(_text(value, False), {name: x for name, x in given.items() if name != "R"})
    if program is not None and "R" in given:
        program = _one_kernel(_text(value, True), given)
    found = _APART if program is None else (*program, rest)
    engine.remember(key, found, [as_storage(given["A"])])
    return found


def _one_kernel(text: str, operands: dict[str, Any]) -> tuple[Any, Sequence[int]] | None:
    """The program by which statements are computed, if that is a single one."""
    scorch.compute(text, out_format="dense", **operands)
    return kept(text, "dense", operands)


@lru_cache(maxsize=256)
def _text(value: str, has_root: bool) -> str:
    """The statements of a layer.

    >>> print(_text("relu(T[i,o])", True))
    N[i,k] += A[i,j] * X[j,k]; T[i,o] += N[i,k] * W[k,o] + X[i,k] * R[k,o]; C[i,o] = relu(T[i,o])
    """
    root = " + X[i,k] * R[k,o]" if has_root else ""
    return f"N[i,k] += A[i,j] * X[j,k]; T[i,o] += N[i,k] * W[k,o]{root}; C[i,o] = {value}"

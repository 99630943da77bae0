"""A module as a function of its parameters, without touching its buffers, its gradients or the random state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from torch.func import functional_call

from scorch.fairness.errors import FairnessError

__all__ = ["Params", "as_logits", "call", "forward_with", "live", "repeatable", "trainable"]

Params: TypeAlias = dict[str, torch.Tensor]


def live(model: torch.nn.Module) -> Params:
    """The parameters that training changes, by name; raises FairnessError if there are none.

    >>> live(torch.nn.Linear(2, 1))["bias"].requires_grad
    True
    """
    found: Params = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not found:
        raise FairnessError("the model has no parameter that requires a gradient: nothing to train")
    return found


def trainable(model: torch.nn.Module) -> Params:
    """The same, detached.

    >>> sorted(trainable(torch.nn.Linear(2, 1)))
    ['bias', 'weight']
    """
    return {name: p.detach() for name, p in live(model).items()}


def call(model: torch.nn.Module, inputs: Any) -> torch.Tensor:
    """Logits (n, classes) of a module for a tensor, a tuple of arguments, or a dict of keyword arguments.

    >>> call(torch.nn.Linear(3, 2), torch.zeros(5, 3)).shape
    torch.Size([5, 2])
    """
    args, kwargs = _arguments(inputs)
    return as_logits(model(*args, **kwargs))


def forward_with(model: torch.nn.Module, params: Mapping[str, torch.Tensor], inputs: Any) -> torch.Tensor:
    """Logits with other parameters. Running statistics are copies, so that a trial step leaves none behind."""
    args, kwargs = _arguments(inputs)
    return as_logits(functional_call(model, _everywhere(model, params), args, kwargs, tie_weights=False))


def _everywhere(model: torch.nn.Module, params: Mapping[str, torch.Tensor]) -> Params:
    """`params` under all names of a tensor with several, and copies of the buffers.

    torch's own tying sets a layer that is used twice twice over, and then leaves the trial weights in it.
    """
    given: Params = {}
    chosen: dict[int, torch.Tensor] = {}
    for prefix, module in model.named_modules():
        dot = f"{prefix}." if prefix else ""
        for own, held in module._parameters.items():
            if dot + own in params:
                chosen[id(held)] = params[dot + own]
            if id(held) in chosen:
                given[dot + own] = chosen[id(held)]
        for own, buffer in module._buffers.items():
            if buffer is not None:
                given[dot + own] = chosen.setdefault(id(buffer), buffer.clone())
    return given


def as_logits(output: Any) -> torch.Tensor:
    """A module's output as (n, classes); a single column is the logit of class 1 against class 0.

    >>> as_logits(torch.tensor([2.0])).tolist()
    [[0.0, 2.0]]
    """
    if not isinstance(output, torch.Tensor) or output.ndim not in (1, 2):
        kind = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise FairnessError(f"the model must return logits of shape (samples, classes), got {kind}")
    column = output.reshape(len(output), -1)
    if column.shape[1] == 1:
        return torch.cat([torch.zeros_like(column), column], dim=1)
    return column


@contextmanager
def repeatable(model: torch.nn.Module, state: torch.Tensor | None = None) -> Iterator[None]:
    """Run with the random state `state` and put the present one back: the same dropout mask each time.

    Does nothing in eval mode, where no layer draws.
    """
    if not model.training:
        yield
        return
    before = torch.get_rng_state()
    if state is not None:
        torch.set_rng_state(state)
    try:
        yield
    finally:
        torch.set_rng_state(before)


def _arguments(inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(inputs, dict):
        return (), inputs
    return (inputs if isinstance(inputs, tuple) else (inputs,)), {}

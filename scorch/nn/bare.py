"""Modules of torch's that do what their class says and nothing else, whose work may be done elsewhere."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from scorch.hooks import has_global_hooks, hooks_of
from scorch.nn.functional.epilogue import Activation, epilogue
from scorch.nn.functional.linear import divided, in_parts, linear

__all__ = ["called", "called_in_parts", "fed_forward", "is_bare"]


def is_bare(module: Any) -> bool:
    """Whether calling a module runs the forward of its class and nothing else: no hooks, nothing patched.

    >>> is_bare(nn.Linear(2, 2))
    True
    """
    patched = "forward" in module.__dict__
    return not (any(hooks_of(module)) or patched or has_global_hooks())  # type: ignore[no-untyped-call]


def called(module: nn.Module, x: torch.Tensor, activation: Activation = None) -> torch.Tensor:
    """activation(module(x)); of a torch.nn.Linear in one kernel where its value alone is asked for, in its own type.

    >>> called(nn.Linear(2, 3), torch.ones(4, 2), "relu").shape
    torch.Size([4, 3])
    """
    if _is_replaceable(module):
        return linear(x, module.weight, module.bias, activation)  # type: ignore[arg-type]
    return epilogue(module(x), None, activation)


def called_in_parts(module: nn.Module, x: torch.Tensor, parts: int) -> torch.Tensor:
    """module(x) with its features in so many parts, (parts, ..., features / parts): of a torch.nn.Linear in one kernel,
    as `called` has it.

    >>> called_in_parts(nn.Linear(2, 6), torch.ones(4, 2), 3).shape
    torch.Size([3, 4, 2])
    """
    if _is_replaceable(module):
        return in_parts(x, module.weight, module.bias, parts)  # type: ignore[arg-type]
    return divided(module(x), parts)


def _is_replaceable(module: nn.Module) -> bool:
    """Whether a module is a dense layer that is to be called here and now, and does nothing else."""
    traced = torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu")
    return not traced and type(module) is nn.Linear and is_bare(module)


def fed_forward(net: nn.Sequential, x: torch.Tensor) -> torch.Tensor:
    """net(x), of a linear layer, GELU and another layer in two kernels where `called` has one for each.

    >>> fed_forward(nn.Sequential(nn.Linear(2, 8), nn.GELU(), nn.Linear(8, 2)), torch.ones(4, 2)).shape
    torch.Size([4, 2])
    """
    modules = [*net] if type(net) is nn.Sequential and is_bare(net) else []
    if len(modules) == 3 and type(modules[1]) is nn.GELU and modules[1].approximate == "none" and is_bare(modules[1]):
        return called(modules[2], called(modules[0], x, "gelu"))
    result: torch.Tensor = net(x)
    return result

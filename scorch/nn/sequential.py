"""Sequential: layers one after the other, sparse ones that follow each other in one kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from scorch.nn.bare import is_bare
from scorch.nn.functional.chain import Link, chain, gated
from scorch.nn.functional.epilogue import Activation, epilogue
from scorch.nn.linear import Linear

__all__ = ["Sequential", "called_gated", "sharing"]

_ACTIVATIONS: dict[type[nn.Module], str] = {
    nn.ReLU: "relu",
    nn.SiLU: "silu",
    nn.Sigmoid: "sigmoid",
    nn.Tanh: "tanh",
}


class Sequential(nn.Sequential):
    """A torch.nn.Sequential in which sparse Linear layers, with the activations behind them, may share a kernel.

    They do where only the value is asked for, on a batch, and the schedule expects it to be faster: some samples then
    go through all of the layers while others wait, and what is between two layers stays in cache. Modules with hooks
    are called one by one, as in torch. Parameters and state_dict are those of a torch.nn.Sequential.

    >>> from scorch.nn import Linear
    >>> net = Sequential(Linear(8, 16, sparsity=0.5), nn.ReLU(), Linear(16, 4, sparsity=0.5))
    >>> net(torch.ones(3, 8)).shape
    torch.Size([3, 4])
    """

    def forward(self, input: Any) -> Any:
        """What the last module makes of what the one before it made, and so on."""
        if torch.compiler.is_compiling():
            return super().forward(input)  # type: ignore[no-untyped-call]
        modules, n = list(self), 0
        while n < len(modules):
            links, after = _links(modules, n)
            input = chain(input, links) if links else modules[n](input)
            n = after if links else n + 1
        return input


def sharing(model: nn.Module) -> None:
    """Let sparse layers that follow each other in a torch.nn.Sequential share a kernel: it becomes one of Scorch's.

    >>> from scorch.nn import Linear
    >>> net = nn.Sequential(Linear(8, 4), nn.ReLU(), Linear(4, 8))
    >>> sharing(net)
    >>> type(net) is Sequential
    True
    """
    for module in model.modules():
        if type(module) is nn.Sequential and any(len(_links([*module], n)[0]) > 1 for n in range(len(module))):
            module.__class__ = Sequential  # with the same modules, hooks and attributes


def _links(modules: Sequence[nn.Module], start: int) -> tuple[list[Link], int]:
    """The sparse layers from a module on, and the first module behind them that is none."""
    links: list[Link] = []
    n = start
    while n < len(modules) and is_bare(modules[n]):
        module = modules[n]
        if type(module) is Linear:
            links.append(_link(module))
        elif links and links[-1].activation is None and _activation(module):
            links[-1] = links[-1]._replace(activation=_activation(module))
        elif not (links and _does_nothing(module)):
            break
        n += 1
    return links, n


def _link(module: Linear) -> Link:
    return Link(module.weight(), module.bias, module.activation)


def called_gated(
    gate: nn.Module, up: nn.Module, down: nn.Module, x: torch.Tensor, activation: Activation
) -> torch.Tensor:
    """down(activation(gate(x)) * up(x)); of sparse Linear layers perhaps in one kernel.

    >>> called_gated(nn.Linear(2, 4), nn.Linear(2, 4), nn.Linear(4, 2), torch.ones(3, 2), "silu").shape
    torch.Size([3, 2])
    """
    layers = [module for module in (gate, up, down) if type(module) is Linear and is_bare(module)]
    if len(layers) == 3 and layers[0].activation is None and not torch.compiler.is_compiling():
        first, *rest = map(_link, layers)
        return gated(x, first._replace(activation=activation), *rest)
    result: torch.Tensor = down(epilogue(gate(x), None, activation) * up(x))
    return result


def _activation(module: nn.Module) -> str | None:
    """The name of an activation that kernels compute."""
    if type(module) is nn.GELU:
        return "gelu" if module.approximate == "none" else None
    return _ACTIVATIONS.get(type(module))


def _does_nothing(module: nn.Module) -> bool:
    return type(module) is nn.Identity or (type(module) is nn.Dropout and not module.training)

"""Sequential: layers one after the other, sparse ones that follow each other in one kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from scorch.autograd import transforming
from scorch.hooks import has_global_hooks, hooks_of
from scorch.nn.bare import is_bare
from scorch.nn.functional.beside import shared_product
from scorch.nn.functional.chain import Link, chain, gated
from scorch.nn.functional.epilogue import Activation, epilogue
from scorch.nn.linear import Linear

__all__ = ["Sequential", "called_beside", "called_gated", "sharing"]

_ACTIVATIONS: dict[type[nn.Module], str] = {
    nn.ReLU: "relu",
    nn.SiLU: "silu",
    nn.Sigmoid: "sigmoid",
    nn.Tanh: "tanh",
}


class Sequential(nn.Sequential):
    """A torch.nn.Sequential in which sparse Linear layers, with the activations behind them, may share a kernel.

    They do where only the value is asked for and the schedule expects it to be faster: some samples of a batch then go
    through all of the layers while others wait, and what is between two layers stays in cache; one sample goes through
    small layers in a single kernel. Modules with hooks are called one by one, as in torch. Parameters and state_dict
    are those of a torch.nn.Sequential.

    >>> from scorch.nn import Linear
    >>> net = Sequential(Linear(8, 16, sparsity=0.5), nn.ReLU(), Linear(16, 4, sparsity=0.5))
    >>> net(torch.ones(3, 8)).shape
    torch.Size([3, 4])
    """

    _known: _Parts | None = None  # as the last call found them

    def forward(self, input: Any) -> Any:
        """What the last module makes of what the one before it made, and so on."""
        if torch.compiler.is_compiling():
            return super().forward(input)  # type: ignore[no-untyped-call]
        modules = list(self._modules.values())
        known = self._known
        if known is None or not known.hold(modules):
            self._known = known = _Parts(modules)
        for part in known.parts:
            if isinstance(part, list):
                bare = known.bare and not transforming()  # whose tensors are not remembered
                input = chain(input, [_link(*layer, bare) for layer in part])
            else:
                input = part(input)
        return input

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_known"}


class _Parts:
    """What modules are called as: each by itself, or sparse layers with their activations as a list.

    Each call asks whether that is still so. It takes less time than to find it out, which would be a third of what one
    sample takes through small layers.
    """

    def __init__(self, modules: Sequence[Any]) -> None:
        self.modules = list(modules)
        self.parts: list[nn.Module | list[tuple[Linear, Activation]]] = []
        n = 0
        while n < len(modules):
            layers, after = _layers(modules, n)
            self.parts.append(layers or modules[n])
            n = after if layers else n + 1
        weights = [module.weight for module in modules if type(module) is Linear]
        self.bare = all(map(is_bare, (*modules, *weights)))
        self.hooks = [hooks for module in (*modules, *weights) for hooks in hooks_of(module)]
        self.patched = [module.__dict__ for module in (*modules, *weights)]
        self.settings = self._settings()

    def hold(self, modules: Sequence[Any]) -> bool:
        """Whether the parts are those of these modules as they are now."""
        same = self.bare and modules == self.modules and not any(self.hooks) and not has_global_hooks()  # type: ignore[no-untyped-call]
        return same and self.settings == self._settings() and not any(map(_is_patched, self.patched))

    def _settings(self) -> list[object]:
        """Whatever else decides which modules share a kernel, and what it computes."""
        return [(known["training"], known.get("activation"), known.get("approximate")) for known in self.patched]


def sharing(model: nn.Module) -> None:
    """Let sparse layers that follow each other in a torch.nn.Sequential share a kernel: it becomes one of Scorch's.

    >>> from scorch.nn import Linear
    >>> net = nn.Sequential(Linear(8, 4), nn.ReLU(), Linear(4, 8))
    >>> sharing(net)
    >>> type(net) is Sequential
    True
    """
    for module in model.modules():
        if type(module) is nn.Sequential and any(len(_layers([*module], n)[0]) > 1 for n in range(len(module))):
            module.__class__ = Sequential  # with the same modules, hooks and attributes


def _layers(modules: Sequence[nn.Module], start: int) -> tuple[list[tuple[Linear, Activation]], int]:
    """The sparse layers from a module on, each with its activation or one behind it, and the first module behind them
    that is none."""
    layers: list[tuple[Linear, Activation]] = []
    n = start
    while n < len(modules) and is_bare(modules[n]):
        module = modules[n]
        if type(module) is Linear:
            layers.append((module, module.activation))
        elif layers and layers[-1][1] is None and _activation(module):
            layers[-1] = layers[-1][0], _activation(module)
        elif not (layers and _does_nothing(module)):
            break
        n += 1
    return layers, n


def _link(module: Linear, activation: Activation, bare: bool = False) -> Link:
    """A layer as a link; of a `bare` weight it is known that calling it is its forward, which spares the search for
    hooks, as long as that for the tensor."""
    weight: Any = module._modules["weight"]
    known = weight.known() if bare else None
    bias = module._parameters.get("bias")  # asked where it mostly is, as torch would search everything else first
    return Link(weight() if known is None else known, module.bias if bias is None else bias, activation)


def _is_patched(attributes: Mapping[str, object]) -> bool:
    return "forward" in attributes


def called_gated(
    gate: nn.Module, up: nn.Module, down: nn.Module, x: torch.Tensor, activation: Activation
) -> torch.Tensor:
    """down(activation(gate(x)) * up(x)); of sparse Linear layers perhaps in one kernel.

    >>> called_gated(nn.Linear(2, 4), nn.Linear(2, 4), nn.Linear(4, 2), torch.ones(3, 2), "silu").shape
    torch.Size([3, 2])
    """
    layers = [module for module in (gate, up, down) if type(module) is Linear and is_bare(module)]
    if len(layers) == 3 and layers[0].activation is None and not torch.compiler.is_compiling():
        first, *rest = layers
        return gated(x, _link(first, activation), *[_link(layer, layer.activation) for layer in rest])
    result: torch.Tensor = down(epilogue(gate(x), None, activation) * up(x))
    return result


def called_beside(layers: Sequence[nn.Module], x: torch.Tensor) -> torch.Tensor | None:
    """What several layers make of one input, one behind the other along the last dimension, in a single product; None
    where they do not share one: see `scorch.nn.functional.beside`.

    >>> from scorch.nn import freeze
    >>> layers = [freeze(Linear(4, n, bias=False)) for n in (2, 3)]
    >>> called_beside(layers, torch.ones(5, 4)).shape, called_beside([nn.Linear(4, 2)] * 2, torch.ones(5, 4))
    (torch.Size([5, 5]), None)
    """
    if torch.compiler.is_compiling() or not all(type(layer) is Linear and is_bare(layer) for layer in layers):
        return None
    return shared_product(x, [_link(layer, layer.activation) for layer in layers])  # type: ignore[arg-type]


def _activation(module: nn.Module) -> str | None:
    """The name of an activation that kernels compute."""
    if type(module) is nn.GELU:
        return "gelu" if module.approximate == "none" else None
    return _ACTIVATIONS.get(type(module))


def _does_nothing(module: nn.Module) -> bool:
    return type(module) is nn.Identity or (type(module) is nn.Dropout and not module.training)

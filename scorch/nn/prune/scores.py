"""How much each weight matters: what the pruning methods differ in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from scorch.errors import UnsupportedError
from scorch.nn.conv import padding_of

__all__ = ["Scores", "magnitudes", "movements", "randoms", "wandas"]

Scores = dict[str, torch.Tensor]
Layers = Mapping[str, nn.Module]
Loss = Callable[[nn.Module, Any], torch.Tensor]


def magnitudes(layers: Layers) -> Scores:
    """|w|: Han et al. (2015, arXiv 1506.02626)."""
    return {name: _weight(layer).detach().abs() for name, layer in layers.items()}


def randoms(layers: Layers, generator: torch.Generator | None) -> Scores:
    """Chance: what any other method is to be compared with."""
    return {name: torch.rand(_weight(layer).shape, generator=generator) for name, layer in layers.items()}


def wandas(model: nn.Module, layers: Layers, inputs: tuple[Any, ...]) -> Scores:
    """|w| times the norm of the input that it meets, over the samples: Sun et al. (2023, arXiv 2306.11695)."""
    squares: Scores = {}

    def watch(name: str) -> Any:
        def hook(layer: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
            squares[name] = squares.get(name, torch.zeros(())) + _square_sums(layer, args[0].detach())

        return hook

    handles = [layer.register_forward_pre_hook(watch(name)) for name, layer in layers.items()]
    try:
        with torch.no_grad():
            model(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    if unseen := [name for name in layers if name not in squares]:
        raise UnsupportedError(f"the example inputs do not reach {', '.join(unseen)}: leave it out with layers=")
    return {name: _weight(layer).detach().abs() * squares[name].sqrt() for name, layer in layers.items()}


def _square_sums(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The sum of squares, over samples and places, of the input that meets each weight; broadcasts to its shape."""
    if isinstance(layer, nn.Linear):
        return x.reshape(-1, x.shape[-1]).square().sum(0)
    if not isinstance(layer, nn.Conv2d):
        raise UnsupportedError(f"wanda knows Linear and Conv2d, not {layer}: leave it out with layers=")
    squares = F.unfold(x.square(), layer.kernel_size, layer.dilation, padding_of(layer), layer.stride).sum((0, 2))
    grouped = squares.reshape(layer.groups, 1, layer.in_channels // layer.groups, *layer.kernel_size)
    return grouped.expand(-1, layer.out_channels // layer.groups, -1, -1, -1).flatten(0, 1)


def movements(
    model: nn.Module, layers: Layers, batches: Iterable[Any], loss: Loss, optimizer: torch.optim.Optimizer | None
) -> Scores:
    """The sum over batches of -w dL/dw: weights that move away from zero. Sanh et al. (2020, arXiv 2005.07683).

    The gradient is that of the weight as it is used, so pruned weights have one too (straight through the mask).
    """
    scores = {name: torch.zeros_like(_weight(layer)) for name, layer in layers.items()}
    for batch in batches:
        with parametrize.cached():
            weights = {name: _weight(layer) for name, layer in layers.items()}
            for weight in weights.values():
                weight.retain_grad()
            model.zero_grad()
            loss(model, batch).backward()  # type: ignore[no-untyped-call]
            for name, weight in weights.items():
                if weight.grad is not None:
                    scores[name] -= weight.detach() * weight.grad
        if optimizer is not None:
            optimizer.step()
    model.zero_grad()
    return scores


def _weight(layer: nn.Module) -> torch.Tensor:
    weight: torch.Tensor = layer.weight  # type: ignore[assignment]
    return weight

"""Derivatives of the per-sample losses read off one backward pass: a product a layer, no forward-mode pass.

Let z = layer(a; W) be linear in its parameters W and g_i = dl_i/dz_i, which the backward pass has anyway. Then

    < grad_W l_i, V > = < g_i, layer(a_i; V) >

so the derivative of every sample's loss along V takes each layer once more, on inputs that are known. (Goodfellow,
2015, arXiv 1510.01799, has this identity for the norms of per-sample gradients.) It is exact where a sample's loss
depends on that sample alone, which `recording` decides by looking at the model: see `is_samplewise`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.func import functional_call

from scorch.fairness.functional import Params
from scorch.fairness.networks import Standardise

__all__ = ["Along", "Tape", "backward", "is_samplewise", "recording"]

# The (n,) derivatives of the per-sample losses along a direction in parameter space.
Along: TypeAlias = Callable[[Params], torch.Tensor]

# Layers that are linear in their parameters, with the fewest dimensions an input has if its first one is the samples.
_LINEAR: dict[type[nn.Module], Callable[[Any], int]] = {
    nn.Linear: lambda layer: 2,
    nn.Conv1d: lambda layer: 3,
    nn.Conv2d: lambda layer: 4,
    nn.Conv3d: lambda layer: 5,
    nn.LayerNorm: lambda layer: 1 + len(layer.normalized_shape),
    nn.GroupNorm: lambda layer: 2,
}

# Layers without parameters that keep the first dimension apart whatever their options are, `inplace` excepted.
_FIXED: frozenset[type[nn.Module]] = frozenset({
    Standardise,
    *(nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout),
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus),
    *(nn.Tanh, nn.Sigmoid, nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish),
    *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
    *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
})  # fmt: skip

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def is_samplewise(model: nn.Module) -> bool:
    """Whether the model is a chain in which no sample's output depends on another sample.

    True for an `nn.Sequential`, nested or not, or a single layer, of torch's linear, convolution, layer- and
    group-normalisation, activation, dropout, pooling and flattening layers, none of them in place, with hooks, or
    with a `forward` of its own. What a module of another class does in its `forward` is not known, so it is False.

    >>> is_samplewise(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)))
    True
    >>> is_samplewise(nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)))
    False
    """
    return all(_is_plain(module) and _keeps_samples_apart(module) for module in model.modules())


def _is_plain(module: nn.Module) -> bool:
    changed = "forward" in vars(module) or getattr(module, "inplace", False)
    return not changed and not any(getattr(module, name) for name in _HOOKS)


def _keeps_samples_apart(module: nn.Module) -> bool:
    kind = type(module)
    if kind is nn.Flatten:
        return int(module.start_dim) >= 1  # type: ignore[arg-type]
    if kind is nn.Unflatten:
        return isinstance(module.dim, int) and module.dim >= 1
    return kind is nn.Sequential or kind in _LINEAR or kind in _FIXED


@dataclass
class Tape:
    """Inputs and outputs of the layers with trained parameters, in the order of their calls in one forward."""

    layers: list[tuple[nn.Module, dict[str, str | None]]] = field(default_factory=list)
    inputs: list[torch.Tensor] = field(default_factory=list)
    outputs: list[torch.Tensor] = field(default_factory=list)
    by_sample: bool = True

    def along(self, slopes: Sequence[torch.Tensor], direction: Params) -> torch.Tensor:
        """The (n,) derivatives of the losses along `direction`, from their `slopes` in the layers' outputs."""
        total: torch.Tensor | None = None
        for (layer, names), a, g in zip(self.layers, self.inputs, slopes, strict=True):
            with torch.no_grad():
                moved = functional_call(layer, _tangent(layer, names, direction), a, tie_weights=False)
                part = (g * moved).flatten(1).sum(dim=1)
            total = part if total is None else total + part
        assert total is not None  # a tape is made for trained parameters, each of which is in a layer
        return total


def _tangent(layer: nn.Module, names: dict[str, str | None], direction: Params) -> Params:
    return {
        own: torch.zeros_like(getattr(layer, own)) if name is None else direction[name] for own, name in names.items()
    }


def backward(
    losses: torch.Tensor, weights: torch.Tensor, parameters: Params, tape: Tape | None
) -> tuple[Params | None, Along | None]:
    """The gradient of sum_i w_i l_i, None for weights of zero, and with a tape the losses' directional derivative.

    `losses` (n,) keep their graph, for the step that follows.
    """
    recorded = tape.outputs if tape is not None and tape.by_sample else []
    share = float(weights[0])
    uniform = share != 0 and bool((weights == share).all())
    wanted = [*parameters.values(), *recorded] if uniform else list(parameters.values())
    slopes = _slopes((weights * losses).sum(), wanted) if bool(weights.any()) else []
    gradient = dict(zip(parameters, slopes, strict=False)) if slopes else None
    if tape is None or not recorded:
        return gradient, None
    if uniform:
        by_sample = slopes[len(parameters) :]
        return gradient, lambda direction: tape.along(by_sample, direction) / share
    # Samples of weight zero leave no slope in the weighted backward pass.
    return gradient, partial(tape.along, _slopes(losses.sum(), recorded))


def _slopes(value: torch.Tensor, at: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    return torch.autograd.grad(value, at, retain_graph=True, materialize_grads=True)


@contextmanager
def recording(model: nn.Module, parameters: Params) -> Iterator[Tape | None]:
    """Record a forward of `model` for derivatives in `parameters`, the trained ones by name.

    Yields None if the model is not samplewise or has a trained parameter that no linear layer of the chain holds.

    >>> model = nn.Linear(2, 1, bias=False)
    >>> with recording(model, dict(model.named_parameters())) as tape:
    ...     y = model(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    >>> tape.along([torch.ones(2, 1)], {"weight": torch.tensor([[1.0, 10.0]])})
    tensor([21., 43.])
    """
    layers = _layers(model, parameters) if is_samplewise(model) else None
    if layers is None:
        yield None
        return
    tape = Tape()

    def record(layer: nn.Module, args: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        tape.layers.append((layer, layers[layer]))
        tape.inputs.append(args[0].detach())
        tape.outputs.append(output)
        tape.by_sample &= args[0].ndim >= _LINEAR[type(layer)](layer)

    hooks = [layer.register_forward_hook(record) for layer in layers]
    try:
        yield tape
    finally:
        for hook in hooks:
            hook.remove()


def _layers(model: nn.Module, parameters: Params) -> dict[nn.Module, dict[str, str | None]] | None:
    """The layers with trained parameters, and for each of their parameters its name in `parameters` or None."""
    by_identity = {id(p): name for name, p in parameters.items()}
    found = {}
    held: set[str | None] = set()
    for module in model.modules():
        names = {own: by_identity.get(id(p)) for own, p in module.named_parameters(recurse=False)}
        if any(name is not None for name in names.values()) and type(module) in _LINEAR:
            found[module] = names
            held.update(names.values())
    return found if held >= set(parameters) else None

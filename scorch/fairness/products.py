"""Derivatives of the per-sample losses read off one backward pass: a product a layer, no forward-mode pass.

Let z = layer(a; W) be linear in its parameters W and g_i = dl_i/dz_i, which the backward pass has anyway. Then

    < grad_W l_i, V > = < g_i, layer(a_i; V) >

so the derivative of every sample's loss along V takes each layer once more, on inputs that are known. (Goodfellow,
2015, arXiv 1510.01799, has this identity for the norms of per-sample gradients.) It is exact where a sample's loss
depends on that sample alone, which `recording` decides by looking at the model: see `is_samplewise`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.func import functional_call

from scorch.fairness.functional import Params
from scorch.fairness.networks import Standardise

__all__ = ["Along", "Tape", "backward", "is_samplewise", "record"]

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
    own = vars(module)
    return "forward" not in own and not own.get("inplace") and not any(own[name] for name in _HOOKS)


def _keeps_samples_apart(module: nn.Module) -> bool:
    kind = type(module)
    if kind is nn.Flatten:
        return int(module.start_dim) >= 1  # type: ignore[arg-type]
    if kind is nn.Unflatten:
        return isinstance(module.dim, int) and module.dim >= 1
    return kind is nn.Sequential or kind in _LINEAR or kind in _FIXED


@dataclass(frozen=True)
class _Layer:
    """A layer of a chain; `names` are those of its trained parameters, None for one that is frozen."""

    module: nn.Module
    names: dict[str, str | None]

    def tangent(self, at: torch.Tensor, direction: Params) -> torch.Tensor:
        """How the layer's output for the input `at` moves along `direction`."""
        moved = {
            own: torch.zeros_like(self.module._parameters[own]) if name is None else direction[name]  # type: ignore[arg-type]
            for own, name in self.names.items()
        }
        output: torch.Tensor = functional_call(self.module, moved, at, tie_weights=False)
        return output


@dataclass(frozen=True)
class Tape:
    """One forward of a chain: its `output`, and input and output of each layer with trained parameters.

    `by_sample` says whether the first dimension of all inputs was the samples.
    """

    output: torch.Tensor
    layers: list[_Layer]
    inputs: list[torch.Tensor]
    outputs: list[torch.Tensor]
    by_sample: bool

    @torch.no_grad()
    def along(self, slopes: Sequence[torch.Tensor], direction: Params) -> torch.Tensor:
        """The (n,) derivatives of the losses along `direction`, from their `slopes` in the layers' outputs."""
        parts = (
            (g * layer.tangent(a, direction)).flatten(1).sum(dim=1)
            for layer, a, g in zip(self.layers, self.inputs, slopes, strict=True)
        )
        return torch.stack(list(parts)).sum(dim=0)


def record(model: nn.Module, parameters: Params, x: Any) -> Tape | None:
    """Run `model` on `x` for derivatives in `parameters`, those of its own that are trained, by name.

    None, and nothing is run, if the model is not samplewise, a trained parameter is in no linear layer of the
    chain, or the input is not a tensor.

    >>> model = nn.Linear(2, 1, bias=False)
    >>> tape = record(model, dict(model.named_parameters()), torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    >>> tape.along([torch.ones(2, 1)], {"weight": torch.tensor([[1.0, 10.0]])})
    tensor([21., 43.])
    """
    if not isinstance(x, torch.Tensor) or not is_samplewise(model):
        return None
    by_identity = {id(p): name for name, p in parameters.items()}
    chain = [_Layer(module, _names(module, by_identity)) for module in _leaves(model)]
    if {name for layer in chain for name in layer.names.values()} | {None} != {*parameters, None}:
        return None
    trained = [layer for layer in chain if layer.names]
    inputs, outputs, by_sample = [], [], True
    for layer in chain:
        if layer.names:
            inputs.append(x.detach())
            by_sample &= x.ndim >= _LINEAR[type(layer.module)](layer.module)
        x = layer.module(x)
        if layer.names:
            outputs.append(x)
    return Tape(x, trained, inputs, outputs, by_sample)


def _leaves(model: nn.Module) -> Iterator[nn.Module]:
    if type(model) is not nn.Sequential:
        yield model
        return
    for module in model:
        yield from _leaves(module)


def _names(module: nn.Module, by_identity: dict[int, str]) -> dict[str, str | None]:
    """The module's parameters and their names among the trained ones; nothing if none of them is trained."""
    if type(module) not in _LINEAR:
        return {}
    names = {own: by_identity.get(id(p)) for own, p in module._parameters.items() if p is not None}
    return names if any(names.values()) else {}


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

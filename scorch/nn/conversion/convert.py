"""convert: a dense model with zeros in its weights becomes one with sparse layers, where that pays."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from scorch.errors import NotationError, ScorchError, UnsupportedError
from scorch.nn import prune
from scorch.nn.conv import Conv2d
from scorch.nn.conversion.predict import measured, predicted
from scorch.nn.conversion.report import Conversion, LayerReport
from scorch.nn.linear import Linear
from scorch.nn.sequential import sharing

__all__ = ["convert"]

_METHODS = {"magnitude": prune.magnitude, "random": prune.random, "wanda": prune.wanda}
DOUBT = (
    3.0  # the factor by which a predicted gain may be wrong: torch's dense product has its own speed on each machine
)
_PRUNABLE = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def convert(
    model: nn.Module,
    sparsity: float | Mapping[str, float] | None = None,
    method: str = "magnitude",
    example_inputs: Any = None,
    *,
    least_gain: float = 1.0,
    measure: bool = True,
    **options: Any,
) -> nn.Module:
    """A copy of a model with sparse layers in the place of those that gain by it; `result.conversion` is the report.

    Without `sparsity` the zeros that the model has are used (those of torch.nn.utils.prune and of scorch.nn.prune
    among them); with one it is pruned first, by "magnitude", "random" or "wanda", to which `options` go.
    `example_inputs`, a tensor or a tuple of the model's arguments, tells how much each layer has to do. A Linear or
    Conv2d is replaced if the sparse one is more than `least_gain` times as fast: by the clock, or by the schedule's
    prediction with `measure=False` and where that is lower by a factor of 3. A torch.nn.Sequential in which sparse
    layers follow each other becomes a scorch.nn.Sequential. Everything else stays as it is, and the report says why.

    Raises NotationError for an unknown method or without example inputs, and what the pruning raises.

    >>> model = nn.Sequential(nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 10))
    >>> sparse = convert(model, 0.95, example_inputs=torch.randn(64, 256), measure=False)
    >>> type(sparse[0]).__name__, sparse.conversion["0"].converted
    ('Linear', True)
    """
    if example_inputs is None:
        raise NotationError("what a layer gains depends on how much it has to do: pass example_inputs=")
    inputs = example_inputs if isinstance(example_inputs, tuple) else (example_inputs,)
    made = _copied(model)
    if sparsity is not None:
        _pruned(made, sparsity, method, inputs, options)
    prune.remove(made)
    seen = _inputs_of_layers(made, inputs)
    tied = _tied(made)
    reports = []
    for name, layer in list(made.named_modules()):
        if not isinstance(layer, _PRUNABLE):
            reports.extend(_kept(name, layer))
            continue
        report = LayerReport(name, type(layer).__name__, tuple(layer.weight.shape), _zeros(layer.weight))
        obstacle = _obstacle(layer, seen.get(name), layer.weight in tied)
        if obstacle:
            reports.append(replace(report, reason=obstacle))
            continue
        report, sparse = _decided(report, layer, seen[name], least_gain, measure)
        reports.append(report)
        if report.converted:
            made = _replaced(made, name, sparse)
    sharing(made)
    made.conversion = Conversion(tuple(reports))
    result: nn.Module = made
    return result


def _kept(name: str, layer: nn.Module) -> list[LayerReport]:
    """The report on a layer of another kind, if it has a matrix of its own."""
    matrix = next((p for p in layer.parameters(recurse=False) if p.ndim > 1), None)
    if matrix is None:
        return []
    kind = type(layer).__name__
    return [LayerReport(name, kind, tuple(matrix.shape), _zeros(matrix), reason=f"a {kind} has no sparse counterpart")]


def _copied(model: Any) -> Any:
    """A deep copy; torch's masked weights are results of a computation, which cannot be copied with their history."""
    for layer in model.modules():
        if hasattr(layer, "weight_mask"):
            layer.weight = layer.weight.detach()  # computed again before the layer's next use
    return copy.deepcopy(model)


def _pruned(
    model: nn.Module, sparsity: float | Mapping[str, float], method: str, inputs: tuple[Any, ...], options: Any
) -> None:
    if method not in _METHODS:
        raise NotationError(
            f"there is no method {method!r} without training; there are {', '.join(_METHODS)}. For others, such as "
            "movement, prune the model first and convert it without sparsity="
        )
    given = {"example_inputs": inputs, **options} if method == "wanda" else options
    _METHODS[method](model, sparsity, **given)


def _inputs_of_layers(model: nn.Module, inputs: tuple[Any, ...]) -> dict[str, torch.Tensor]:
    """The first input that each layer gets when the model runs on the example."""
    seen: dict[str, torch.Tensor] = {}

    def watch(name: str) -> Any:
        def hook(layer: nn.Module, args: tuple[Any, ...]) -> None:
            if name not in seen and args and isinstance(args[0], torch.Tensor):
                seen[name] = args[0].detach()

        return hook

    layers = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, _PRUNABLE)]
    handles = [layer.register_forward_pre_hook(watch(name)) for name, layer in layers]
    training = model.training
    try:
        with torch.no_grad():
            model.eval()(*inputs)
    finally:
        model.train(training)
        for handle in handles:
            handle.remove()
    return seen


def _tied(model: nn.Module) -> set[torch.Tensor]:
    """Weights that several modules share."""
    holders: dict[torch.Tensor, int] = {}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            holders[parameter] = holders.get(parameter, 0) + 1
    return {parameter for parameter, count in holders.items() if count > 1}


def _obstacle(layer: nn.Module, example: torch.Tensor | None, is_tied: bool) -> str:
    """Why a layer cannot be converted; empty if it can."""
    if type(layer) not in (nn.Linear, nn.Conv2d):
        return f"a {type(layer).__name__} has no sparse counterpart"
    if is_tied:
        return "its weight is shared with another layer"
    if layer._forward_hooks or layer._forward_pre_hooks:
        return "it has hooks, which a new layer would not have"
    if example is None:
        return "the example inputs do not reach it as a layer"
    return ""


def _decided(
    report: LayerReport, layer: nn.Module, example: torch.Tensor, least_gain: float, measure: bool
) -> tuple[LayerReport, nn.Module]:
    """The decision with its reasons, and the sparse layer."""
    try:
        sparse = Linear.from_dense(layer) if isinstance(layer, nn.Linear) else _conv(layer)
        times = predicted(sparse, example)
    except UnsupportedError as error:
        return replace(report, reason=str(error)), layer
    except ScorchError as error:
        return replace(report, reason=f"cannot be sparse: {error}".splitlines()[0]), layer
    gain = times[0] / times[1] if times[1] else float("inf")
    report = replace(report, predicted=times, reason=f"predicted gain {gain:.2g}")
    if not measure:
        return replace(report, converted=gain > least_gain), sparse
    if DOUBT * gain <= least_gain:
        return report, sparse
    clock = measured(layer, sparse, (example,))
    found = clock[0] / clock[1]
    agrees = (found > least_gain) == (gain > least_gain)
    reason = f"{report.reason}, {'' if agrees else 'but '}measured {found:.2g}"
    return replace(report, measured=clock, converted=found > least_gain, reason=reason), sparse


def _conv(layer: nn.Module) -> Conv2d:
    assert isinstance(layer, nn.Conv2d)  # the only other kind that has no obstacle
    return Conv2d.from_dense(layer)


def _replaced(model: nn.Module, name: str, layer: nn.Module) -> nn.Module:
    """The model with another layer of that name: the layer itself if it is the whole model."""
    if not name:
        return layer
    parent, _, child = name.rpartition(".")
    holder = model.get_submodule(parent)
    if isinstance(holder, nn.TransformerEncoderLayer):
        # Its fast path reads the weights of its layers instead of calling them; this flag turns the path off.
        holder.activation_relu_or_gelu = 0
    layer.train(model.training)
    setattr(holder, child, layer)
    return model


def _zeros(weight: torch.Tensor) -> float:
    return 1 - int(weight.count_nonzero()) / max(1, weight.numel())

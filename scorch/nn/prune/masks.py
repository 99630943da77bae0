"""Masks on the weights of a model: put on, read, made permanent."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils import prune as torch_prune

from scorch.errors import ShapeError, UnsupportedError

__all__ = ["apply", "masks", "own_weight", "prunable", "remove", "sparsity"]

_KINDS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class Masked(nn.Module):
    """The parametrisation of a pruned weight: the trained weight where the mask is True, else zero."""

    mask: torch.Tensor

    def __init__(self, mask: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight * self.mask


def prunable(model: nn.Module, layers: Collection[str] | None = None) -> dict[str, nn.Module]:
    """The layers that pruning takes from, by name: Linear and Conv, all or those that are named.

    Raises UnsupportedError for a name that is no such layer, and if there is no layer at all.

    >>> list(prunable(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))))
    ['0', '2']
    """
    found: dict[str, nn.Module] = {n: module for n, module in model.named_modules() if isinstance(module, _KINDS)}
    if layers is not None:
        if unknown := [name for name in layers if name not in found]:
            raise UnsupportedError(f"{unknown[0]!r} is no layer that can be pruned; there are {', '.join(found)}")
        found = {name: module for name, module in found.items() if name in set(layers)}
    if not found:
        raise UnsupportedError("the model has no Linear or Conv layer to prune")
    return found


def apply(model: nn.Module, masks: Mapping[str, torch.Tensor]) -> None:
    """Mask the weights of layers, by name, in place; what a mask leaves out is zero now and through training.

    A mask replaces the one that a layer has. Raises ShapeError for a mask that does not fit its weight.

    >>> layer = nn.Linear(2, 1)
    >>> apply(layer, {"": torch.tensor([[True, False]])})
    >>> (layer.weight != 0).tolist()
    [[True, False]]
    """
    layers = prunable(model, masks)
    for name, mask in masks.items():
        layer = layers[name]
        weight = own_weight(layer)
        if mask.shape != weight.shape:
            shapes = f"{tuple(mask.shape)}, its weight {tuple(weight.shape)}"
            raise ShapeError(f"the mask of {name or 'the layer'} is {shapes}")
        known = _parametrisation(layer)
        if known is None:
            parametrize.register_parametrization(layer, "weight", Masked(mask.bool()))
        else:
            known.mask = mask.bool()


def masks(model: nn.Module) -> dict[str, torch.Tensor]:
    """The mask of each layer that has zeros: ours, that of torch.nn.utils.prune, or the zeros themselves.

    >>> layer = nn.Linear(2, 2)
    >>> _ = torch_prune.random_unstructured(layer, "weight", amount=3)
    >>> int(masks(layer)[""].sum())
    1
    """
    found = {name: _mask(layer) for name, layer in prunable(model).items()}
    return {name: mask for name, mask in found.items() if not bool(mask.all())}


def remove(model: nn.Module) -> None:
    """Make every mask permanent: the weights become plain parameters with zeros in them, in place.

    >>> layer = nn.Linear(2, 1)
    >>> apply(layer, {"": torch.tensor([[True, False]])})
    >>> remove(layer)
    >>> sorted(dict(layer.named_parameters()))
    ['bias', 'weight']
    """
    for layer in model.modules():
        if isinstance(layer, _KINDS):
            own_weight(layer)
            if _parametrisation(layer) is not None:
                _give_own_class(layer)
                parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)


def sparsity(model: nn.Module) -> float:
    """The share of zeros among the weights of all layers that can be pruned.

    >>> layer = nn.Linear(2, 1)
    >>> apply(layer, {"": torch.tensor([[True, False]])})
    >>> sparsity(layer)
    0.5
    """
    kept = [_mask(layer) for layer in prunable(model).values()]
    return 1 - sum(int(mask.sum()) for mask in kept) / max(1, sum(mask.numel() for mask in kept))


def _parametrisation(layer: Any) -> Masked | None:
    if not parametrize.is_parametrized(layer, "weight"):
        return None
    return next((each for each in layer.parametrizations["weight"] if isinstance(each, Masked)), None)


def own_weight(layer: Any) -> torch.Tensor:
    """The weight, with a mask of torch.nn.utils.prune taken over as one of ours."""
    if hasattr(layer, "weight_mask"):
        mask = layer.weight_mask
        torch_prune.remove(layer, "weight")  # type: ignore[no-untyped-call]
        parametrize.register_parametrization(layer, "weight", Masked(mask.bool()))
    weight: torch.Tensor = layer.weight
    return weight


def _give_own_class(layer: nn.Module) -> None:
    """A class for this layer alone: torch keeps parametrisations on the class, which a deep copy shares."""
    shared = layer.__class__
    members = {name: member for name, member in vars(shared).items() if name not in ("__dict__", "__weakref__")}
    layer.__class__ = type(shared.__name__, shared.__bases__, members)


def _mask(layer: Any) -> torch.Tensor:
    known = _parametrisation(layer)
    mask = known.mask if known is not None else getattr(layer, "weight_mask", None)
    kept: torch.Tensor = layer.weight.detach() != 0 if mask is None else mask.bool()
    return kept

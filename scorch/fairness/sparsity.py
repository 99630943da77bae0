"""Which weights are pruned, and keeping them so through training: the one place that knows how.

Pruning to a sparsity is by magnitude. Layers that keep their pattern themselves (torch.nn.utils.prune's, or
layers whose parameters are stored entries only) need nothing from here: their weights hold no plain zeros.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

import torch
from torch import nn

from scorch.fairness.errors import FairnessError, FairnessWarning
from scorch.fairness.functional import Params
from scorch.nn.prune import Unstructured

__all__ = ["Pattern", "achieved", "existing", "magnitude", "prunable"]


@dataclass(frozen=True)
class Pattern:
    """0/1 masks by parameter name; a parameter without one is dense."""

    masks: Params = field(default_factory=dict)

    def enforce(self, model: nn.Module) -> None:
        """Set the pruned weights of a model to zero, in place."""
        if not self.masks:
            return
        named = dict(model.named_parameters())
        with torch.no_grad():
            for name, mask in self.masks.items():
                named[name].mul_(mask)


def prunable(model: nn.Module) -> Params:
    """The weights that pruning takes from: trained parameters with two dimensions and more, so no biases.

    >>> sorted(prunable(nn.Linear(2, 3)))
    ['weight']
    """
    return {n: p.detach() for n, p in model.named_parameters() if p.requires_grad and p.ndim >= 2}


def magnitude(model: nn.Module, sparsity: float, scope: str = "global") -> Pattern:
    """Zero the smallest weights so that the share `sparsity` of all weights is zero, in place; the pattern left.

    scope "global" compares the weights of all layers, "layer" takes the same share from each. After Han et al.
    (2015). Raises FairnessError for a sparsity outside [0, 1) and for a model without such weights; warns with
    FairnessWarning if a whole layer goes.

    >>> layer = nn.Linear(10, 10)
    >>> int((magnitude(layer, 0.9).masks["weight"] == 0).sum())
    90
    """
    if not 0 <= sparsity < 1:
        raise FairnessError(f"sparsity is a share in [0, 1), got {sparsity}")
    if scope not in ("global", "layer"):
        raise FairnessError(f"there is no scope {scope!r}; there are global, layer")
    weights = prunable(model)
    if not weights:
        raise FairnessError("the model has no weight matrix to prune")
    sizes = {name: weight.abs() for name, weight in weights.items()}
    if scope == "layer":
        masks = {name: Unstructured().keep(size, sparsity) for name, size in sizes.items()}
    else:
        kept = Unstructured().keep(torch.cat([size.ravel() for size in sizes.values()]), sparsity)
        pieces = torch.split(kept, [size.numel() for size in sizes.values()])
        masks = {name: piece.view_as(sizes[name]) for name, piece in zip(sizes, pieces, strict=True)}
    empty = [name for name, mask in masks.items() if not bool(mask.any())]
    if empty:
        warnings.warn(
            f"pruning leaves no weight of {', '.join(empty)}, which cuts the network; prune less, in more steps, "
            'or with scope="layer"',
            FairnessWarning,
            stacklevel=2,
        )
    pattern = Pattern({name: mask.to(weights[name].dtype) for name, mask in masks.items()})
    pattern.enforce(model)
    return pattern


def existing(model: nn.Module) -> Pattern:
    """The pattern of the zeros that a model's weights have now; empty if it has none.

    >>> layer = nn.Linear(4, 4)
    >>> existing(layer).masks
    {}
    """
    masks = {name: (weight != 0).to(weight.dtype) for name, weight in prunable(model).items()}
    return Pattern({name: mask for name, mask in masks.items() if not bool(mask.all())})


def achieved(model: nn.Module) -> float:
    """The share of zeros among the weights that can be pruned.

    >>> achieved(nn.Linear(4, 4))
    0.0
    """
    weights = prunable(model).values()
    return 1 - sum(int(weight.count_nonzero()) for weight in weights) / max(1, sum(w.numel() for w in weights))

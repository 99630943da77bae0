"""The pruning methods: scores, compared within layers, rows or the whole model, and the masks that follow."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeAlias

import torch
from torch import nn

from scorch.errors import NotationError
from scorch.nn.prune import scores as score
from scorch.nn.prune.masks import apply, masks, own_weight, prunable
from scorch.nn.prune.structure import Structure, Unstructured

__all__ = ["magnitude", "movement", "random", "wanda"]

Sparsity: TypeAlias = "float | Mapping[str, float] | None"
_UNSTRUCTURED = Unstructured()


def magnitude(
    model: nn.Module,
    sparsity: Sparsity = None,
    *,
    structure: Structure = _UNSTRUCTURED,
    scope: str = "layer",
    layers: Collection[str] | None = None,
) -> dict[str, torch.Tensor]:
    """Prune the smallest weights, in place; returns the masks, True for what is kept.

    `sparsity` is the share of weights that are zero afterwards, or one for each layer by name; N:M has its own.
    `structure` is Unstructured(), NM(2, 4) or Block(4, 4); `scope` compares the weights of a "layer", a "row" (an
    output) or, unstructured, of all layers ("global"). What was pruned before stays pruned.

    >>> model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 2))
    >>> kept = magnitude(model, 0.75)
    >>> int(model[0].weight.count_nonzero()), int(kept["1"].sum())
    (16, 4)
    """
    chosen = _chosen(model, sparsity, layers)
    return _prune(model, score.magnitudes(chosen), sparsity, structure, scope)


def random(
    model: nn.Module,
    sparsity: Sparsity = None,
    *,
    structure: Structure = _UNSTRUCTURED,
    scope: str = "layer",
    layers: Collection[str] | None = None,
    generator: torch.Generator | None = None,
) -> dict[str, torch.Tensor]:
    """Prune weights by chance; otherwise as `magnitude`.

    >>> layer = nn.Linear(8, 8)
    >>> _ = random(layer, 0.5)
    >>> int(layer.weight.count_nonzero())
    32
    """
    chosen = _chosen(model, sparsity, layers)
    return _prune(model, score.randoms(chosen, generator), sparsity, structure, scope)


def wanda(
    model: nn.Module,
    sparsity: Sparsity = None,
    example_inputs: Any = None,
    *,
    structure: Structure = _UNSTRUCTURED,
    scope: str = "row",
    layers: Collection[str] | None = None,
) -> dict[str, torch.Tensor]:
    """Prune the weights that matter least for some inputs: |w| times the norm of what it is multiplied by.

    `example_inputs` is a batch: a tensor, or a tuple of the model's arguments. Weights of one output are compared
    unless `scope` says otherwise. No training is needed. Otherwise as `magnitude`.

    >>> layer = nn.Linear(2, 1)
    >>> wanda(layer, 0.5, torch.tensor([[0.0, 1.0]]))[""].tolist()
    [[False, True]]
    """
    if example_inputs is None:
        raise NotationError("wanda looks at what the weights are multiplied by: pass example_inputs=")
    inputs = example_inputs if isinstance(example_inputs, tuple) else (example_inputs,)
    chosen = _chosen(model, sparsity, layers)
    return _prune(model, score.wandas(model, chosen, inputs), sparsity, structure, scope)


def movement(
    model: nn.Module,
    sparsity: Sparsity = None,
    batches: Iterable[Any] = (),
    loss: score.Loss | None = None,
    *,
    optimizer: torch.optim.Optimizer | None = None,
    structure: Structure = _UNSTRUCTURED,
    scope: str = "layer",
    layers: Collection[str] | None = None,
) -> dict[str, torch.Tensor]:
    """Prune the weights that move towards zero while the model is trained on `batches`; otherwise as `magnitude`.

    `loss(model, batch)` is a scalar. With an `optimizer` the model is trained along, as the method means it; without
    one its weights stay and only their gradients count.

    >>> layer = nn.Linear(2, 1, bias=False)
    >>> _ = nn.init.ones_(layer.weight)
    >>> x = torch.tensor([[1.0, -1.0]])
    >>> movement(layer, 0.5, [x], lambda model, x: -model(x).sum())[""].tolist()
    [[True, False]]
    """
    if loss is None:
        raise NotationError("movement follows the weights while a loss goes down: pass batches= and loss=")
    chosen = _chosen(model, sparsity, layers)
    return _prune(model, score.movements(model, chosen, batches, loss, optimizer), sparsity, structure, scope)


def _chosen(model: nn.Module, sparsity: Sparsity, layers: Collection[str] | None) -> dict[str, nn.Module]:
    """The layers to prune, with masks of torch's own pruning taken over."""
    names = list(sparsity) if layers is None and isinstance(sparsity, Mapping) else layers
    chosen = prunable(model, names)
    for layer in chosen.values():
        own_weight(layer)
    return chosen


def _prune(
    model: nn.Module, scores: score.Scores, sparsity: Sparsity, structure: Structure, scope: str
) -> dict[str, torch.Tensor]:
    """Masks of the lowest scores, put on the model."""
    if scope not in ("layer", "row", "global"):
        raise NotationError(f"weights are compared by layer, row or global, not by {scope!r}")
    known = masks(model)
    for name, each in scores.items():
        if name in known:  # what is pruned goes first, so it stays pruned
            each[~known[name]] = -torch.inf
    if scope == "global":
        made = _globally(scores, sparsity, structure)
    else:
        shares = sparsity if isinstance(sparsity, Mapping) else dict.fromkeys(scores, sparsity)
        made = {
            name: structure.keep(each.flatten(1), shares[name], scope == "row").reshape(each.shape)
            for name, each in scores.items()
        }
    made = {name: mask & known[name] if name in known else mask for name, mask in made.items()}
    apply(model, made)
    return made


def _globally(scores: score.Scores, sparsity: Sparsity, structure: Structure) -> dict[str, torch.Tensor]:
    if isinstance(sparsity, Mapping) or structure != _UNSTRUCTURED:
        raise NotationError("the global scope takes one sparsity for all layers, and no structure")
    kept = structure.keep(torch.cat([each.reshape(-1) for each in scores.values()])[None], sparsity, False)[0]
    pieces = torch.split(kept, [each.numel() for each in scores.values()])
    return {name: piece.reshape(each.shape) for (name, each), piece in zip(scores.items(), pieces, strict=True)}

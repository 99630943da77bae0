"""Training a pruned model further with fair weights, its zeros kept."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from scorch.fairness.checks import check_groups
from scorch.fairness.errors import FairnessError
from scorch.fairness.exemplars import Exemplars, check_labels, read_exemplars, split_off, take
from scorch.fairness.groups import Attributes, resolve
from scorch.fairness.method import Method, TrainingData
from scorch.fairness.methods import create
from scorch.fairness.progress import bar
from scorch.fairness.sparsity import existing, magnitude
from scorch.fairness.training import Settings, train
from scorch.nn.prune import cubic

__all__ = ["finetune", "prune_plan"]


def finetune(
    model: torch.nn.Module,
    X: torch.Tensor,
    y: torch.Tensor,
    *,
    exemplars: Any = None,
    sensitive_features: Any = None,
    method: str | Method = "forml",
    sparsity: float | None = None,
    prune_steps: int = 6,
    settings: Settings | None = None,
    groups: str = "auto",
    positive_label: int = 1,
    exemplar_fraction: float = 0.1,
    verbose: bool | int = False,
    checkpoint: str | Path | None = None,
    **options: Any,
) -> torch.nn.Module:
    """Fine-tune a model that was pruned, in place, with the weights that are zero kept zero; the model.

    `X` (n, ...) and `y` (n,) class numbers are tensors; `exemplars` is (inputs, labels) or (inputs, labels,
    sensitive features), None splits `exemplar_fraction` of the data off. `method` is a name of
    `scorch.fairness.methods` with its own `options` (backend="fd" for layers without forward-mode derivatives),
    or a method object. Layers that keep their own pattern are trained as they are.

    `sparsity` prunes by magnitude first, in `prune_steps` with a fifth of the epochs after each but the last: at
    once, 95 % and more cut whole layers off.

    Raises FairnessError and DivergenceError as `scorch.fairness.FairClassifier` does.

    >>> _ = torch.manual_seed(0)
    >>> x, y = torch.randn(40, 4), torch.arange(40) % 2
    >>> layer = finetune(torch.nn.Linear(4, 2), x, y, sparsity=0.5, prune_steps=1, settings=Settings(epochs=1))
    >>> int((layer.weight == 0).sum())
    4
    """
    labels = torch.as_tensor(y)
    check_labels(X, labels, "training data")
    settings = settings or Settings(epochs=10, lr=0.001)
    codes = None if sensitive_features is None else Attributes.encode(sensitive_features)
    if codes is not None and len(codes) != len(labels):
        raise FairnessError(f"{len(labels)} labels, but {len(codes)} rows of sensitive features")
    data = TrainingData(X, labels.long(), int(labels.max()) + 1, None if codes is None else codes.codes)
    chosen = create(method, **options) if isinstance(method, str) else method
    shown: Exemplars | None = None
    if chosen.needs_exemplars:
        data, shown = _exemplars(data, codes, exemplars, exemplar_fraction, settings.seed)
        check_groups(data, shown, chosen.exemplar_groups or resolve(groups, shown.codes is not None), positive_label)
    with bar(verbose, chosen.name) as show:
        for phase, (share, tuned) in enumerate(prune_plan(sparsity, prune_steps, settings)):
            train(
                model,
                data,
                copy.deepcopy(chosen),  # a method keeps state, a phase starts afresh
                tuned,
                exemplars=shown,
                pattern=existing(model) if share is None else magnitude(model, share),
                grouping=groups,
                positive=positive_label,
                report=show,
                checkpoint=None if checkpoint is None else f"{checkpoint}.{phase}",
            )
    return model


def prune_plan(sparsity: float | None, steps: int, settings: Settings) -> list[tuple[float | None, Settings]]:
    """The sparsities to prune to, one after the other, and how to train after each; (None, ...) for no pruning.

    >>> [(round(share, 3), tuned.epochs) for share, tuned in prune_plan(0.8, 2, Settings(epochs=10))]
    [(0.7, 2), (0.8, 10)]
    """
    if sparsity is None:
        return [(None, settings)]
    if sparsity == 0:
        return [(0.0, settings)]
    short = replace(settings, epochs=max(1, settings.epochs // 5))
    if steps < 1:
        raise FairnessError(f"prune_steps must be at least 1, got {steps}")
    shares = cubic(sparsity, steps)
    return [(share, settings if share is shares[-1] else short) for share in shares]


def _exemplars(
    data: TrainingData, attributes: Attributes | None, given: Any, fraction: float, seed: int
) -> tuple[TrainingData, Exemplars]:
    """The training data that is left and the exemplars, given or split off."""
    if given is None:
        kept, held = split_off(data.y, data.codes, fraction, torch.Generator().manual_seed(seed))
        rest = TrainingData(
            take(data.x, kept), data.y[kept], data.classes, None if data.codes is None else data.codes[kept]
        )
        held_codes = None if data.codes is None else data.codes[held]
        return rest, Exemplars(take(data.x, held), data.y[held], held_codes)
    if isinstance(given, tuple | list) and len(given) == 3 and given[2] is not None:
        given = (given[0], given[1], Attributes.encode(given[2], like=attributes).codes)
    return data, read_exemplars(given)

"""Training a pruned model further with fair weights, its zeros kept."""

from __future__ import annotations

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
from scorch.fairness.sparsity import Pattern, existing, magnitude
from scorch.fairness.training import Settings, train

__all__ = ["finetune"]


def finetune(
    model: torch.nn.Module,
    X: torch.Tensor,
    y: torch.Tensor,
    *,
    exemplars: Any = None,
    sensitive_features: Any = None,
    method: str | Method = "forml",
    sparsity: float | None = None,
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
    or a method object. `sparsity` prunes by magnitude first. Layers that keep their own pattern are trained as
    they are.

    Raises FairnessError and DivergenceError as `scorch.fairness.FairClassifier` does.

    >>> _ = torch.manual_seed(0)
    >>> x, y = torch.randn(40, 4), torch.arange(40) % 2
    >>> layer = finetune(torch.nn.Linear(4, 2), x, y, sparsity=0.5, settings=Settings(epochs=1))
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
        check_groups(data, shown, resolve(groups, shown.codes is not None), positive_label)
    pattern = _pattern(model, sparsity)
    with bar(verbose, chosen.name) as show:
        return train(
            model,
            data,
            chosen,
            settings,
            exemplars=shown,
            pattern=pattern,
            grouping=groups,
            positive=positive_label,
            report=show,
            checkpoint=checkpoint,
        )[0]


def _pattern(model: torch.nn.Module, sparsity: float | None) -> Pattern:
    return existing(model) if sparsity is None else magnitude(model, sparsity)


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

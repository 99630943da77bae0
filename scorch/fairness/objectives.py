"""What the exemplars say about fairness: a surrogate per sample, its mean per group, one number of those."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, TypeVar

import torch
import torch.nn.functional as F

from scorch.fairness.errors import FairnessError

__all__ = ["OBJECTIVES", "SURROGATES", "PerSample", "cross_entropy", "group_means", "objective", "surrogate"]

PerSample: TypeAlias = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
_T = TypeVar("_T")


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of each sample: (n, classes) logits and (n,) labels to (n,) losses.

    >>> round(float(cross_entropy(torch.zeros(1, 2), torch.tensor([0]))), 4)
    0.6931
    """
    return F.cross_entropy(logits, labels, reduction="none")


def missed_probability(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """One minus the probability of the true class: a smooth stand-in for one minus the true positive rate.

    >>> missed_probability(torch.zeros(1, 4), torch.tensor([2]))
    tensor([0.7500])
    """
    return 1 - torch.softmax(logits, dim=-1).gather(1, labels[:, None]).squeeze(1)


SURROGATES: dict[str, PerSample] = {"ce": cross_entropy, "tpr": missed_probability}


def group_means(values: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Mean of (n,) values over each group that is present; samples with the number -1 are left out.

    >>> group_means(torch.tensor([1.0, 3.0, 5.0, 9.0]), torch.tensor([0, 0, 2, -1]))
    tensor([2., 5.])
    """
    if len(ids) and int(ids.min()) < 0:
        inside = ids >= 0
        values, ids = values[inside], ids[inside]
    counts = torch.bincount(ids)
    means = values.new_zeros(len(counts)).index_add(0, ids, values) / counts
    # Indexing by a mask costs more than all the rest, so not for groups that are all present.
    return means if bool(counts.all()) else means[counts > 0]


def _gap(v: torch.Tensor, temperature: float) -> torch.Tensor:
    return v.max() - v.min()


def _worst(v: torch.Tensor, temperature: float) -> torch.Tensor:
    return v.max()


def _mean(v: torch.Tensor, temperature: float) -> torch.Tensor:
    return v.mean()


def _mean_and_gap(v: torch.Tensor, temperature: float) -> torch.Tensor:
    return v.mean() + v.max() - v.min()


def _smooth(v: torch.Tensor, temperature: float) -> torch.Tensor:
    # Shifted by log(groups), so that equal groups give their common value whatever the temperature.
    shift = torch.log(torch.tensor(float(len(v)), dtype=v.dtype))
    return temperature * (torch.logsumexp(v / temperature, dim=0) - shift)


OBJECTIVES: dict[str, Callable[[torch.Tensor, float], torch.Tensor]] = {
    "gap": _gap,
    "max": _worst,
    "mean": _mean,
    "mean+gap": _mean_and_gap,
    "smooth": _smooth,
}


def objective(name: str, v: torch.Tensor, temperature: float = 0.1) -> torch.Tensor:
    """One number of the (groups,) means `v`: gap, max, mean, mean+gap, or smooth, a maximum with a temperature.

    >>> v = torch.tensor([0.2, 0.5])
    >>> [round(float(objective(name, v)), 3) for name in ("gap", "max", "mean", "mean+gap", "smooth")]
    [0.3, 0.5, 0.35, 0.65, 0.436]
    """
    return _named(OBJECTIVES, name, "objective")(v, temperature)


def surrogate(name: str | PerSample) -> PerSample:
    """The surrogate of that name ("ce", "tpr"), or the callable (logits, labels) -> (n,) itself.

    >>> surrogate("ce") is cross_entropy
    True
    """
    return name if callable(name) else _named(SURROGATES, name, "surrogate")


def _named(table: dict[str, _T], name: str, what: str) -> _T:
    if name not in table:
        raise FairnessError(f"there is no {what} {name!r}; there are {', '.join(table)}")
    return table[name]

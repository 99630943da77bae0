"""The parts of a data set in one run, and helpers that make them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scorch.fairness.counts import Table
from scorch.fairness.errors import FairnessError

__all__ = ["MissingDataError", "Part", "Split", "at_random", "long_tail", "partition", "per_group"]


class MissingDataError(FairnessError):
    """A data set's files are not there; the message says where they were looked for."""


@dataclass(frozen=True)
class Part:
    """Inputs (n, ...) float32, labels (n,), sensitive values (n,) or None."""

    x: Table
    y: Table
    s: Table | None = None

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: Any) -> Part:
        return Part(self.x[index], self.y[index], None if self.s is None else self.s[index])

    def groups(self) -> Table:
        """A number for each sample's group (label, sensitive value)."""
        if self.s is None:
            return self.y
        return np.unique(np.stack([self.y.astype(str), self.s.astype(str)]), axis=1, return_inverse=True)[1].ravel()


@dataclass(frozen=True)
class Split:
    """Disjoint parts. Only `train` is long-tailed or corrupted; the test part is the same for all seeds."""

    train: Part
    exemplars: Part
    validation: Part
    test: Part


def partition(groups: Table, sizes: Sequence[float], rng: np.random.Generator) -> list[Table]:
    """Indices of disjoint parts with the shares `sizes` of every group; the last part is what is left.

    >>> [len(part) for part in partition(np.array([0] * 10 + [1] * 10), [0.2, 0.3], np.random.default_rng(0))]
    [4, 6, 10]
    """
    parts: list[list[Table]] = [[] for _ in range(len(sizes) + 1)]
    for group in np.unique(groups):
        members = rng.permutation(np.flatnonzero(groups == group))
        bounds = np.round(np.cumsum(sizes) * len(members)).astype(int)
        for part, piece in zip(parts, np.split(members, bounds), strict=True):
            part.append(piece)
    return [np.sort(np.concatenate(part)) for part in parts]


def per_group(groups: Table, count: int, rng: np.random.Generator) -> tuple[Table, Table]:
    """Indices of `count` samples of every group, at most half of it, and of the rest.

    >>> chosen, rest = per_group(np.array([0, 0, 0, 0, 1, 1]), 2, np.random.default_rng(0))
    >>> len(chosen), len(rest)
    (3, 3)
    """
    chosen = []
    for group in np.unique(groups):
        members = rng.permutation(np.flatnonzero(groups == group))
        chosen.append(members[: min(count, len(members) // 2)])
    taken = np.sort(np.concatenate(chosen))
    return taken, np.setdiff1d(np.arange(len(groups)), taken)


def at_random(groups: Table, count: int, rng: np.random.Generator) -> tuple[Table, Table]:
    """Indices of about `count` samples, every group by its share and at least one of each, and of the rest.

    >>> chosen, rest = at_random(np.array([0] * 18 + [1] * 2), 10, np.random.default_rng(0))
    >>> np.bincount(np.array([0] * 18 + [1] * 2)[chosen]).tolist(), len(rest)
    ([9, 1], 10)
    """
    chosen = []
    for group in np.unique(groups):
        members = rng.permutation(np.flatnonzero(groups == group))
        chosen.append(members[: max(1, round(count * len(members) / len(groups)))])
    taken = np.sort(np.concatenate(chosen))
    return taken, np.setdiff1d(np.arange(len(groups)), taken)


def long_tail(labels: Table, ratio: float, largest: int, rng: np.random.Generator) -> Table:
    """Indices that leave `largest` samples of the first class and `ratio` times fewer of the last.

    The sizes fall geometrically, as in Cui et al. (2019, arXiv 1901.05555).

    >>> kept = long_tail(np.repeat([0, 1, 2], 100), 100, 100, np.random.default_rng(0))
    >>> np.bincount(np.repeat([0, 1, 2], 100)[kept]).tolist()
    [100, 10, 1]
    """
    classes = np.unique(labels)
    kept = []
    for number, name in enumerate(classes):
        members = rng.permutation(np.flatnonzero(labels == name))
        size = round(min(largest, len(members)) * ratio ** (-number / max(1, len(classes) - 1)))
        kept.append(members[: max(1, size)])
    return np.sort(np.concatenate(kept))

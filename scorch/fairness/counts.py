"""Every measure as a function of one table of counts, so that a bootstrap is a draw of tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

__all__ = ["Counts", "Table", "measures"]

Table: TypeAlias = np.ndarray[Any, np.dtype[Any]]

MEASURES = ("accuracy", "worst_group", "gap", "equal_opportunity_difference", "equalized_odds_difference")


@dataclass(frozen=True)
class Counts:
    """`table[y, a, p]`: how many samples of class y with attributes a are predicted as p.

    Without attributes there is one a. `positive` is the class whose recall equal opportunity is about, None for
    more than two classes.

    >>> c = Counts.of(np.array([0, 1, 1]), np.array([0, 1, 0]), np.array([0, 0, 0]), 2, 1)
    >>> c.table[:, 0].tolist()
    [[1, 0], [1, 1]]
    """

    table: Table
    positive: int | None

    @classmethod
    def of(cls, y: Table, predicted: Table, attributes: Table, classes: int, groups: int) -> Counts:
        """Count (n,) labels, predictions and attribute numbers."""
        table = np.zeros((classes, groups, classes), dtype=np.int64)
        np.add.at(table, (y, attributes, predicted), 1)
        return cls(table, 1 if classes == 2 else None)

    def resample(self, draws: int, rng: np.random.Generator) -> Table:
        """Tables (draws, y, a, p) of a bootstrap that keeps the size of every group (y, a)."""
        sizes = self.table.sum(axis=2)
        shares = self.table / np.maximum(sizes, 1)[:, :, None]
        shares[sizes == 0] = 1 / self.table.shape[2]
        return rng.multinomial(sizes, shares, size=(draws, *sizes.shape))


def measures(tables: Table, positive: int | None) -> dict[str, Table]:
    """The measures of tables (..., y, a, p), each of shape (...); NaN where no group has samples.

    accuracy; worst_group: the lowest recall of a group (y, a); gap: highest minus lowest such recall. With
    attributes, equal_opportunity_difference is the range over a of the recall of the positive class (of every
    class and the largest of those, for more than two), equalized_odds_difference the larger of that and the
    range of false positive rates. Without attributes the groups are the classes: both ranges are over classes.

    >>> found = measures(np.array([[[1, 0]], [[1, 1]]]), 1)
    >>> float(found["worst_group"]), float(found["gap"])
    (0.5, 0.5)
    """
    recalls = group_recalls(tables)
    flat = recalls.reshape(*recalls.shape[:-2], -1)
    total = tables.sum(axis=(-1, -2, -3))
    hits = np.einsum("...yay->...", tables)
    hit, false = _ranges(tables, recalls, positive)
    with np.errstate(invalid="ignore", divide="ignore"):
        accuracy = hits / total
    found = (accuracy, _low(flat), _high(flat) - _low(flat), hit, np.fmax(hit, false))
    return dict(zip(MEASURES, found, strict=True))


def group_recalls(tables: Table) -> Table:
    """Recalls (..., y, a); NaN for a group without samples.

    >>> group_recalls(np.array([[[3, 1]], [[0, 0]]])).ravel().tolist()
    [0.75, nan]
    """
    hits = np.einsum("...yay->...ya", tables)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(hits / tables.sum(axis=-1))


def _ranges(tables: Table, recalls: Table, positive: int | None) -> tuple[Table, Table]:
    """The range of true positive rates and of false positive rates, over attributes or over classes."""
    chosen = tables.sum(axis=-3)  # (..., a, p)
    hits = np.moveaxis(np.einsum("...yay->...ya", tables), -1, -2)
    sizes = np.moveaxis(tables.sum(axis=-1), -1, -2)  # (..., a, y)
    with np.errstate(invalid="ignore", divide="ignore"):
        wrong = (chosen - hits) / (sizes.sum(axis=-1, keepdims=True) - sizes)  # (..., a, class)
    right = np.moveaxis(recalls, -1, -2)
    if tables.shape[-2] == 1:  # no attributes: the classes are the groups
        return _spread(right[..., 0, :], -1), _spread(wrong[..., 0, :], -1)
    if positive is not None:
        return _spread(right[..., positive], -1), _spread(wrong[..., positive], -1)
    return _high(_spread(right, -2)), _high(_spread(wrong, -2))


def _spread(values: Table, axis: int) -> Table:
    return np.asarray(np.fmax.reduce(values, axis=axis) - np.fmin.reduce(values, axis=axis))


def _low(values: Table) -> Table:
    return np.asarray(np.fmin.reduce(values, axis=-1))


def _high(values: Table) -> Table:
    return np.asarray(np.fmax.reduce(values, axis=-1))

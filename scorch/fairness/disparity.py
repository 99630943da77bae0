"""Whom pruning hurts: the loss of accuracy of each group beyond that of everyone."""

from __future__ import annotations

from typing import Any

import numpy as np

from scorch.fairness.counts import Table
from scorch.fairness.errors import FairnessError

__all__ = ["excess_accuracy_gap"]


def excess_accuracy_gap(y: Any, dense: Any, sparse: Any, groups: Any) -> dict[str, Any]:
    """The excess accuracy gap of each group: its drop in accuracy from dense to sparse minus the drop of all.

    After Hashemizadeh et al., "Balancing Act: constraining disparate impact in sparse models" (2024, arXiv
    2310.20673). `y`, `dense` and `sparse` are (n,) labels and predictions, `groups` (n,). Gives `by_group`,
    their `max` (0 would be a drop that all share) and `accuracy_drop`, that of all.

    >>> found = excess_accuracy_gap([1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 0], ["a", "a", "b", "b"])
    >>> found["max"], found["accuracy_drop"]
    (0.25, 0.25)
    """
    arrays: list[Table] = [np.asarray(values) for values in (y, dense, sparse, groups)]
    if len({array.shape for array in arrays}) != 1 or arrays[0].ndim != 1 or not len(arrays[0]):
        raise FairnessError(f"expected four vectors of one length, got shapes {[a.shape for a in arrays]}")
    labels, before, after, group = arrays
    drop = (before == labels).astype(float) - (after == labels)
    overall = float(drop.mean())
    excess = {str(name): float(drop[group == name].mean()) - overall for name in np.unique(group)}
    return {"by_group": excess, "max": max(excess.values()), "accuracy_drop": overall}

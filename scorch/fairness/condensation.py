"""A smaller training set: the samples to which the persistent weights give the most."""

from __future__ import annotations

from typing import Any

import numpy as np

from scorch.fairness.counts import Table
from scorch.fairness.errors import FairnessError

__all__ = ["condense"]


def condense(weights: Any, size: float, *, groups: Any = None) -> Table:
    """Indices of the samples to keep, in order: those with the largest of the (n,) weights.

    `size` is a number of samples, or a share if below 1. With `groups` (n,), every group keeps its share of the
    data, with at least one sample: ranking alone may drop a class that is learnt early.

    Raises FairnessError for a size out of range, or lengths that don't match.

    >>> condense([0.1, 3.0, 2.0, 0.5], 2).tolist()
    [1, 2]
    >>> condense([0.1, 3.0, 2.0, 0.5], 0.5, groups=["a", "b", "b", "a"]).tolist()
    [1, 3]
    """
    ranks: Table = np.asarray(weights, dtype=np.float64)
    if ranks.ndim != 1 or not np.isfinite(ranks).all():
        raise FairnessError("weights must be a vector of finite numbers")
    count = round(size * len(ranks)) if size < 1 else int(size)
    if not 1 <= count <= len(ranks):
        raise FairnessError(f"size {size} of {len(ranks)} samples keeps {count}; it must keep 1 to {len(ranks)}")
    order = np.argsort(-ranks, kind="stable")
    if groups is None:
        return np.sort(order[:count])
    group: Table = np.asarray(groups)
    if group.shape != ranks.shape:
        raise FairnessError(f"{len(ranks)} weights, but groups of shape {group.shape}")
    kept = []
    for name in np.unique(group):
        members = order[group[order] == name]
        kept.append(members[: max(1, round(count * len(members) / len(ranks)))])
    return np.sort(np.concatenate(kept))

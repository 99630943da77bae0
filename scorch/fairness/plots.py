"""Pictures of what the report and the weights say; matplotlib (the extra `fairness`) is imported when called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scorch.fairness.counts import Table
from scorch.fairness.errors import FairnessError

__all__ = ["plot_group_recall", "plot_sparsity", "plot_weights"]


def plot_group_recall(reports: Mapping[str, Any], ax: Any = None) -> Any:
    """Recall of every group with its interval, a colour a report; gives the matplotlib axes.

    `reports` maps a name, such as a method's, to what `scorch.fairness.report` gives.
    """
    ax = _axes(ax)
    groups = list(dict.fromkeys(group for found in reports.values() for group in found["by_group"]))
    width = 0.8 / max(1, len(reports))
    for number, (name, found) in enumerate(reports.items()):
        heights = np.array([found["by_group"].get(group, np.nan) for group in groups])
        bounds = np.array([found.intervals.get(group, (np.nan, np.nan)) for group in groups])
        errors = np.abs(bounds.T - heights)
        places = np.arange(len(groups)) + (number - (len(reports) - 1) / 2) * width
        ax.bar(places, heights, width, label=name, yerr=errors, error_kw={"linewidth": 0.8})
    ax.set_xticks(np.arange(len(groups)), groups, rotation=30, ha="right")
    ax.set_ylim(0, 1)
    ax.set_ylabel("recall")
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, fontsize="small", frameon=False)
    return ax


def plot_weights(weights: Any, groups: Any, ax: Any = None) -> Any:
    """How the (n,) learned weights are spread in each of the (n,) groups: quartiles and outliers."""
    ax = _axes(ax)
    values: Table = np.asarray(weights, dtype=float)
    members: Table = np.asarray(groups)
    if values.shape != members.shape:
        raise FairnessError(f"weights {values.shape} and groups {members.shape} must be vectors of one length")
    names = np.unique(members)
    ax.boxplot([values[members == name] for name in names], tick_labels=[str(name) for name in names])
    ax.axhline(1, color="grey", linewidth=0.8)
    ax.set_ylabel("sample weight (mean 1)")
    ax.set_xlabel("group")
    return ax


def plot_sparsity(rows: Sequence[Mapping[str, Any]], measure: str = "worst_group", ax: Any = None) -> Any:
    """A measure against sparsity, a line a method, the mean over seeds with its standard error.

    Each row is a mapping with `method`, `sparsity` and the measure.
    """
    ax = _axes(ax)
    shares = sorted({row["sparsity"] for row in rows})
    for method in dict.fromkeys(row["method"] for row in rows):
        ours = [row for row in rows if row["method"] == method]
        points = [share for share in shares if any(row["sparsity"] == share for row in ours)]
        values = [np.array([row[measure] for row in ours if row["sparsity"] == point]) for point in points]
        errors = [v.std(ddof=1) / len(v) ** 0.5 if len(v) > 1 else 0.0 for v in values]
        places = [shares.index(point) for point in points]
        ax.errorbar(places, [v.mean() for v in values], errors, marker="o", capsize=2, label=method)
    # Places of equal width: on a scale of shares 95, 98 and 99 % would lie on top of each other.
    ax.set_xticks(range(len(shares)), [f"{share:.0%}" for share in shares])
    ax.set_xlabel("share of weights that are zero")
    ax.set_ylabel(measure.replace("_", " "))
    ax.legend(fontsize="small")
    return ax


def _axes(ax: Any) -> Any:
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise FairnessError("plots need matplotlib: pip install 'scorch[fairness]'") from error
    return plt.subplots()[1]

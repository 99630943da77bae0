"""One page of plots: accuracy against unfairness for every data set, and what pruning does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scorch.fairness.bench.summary import Line
from scorch.fairness.plots import plot_sparsity

__all__ = ["draw"]

_COLUMNS = 3


def draw(path: Path, lines: Sequence[Line], sparse: Sequence[Mapping[str, Any]]) -> None:
    """Write the page as a picture of the path's type (.png, .pdf, .svg). Needs matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    datasets = list(dict.fromkeys(line.dataset for line in lines))
    shown = [row for row in sparse if row["sparsity"] is not None]
    panels = len(datasets) + (2 if shown else 0)
    height = -(-max(1, panels) // _COLUMNS)
    figure = Figure(figsize=(4.6 * _COLUMNS, 3.8 * height), layout="constrained")
    FigureCanvasAgg(figure)  # a figure of its own, so that no window and no global state is touched
    axes = [figure.add_subplot(height, _COLUMNS, number + 1) for number in range(panels)]
    for ax, dataset in zip(axes, datasets, strict=False):
        _scatter(ax, dataset, [line for line in lines if line.dataset == dataset])
    if shown:
        for ax, measure in zip(axes[len(datasets) :], ("worst_group", "excess_accuracy_gap"), strict=True):
            plot_sparsity(shown, measure, ax)
    figure.savefig(path, dpi=120)


def _scatter(ax: Any, dataset: str, lines: Sequence[Line]) -> None:
    for line in lines:
        x, y = line.mean["equal_opportunity_difference"], line.mean["accuracy"]
        xerr, yerr = line.half["equal_opportunity_difference"], line.half["accuracy"]
        marker = "*" if line.method == "forml" else "o"
        ax.errorbar(x, y, yerr if yerr == yerr else 0, xerr if xerr == xerr else 0, marker=marker, capsize=2)
        ax.annotate(line.method, (x, y), textcoords="offset points", xytext=(4, 4), fontsize=7)
    ax.set_title(dataset.replace("_", " "), fontsize=10)
    ax.set_xlabel("equal-opportunity difference (less is fairer)", fontsize=8)
    ax.set_ylabel("accuracy", fontsize=8)

"""One page of plots: accuracy against unfairness for every data set, and what pruning does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

from scorch.fairness.bench.summary import OURS, Line
from scorch.fairness.plots import plot_sparsity

__all__ = ["draw"]

_COLUMNS = 3
_MARKERS = "osD^v<>Pph"


def draw(path: Path, lines: Sequence[Line], sparse: Sequence[Mapping[str, Any]]) -> None:
    """Write the page as a picture of the path's type (.png, .pdf, .svg). Needs matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    datasets = list(dict.fromkeys(line.dataset for line in lines))
    shown = [row for row in sparse if row["sparsity"] is not None]
    panels = len(datasets) + (2 if shown else 0)
    height = -(-max(1, panels) // _COLUMNS)
    figure = Figure(figsize=(4.2 * _COLUMNS, 3.5 * height + 0.6), layout="constrained")
    FigureCanvasAgg(figure)  # a figure of its own, so that no window and no global state is touched
    axes = [figure.add_subplot(height, _COLUMNS, number + 1) for number in range(panels)]
    styles = _styles(dict.fromkeys(line.method for line in lines))
    handles: dict[str, Any] = {}
    for ax, dataset in zip(axes, datasets, strict=False):
        _scatter(ax, dataset, [line for line in lines if line.dataset == dataset], styles, handles)
    if shown:
        for ax, measure in zip(axes[len(datasets) :], ("worst_group", "excess_accuracy_gap"), strict=True):
            plot_sparsity(shown, measure, ax)
            ax.set_title("digits long tail, pruned", fontsize=10)
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=6, fontsize=8, frameon=False)
    figure.savefig(path, dpi=110)


def _styles(methods: Mapping[str, None]) -> dict[str, dict[str, Any]]:
    """A colour and a marker for each method, the same in all panels; ours stands out."""
    from matplotlib import colormaps

    colours = colormaps["tab20"].colors  # type: ignore[attr-defined]
    styles = {m: {"color": c, "marker": k} for m, c, k in zip(methods, cycle(colours), cycle(_MARKERS), strict=False)}
    return {**styles, OURS: {"color": "black", "marker": "*", "markersize": 13, "zorder": 5}}


def _scatter(
    ax: Any, dataset: str, lines: Sequence[Line], styles: Mapping[str, dict[str, Any]], handles: dict[str, Any]
) -> None:
    for line in lines:
        x, y = line.mean["equal_opportunity_difference"], line.mean["accuracy"]
        xerr, yerr = line.half["equal_opportunity_difference"], line.half["accuracy"]
        bars = (yerr if yerr == yerr else 0, xerr if xerr == xerr else 0)
        drawn = ax.errorbar(x, y, *bars, linestyle="none", elinewidth=0.8, **styles[line.method])
        handles.setdefault(line.method, drawn)
    ax.set_title(dataset.replace("_", " "), fontsize=10)
    ax.set_xlabel("equal-opportunity difference (less is fairer)", fontsize=8)
    ax.set_ylabel("accuracy", fontsize=8)

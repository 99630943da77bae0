"""The results as text tables and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scorch.fairness.bench.summary import Claim, Line

__all__ = ["HEADER", "claim_text", "line_cells", "markdown", "sparse_cells"]

HEADER = ["method", "accuracy", "worst group", "gap", "EO difference", "EOdds difference", "p (Holm)", "p (Wilcoxon)"]
SPARSE_HEADER = ["method", "sparsity", "accuracy", "worst group", "gap", "excess accuracy gap"]
_COLUMNS = ("accuracy", "worst_group", "gap", "equal_opportunity_difference", "equalized_odds_difference")


def line_cells(line: Line) -> list[str]:
    """A row of the table: means with half widths of their intervals, then p values."""
    cells = [_spread(line.mean[name], line.half[name]) for name in _COLUMNS]
    note = f" ({line.collapsed} collapsed)" if line.collapsed else ""
    return [line.method + note, *cells, _p(line.p), _p(line.p_wilcoxon)]


def sparse_cells(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Rows of the sparsity table: means over seeds; the first is the dense plain network."""
    found = []
    dense = [row for row in rows if row["sparsity"] is None]
    if dense:
        found.append(_sparse_row("dense erm", "-", dense))
    for method in dict.fromkeys(row["method"] for row in rows):
        ours = [row for row in rows if row["method"] == method and row["sparsity"] is not None]
        for share in sorted({row["sparsity"] for row in ours}):
            found.append(_sparse_row(method, f"{share:.0%}", [row for row in ours if row["sparsity"] == share]))
    return found


def claim_text(claim: Claim) -> str:
    """A sentence.

    >>> claim_text(Claim("image", "l2rw", 1.25, -0.2, 0.01, 10))
    'image: FORML beats l2rw by 1.2 points of EO difference, accuracy -0.2 points, p = 0.010 over 10 seeds'
    """
    verb = "beats" if claim.gain > 0 else "loses to"
    return (
        f"{claim.kind}: FORML {verb} {claim.rival} by {abs(claim.gain):.1f} points of EO difference, "
        f"accuracy {claim.accuracy:+.1f} points, p = {_p(claim.p)} over {claim.seeds} seeds"
    )


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table.

    >>> print(markdown(["a", "b"], [["1", "2"]]))
    | a | b |
    |---|---|
    | 1 | 2 |
    """
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" if n != 1 else f"|{'|'.join(cells)}|" for n, cells in enumerate(lines))


def _sparse_row(method: str, share: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    names = ("accuracy", "worst_group", "gap", "excess_accuracy_gap")
    return [method, share, *(f"{np.mean([row[name] for row in rows]):.3f}" for name in names)]


def _spread(mean: float, half: float) -> str:
    return f"{mean:.3f}" if half != half else f"{mean:.3f} ± {half:.3f}"


def _p(value: float) -> str:
    return "-" if value != value else "< 0.001" if value < 0.001 else f"{value:.3f}"

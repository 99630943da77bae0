"""The arithmetic of the tables: best rival, ratio, geometric mean, worst case."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .model import CaseResult, Outcome

__all__ = ["Summary", "beside", "best_other", "best_rival", "geometric_mean", "ours", "ratio", "reach", "summarise"]


@dataclass(frozen=True, slots=True)
class Summary:
    """Ratios of several cases together: their number, geometric mean, and the worst with its case."""

    name: str
    cases: int
    missing: int
    mean: float | None
    worst: float | None
    worst_case: str


def ours(result: CaseResult) -> Outcome | None:
    """Scorch's outcome: the first of its contenders that ran; the others are shown, but make no ratio."""
    mine = [outcome for outcome in result.outcomes if outcome.peer == "scorch"]
    return mine[0] if mine and mine[0].value is not None else None


def best_rival(result: CaseResult) -> Outcome | None:
    """The fastest outcome among the counted rivals with a right result."""
    return _fastest(o for o in result.outcomes if o.peer != "scorch" and o.counted)


def best_other(result: CaseResult) -> Outcome | None:
    """The fastest rival that is shown, but not counted (dense torch, further peers)."""
    return _fastest(o for o in result.outcomes if _other(o))


def ratio(result: CaseResult) -> float | None:
    """Best rival / scorch: above 1, scorch is faster (or takes less memory). None when either is missing."""
    mine, rival = ours(result), best_rival(result)
    if mine is None or rival is None or not mine.value or rival.value is None:
        return None
    return rival.value / mine.value


def beside(result: CaseResult) -> dict[str, float]:
    """The ratio to each rival that is shown, but not counted, by its label."""
    mine = ours(result)
    if mine is None or not mine.value:
        return {}
    return {o.label: o.value / mine.value for o in result.outcomes if _other(o) and o.value is not None}


def reach(result: CaseResult) -> float | None:
    """The ratio that Scorch would have if it took no longer than the part of the work that was measured alone."""
    rival, part = best_rival(result), _fastest(o for o in result.outcomes if not o.rival)
    if rival is None or rival.value is None or part is None or not part.value:
        return None
    return rival.value / part.value


def geometric_mean(values: Sequence[float]) -> float | None:
    """The geometric mean of positive numbers, None when there are none.

    >>> geometric_mean([1.0, 4.0])
    2.0
    """
    return math.exp(math.fsum(map(math.log, values)) / len(values)) if values else None


def summarise(name: str, results: Sequence[CaseResult]) -> Summary:
    """The summary of some results; cases without a ratio are counted as missing, not as anything else."""
    rated = [(value, result.case) for result in results if (value := ratio(result)) is not None]
    worst = min(rated, default=None)
    return Summary(
        name=name,
        cases=len(rated),
        missing=len(results) - len(rated),
        mean=geometric_mean([value for value, _ in rated]),
        worst=worst[0] if worst else None,
        worst_case=worst[1] if worst else "",
    )


def _other(outcome: Outcome) -> bool:
    return outcome.peer != "scorch" and not outcome.counted and outcome.rival


def _fastest(outcomes: Iterable[Outcome]) -> Outcome | None:
    return min((o for o in outcomes if o.value is not None), key=lambda o: o.value or 0.0, default=None)

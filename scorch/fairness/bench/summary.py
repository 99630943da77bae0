"""From rows of results to means, intervals, paired tests and the comparison that the benchmark is for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from scorch.fairness.counts import MEASURES, Table

__all__ = ["Claim", "Line", "claims", "holm", "lines", "paired"]

OURS = "forml"
# Reweighting methods that see no more than FORML does.
RIVALS = ("erm", "class_balanced", "l2rw", "meta_weight_net")
EO = "equal_opportunity_difference"


@dataclass(frozen=True)
class Line:
    """A method on a data set: each measure's mean and the half width of its 95 % interval over the seeds.

    `p` is that of a paired t-test of the equal-opportunity difference against FORML's over the seeds, corrected
    after Holm for the number of methods; `p_wilcoxon` that of the signed-rank test. NaN for FORML itself.
    """

    dataset: str
    method: str
    seeds: int
    mean: Mapping[str, float]
    half: Mapping[str, float]
    p: float
    p_wilcoxon: float
    collapsed: int


@dataclass(frozen=True)
class Claim:
    """FORML against the best rival on data sets of one kind, differences in points (hundredths)."""

    kind: str
    rival: str
    gain: float  # how much smaller FORML's equal-opportunity difference is
    accuracy: float  # FORML's accuracy minus the rival's
    p: float
    seeds: int


def lines(rows: Sequence[Mapping[str, Any]]) -> list[Line]:
    """A line a data set and method, in the order of the rows."""
    found = []
    for dataset in dict.fromkeys(row["dataset"] for row in rows):
        ours = [row for row in rows if row["dataset"] == dataset]
        methods = list(dict.fromkeys(row["method"] for row in ours))
        values = {method: _by_seed(row for row in ours if row["method"] == method) for method in methods}
        tests = {m: paired(values[OURS], values[m]) for m in methods if OURS in values and m != OURS}
        corrected = holm({m: p for m, (p, _) in tests.items()})
        for method in methods:
            found.append(_line(dataset, method, values[method], corrected, tests))
    return found


def paired(ours: Mapping[int, Mapping[str, float]], theirs: Mapping[int, Mapping[str, float]]) -> tuple[float, float]:
    """p of the paired t-test and of Wilcoxon's test of the equal-opportunity difference, over common seeds.

    NaN with fewer than two seeds; one where all pairs are equal.
    """
    seeds = sorted(ours.keys() & theirs.keys())
    differences = np.array([ours[seed][EO] - theirs[seed][EO] for seed in seeds])
    return _p_values(differences)


def holm(p: Mapping[str, float]) -> dict[str, float]:
    """Holm's correction for several tests; NaN stays and is not counted.

    >>> holm({"a": 0.01, "b": 0.04})
    {'a': 0.02, 'b': 0.04}
    """
    known = sorted((value, name) for name, value in p.items() if value == value)
    found, running = dict(p), 0.0
    for number, (value, name) in enumerate(known):
        running = max(running, min(1.0, value * (len(known) - number)))
        found[name] = running
    return found


def claims(rows: Sequence[Mapping[str, Any]], kinds: Mapping[str, str]) -> list[Claim]:
    """FORML against the rival with the smallest mean equal-opportunity difference, for each kind of data set.

    Means are over the data sets of the kind; the test pairs these means by seed.
    """
    found = []
    for kind in dict.fromkeys(kinds[row["dataset"]] for row in rows):
        ours = [row for row in rows if kinds[row["dataset"]] == kind]
        means = {m: _seed_means(r for r in ours if r["method"] == m) for m in (OURS, *RIVALS)}
        means = {m: values for m, values in means.items() if values}
        if OURS not in means or len(means) < 2:
            continue
        rival = min((m for m in means if m != OURS), key=lambda m: _mean(means[m], EO))
        p, _ = paired(means[OURS], means[rival])
        gain = _mean(means[rival], EO) - _mean(means[OURS], EO)
        accuracy = _mean(means[OURS], "accuracy") - _mean(means[rival], "accuracy")
        found.append(Claim(kind, rival, 100 * gain, 100 * accuracy, p, len(means[OURS])))
    return found


def _line(
    dataset: str,
    method: str,
    values: Mapping[int, Mapping[str, Any]],
    corrected: Mapping[str, float],
    tests: Mapping[str, tuple[float, float]],
) -> Line:
    columns = {name: np.array([row[name] for row in values.values()]) for name in MEASURES}
    return Line(
        dataset,
        method,
        len(values),
        {name: float(column.mean()) for name, column in columns.items()},
        {name: _half_width(column) for name, column in columns.items()},
        corrected.get(method, float("nan")),
        tests.get(method, (float("nan"), float("nan")))[1],
        sum(bool(row.get("collapsed")) for row in values.values()),
    )


def _by_seed(rows: Iterable[Mapping[str, Any]]) -> dict[int, Mapping[str, Any]]:
    return {row["seed"]: row for row in rows}


def _seed_means(rows: Iterable[Mapping[str, Any]]) -> dict[int, dict[str, float]]:
    """Each measure's mean over the data sets, by seed."""
    by_seed: dict[int, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_seed.setdefault(row["seed"], []).append(row)
    return {s: {m: float(np.mean([r[m] for r in group])) for m in MEASURES} for s, group in by_seed.items()}


def _mean(values: Mapping[int, Mapping[str, float]], name: str) -> float:
    return float(np.mean([row[name] for row in values.values()]))


def _half_width(values: Table) -> float:
    if len(values) < 2:
        return float("nan")
    return float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5)


def _p_values(differences: Table) -> tuple[float, float]:
    if len(differences) < 2:
        return float("nan"), float("nan")
    if np.ptp(differences) == 0:  # t is undefined: no spread
        return (1.0, 1.0) if differences[0] == 0 else (0.0, float(stats.wilcoxon(differences).pvalue))
    return float(stats.ttest_1samp(differences, 0).pvalue), float(stats.wilcoxon(differences).pvalue)

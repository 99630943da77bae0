"""What a classifier does to each group, with intervals: the report."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from scorch.fairness.counts import Counts, Table, group_recalls, measures
from scorch.fairness.errors import FairnessError, FairnessWarning
from scorch.fairness.groups import Attributes

__all__ = ["Report", "report", "report_predictions"]


class Report(dict[str, Any]):
    """Names to numbers: accuracy, worst_group, gap, equal_opportunity_difference, equalized_odds_difference,
    and by_group, the recall of each group.

    `intervals` maps the same names (and the groups) to (low, high), `counts` the groups to their sizes.
    """

    intervals: dict[str, tuple[float, float]]
    counts: dict[str, int]
    confidence: float

    def __init__(self, numbers: Mapping[str, Any], y: Table, predicted: Table, attributes: Any) -> None:
        super().__init__(numbers)
        self._data = (y, predicted, attributes)

    def metric_frame(self) -> Any:
        """fairlearn's MetricFrame of accuracy and selection rate, and for two classes recall, by attribute.

        Needs fairlearn (the extra `fairness`). Without sensitive features the classes are the groups.
        """
        try:
            from fairlearn.metrics import MetricFrame, count, selection_rate, true_positive_rate
        except ImportError as error:
            raise FairnessError("metric_frame needs fairlearn: pip install 'scorch[fairness]'") from error
        from sklearn.metrics import accuracy_score

        y, predicted, attributes = self._data
        metrics: dict[str, Any] = {"accuracy": accuracy_score, "count": count}
        if set(np.unique(y)) <= {0, 1}:
            metrics |= {"recall": true_positive_rate, "selection_rate": selection_rate}
        groups = y if attributes is None else np.asarray(attributes.labels())
        return MetricFrame(metrics=metrics, y_true=y, y_pred=predicted, sensitive_features=groups)

    def __str__(self) -> str:
        width = max(len(name) for name in (*self, *self.counts))
        lines = [
            f"{name:<{width}}  {value:.3f}{self._interval(name)}" for name, value in self.items() if name != "by_group"
        ]
        lines += ["", "recall by group"]
        lines += [
            f"{name:<{width}}  {value:.3f}{self._interval(name)}  n = {self.counts[name]}"
            for name, value in self["by_group"].items()
        ]
        return "\n".join(lines)

    def _interval(self, name: str) -> str:
        if name not in self.intervals:
            return ""
        low, high = self.intervals[name]
        return f"  [{low:.3f}, {high:.3f}]"


def report(
    classifier: Any,
    X: Any,
    y: Any,
    *,
    sensitive_features: Any = None,
    confidence: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
) -> Report:
    """Measure a classifier (anything with `predict`) on test data (n, ...), labels (n,), attributes (n,) or (n, k).

    Groups are (label, attributes), the label alone without `sensitive_features`; several attributes are crossed.
    For two labels the larger one is the positive one. Intervals: Wilson's for recalls, the percentiles of a
    bootstrap within the groups (`draws` of them) for the other measures.

    Warns with FairnessWarning about exemplars that are test rows too, groups without a sample and a constant
    predictor. Raises FairnessError for lengths that don't match and labels that the classifier doesn't know.

    >>> class Always:
    ...     def predict(self, X): return [1, 1, 1, 1]
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     found = report(Always(), [[0]] * 4, [0, 1, 1, 0], sensitive_features=["a", "a", "b", "b"])
    >>> found["accuracy"], found["worst_group"], found["equal_opportunity_difference"]
    (0.5, 0.0, 0.0)
    """
    _warn_of_overlap(classifier, X)
    return report_predictions(
        y,
        classifier.predict(X),
        sensitive_features=sensitive_features,
        labels=getattr(classifier, "classes_", None),
        confidence=confidence,
        draws=draws,
        seed=seed,
    )


def report_predictions(
    y: Any,
    predicted: Any,
    *,
    sensitive_features: Any = None,
    labels: Any = None,
    confidence: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
) -> Report:
    """The same for predictions (n,) that are there already; `labels` lists the classes if some may be missing.

    >>> report_predictions([0, 1, 2, 2], [0, 1, 2, 1])["by_group"]
    {'0': 1.0, '1': 1.0, '2': 0.5}
    """
    y, predicted = np.asarray(y), np.asarray(predicted)
    if y.ndim != 1 or y.shape != predicted.shape or len(y) == 0:
        raise FairnessError(
            f"labels and predictions must be vectors of one length, got {y.shape} and {predicted.shape}"
        )
    if not 0 < confidence < 1:
        raise FairnessError(f"confidence is between 0 and 1, got {confidence}")
    names = np.unique(np.concatenate([y, predicted])) if labels is None else np.asarray(labels)
    coded, guessed = _positions(y, names), _positions(predicted, names)
    attributes = None if sensitive_features is None else Attributes.encode(sensitive_features)
    if attributes is not None and len(attributes) != len(y):
        raise FairnessError(f"{len(y)} labels, but {len(attributes)} rows of sensitive features")
    cells, kinds = _cells(attributes, len(y))
    counts = Counts.of(coded, guessed, cells, len(names), len(kinds))
    numbers = {name: float(value) for name, value in measures(counts.table, counts.positive).items()}
    found = Report(numbers, coded, guessed, attributes)
    found.confidence = confidence
    found.intervals = _bootstrap(counts, confidence, draws, seed)
    _add_groups(found, counts, [str(name) for name in names], kinds)
    _warn_of_constant(guessed, coded)
    return found


def _positions(values: Table, names: Table) -> Table:
    unknown = np.setdiff1d(values, names)
    if len(unknown):
        raise FairnessError(
            f"labels {unknown[:5].tolist()} are unknown to the classifier, which knows {names[:10].tolist()}"
        )
    order = np.argsort(names)
    return np.asarray(order[np.searchsorted(names, values, sorter=order)])


def _cells(attributes: Attributes | None, n: int) -> tuple[Table, list[str]]:
    """The number of each sample's combination of attributes, and the combinations' names."""
    if attributes is None:
        return np.zeros(n, dtype=np.int64), [""]
    rows, first, cells = np.unique(attributes.codes.numpy(), axis=0, return_index=True, return_inverse=True)
    if len(rows) == 1:
        warnings.warn(
            "all test samples have the same sensitive features: differences between groups are 0 by definition",
            FairnessWarning,
            stacklevel=4,
        )
    return cells.ravel(), attributes[first].labels()


def _bootstrap(counts: Counts, confidence: float, draws: int, seed: int) -> dict[str, tuple[float, float]]:
    if draws < 1:
        return {}
    tables = counts.resample(draws, np.random.default_rng(seed))
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    found = {}
    for name, values in measures(tables, counts.positive).items():
        low, high = np.quantile(values, tails)
        found[name] = (float(low), float(high))
    return found


def _add_groups(found: Report, counts: Counts, labels: list[str], kinds: list[str]) -> None:
    """Recall, size and interval of each group that has samples; a warning names the others."""
    from scipy.stats import binomtest

    sizes, recalls = counts.table.sum(axis=2), group_recalls(counts.table)
    found["by_group"], found.counts = {}, {}
    empty = []
    for y, label in enumerate(labels):
        for a, kind in enumerate(kinds):
            name = f"{label}, {kind}" if kind else label
            size = int(sizes[y, a])
            if size == 0:
                empty.append(name)
                continue
            found["by_group"][name] = float(recalls[y, a])
            found.counts[name] = size
            interval = binomtest(int(counts.table[y, a, y]), size).proportion_ci(found.confidence, method="wilson")
            found.intervals[name] = (float(interval.low), float(interval.high))
    if empty:
        warnings.warn(
            f"the test data has no sample of {', '.join(empty[:5])}: the measures leave these groups out",
            FairnessWarning,
            stacklevel=4,
        )


def _warn_of_constant(predicted: Table, y: Table) -> None:
    if len(np.unique(predicted)) == 1 and len(np.unique(y)) > 1:
        warnings.warn(
            "the classifier predicts one class for every test sample; small differences between groups then "
            "mean nothing",
            FairnessWarning,
            stacklevel=4,
        )


def _warn_of_overlap(classifier: Any, X: Any) -> None:
    """Warn if rows of the test data are among the classifier's exemplars."""
    exemplars = getattr(classifier, "exemplars_", None)
    if exemplars is None:
        return
    known = exemplars.x.numpy()
    rows = np.ascontiguousarray(np.asarray(X), dtype=known.dtype)
    if rows.shape[1:] != known.shape[1:]:
        return  # `predict` will say so
    seen = Counter(row.tobytes() for row in np.ascontiguousarray(known))
    tested = Counter(row.tobytes() for row in rows)
    shared = sum(count * seen[row] for row, count in tested.items())
    # Tables of few values have equal rows that are different people: as often as within the test data itself.
    twins = sum(count * (count - 1) for count in tested.values()) / max(1, len(rows) * (len(rows) - 1))
    if shared > 2 * twins * len(rows) * len(known):
        found = sum(count for row, count in tested.items() if row in seen)
        warnings.warn(
            f"{found} of {len(rows)} test rows are also exemplars, so these numbers may be too good; test on rows "
            "that were not used for fitting",
            FairnessWarning,
            stacklevel=3,
        )

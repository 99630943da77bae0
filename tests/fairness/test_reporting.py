from typing import Any

import numpy as np
import pytest
import torch

from scorch.fairness import FairnessError, FairnessWarning, condense, excess_accuracy_gap, report, report_predictions
from scorch.fairness.counts import Counts, measures
from scorch.fairness.exemplars import Exemplars


def draw(classes: int = 2, n: int = 400) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(0)
    y = rng.integers(0, classes, n)
    guess = np.where(rng.random(n) < 0.6, y, rng.integers(0, classes, n))
    return y, guess, rng.choice(["a", "b", "c"], n, p=[0.6, 0.3, 0.1])


def test_two_classes_agree_with_fairlearn() -> None:
    metrics = pytest.importorskip("fairlearn.metrics", reason="fairlearn is not installed (extra: fairness)")
    y, guess, s = draw()
    found = report_predictions(y, guess, sensitive_features=s)
    for name in ("equal_opportunity_difference", "equalized_odds_difference"):
        assert found[name] == pytest.approx(getattr(metrics, name)(y, guess, sensitive_features=s))
    frame = found.metric_frame()
    assert frame.overall["accuracy"] == pytest.approx(found["accuracy"])
    assert frame.by_group["recall"].to_dict() == pytest.approx({g: found["by_group"][f"1, {g}"] for g in "abc"})


def test_several_attributes_agree_with_fairlearn() -> None:
    metrics = pytest.importorskip("fairlearn.metrics")
    y, guess, s = draw()
    both = np.stack([s, np.where(np.arange(len(y)) % 3 == 0, "x", "y")], axis=1)
    found = report_predictions(y, guess, sensitive_features=both, draws=10)
    expected = metrics.equalized_odds_difference(y, guess, sensitive_features=both)
    assert found["equalized_odds_difference"] == pytest.approx(expected)


def test_many_classes_without_attributes_compare_classes() -> None:
    y, guess, _ = draw(classes=5)
    found = report_predictions(y, guess)
    recalls = [np.mean(guess[y == c] == c) for c in range(5)]
    assert found["worst_group"] == pytest.approx(min(recalls))
    assert found["equal_opportunity_difference"] == pytest.approx(max(recalls) - min(recalls)) == found["gap"]
    assert found["accuracy"] == pytest.approx(np.mean(y == guess))


def test_many_classes_with_attributes_take_the_worst_class() -> None:
    y, guess, s = draw(classes=3, n=900)
    found = report_predictions(y, guess, sensitive_features=s)
    gaps = []
    for c in range(3):
        recalls = [np.mean(guess[(y == c) & (s == g)] == c) for g in "abc"]
        gaps.append(max(recalls) - min(recalls))
    assert found["equal_opportunity_difference"] == pytest.approx(max(gaps))


def test_intervals_hold_the_number_and_are_seeded() -> None:
    y, guess, s = draw()
    found = report_predictions(y, guess, sensitive_features=s)
    low, high = found.intervals["accuracy"]
    assert low < found["accuracy"] < high
    assert found.intervals == report_predictions(y, guess, sensitive_features=s).intervals
    assert found.intervals["1, c"][1] - found.intervals["1, c"][0] > high - low  # a small group is less certain
    assert "recall by group" in str(found)
    assert "n = " in str(found)


def test_a_bootstrap_keeps_the_sizes_of_the_groups() -> None:
    counts = Counts.of(np.array([0, 0, 1]), np.array([0, 1, 1]), np.zeros(3, dtype=int), 2, 1)
    tables = counts.resample(50, np.random.default_rng(0))
    assert tables.shape == (50, 2, 1, 2)
    assert np.array_equal(tables.sum(axis=3), np.broadcast_to([[2], [1]], (50, 2, 1)))
    assert measures(tables, 1)["accuracy"].shape == (50,)


class Constant:
    classes_ = np.array([0, 1])

    def __init__(self, exemplars: Exemplars | None = None) -> None:
        self.exemplars_ = exemplars

    def predict(self, X: Any) -> Any:
        return np.zeros(len(X), dtype=int)


def test_a_constant_predictor_is_a_warning() -> None:
    with pytest.warns(FairnessWarning, match="predicts one class"):
        report(Constant(), np.zeros((4, 1)), [0, 1, 0, 1])


@pytest.mark.filterwarnings("ignore:the classifier predicts one class")
def test_exemplars_among_the_test_rows_are_a_warning() -> None:
    X = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    y = np.arange(50) % 2
    clf = Constant(Exemplars(torch.tensor(X[:1]), torch.tensor(y[:1])))
    with pytest.warns(FairnessWarning, match="1 of 50 test rows are also exemplars"):
        report(clf, X, y)


def test_equal_rows_of_different_people_are_not(recwarn: Any) -> None:
    rng = np.random.default_rng(0)
    X = rng.integers(0, 2, (400, 5)).astype(np.float32)
    clf = Constant(Exemplars(torch.tensor(rng.integers(0, 2, (40, 5)).astype(np.float32)), torch.zeros(40)))
    report(clf, X, np.arange(400) % 2)
    assert not [w for w in recwarn if "also exemplars" in str(w.message)]


def test_empty_groups_are_left_out_with_a_warning() -> None:
    with pytest.warns(FairnessWarning, match="no sample of 1, b"):
        found = report_predictions([0, 0, 1], [0, 1, 1], sensitive_features=["a", "b", "a"])
    assert found["worst_group"] == 0.0
    assert "1, b" not in found["by_group"]


def test_bad_input_of_a_report() -> None:
    with pytest.raises(FairnessError, match="vectors of one length"):
        report_predictions([0, 1], [0])
    with pytest.raises(FairnessError, match="unknown to the classifier"):
        report_predictions([0, 2], [0, 1], labels=[0, 1])
    with pytest.raises(FairnessError, match="2 labels, but 1 rows"):
        report_predictions([0, 1], [0, 1], sensitive_features=["a"])
    with pytest.raises(FairnessError, match="confidence"):
        report_predictions([0, 1], [0, 1], confidence=1)


def test_the_excess_accuracy_gap_sums_to_nothing_over_equal_groups() -> None:
    found = excess_accuracy_gap([1] * 4, [1] * 4, [0, 1, 1, 1], ["a", "a", "b", "b"])
    assert found["by_group"] == {"a": 0.25, "b": -0.25}
    with pytest.raises(FairnessError, match="four vectors"):
        excess_accuracy_gap([1], [1], [1, 1], ["a"])


def test_condensation_keeps_every_group() -> None:
    weights = np.arange(100.0)
    groups = np.array(["big"] * 95 + ["small"] * 5)
    assert condense(weights, 10).tolist() == list(range(90, 100))
    kept = condense(weights[::-1], 10, groups=groups)
    assert "small" in set(groups[kept])
    for size in (0, 101, 0.001):
        with pytest.raises(FairnessError, match="must keep 1 to 100"):
            condense(weights, size)
    with pytest.raises(FairnessError, match="finite"):
        condense([1.0, float("nan")], 1)

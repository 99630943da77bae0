import numpy as np
import pytest

from scorch.fairness import FairnessError, plot_group_recall, plot_sparsity, plot_weights, report_predictions

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra: fairness)")
matplotlib.use("agg")


def test_recall_by_group_has_a_bar_for_each() -> None:
    found = report_predictions([0, 1, 0, 1], [0, 1, 1, 1], sensitive_features=["a", "a", "b", "b"])
    ax = plot_group_recall({"erm": found, "forml": found})
    assert len(ax.patches) == 8
    assert [text.get_text() for text in ax.get_xticklabels()] == ["0, a", "0, b", "1, a", "1, b"]


def test_weights_by_group() -> None:
    ax = plot_weights(np.ones(6), ["a", "b"] * 3)
    assert [text.get_text() for text in ax.get_xticklabels()] == ["a", "b"]
    with pytest.raises(FairnessError, match="one length"):
        plot_weights(np.ones(3), ["a"])


def test_a_line_for_each_method() -> None:
    rows = [{"method": m, "sparsity": s, "worst_group": s} for m in ("erm", "forml") for s in (0.0, 0.5)]
    ax = plot_sparsity(rows)
    assert len(ax.get_legend().get_texts()) == 2

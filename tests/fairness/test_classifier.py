import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

sklearn = pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra: fairness)")

from sklearn.base import clone  # noqa: E402
from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

from scorch.fairness import FairClassifier, FairnessError, FairnessWarning, methods, report  # noqa: E402


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([FairClassifier((32,), epochs=40)])
def test_scikit_learn_accepts_it(estimator: Any, check: Any, request: pytest.FixtureRequest) -> None:
    """One check wants an accuracy; the others say nothing of how well the estimator is trained."""
    trained = "check_classifiers_train" in request.node.name
    check(estimator if trained else clone(estimator).set_params(epochs=4))


@pytest.mark.smoke
def test_the_interface_of_the_documentation(biased: Any) -> None:
    (X, y, _), (Xv, yv, sv), (Xt, yt, st) = biased
    plain = FairClassifier((16,), method="erm", epochs=10, lr=0.01).fit(X, y)
    fair = FairClassifier((16,), method="forml", epochs=10, lr=0.01).fit(X, y, exemplars=(Xv, yv, sv))
    before, after = (report(clf, Xt, yt, sensitive_features=st) for clf in (plain, fair))
    assert after["worst_group"] > before["worst_group"]
    assert fair.predict_proba(Xt).shape == (2000, 2)
    assert fair.sample_weights_.shape == (1500,)
    assert len(fair.history_) == 10


@pytest.mark.parametrize("method", methods.METHODS)
def test_every_method_by_name(method: str, biased: Any) -> None:
    (X, y, s), (Xv, yv, sv), _ = biased
    if method == "exponentiated_gradient":
        pytest.importorskip("fairlearn", reason="fairlearn is not installed (extra: fairness)")
    options = {"iterations": 2} if method == "exponentiated_gradient" else None
    clf = FairClassifier((4,), method=method, epochs=2, method_options=options)
    clf.fit(X[:300], y[:300], exemplars=(Xv, yv, sv), sensitive_features=s[:300])
    assert clf.predict_proba(X).sum(axis=1) == pytest.approx(np.ones(len(X)))


def test_same_seed_same_predictions_and_text_labels(biased: Any) -> None:
    (X, y, _), _, _ = biased
    words = np.array(["no", "yes"])[y]
    first = FairClassifier((8,), epochs=2).fit(X, words)
    second = clone(first).fit(X, words)
    assert np.array_equal(first.predict_proba(X), second.predict_proba(X))
    assert set(first.predict(X)) <= {"no", "yes"}
    assert not np.array_equal(first.predict_proba(X), clone(first).set_params(seed=1).fit(X, words).predict_proba(X))


def test_exemplars_are_split_off_of_every_group(biased: Any) -> None:
    (X, y, s), _, _ = biased
    clf = FairClassifier((4,), epochs=1).fit(X, y, sensitive_features=s)
    assert len(clf.exemplars_) + len(clf.train_indices_) == len(X)
    assert len(torch.unique(torch.stack([clf.exemplars_.y, clf.exemplars_.codes[:, 0]]), dim=1).T) == 4
    both = FairClassifier((4,), epochs=1, train_on_exemplars=True).fit(X, y, sensitive_features=s)
    assert len(both.train_indices_) == len(X)


def test_images_with_a_module_and_with_a_function() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 1, 6, 6)), np.arange(60) % 3
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3))
    before = net[0].weight.detach().clone()
    clf = FairClassifier(net, epochs=2).fit(X, y)
    assert clf.predict(X).shape == (60,)
    assert torch.equal(net[0].weight, before)
    made = FairClassifier(lambda shape, classes: nn.Sequential(nn.Flatten(), nn.Linear(36, classes)), epochs=1)
    assert made.fit(X, y).predict(X).shape == (60,)


def test_double_precision_and_a_single_logit(biased: Any) -> None:
    (X, y, _), _, _ = biased
    clf = FairClassifier(nn.Linear(4, 1).double(), epochs=2, dtype="float64").fit(X, y)
    assert clf.predict_proba(X).dtype == np.float64


def test_sparsity_is_kept(biased: Any) -> None:
    from scorch.fairness.sparsity import achieved

    (X, y, _), (Xv, yv, sv), _ = biased
    for method in ("forml", "dfr"):
        clf = FairClassifier((32,), method=method, sparsity=0.9, prune_steps=2, epochs=4)
        clf.fit(X, y, exemplars=(Xv, yv, sv))
        assert achieved(clf.network_) == pytest.approx(0.9, abs=0.01)


def test_a_checkpoint_is_taken_up(biased: Any, tmp_path: Path) -> None:
    (X, y, _), _, _ = biased
    options = {"epochs": 2, "sparsity": 0.5, "prune_steps": 1, "checkpoint": tmp_path / "run.pt"}
    first = FairClassifier((8,), **options).fit(X, y)
    again = FairClassifier((8,), **options).fit(X, y)
    assert np.array_equal(first.predict_proba(X), again.predict_proba(X))


def test_progress_is_shown_when_asked_for(biased: Any, capsys: Any) -> None:
    (X, y, _), _, _ = biased
    FairClassifier((4,), epochs=2, verbose=True).fit(X, y)
    assert "forml 2/2  loss" in capsys.readouterr().err


def test_bad_input_is_named(biased: Any) -> None:
    (X, y, s), (Xv, yv, sv), _ = biased

    def fit(message: str, *args: Any, kind: type[Exception] = FairnessError, **options: Any) -> None:
        fit_options = {k: options.pop(k) for k in ("exemplars", "sensitive_features") if k in options}
        with pytest.raises(kind, match=message):
            FairClassifier(*args, epochs=1, **options).fit(X, y, **fit_options)

    fit("no exemplar of the classes", exemplars=(Xv[yv == 0], yv[yv == 0]))
    fit("labels .2. that the training data does not have", exemplars=(Xv, yv + 1))
    fit("features", exemplars=(Xv[:, :2], yv), kind=ValueError)
    fit("rows of sensitive features", exemplars=(Xv, yv, sv[:3]))
    fit("exemplars are a tuple", exemplars=Xv)
    fit("X has 1500 rows, sensitive_features 3", sensitive_features=s[:3])
    fit("needs sensitive_features= of the training data", (4,), "group_dro", exemplars=(Xv, yv, sv))
    fit("no method 'x'", (4,), "x")
    fit("a logit a class", nn.Sequential(nn.Flatten(0), nn.Unflatten(0, (-1, 2))))
    fit("module is a tuple of hidden widths", "wide")
    fit("sparsity is a share", sparsity=1.0)
    fit("positive_label 7", positive_label=7)
    fit("exemplar_fraction", exemplar_fraction=0.0)
    fit("needs sensitive features", groups="label_attribute")


def test_one_class_only_and_images_for_a_table_network() -> None:
    with pytest.raises(ValueError, match="one class only"):
        FairClassifier().fit(np.zeros((4, 2)), np.zeros(4, dtype=int))
    with pytest.raises(FairnessError, match="give a torch module for images"):
        FairClassifier().fit(np.zeros((4, 1, 2, 2)), [0, 1, 0, 1])


def test_a_group_that_training_has_not_seen_is_a_warning(biased: Any) -> None:
    (X, y, s), (Xv, yv, sv), _ = biased
    only = s == "a"
    with pytest.warns(FairnessWarning, match="do not occur in the training data"):
        FairClassifier((4,), epochs=1).fit(X[only], y[only], exemplars=(Xv, yv, sv), sensitive_features=s[only])


def test_a_group_without_exemplars_is_an_error(biased: Any) -> None:
    (X, y, s), (Xv, yv, sv), _ = biased
    only = sv == "a"
    with pytest.raises(FairnessError, match="no exemplar of 2 groups of the training data"):
        FairClassifier((4,), epochs=1).fit(X, y, exemplars=(Xv[only], yv[only], sv[only]), sensitive_features=s)


def test_several_sensitive_attributes(biased: Any) -> None:
    (X, y, s), _, _ = biased
    both = np.stack([s, np.where(X[:, 3] > 0, "old", "young")], axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error", FairnessWarning)
        clf = FairClassifier((4,), epochs=1).fit(X, y, sensitive_features=both)
        found = report(clf, X[clf.train_indices_], y[clf.train_indices_], sensitive_features=both[clf.train_indices_])
    assert len(found["by_group"]) == 8

"""One run of one method on one data set with one seed."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any

from scorch.fairness.bench.datasets import DATASETS, load
from scorch.fairness.bench.split import Part, Split
from scorch.fairness.classifier import FairClassifier
from scorch.fairness.counts import MEASURES
from scorch.fairness.errors import CollapseWarning, DivergenceError, FairnessWarning
from scorch.fairness.methods import METHODS
from scorch.fairness.reporting import report_predictions

__all__ = ["classifier", "fit", "measure", "run"]

_WORST = {
    "accuracy": 0.0,
    "worst_group": 0.0,
    "gap": 1.0,
    "equal_opportunity_difference": 1.0,
    "equalized_odds_difference": 1.0,
}


def run(job: dict[str, Any], data: Path | None = None, celeba: Path | None = None) -> dict[str, Any]:
    """Train as `job` says (dataset, method, options, seed, quick) and measure on its `part`.

    A run that diverges counts as the worst possible one: a setting that does so must not be chosen.
    """
    split = load(job["dataset"], job["seed"], job["quick"], data, celeba)
    started = time.perf_counter()
    try:
        model = fit(job, split)
    except DivergenceError:
        return {**_WORST, "seconds": time.perf_counter() - started, "collapsed": True, "diverged": True}
    seconds = time.perf_counter() - started
    numbers = measure(model, getattr(split, job["part"]))
    return {**numbers, "seconds": seconds, "collapsed": model.collapsed_, "diverged": False}


def classifier(job: dict[str, Any], network: Any = None) -> FairClassifier:
    """The estimator of a job, with the data set's network unless another is given."""
    dataset = DATASETS[job["dataset"]]
    options = dict(job["options"])
    return FairClassifier(
        network or dataset.network,
        method=job["method"],
        seed=job["seed"],
        epochs=max(2, dataset.epochs // (2 if job["quick"] else 1)),
        batch_size=dataset.batch_size,
        lr=options.pop("lr"),
        groups=options.pop("groups", "auto"),
        train_on_exemplars=options.pop("train_on_exemplars", False),
        method_options=options or None,
    )


def fit(job: dict[str, Any], split: Split, network: Any = None) -> FairClassifier:
    """Train it. Only methods that need the training data's sensitive attribute are given it."""
    given = split.exemplars
    sensitive = split.train.s if METHODS[job["method"]].needs_groups else None
    with warnings.catch_warnings():
        # A collapse is recorded with the result; printed by many processes it would only be noise.
        warnings.simplefilter("ignore", CollapseWarning)
        return classifier(job, network).fit(
            split.train.x, split.train.y, exemplars=(given.x, given.y, given.s), sensitive_features=sensitive
        )


def measure(model: Any, part: Part) -> dict[str, float]:
    """The measures on a part."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FairnessWarning)
        found = report_predictions(
            part.y, model.predict(part.x), sensitive_features=part.s, labels=model.classes_, draws=0
        )
    return {name: found[name] for name in MEASURES}

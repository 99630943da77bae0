"""Fair pruning: a dense network is pruned to growing sparsities, and fine-tuned by each method after each."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

import torch

from scorch.fairness.bench import experiment
from scorch.fairness.bench.datasets import DATASETS, load
from scorch.fairness.bench.spaces import candidates
from scorch.fairness.bench.split import Part, Split
from scorch.fairness.disparity import excess_accuracy_gap
from scorch.fairness.errors import FairnessWarning
from scorch.fairness.exemplars import Exemplars
from scorch.fairness.finetuning import finetune
from scorch.fairness.sparsity import achieved
from scorch.fairness.training import Settings

__all__ = ["DATASET", "METHODS_COMPARED", "NETWORK", "SPARSITIES", "job", "run"]

DATASET = "digits_long_tail"
METHODS_COMPARED = ("erm", "class_balanced", "l2rw", "forml")
# Wider than what the tables train: 98 % of that network's weights leave too few to tell ten digits apart.
NETWORK = (300, 100)
SPARSITIES = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99)


def job(method: str, options: dict[str, Any], seed: int, quick: bool) -> dict[str, Any]:
    """The job of one method and seed, all sparsities."""
    return {
        "dataset": DATASET,
        "method": method,
        "options": options,
        "seed": seed,
        "part": "sparsity",
        "quick": quick,
    }


def run(
    work: dict[str, Any], data: Path | None = None, shares: tuple[float, ...] = SPARSITIES, part: str = "test"
) -> dict[str, Any]:
    """Train plainly and densely once, then prune and fine-tune to one sparsity after the other; a row each.

    Each starts from the one before, so that the sweep is gradual pruning. Measured on `part`. The row "dense"
    (sparsity None) is the plain dense network that all start from.
    """
    split = load(work["dataset"], work["seed"], work["quick"], data, None)
    plain = {**work, "method": "erm", "options": candidates("erm", 1)[0]}
    dense = experiment.fit(plain, split, NETWORK)
    shown: Part = getattr(split, part)
    before = dense.predict(shown.x)
    found = [{"sparsity": None, **experiment.measure(dense, shown), "excess_accuracy_gap": 0.0}]
    tuned = copy.copy(dense)
    for share in shares:
        tuned.network_ = _finetuned(work, tuned.network_, split, share)
        after = tuned.predict(shown.x)
        excess = excess_accuracy_gap(shown.y, before, after, shown.groups())
        numbers = experiment.measure(tuned, shown)
        found.append(
            {
                "sparsity": share,
                **numbers,
                "excess_accuracy_gap": excess["max"],
                "zeros": achieved(tuned.network_),
            }
        )
    return {"rows": found}


def _finetuned(work: dict[str, Any], network: torch.nn.Module, split: Split, share: float) -> torch.nn.Module:
    options = dict(work["options"])
    options.pop("train_on_exemplars", None)
    options.pop("plain_epochs", None)  # the network is trained already
    epochs = max(2, DATASETS[work["dataset"]].epochs // (2 if work["quick"] else 1))
    settings = Settings(
        epochs=epochs,
        batch_size=DATASETS[work["dataset"]].batch_size,
        lr=options.pop("lr"),
        seed=work["seed"],
    )
    shown = Exemplars(torch.as_tensor(split.exemplars.x), torch.as_tensor(split.exemplars.y))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FairnessWarning)
        return finetune(
            copy.deepcopy(network),
            torch.as_tensor(split.train.x),
            torch.as_tensor(split.train.y),
            exemplars=shown,
            method=work["method"],
            sparsity=share,
            prune_steps=1,
            settings=settings,
            **options,
        )

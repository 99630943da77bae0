"""Training that is fair to every group: FORML, the methods it is compared with, and what to measure.

    >>> from scorch.fairness import FORML
    >>> import torch
    >>> forml = FORML(torch.nn.Linear(4, 2), objective="gap")

Importing this package imports torch only; scikit-learn, fairlearn and matplotlib (the extra `fairness`) are
imported by the names that need them.
"""

from __future__ import annotations

import importlib
from typing import Any

from scorch.fairness.errors import CollapseWarning, DivergenceError, FairnessError, FairnessWarning
from scorch.fairness.forml import FORML

# What needs more than torch, or is needed by few, and where it is.
_LAZY = {
    "FairClassifier": "scorch.fairness.classifier",
    "Settings": "scorch.fairness.training",
    "condense": "scorch.fairness.condensation",
    "excess_accuracy_gap": "scorch.fairness.disparity",
    "finetune": "scorch.fairness.finetuning",
    "plot_group_recall": "scorch.fairness.plots",
    "plot_sparsity": "scorch.fairness.plots",
    "plot_weights": "scorch.fairness.plots",
    "report": "scorch.fairness.reporting",
    "report_predictions": "scorch.fairness.reporting",
}

__all__ = [
    "FORML",
    "CollapseWarning",
    "DivergenceError",
    "FairClassifier",
    "FairnessError",
    "FairnessWarning",
    "Settings",
    "condense",
    "excess_accuracy_gap",
    "finetune",
    "methods",
    "plot_group_recall",
    "plot_sparsity",
    "plot_weights",
    "report",
    "report_predictions",
]


def __getattr__(name: str) -> Any:
    if name == "methods":
        return importlib.import_module("scorch.fairness.methods")
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)

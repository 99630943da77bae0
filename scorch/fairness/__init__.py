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

_LAZY: dict[str, str] = {}

__all__ = [
    "FORML",
    "CollapseWarning",
    "DivergenceError",
    "FairnessError",
    "FairnessWarning",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)

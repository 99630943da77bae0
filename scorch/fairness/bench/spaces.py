"""What is tuned: the learning rate and each method's own options, the same number of settings for each."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["FORML_SPACES", "SPACES", "candidates", "score"]

# The first value of each option is the default; candidate 0 has all the defaults.
_RATES = [0.004, 0.001, 0.002, 0.008, 0.016]
_LOOK = [0.1, 0.01, 1.0]
_MORE = [False, True]  # whether to train on the exemplars as well

SPACES: dict[str, dict[str, list[Any]]] = {
    "erm": {"train_on_exemplars": _MORE},
    "class_balanced": {"train_on_exemplars": _MORE},
    "group_balanced": {},
    "group_dro": {"rate": [0.01, 0.001, 0.05, 0.2]},
    "exemplars": {"share": [0.5, 0.1, 0.25, 0.75]},
    "dfr": {"penalty": [1e-3, 1e-4, 1e-2, 1e-1]},
    "l2rw": {"plain_epochs": [0, 3], "train_on_exemplars": _MORE},
    "meta_gdro": {"lookahead": _LOOK, "plain_epochs": [0, 3], "train_on_exemplars": _MORE},
    "meta_weight_net": {"rate": [1e-3, 1e-4, 1e-2], "lookahead": _LOOK, "train_on_exemplars": _MORE},
    "exponentiated_gradient": {"eps": [0.02, 0.005, 0.05], "iterations": [5]},
}

# Classes as groups need every class to be learnt; equality of opportunity between people only a gap to close.
FORML_SPACES: dict[str, dict[str, list[Any]]] = {
    "image": {
        "objective": ["mean+gap", "smooth", "gap"],
        "surrogate": ["ce", "tpr"],
        "temperature": [1.0],
        "weights": ["persistent"],
        "prior": ["class_balanced"],
        "strength": [0.3, 0.1, 1.0],
        "max_weight": [50.0],
        "train_on_exemplars": [True],
    },
    "attribute": {
        "objective": ["gap"],
        "surrogate": ["ce", "tpr"],
        "strength": [1.0, 0.5, 2.0],
        "groups": ["attribute_given_positive"],
        "train_on_exemplars": _MORE,
    },
}


def candidates(method: str, budget: int, kind: str = "attribute") -> list[dict[str, Any]]:
    """`budget` settings of a method for data of a kind ("image", "attribute"), drawn with a fixed seed, the
    defaults first.

    >>> candidates("erm", 2)[0]
    {'lr': 0.004, 'train_on_exemplars': False}
    """
    rng = np.random.default_rng(0)
    space = {"lr": _RATES, **(FORML_SPACES[kind] if method == "forml" else SPACES[method])}
    found = [{name: values[0] for name, values in space.items()}]
    total = int(np.prod([len(values) for values in space.values()]))
    while len(found) < min(budget, total):
        drawn = {name: values[int(rng.integers(len(values)))] for name, values in space.items()}
        if drawn not in found:
            found.append(drawn)
    return found


def score(numbers: dict[str, float]) -> float:
    """What tuning makes large, fixed before any test run: accuracy minus the equal opportunity difference.

    A point of each counts the same. The difference alone would be won by a constant predictor.

    >>> score({"accuracy": 0.8, "worst_group": 0.7, "equal_opportunity_difference": 0.1})
    0.7
    """
    return round(numbers["accuracy"] - numbers["equal_opportunity_difference"], 12)

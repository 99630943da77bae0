"""What is tuned: the learning rate and each method's own options, the same number of settings for each."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["SPACES", "candidates", "score"]

_RATES = [0.0005, 0.001, 0.002, 0.004, 0.008, 0.016]
_LOOK = [0.01, 0.1, 1.0]

# The first value of each option is the default; candidate 0 has all the defaults.
SPACES: dict[str, dict[str, list[Any]]] = {
    "erm": {"train_on_exemplars": [False, True]},
    "class_balanced": {"train_on_exemplars": [False, True]},
    "group_balanced": {},
    "group_dro": {"rate": [0.01, 0.001, 0.05, 0.2]},
    "exemplars": {"share": [0.5, 0.1, 0.25, 0.75]},
    "dfr": {"penalty": [1e-3, 1e-4, 1e-2, 1e-1]},
    "l2rw": {"lookahead": _LOOK, "plain_epochs": [0, 3], "train_on_exemplars": [False, True]},
    "meta_gdro": {"lookahead": _LOOK, "plain_epochs": [0, 3], "train_on_exemplars": [False, True]},
    "meta_weight_net": {"rate": [1e-3, 1e-4, 1e-2], "lookahead": _LOOK, "train_on_exemplars": [False, True]},
    "forml": {
        "objective": ["gap", "mean+gap", "max", "smooth"],
        "surrogate": ["ce", "tpr"],
        "weights": ["additive", "online"],
        "strength": [1.0, 0.5, 2.0],
        "lookahead": _LOOK,
        "groups": ["label_attribute", "attribute_given_positive"],
        "plain_epochs": [0, 3],
        "train_on_exemplars": [False, True],
    },
    "exponentiated_gradient": {"eps": [0.02, 0.005, 0.05]},
}


def candidates(method: str, budget: int, with_attributes: bool = True) -> list[dict[str, Any]]:
    """`budget` settings of a method, drawn with a fixed seed, the defaults first.

    >>> candidates("erm", 2)[0]
    {'lr': 0.002, 'train_on_exemplars': False}
    """
    rng = np.random.default_rng(0)
    space = {"lr": [0.002, *(rate for rate in _RATES if rate != 0.002)], **SPACES[method]}
    if not with_attributes:
        space.pop("groups", None)
    found = [{name: values[0] for name, values in space.items()}]
    total = int(np.prod([len(values) for values in space.values()]))
    while len(found) < min(budget, total):
        drawn = {name: values[int(rng.integers(len(values)))] for name, values in space.items()}
        if drawn not in found:
            found.append(drawn)
    return found


def score(numbers: dict[str, float]) -> float:
    """What tuning makes large, fixed before any test run: accuracy + worst group - equal opportunity difference.

    A point of each counts the same. The difference alone would be won by a constant predictor.

    >>> score({"accuracy": 0.8, "worst_group": 0.7, "equal_opportunity_difference": 0.1})
    1.4
    """
    value = numbers["accuracy"] + numbers["worst_group"] - numbers["equal_opportunity_difference"]
    return round(value, 12)

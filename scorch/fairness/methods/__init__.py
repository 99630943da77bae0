"""The training methods by name, one code path under all of them.

    >>> create("forml", objective="max").objective
    'max'

`METHODS` maps each name to its class, whose fields are its options. To add one: a module here with a subclass of
`scorch.fairness.method.Method`, and an entry in `METHODS`.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from scorch.fairness.errors import FairnessError
from scorch.fairness.method import Method
from scorch.fairness.methods.balanced import ClassBalanced, GroupBalanced
from scorch.fairness.methods.dfr import DFR
from scorch.fairness.methods.erm import ERM
from scorch.fairness.methods.exemplar_training import ExemplarTraining
from scorch.fairness.methods.exponentiated_gradient import ExponentiatedGradient
from scorch.fairness.methods.group_dro import GroupDRO
from scorch.fairness.methods.meta import L2RW, FORMLMethod, MetaGDRO
from scorch.fairness.methods.meta_weight_net import MetaWeightNet

__all__ = ["METHODS", "create"]

METHODS: dict[str, type[Method]] = {
    method.name: method
    for method in (
        ERM,
        ClassBalanced,
        GroupBalanced,
        GroupDRO,
        ExemplarTraining,
        DFR,
        L2RW,
        MetaGDRO,
        MetaWeightNet,
        FORMLMethod,
        ExponentiatedGradient,
    )
}


def create(name: str, **options: Any) -> Method:
    """A method by its name with options of its own; raises FairnessError for unknown names and options.

    >>> create("erm", rate=1)
    Traceback (most recent call last):
      ...
    scorch.fairness.errors.FairnessError: method 'erm' has no option 'rate'; it has none
    """
    if name not in METHODS:
        raise FairnessError(f"there is no method {name!r}; there are {', '.join(METHODS)}")
    known = [option.name for option in fields(METHODS[name])]
    for option in options:
        if option not in known:
            raise FairnessError(f"method {name!r} has no option {option!r}; it has {', '.join(known) or 'none'}")
    return METHODS[name](**options)

"""Plain training: empirical risk minimisation."""

from __future__ import annotations

from scorch.fairness.method import Method

__all__ = ["ERM"]


class ERM(Method):
    """The mean loss over the training data, whatever the groups.

    >>> ERM().name
    'erm'
    """

    name = "erm"

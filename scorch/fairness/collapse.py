"""Noticing that training has collapsed: one class predicted for everything, or all weight on a few samples."""

from __future__ import annotations

import warnings

import torch

from scorch.fairness.errors import CollapseWarning
from scorch.fairness.method import Step
from scorch.fairness.weighting import effective_share

__all__ = ["Monitor"]

_ADVICE = (
    "lower the learning rate (a fifth), train without weights first (plain_epochs), clip gradients, or use "
    'weights="additive"'
)
_FEW = 0.02  # the share of a batch that the weights use; one sample of 50


class Monitor:
    """Adds up an epoch's predictions and weights and warns, once, when they have collapsed.

    `labels` (n,) are those of the training data: where nearly all have one class, predicting it is no collapse.

    >>> monitor = Monitor(torch.tensor([0, 1] * 10))
    >>> monitor.add(Step(None, torch.tensor([[1.0, 0.0]] * 20)))
    >>> monitor.predicts_one_class()
    True
    """

    def __init__(self, labels: torch.Tensor, classes: int = 2) -> None:
        counts = torch.bincount(labels)
        common = float(counts.max()) / len(labels)
        self.limit = max(0.995, 1 - 0.1 * (1 - common))
        self.one_class_only = common == 1
        self.warned = False
        self._classes = classes
        self.start_epoch()

    def start_epoch(self) -> None:
        """Forget the last epoch."""
        self._predicted = torch.zeros(self._classes, dtype=torch.int64)
        self._shares: list[float] = []

    def add(self, step: Step) -> None:
        """Take account of a batch."""
        found = torch.bincount(step.logits.detach().argmax(dim=1), minlength=len(self._predicted))
        if len(found) > len(self._predicted):  # a model with more outputs than there are classes
            self._predicted = torch.nn.functional.pad(self._predicted, (0, len(found) - len(self._predicted)))
        self._predicted += found
        if step.weights is not None:
            self._shares.append(effective_share(step.weights))

    @property
    def share(self) -> float:
        """Mean over the batches of the share that the weights use; one without weights."""
        return sum(self._shares) / len(self._shares) if self._shares else 1.0

    @property
    def most_predicted(self) -> float:
        """The share of the class that is predicted most."""
        return float(self._predicted.max()) / max(1, int(self._predicted.sum()))

    def predicts_one_class(self) -> bool:
        """Whether (nearly) everything was predicted to be of one class, though the data is not."""
        return not self.one_class_only and self.most_predicted > self.limit

    def weights_sit_on_few(self) -> bool:
        """Whether the weights use less than a fiftieth of the batches."""
        return self.share < _FEW

    def check(self) -> bool:
        """Whether this epoch collapsed; warns with CollapseWarning the first time."""
        found = []
        if self.predicts_one_class():
            found.append(f"{self.most_predicted:.1%} of the training data is predicted to be of one class")
        if self.weights_sit_on_few():
            found.append(f"the weights use {self.share:.1%} of each batch")
        if found and not self.warned:
            self.warned = True
            warnings.warn(f"training collapsed: {' and '.join(found)}; {_ADVICE}", CollapseWarning, stacklevel=2)
        return bool(found)

"""What a training method is: it prepares on the data, turns a batch into a loss, and may finish the model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

from scorch.fairness.exemplars import Exemplars, Sampler
from scorch.fairness.functional import Params, call
from scorch.fairness.groups import group_ids
from scorch.fairness.objectives import cross_entropy

__all__ = ["Batch", "Method", "Run", "Step", "TrainingData", "Wholesale"]


@dataclass(frozen=True)
class TrainingData:
    """Inputs `x` (n, ...), labels `y` (n,) int64, attribute codes (n, k) or None, given weights (n,) or None."""

    x: torch.Tensor
    y: torch.Tensor
    classes: int
    codes: torch.Tensor | None = None
    weights: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Run:
    """What a method works with: a model, the data, the exemplars and how they are drawn, pruned weights."""

    model: torch.nn.Module
    data: TrainingData
    exemplars: Exemplars | None = None
    sampler: Sampler | None = None
    masks: Params = field(default_factory=dict)
    grouping: str = "auto"
    positive: int = 1
    seed: int = 0

    def training_groups(self) -> torch.Tensor:
        """Group numbers (n,) of the training data: (label, attributes), or the label if there are none."""
        return group_ids(self.data.y, self.data.codes)[0]


@dataclass(frozen=True)
class Batch:
    """Part of the training data; `indices` (n,) are its places in it, `epoch` counts from 0."""

    x: torch.Tensor
    y: torch.Tensor
    indices: torch.Tensor
    epoch: int


@dataclass(frozen=True)
class Step:
    """A loss to call `backward` on (None: skip this step), logits, and the weights used, None for equal ones."""

    loss: torch.Tensor | None
    logits: torch.Tensor
    weights: torch.Tensor | None = None


@dataclass
class Method:
    """Base of the methods; its fields are the options. Without a `step` of its own it is plain training."""

    name: ClassVar[str] = "erm"
    needs_groups: ClassVar[bool] = False  # attributes of the training data, where there are attributes
    needs_exemplars: ClassVar[bool] = False
    exemplar_groups: ClassVar[str | None] = None  # the only grouping that it has a use for; None: any

    def begin(self, run: Run) -> None:
        """Look at the data before the first step."""
        self.run = run

    def step(self, batch: Batch) -> Step:
        """The loss of a batch."""
        return self.weighted(batch, self.batch_weights(batch))

    def batch_weights(self, batch: Batch) -> torch.Tensor | None:
        """Fixed weights (n,) of a batch's samples, for methods that need nothing else."""
        given = self.run.data.weights
        return None if given is None else given[batch.indices]

    def weighted(self, batch: Batch, weights: torch.Tensor | None) -> Step:
        """The mean of the batch's cross-entropies times `weights`."""
        logits = call(self.run.model, batch.x)
        losses = cross_entropy(logits, batch.y)
        return Step((losses if weights is None else weights * losses).mean(), logits, weights)

    def finish(self) -> None:
        """Change the trained model, after the last step."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must keep of the method."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken."""


class Wholesale(Method, ABC):
    """A method that trains networks of its own, by `train(model, data, weights)`, instead of taking steps."""

    @abstractmethod
    def fit(self, run: Run, train: Any) -> torch.nn.Module:
        """The trained network; `train` gives a copy of the run's model trained plainly on weighted data."""

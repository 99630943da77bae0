"""Training on the exemplars too, upsampled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from scorch.fairness.errors import FairnessError
from scorch.fairness.functional import call
from scorch.fairness.method import Batch, Method, Run, Step
from scorch.fairness.objectives import cross_entropy, group_means

__all__ = ["ExemplarTraining"]


@dataclass
class ExemplarTraining(Method):
    """Exemplars as training data that make up the part `share` of the loss, every group of them alike.

    The expectation of training on the data and the exemplars together, the latter repeated until they are
    that share.
    """

    name: ClassVar[str] = "exemplars"
    needs_exemplars: ClassVar[bool] = True
    share: float = 0.5

    def begin(self, run: Run) -> None:
        """Check the share."""
        super().begin(run)
        if not 0 <= self.share <= 1:
            raise FairnessError(f"share is between 0 and 1, got {self.share}")

    def step(self, batch: Batch) -> Step:
        """The batch's mean loss and the mean of the exemplar groups' mean losses, mixed."""
        assert self.run.sampler is not None
        exemplars = self.run.sampler.draw()
        assert exemplars.ids is not None
        logits = call(self.run.model, batch.x)
        ours = cross_entropy(logits, batch.y).mean()
        theirs = group_means(cross_entropy(call(self.run.model, exemplars.x), exemplars.y), exemplars.ids).mean()
        return Step((1 - self.share) * ours + self.share * theirs, logits)

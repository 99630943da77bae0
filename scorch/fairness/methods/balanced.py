"""Fixed weights that give every class, or every group, the same say."""

from __future__ import annotations

import torch

from scorch.fairness.method import Batch, Method, Run

__all__ = ["ClassBalanced", "GroupBalanced", "inverse_frequency"]


def inverse_frequency(ids: torch.Tensor) -> torch.Tensor:
    """Weights (n,) in inverse proportion to the size of each sample's group, with mean one.

    >>> inverse_frequency(torch.tensor([0, 0, 0, 1])).tolist()
    [0.6666666865348816, 0.6666666865348816, 0.6666666865348816, 2.0]
    """
    _, inverse, counts = torch.unique(ids, return_inverse=True, return_counts=True)
    share: torch.Tensor = counts[inverse].to(torch.float32) * len(counts) / len(ids)
    return share.reciprocal()


class ClassBalanced(Method):
    """Every class weighs the same."""

    name = "class_balanced"

    def begin(self, run: Run) -> None:
        """Count the classes."""
        super().begin(run)
        self._weights = inverse_frequency(self.ids(run)).to(
            run.data.x.dtype if run.data.x.is_floating_point() else torch.float32
        )

    def ids(self, run: Run) -> torch.Tensor:
        """The groups that are to weigh the same, a number a sample."""
        return run.data.y

    def batch_weights(self, batch: Batch) -> torch.Tensor:
        """The weights of the batch's samples."""
        return self._weights[batch.indices]


class GroupBalanced(ClassBalanced):
    """Every group (label, attributes) of the training data weighs the same."""

    name = "group_balanced"
    needs_groups = True

    def ids(self, run: Run) -> torch.Tensor:
        """The group of each training sample."""
        return run.training_groups()

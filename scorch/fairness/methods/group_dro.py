"""Group distributionally robust optimisation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from scorch.fairness.functional import call
from scorch.fairness.method import Batch, Method, Run, Step
from scorch.fairness.objectives import cross_entropy

__all__ = ["GroupDRO"]


@dataclass
class GroupDRO(Method):
    """Training groups weighed by exponentiated ascent on their losses.

    The online algorithm of Sagawa et al. (2020, arXiv 1911.08731), without its size adjustment. `rate` is the
    ascent's step.
    """

    name: ClassVar[str] = "group_dro"
    needs_groups: ClassVar[bool] = True
    rate: float = 0.01

    def begin(self, run: Run) -> None:
        """Number the groups; all start with the same share."""
        super().begin(run)
        self._ids = run.training_groups()
        groups = int(self._ids.max()) + 1
        self._shares = torch.full((groups,), 1 / groups)

    def step(self, batch: Batch) -> Step:
        """The groups' mean losses times their shares, which move first."""
        logits = call(self.run.model, batch.x)
        losses = cross_entropy(logits, batch.y)
        ids = self._ids[batch.indices]
        counts = torch.bincount(ids, minlength=len(self._shares)).to(losses)
        means = losses.new_zeros(len(counts)).index_add(0, ids, losses) / counts.clamp(min=1)
        # A group that is not in the batch has mean 0 here, which leaves its share before normalising.
        self._shares = self._shares * torch.exp(self.rate * means.detach()).to(self._shares)
        self._shares = self._shares / self._shares.sum()
        shares = self._shares.to(losses)
        weights = (shares / counts.clamp(min=1))[ids] * len(ids)
        return Step((shares * means).sum(), logits, weights.detach())

    def state_dict(self) -> dict[str, Any]:
        """The shares."""
        return {"shares": self._shares}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with the given shares."""
        self._shares = state["shares"]

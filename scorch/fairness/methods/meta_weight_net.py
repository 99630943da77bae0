"""Meta-Weight-Net: a small network from a sample's loss to its weight, trained on the exemplars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from scorch.fairness.forml import FORML
from scorch.fairness.functional import call, forward_with, repeatable, trainable
from scorch.fairness.method import Batch, Method, Run, Step
from scorch.fairness.objectives import cross_entropy
from scorch.fairness.weighting import mean_one

__all__ = ["MetaWeightNet"]


@dataclass
class MetaWeightNet(Method):
    """Weights V(loss) by a network with one hidden layer (Shu et al., 2019, arXiv 1902.07379).

    The chain rule through the look-ahead needs dF/dw only, which is FORML's influence at the weights V gives:
    dF/dphi = -sum_i m_i dV_i/dphi. `rate` is the step of Adam on phi, `hidden` the network's width. The weights
    are scaled to mean one, as in the authors' description.
    """

    name: ClassVar[str] = "meta_weight_net"
    needs_exemplars: ClassVar[bool] = True
    exemplar_groups: ClassVar[str | None] = "all"
    rate: float = 1e-3
    hidden: int = 100
    lookahead: float = 0.1
    backend: str = "jvp"

    def begin(self, run: Run) -> None:
        """Make the weighting network."""
        super().begin(run)
        self.forml = FORML(
            run.model,
            objective="mean",
            weights="online",
            backend=self.backend,
            lr=self.lookahead,
            groups="all",
            positive_label=run.positive,
            masks=run.masks,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(run.seed)
            self.net = nn.Sequential(nn.Linear(1, self.hidden), nn.ReLU(), nn.Linear(self.hidden, 1), nn.Sigmoid())
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=self.rate)

    def step(self, batch: Batch) -> Step:
        """Move the weighting network by what its weights do to the exemplars, then use it."""
        assert self.run.sampler is not None
        with torch.no_grad(), repeatable(self.run.model):
            before = cross_entropy(forward_with(self.run.model, trainable(self.run.model), batch.x), batch.y)
        weights = self.net(before.float()[:, None]).ravel()
        share = (weights / weights.sum().clamp(min=1e-12)).to(before)
        m = self.forml.influence((batch.x, batch.y), self.run.sampler.draw(), share).m
        self.optimizer.zero_grad()
        (-(m * share).sum()).backward()
        self.optimizer.step()
        logits = call(self.run.model, batch.x)
        losses = cross_entropy(logits, batch.y)
        with torch.no_grad():
            final = mean_one(self.net(losses.float()[:, None]).ravel()).to(losses)
        return Step((final * losses).mean(), logits, final)

    def state_dict(self) -> dict[str, Any]:
        """The weighting network and its optimizer."""
        return {"net": self.net.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with the given network."""
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])

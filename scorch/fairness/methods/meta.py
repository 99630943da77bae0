"""The methods that weigh samples by what they do for the exemplars: FORML, L2RW and Meta-gDRO on one code path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from scorch.fairness.errors import FairnessError
from scorch.fairness.forml import FORML
from scorch.fairness.method import Batch, Method, Run, Step
from scorch.fairness.methods.balanced import inverse_frequency

__all__ = ["L2RW", "FORMLMethod", "MetaGDRO"]


@dataclass
class FORMLMethod(Method):
    """FORML's weights in every step. Options as in `scorch.fairness.FORML`.

    `plain_epochs` are trained without weights first: a warm-up that keeps "online" from collapsing. `prior` says
    where "persistent" weights start: "flat", or "class_balanced", in inverse proportion to the class's size.
    """

    name: ClassVar[str] = "forml"
    needs_exemplars: ClassVar[bool] = True
    objective: str = "gap"
    surrogate: str = "ce"
    weights: str = "additive"
    backend: str = "jvp"
    lookahead: float = 0.1
    strength: float = 1.0
    max_weight: float = 10.0
    groups: str | None = None
    temperature: float = 0.1
    start: str = "uniform"
    plain_epochs: int = 0
    prior: str = "flat"

    def begin(self, run: Run) -> None:
        """Make the FORML of this run."""
        super().begin(run)
        if self.prior not in ("flat", "class_balanced"):
            raise FairnessError(f"there is no prior {self.prior!r}; there are flat, class_balanced")
        if self.prior != "flat" and self.weights != "persistent":
            raise FairnessError('prior= is where weights="persistent" starts; the other rules keep no weights')
        self.forml = FORML(
            run.model,
            objective=self.objective,
            surrogate=self.surrogate,
            weights=self.weights,
            backend=self.backend,
            lr=self.lookahead,
            strength=self.strength,
            max_weight=self.max_weight,
            groups=self.groups or run.grouping,
            positive_label=run.positive,
            temperature=self.temperature,
            start=self.start,
            n_samples=len(run.data) if self.weights == "persistent" else None,
            prior=inverse_frequency(run.data.y) if self.prior == "class_balanced" else None,
            masks=run.masks,
        )

    def step(self, batch: Batch) -> Step:
        """The loss under FORML's weights; a plain one during the first epochs."""
        if batch.epoch < self.plain_epochs:
            return super().step(batch)
        assert self.run.sampler is not None
        found = self.forml.weigh((batch.x, batch.y), self.run.sampler.draw(), batch.indices)
        return Step(found.loss, found.logits, found.weights)

    @property
    def sample_weights(self) -> torch.Tensor | None:
        """The persistent weights (n,), if there are any."""
        return None if self.forml.memory is None else self.forml.memory.values

    def state_dict(self) -> dict[str, Any]:
        """FORML's state."""
        return self.forml.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with FORML's state."""
        self.forml.load_state_dict(state)


@dataclass
class L2RW(FORMLMethod):
    """Learning to reweight (Ren et al., 2018, arXiv 1803.09050): the exemplars' mean loss, no step ahead.

    As published it knows no groups: all exemplars count the same.
    """

    name: ClassVar[str] = "l2rw"
    exemplar_groups: ClassVar[str | None] = "all"
    objective: str = "mean"
    weights: str = "online"
    start: str = "zero"


@dataclass
class MetaGDRO(FORMLMethod):
    """The same with the worst group's loss as the objective."""

    name: ClassVar[str] = "meta_gdro"
    objective: str = "max"
    weights: str = "online"

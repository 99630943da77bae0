"""FORML: the weight of each training sample from what it would do for fairness on the exemplars."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from scorch.fairness.errors import DivergenceError, FairnessError
from scorch.fairness.exemplars import Exemplars, check_labels, read_exemplars
from scorch.fairness.functional import Params, as_logits, call, forward_with, repeatable
from scorch.fairness.functional import live as live_parameters
from scorch.fairness.groups import resolve
from scorch.fairness.influence import BACKENDS, Influence, Lookahead, influence
from scorch.fairness.objectives import (
    OBJECTIVES,
    PerSample,
    cross_entropy,
    group_means,
    objective,
    surrogate,
)
from scorch.fairness.products import Along, Tape, backward, record
from scorch.fairness.weighting import WEIGHTINGS, Persistent, additive, effective_share, online

__all__ = ["FORML", "Weighted"]


@dataclass(frozen=True)
class Weighted:
    """A weighed batch: `weights` (n,), the `losses` (n,) and `logits` that they belong to, what led to them."""

    weights: torch.Tensor
    losses: torch.Tensor
    logits: torch.Tensor
    influence: torch.Tensor
    objective: float

    @property
    def loss(self) -> torch.Tensor | None:
        """The weighted mean loss, to call `backward` on; None if no sample would help: skip the step."""
        return (self.weights * self.losses).mean() if bool(self.weights.any()) else None

    @property
    def effective_share(self) -> float:
        """The share of the batch that the weights use: near one is plain training, near zero a collapse."""
        return effective_share(self.weights)


@dataclass(frozen=True)
class _Forward:
    """A forward of the batch: what went in, what came out, and the random state before it (None in eval mode)."""

    x: Any
    labels: torch.Tensor
    parameters: Params
    logits: torch.Tensor
    losses: torch.Tensor
    tape: Tape | None
    state: torch.Tensor | None


class FORML:
    """Learns sample weights with the model: Fairness Optimized Reweighting via Meta-Learning.

    After Yan, Seto, Apostoloff (2022, arXiv 2202.01719), reconstructed from the abstract, and Ren et al. (2018,
    arXiv 1803.09050), whose method is `objective="mean", weights="online", start="zero"`.

    model: any module from a tensor (or a tuple or dict of arguments) to logits (n, classes) or (n, 1).
    loss: "cross_entropy" or a callable (logits, labels) -> (n,).
    objective: what to make small, of the groups' mean surrogates: gap, max, mean, mean+gap, smooth.
    surrogate: "ce", "tpr" (one minus the true class's probability), or a callable like `loss`.
    weights: "online" (published), "additive" (near plain training, more stable), "persistent" (adds up).
    backend: "jvp", "fd", "unroll": the same numbers; "fd" needs first-order gradients only.
    lr: step of the look-ahead. strength: of "additive", and the step of "persistent". max_weight: clips both.
    groups: "auto" (label, or label and attributes if exemplars have them), "label", "label_attribute",
        "attribute_given_positive" with `positive_label`.
    temperature: of "smooth". start: the look-ahead's weights, "uniform" or "zero" (stay in place).
    n_samples: size of the training set, for "persistent"; prior: (n_samples,) weights that it starts at.
    masks: 0/1 tensors of pruned parameters by name.

    >>> _ = torch.manual_seed(0)
    >>> forml = FORML(torch.nn.Linear(3, 2))
    >>> x, y = torch.randn(6, 3), torch.tensor([0, 1, 0, 1, 0, 1])
    >>> w = forml.weights((x, y), (torch.randn(4, 3), torch.tensor([0, 0, 1, 1])))
    >>> w.shape, round(float(w.mean()), 4)
    (torch.Size([6]), 1.0)
    """

    def __init__(
        self,
        model: torch.nn.Module,
        loss: str | PerSample = "cross_entropy",
        objective: str = "gap",
        surrogate: str | PerSample = "ce",
        weights: str = "additive",
        backend: str = "jvp",
        *,
        lr: float = 0.1,
        strength: float = 1.0,
        max_weight: float = 10.0,
        groups: str = "auto",
        positive_label: int = 1,
        temperature: float = 0.1,
        start: str = "uniform",
        n_samples: int | None = None,
        prior: torch.Tensor | None = None,
        masks: Mapping[str, torch.Tensor] | None = None,
    ) -> None:
        _check("objective", objective, tuple(OBJECTIVES))
        _check("weights", weights, WEIGHTINGS)
        _check("backend", backend, tuple(BACKENDS))
        _check("start", start, ("uniform", "zero"))
        if not lr > 0 or strength < 0 or not max_weight > 0 or not temperature > 0:
            raise FairnessError("lr, max_weight and temperature must be above 0, strength at least 0")
        self.model = model
        self.per_sample = _loss(loss)
        self.objective = objective
        self.surrogate = surrogate
        self.weighting = weights
        self.backend = backend
        self.lr = lr
        self.strength = strength
        self.max_weight = max_weight
        self.groups = groups
        self.positive_label = positive_label
        self.temperature = temperature
        self.start = start
        self.masks: Params = dict(masks or {})
        self.memory = Persistent(n_samples, strength, max_weight, prior) if n_samples is not None else None
        self.skipped = 0

    def weights(self, batch: Any, exemplars: Any, indices: torch.Tensor | None = None) -> torch.Tensor:
        """Weights (n,) with mean one for a batch (inputs, labels): multiply the per-sample losses by them.

        All zeros if no sample of the batch would help ("online"): skip the step then. `exemplars` is (inputs,
        labels) or (inputs, labels, sensitive features); `indices` (n,) are the batch's places in the training
        set, for "persistent". The model, its gradients, buffers and the random state stay as they are, so that
        the caller's own forward draws the same dropout masks.

        Raises FairnessError for shapes that don't match, DivergenceError for a loss that is not finite,
        UnsupportedError if the back end can't differentiate the model.
        """
        with repeatable(self.model):
            return self.weigh(batch, exemplars, indices, live=False).weights

    def loss(self, batch: Any, exemplars: Any, indices: torch.Tensor | None = None) -> torch.Tensor | None:
        """The weighted mean loss to call `backward` on, None for a step to skip.

        One forward of the batch serves the look-ahead and the step, so this costs less than `weights` and a
        loss of one's own. Arguments and errors as for `weights`.
        """
        return self.weigh(batch, exemplars, indices).loss

    def weigh(self, batch: Any, exemplars: Any, indices: torch.Tensor | None = None, *, live: bool = True) -> Weighted:
        """Weights with everything that led to them; `live`: the forward updates running statistics."""
        x, labels = batch[0], torch.as_tensor(batch[1])
        check_labels(x, labels, "batch")
        indices = self._indices(len(labels), indices)
        forward = self._forward(x, labels, live)
        found = self._influence(forward, exemplars, self._start(forward.losses, indices))
        weights = self._rule(found.m, indices)
        self.skipped += not bool(weights.any())
        return Weighted(weights, forward.losses, forward.logits, found.m, found.objective)

    def influence(self, batch: Any, exemplars: Any, weights: torch.Tensor | None = None) -> Influence:
        """m (n,) = -dF/dw at the given look-ahead `weights` (n,), uniform by default, and F.

        For methods that learn weights in their own way, and to look at.
        """
        x, labels = batch[0], torch.as_tensor(batch[1])
        check_labels(x, labels, "batch")
        with repeatable(self.model):
            forward = self._forward(x, labels, live=False)
        if weights is None:
            weights = torch.full_like(forward.losses, 1 / len(labels))
        return self._influence(forward, exemplars, weights.detach())

    def state_dict(self) -> dict[str, Any]:
        """The persistent weights and counters, for a checkpoint."""
        return {"memory": None if self.memory is None else self.memory.values, "skipped": self.skipped}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self.skipped = int(state["skipped"])
        if state["memory"] is not None:
            self.memory = Persistent(len(state["memory"]), self.strength, self.max_weight)
            self.memory.values = state["memory"].clone()

    def _forward(self, x: Any, labels: torch.Tensor, live: bool) -> _Forward:
        state = torch.get_rng_state() if self.model.training else None
        parameters = live_parameters(self.model)
        # A loss of the caller's may mix samples, and only "jvp" has a use for products.
        wanted = self.backend == "jvp" and self.per_sample is cross_entropy
        tape = record(self.model, parameters, x) if wanted else None
        if tape is not None:
            logits = as_logits(tape.output)
        else:
            logits = call(self.model, x) if live else forward_with(self.model, parameters, x)
        losses = self._losses(logits, labels)
        return _Forward(x, labels, parameters, logits, losses, tape, state)

    def _influence(self, forward: _Forward, exemplars: Any, start: torch.Tensor) -> Influence:
        shown = self._exemplars(exemplars)
        _check_finite((start * forward.losses.detach()).sum())
        known = (
            (None, None)
            if self.backend == "unroll"
            else backward(forward.losses, start, forward.parameters, forward.tape)
        )
        with repeatable(self.model):
            return influence(self._problem(forward, shown, start, *known), self.backend)

    def _problem(
        self,
        forward: _Forward,
        exemplars: Exemplars,
        start: torch.Tensor,
        gradient: Params | None,
        along: Along | None,
    ) -> Lookahead:
        measure = surrogate(self.surrogate)
        ids = exemplars.ids
        assert ids is not None  # `_exemplars` numbered the groups

        def losses(params: Params) -> torch.Tensor:
            with repeatable(self.model, forward.state):
                return self._losses(forward_with(self.model, params, forward.x), forward.labels)

        def unfairness(params: Params) -> torch.Tensor:
            with repeatable(self.model, forward.state):
                values = measure(forward_with(self.model, params, exemplars.x), exemplars.y)
            return objective(self.objective, group_means(values, ids), self.temperature)

        at = {name: p.detach() for name, p in forward.parameters.items()}
        return Lookahead(at, losses, unfairness, start, self.lr, self.masks, gradient, along)

    def _losses(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        if self.per_sample is cross_entropy and int(labels.max()) >= logits.shape[1]:
            raise FairnessError(f"label {int(labels.max())}, but the model has {logits.shape[1]} outputs")
        losses = self.per_sample(logits, labels)
        if losses.shape != labels.shape:
            raise FairnessError(
                f"the loss must give one number a sample, shape {tuple(labels.shape)}, got {tuple(losses.shape)}"
            )
        return losses

    def _start(self, losses: torch.Tensor, indices: torch.Tensor | None) -> torch.Tensor:
        flat = torch.full_like(losses.detach(), 1 / len(losses))
        if self.start == "zero":
            return torch.zeros_like(flat)
        if indices is None or self.memory is None:
            return flat
        kept = self.memory.values[indices].to(flat)
        return kept / kept.sum() if bool(kept.any()) else flat

    def _rule(self, m: torch.Tensor, indices: torch.Tensor | None) -> torch.Tensor:
        if self.weighting == "online":
            return online(m)
        if self.weighting == "additive":
            return additive(m, self.strength, self.max_weight)
        assert self.memory is not None  # `_indices` saw to both
        assert indices is not None
        self.memory.update(indices, m)
        kept = self.memory.values[indices].to(m)
        return kept * (len(kept) / kept.sum()) if bool(kept.any()) else kept

    def _indices(self, n: int, indices: torch.Tensor | None) -> torch.Tensor | None:
        if self.weighting != "persistent":
            return None
        if self.memory is None:
            if indices is not None:
                raise FairnessError('weights="persistent" with indices needs n_samples=, the size of the training set')
            self.memory = Persistent(n, self.strength, self.max_weight)
        if indices is None:
            if n != len(self.memory.values):
                raise FairnessError('weights="persistent" needs indices=, the places of the batch in the training set')
            return torch.arange(n)
        return torch.as_tensor(indices).long()

    def _exemplars(self, given: Any) -> Exemplars:
        found = read_exemplars(given)
        return found.grouped(resolve(self.groups, found.codes is not None), self.positive_label)


def _check_finite(loss: torch.Tensor) -> None:
    if not math.isfinite(float(loss)):
        raise DivergenceError(
            "the training loss is NaN or infinite; lower the learning rate or look for NaN in the data"
        )


def _check(option: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise FairnessError(f"there is no {option} {value!r}; there are {', '.join(allowed)}")


def _loss(loss: str | PerSample) -> PerSample:
    if callable(loss):
        return loss
    _check("loss", loss, ("cross_entropy",))
    return cross_entropy

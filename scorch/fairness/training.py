"""The one training loop under every method."""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from scorch.fairness import checkpoint as checkpoints
from scorch.fairness.collapse import Monitor
from scorch.fairness.errors import DivergenceError, FairnessError
from scorch.fairness.exemplars import Exemplars, Sampler
from scorch.fairness.method import Batch, Method, Run, Step, TrainingData, Wholesale
from scorch.fairness.progress import Report, silent
from scorch.fairness.sparsity import Pattern

__all__ = ["History", "Settings", "train"]


@dataclass(frozen=True)
class Settings:
    """How long and how fast to train.

    `warmup` is the share of the steps over which the learning rate rises, `decay` "cosine" or "constant" after
    it; `clip` bounds the gradient's norm (None: not); `exemplar_batch` is the number of exemplars in a step
    (None: all of them).

    >>> Settings(epochs=0)
    Traceback (most recent call last):
      ...
    scorch.fairness.errors.FairnessError: epochs and batch_size must be at least 1, lr above 0
    """

    epochs: int = 20
    batch_size: int = 128
    lr: float = 0.003
    optimizer: str = "adam"
    momentum: float = 0.9
    weight_decay: float = 0.0
    warmup: float = 0.05
    decay: str = "cosine"
    clip: float | None = 1.0
    exemplar_batch: int | None = 128
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1 or not self.lr > 0:
            raise FairnessError("epochs and batch_size must be at least 1, lr above 0")
        if self.optimizer not in ("adam", "sgd") or self.decay not in ("cosine", "constant"):
            raise FairnessError("optimizer is adam or sgd, decay is cosine or constant")
        if self.exemplar_batch is not None and self.exemplar_batch < 1:
            raise FairnessError("exemplar_batch must be at least 1, or None for all exemplars")


@dataclass
class History:
    """Numbers of each epoch, and the weight that each training sample had in the last one, (n,)."""

    epochs: list[dict[str, float]] = field(default_factory=list)
    weights: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    collapsed: bool = False


def train(
    model: torch.nn.Module,
    data: TrainingData,
    method: Method,
    settings: Settings | None = None,
    *,
    exemplars: Exemplars | None = None,
    pattern: Pattern | None = None,
    grouping: str = "auto",
    positive: int = 1,
    report: Report = silent,
    checkpoint: str | Path | None = None,
) -> tuple[torch.nn.Module, History]:
    """Train `model`, in place unless the method makes networks of its own; the model to use and its history.

    Weights that `pattern` prunes stay zero. With `checkpoint`, the run is saved there after each epoch and goes
    on from there; it ends in the same numbers. The caller's random state is left alone.

    Raises DivergenceError for a loss that is not finite, FairnessError for a method without the exemplars it
    needs, and warns with CollapseWarning.
    """
    settings = settings or Settings()
    if method.needs_exemplars and exemplars is None:
        raise FairnessError(f"method {method.name!r} needs exemplars")
    generator = torch.Generator().manual_seed(settings.seed)
    sampler = None
    if exemplars is not None:
        wanted = _grouping(method.exemplar_groups or grouping, exemplars)
        exemplars = exemplars.grouped(wanted, positive)
        sampler = Sampler(exemplars, settings.exemplar_batch, torch.Generator().manual_seed(settings.seed + 1))
    pattern = pattern or Pattern()
    run = Run(model, data, exemplars, sampler, pattern.masks, grouping, positive, settings.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        if isinstance(method, Wholesale):
            return method.fit(run, _plain(model, data, settings, pattern)), History(weights=torch.ones(len(data)))
        method.begin(run)
        history = _Loop(run, method, settings, generator, pattern).go(report, checkpoint)
        method.finish()
        pattern.enforce(model)
    model.eval()
    return model, history


def _grouping(grouping: str, exemplars: Exemplars) -> str:
    if grouping != "auto":
        return grouping
    return "label" if exemplars.codes is None else "label_attribute"


def _plain(
    model: torch.nn.Module, data: TrainingData, settings: Settings, pattern: Pattern
) -> Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.nn.Module]:
    """Plain training of a copy of `model` on other rows and weights, for methods that need many networks."""

    def trained(x: torch.Tensor, y: torch.Tensor, weights: torch.Tensor) -> torch.nn.Module:
        rows = replace(data, x=x, y=y, codes=None, weights=weights)
        return train(copy.deepcopy(model), rows, Method(), settings, pattern=pattern)[0]

    return trained


@dataclass
class _Loop:
    """The state of one run."""

    run: Run
    method: Method
    settings: Settings
    generator: torch.Generator
    pattern: Pattern

    def __post_init__(self) -> None:
        parameters = [p for p in self.run.model.parameters() if p.requires_grad]
        s = self.settings
        if s.optimizer == "adam":
            self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(parameters, lr=s.lr, weight_decay=s.weight_decay)
        else:
            self.optimizer = torch.optim.SGD(parameters, lr=s.lr, momentum=s.momentum, weight_decay=s.weight_decay)
        self.parameters = parameters
        self.per_epoch = math.ceil(len(self.run.data) / s.batch_size)
        self.monitor = Monitor(self.run.data.y, self.run.data.classes)
        self.history = History(weights=torch.ones(len(self.run.data)))

    def go(self, report: Report, checkpoint: str | Path | None) -> History:
        """All epochs that are left."""
        first = self._resume(checkpoint) if checkpoint is not None else 0
        for epoch in range(first, self.settings.epochs):
            self.run.model.train()
            numbers = self._epoch(epoch)
            self.history.epochs.append(numbers)
            # An untrained network often predicts one class, so the first quarter does not count.
            if epoch >= self.settings.epochs // 4:
                self.history.collapsed = self.monitor.check()
            report(epoch + 1, self.settings.epochs, f"loss {numbers['loss']:.4f}")
            if checkpoint is not None:
                checkpoints.save(checkpoint, self._state(epoch + 1))
        return self.history

    def _epoch(self, epoch: int) -> dict[str, float]:
        self.monitor.start_epoch()
        losses, skipped = 0.0, 0
        for number, batch in enumerate(self._batches(epoch)):
            self._set_rate(epoch * self.per_epoch + number)
            step = self.method.step(batch)
            self.monitor.add(step)
            self.history.weights[batch.indices] = 1.0 if step.weights is None else step.weights.detach().float()
            if step.loss is None:
                skipped += 1
                continue
            losses += self._move(step, epoch)
        taken = self.per_epoch - skipped
        return {
            "loss": losses / taken if taken else math.nan,
            "skipped": skipped,
            "effective_share": self.monitor.share,
            "most_predicted": self.monitor.most_predicted,
        }

    def _batches(self, epoch: int) -> Iterator[Batch]:
        """Nearly equal parts of the shuffled data: a last batch of one sample would upset normalisation layers."""
        data = self.run.data
        order = torch.randperm(len(data), generator=self.generator)
        for indices in order.tensor_split(self.per_epoch):
            yield Batch(data.x[indices], data.y[indices], indices, epoch)

    def _move(self, step: Step, epoch: int) -> float:
        assert step.loss is not None
        loss = float(step.loss.detach())
        if not math.isfinite(loss):
            raise DivergenceError(
                f"the training loss is {loss} in epoch {epoch + 1}; lower the learning rate "
                f"(now {self.settings.lr}), set clip, or look for NaN and very large numbers in the data"
            )
        self.optimizer.zero_grad()
        step.loss.backward()  # type: ignore[no-untyped-call]
        if self.settings.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.settings.clip)
        self.optimizer.step()
        self.pattern.enforce(self.run.model)
        return loss

    def _set_rate(self, step: int) -> None:
        total = self.settings.epochs * self.per_epoch
        rising = self.settings.warmup * total
        factor = min(1.0, (step + 1) / rising) if rising > 0 else 1.0
        if self.settings.decay == "cosine":
            factor *= 0.5 * (1 + math.cos(math.pi * step / total))
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.lr * factor

    def _fingerprint(self) -> str:
        """What must be the same for a checkpoint to be of this run."""
        options = {name: value for name, value in vars(self.method).items() if isinstance(value, str | int | float)}
        digest = hashlib.sha256(repr((asdict(self.settings), self.method.name, sorted(options.items()))).encode())
        for tensor in (self.run.data.x, self.run.data.y):
            digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()

    def _state(self, epochs: int) -> dict[str, Any]:
        sampler = self.run.sampler
        return {
            "fingerprint": self._fingerprint(),
            "epochs": epochs,
            "model": self.run.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "method": self.method.state_dict(),
            "generator": self.generator.get_state(),
            "rng": torch.get_rng_state(),
            "sampler": None if sampler is None else (sampler.generator.get_state(), sampler.state_dict()),
            "history": self.history.epochs,
            "weights": self.history.weights,
            "collapsed": self.history.collapsed,
        }

    def _resume(self, path: str | Path) -> int:
        state = checkpoints.load(path, self._fingerprint())
        if state is None:
            return 0
        self.run.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.method.load_state_dict(state["method"])
        self.generator.set_state(state["generator"])
        torch.set_rng_state(state["rng"])
        if self.run.sampler is not None and state["sampler"] is not None:
            self.run.sampler.generator.set_state(state["sampler"][0])
            self.run.sampler.load_state_dict(state["sampler"][1])
        self.history = History(state["history"], state["weights"], state["collapsed"])
        return int(state["epochs"])

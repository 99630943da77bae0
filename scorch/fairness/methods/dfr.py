"""Deep feature reweighting: plain training, then the last layer anew on balanced exemplars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from scorch.fairness.errors import FairnessError
from scorch.fairness.functional import call
from scorch.fairness.method import Method, Run
from scorch.fairness.methods.balanced import inverse_frequency
from scorch.fairness.objectives import cross_entropy

__all__ = ["DFR"]


@dataclass
class DFR(Method):
    """Plain training, then a logistic regression on the last layer's inputs for the exemplars.

    After Kirichenko et al. (2023, arXiv 2204.02937). Deviations: groups are balanced by weights rather than by
    drawing balanced subsets, the penalty is `penalty` times half the squared norm instead of the L1 norm, and
    pruned weights of the last layer stay pruned.
    """

    name: ClassVar[str] = "dfr"
    needs_exemplars: ClassVar[bool] = True
    penalty: float = 1e-3
    iterations: int = 100

    def begin(self, run: Run) -> None:
        """Find the last linear layer."""
        super().begin(run)
        layers = [(name, m) for name, m in run.model.named_modules() if isinstance(m, nn.Linear)]
        if not layers:
            raise FairnessError("dfr refits the last torch.nn.Linear of the model, which has none")
        self._name, self._layer = layers[-1]

    def finish(self) -> None:
        """Refit the last layer."""
        exemplars = self.run.exemplars
        assert exemplars is not None
        assert exemplars.ids is not None
        inside = exemplars.ids >= 0
        features = self._features(exemplars.x)[inside]
        labels = exemplars.y[inside]
        weights = inverse_frequency(exemplars.ids[inside]).to(features)
        prefix = f"{self._name}." if self._name else ""
        mask = self.run.masks.get(f"{prefix}weight")
        optimizer = torch.optim.LBFGS(self._layer.parameters(), max_iter=self.iterations, line_search_fn="strong_wolfe")

        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            loss = (weights * cross_entropy(self._logits(features), labels)).mean()
            loss = loss + 0.5 * self.penalty * self._layer.weight.square().sum()
            loss.backward()  # type: ignore[no-untyped-call]
            if mask is not None and self._layer.weight.grad is not None:
                self._layer.weight.grad.mul_(mask)
            return loss

        optimizer.step(closure)  # type: ignore[no-untyped-call]
        optimizer.zero_grad()

    def _logits(self, features: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self._layer(features)
        if logits.shape[1] == 1:
            return torch.cat([torch.zeros_like(logits), logits], dim=1)
        return logits

    def _features(self, x: Any) -> torch.Tensor:
        """What goes into the last layer."""
        caught: list[torch.Tensor] = []
        hook = self._layer.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0].detach()))
        training = self.run.model.training
        self.run.model.eval()
        try:
            with torch.no_grad():
                call(self.run.model, x)
        finally:
            hook.remove()
            self.run.model.train(training)
        return caught[-1]

"""Pruning in steps between which the model is trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from scorch.errors import ShapeError
from scorch.nn.prune.methods import magnitude

__all__ = ["Gradual", "cubic"]


def cubic(target: float, steps: int) -> list[float]:
    """Growing sparsities that end at `target`: much goes while there is much to choose from.

    The schedule of Zhu and Gupta (2017, arXiv 1710.01878). Raises ShapeError for less than one step.

    >>> [round(share, 2) for share in cubic(0.9, 3)]
    [0.63, 0.87, 0.9]
    """
    if steps < 1:
        raise ShapeError(f"gradual pruning takes at least one step, not {steps}")
    return [target * (1 - (1 - (step + 1) / steps) ** 3) for step in range(steps)]


class Gradual:
    """Prunes a model a little more at each `step()`, until it has the sparsity `target`; train in between.

    `method` is any of scorch.nn.prune's, `options` go to it.

    >>> layer = nn.Linear(10, 10)
    >>> pruning = Gradual(layer, 0.9, steps=3)
    >>> [round(pruning.step(), 2) for _ in range(4)]
    [0.63, 0.87, 0.9, 0.9]
    """

    def __init__(
        self, model: nn.Module, target: float, steps: int, method: Callable[..., Any] = magnitude, **options: Any
    ) -> None:
        self.model, self.method, self.options = model, method, options
        self._left = cubic(target, steps)
        self.sparsity = 0.0

    @property
    def is_done(self) -> bool:
        """Whether the target is reached."""
        return not self._left

    def step(self) -> float:
        """Prune to the next sparsity, which is returned; after the last one nothing changes."""
        if self._left:
            self.sparsity = self._left.pop(0)
            self.method(self.model, self.sparsity, **self.options)
        return self.sparsity

"""From influences to weights: the published rule, one that stays near plain training, one that remembers."""

from __future__ import annotations

import torch

from scorch.fairness.errors import FairnessError

__all__ = ["WEIGHTINGS", "Persistent", "additive", "effective_share", "mean_one", "online"]

WEIGHTINGS = ("online", "additive", "persistent")


def mean_one(weights: torch.Tensor) -> torch.Tensor:
    """Scale non-negative weights to a mean of one; all zeros stay zeros and tell a training loop to skip.

    >>> mean_one(torch.tensor([1.0, 3.0])).tolist()
    [0.5, 1.5]
    """
    largest = weights.max() if len(weights) else weights.sum()
    if float(largest) <= 0:
        return torch.zeros_like(weights)
    scaled = weights / largest  # or the reciprocal of a tiny sum overflows
    return scaled * (len(weights) / scaled.sum())


def online(m: torch.Tensor) -> torch.Tensor:
    """Weights in proportion to max(m, 0), as Ren et al. (2018) and FORML (2022) have them, here with mean one.

    >>> online(torch.tensor([-1.0, 1.0, 3.0])).tolist()
    [0.0, 0.75, 2.25]
    """
    return mean_one(m.clamp(min=0))


def additive(m: torch.Tensor, strength: float = 1.0, max_weight: float = 10.0) -> torch.Tensor:
    """One plus `strength` times m in units of its root mean square, clipped to [0, max_weight], then mean one.

    Strength 0 is plain training.

    >>> additive(torch.tensor([-1.0, 1.0]), strength=0.5).tolist()
    [0.5, 1.5]
    """
    return mean_one((1 + strength * _unit(m)).clamp(0, max_weight))


class Persistent:
    """A weight for each of n samples that adds up influences over the epochs; the mean over all n stays one.

    The weights start at `prior` (n,), which is scaled, or else at one.

    >>> memory = Persistent(4, step=0.5)
    >>> memory.update(torch.tensor([0, 1]), torch.tensor([1.0, -1.0]))
    >>> memory.values.tolist()
    [1.5, 0.5, 1.0, 1.0]
    """

    def __init__(self, n: int, step: float = 0.1, max_weight: float = 10.0, prior: torch.Tensor | None = None) -> None:
        if prior is not None and (prior.shape != (n,) or float(prior.min()) < 0):
            raise FairnessError(f"prior must be {n} numbers of at least 0, one for each training sample")
        self.values = torch.ones(n) if prior is None else mean_one(prior.float())
        self.step = step
        self.max_weight = max_weight

    def update(self, indices: torch.Tensor, m: torch.Tensor) -> None:
        """Add `step * m / rms(m)` to the weights of the samples `indices` (b,)."""
        if indices.shape != m.shape or (
            len(indices) and not 0 <= int(indices.min()) <= int(indices.max()) < len(self.values)
        ):
            raise FairnessError(
                f"indices must be {len(m)} numbers below {len(self.values)}, the number of training samples"
            )
        moved = self.values[indices] + self.step * _unit(m).to(self.values.dtype)
        self.values[indices] = moved.clamp(0, self.max_weight)
        self.values = mean_one(self.values)


def effective_share(weights: torch.Tensor) -> float:
    """Kish's effective sample size over n: one for equal weights, 1/n if one sample has it all, 0 for zeros.

    >>> effective_share(torch.tensor([1.0, 1.0, 0.0, 0.0]))
    0.5
    """
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / (len(weights) * squares) if squares > 0 else 0.0


def _unit(m: torch.Tensor) -> torch.Tensor:
    """m over its root mean square; zeros if there is nothing to scale."""
    largest = m.abs().max() if len(m) else m.sum()
    if float(largest) == 0:
        return torch.zeros_like(m)
    scaled = m / largest  # or the squares of tiny influences underflow
    return scaled / torch.sqrt((scaled**2).mean())

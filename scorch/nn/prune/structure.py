"""Which entries of a weight go, given a score for each: alone, N of M, or in blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch

from scorch.errors import ShapeError

__all__ = ["NM", "Block", "Structure", "Unstructured", "lowest"]


class Structure(Protocol):
    """How pruned entries lie together."""

    def keep(self, scores: torch.Tensor, sparsity: float | None, by_row: bool) -> torch.Tensor:
        """What is kept of a matrix (outputs, inputs): all but the share `sparsity` with the lowest scores."""
        ...


def lowest(scores: torch.Tensor, share: float) -> torch.Tensor:
    """True for the `share` of entries with the lowest scores along the last dimension, exactly that many.

    >>> lowest(torch.tensor([3.0, 1.0, 2.0, 1.0]), 0.5).tolist()
    [False, True, False, True]
    """
    count = round(share * scores.shape[-1])
    chosen = scores.argsort(dim=-1, stable=True)[..., :count]
    return torch.zeros_like(scores, dtype=torch.bool).scatter_(-1, chosen, True)


@dataclass(frozen=True)
class Unstructured:
    """Each entry by itself."""

    def keep(self, scores: torch.Tensor, sparsity: float | None, by_row: bool = False) -> torch.Tensor:
        share = _share(sparsity)
        return ~lowest(scores, share) if by_row else ~lowest(scores.reshape(-1), share).reshape(scores.shape)


@dataclass(frozen=True)
class NM:
    """`n` of every `m` consecutive inputs of an output are kept, such as 2:4. It has a sparsity of its own.

    >>> NM(1, 2).keep(torch.tensor([[1.0, 2.0, 4.0, 3.0]])).tolist()
    [[False, True, True, False]]
    """

    n: int
    m: int

    def __post_init__(self) -> None:
        if not 0 < self.n <= self.m:
            raise ShapeError(f"N:M keeps 1 to M of M entries, not {self.n}:{self.m}")

    def keep(self, scores: torch.Tensor, sparsity: float | None = None, by_row: bool = False) -> torch.Tensor:
        share = 1 - self.n / self.m
        if sparsity is not None and abs(sparsity - share) > 1e-6:
            raise ShapeError(f"{self.n}:{self.m} has the sparsity {share:.4g}, not {sparsity}: leave it out")
        if scores.shape[1] % self.m:
            raise ShapeError(f"{scores.shape[1]} inputs cannot be divided into groups of {self.m}")
        groups = scores.reshape(scores.shape[0], -1, self.m)
        return ~lowest(groups, share).reshape(scores.shape)


@dataclass(frozen=True)
class Block:
    """Blocks of `rows` outputs by `cols` inputs, kept or pruned as a whole by the sum of their scores.

    >>> Block(1, 2).keep(torch.tensor([[1.0, 2.0, 4.0, 3.0]]), 0.5).tolist()
    [[False, False, True, True]]
    """

    rows: int
    cols: int

    def __post_init__(self) -> None:
        if self.rows < 1 or self.cols < 1:
            raise ShapeError(f"a block has at least one entry, not {self.rows} x {self.cols}")

    def keep(self, scores: torch.Tensor, sparsity: float | None, by_row: bool = False) -> torch.Tensor:
        height, width = scores.shape
        if height % self.rows or width % self.cols:
            raise ShapeError(
                f"a weight of {height} x {width} cannot be divided into blocks of {self.rows} x {self.cols}"
            )
        sums = scores.reshape(height // self.rows, self.rows, width // self.cols, self.cols).sum((1, 3))
        kept = Unstructured().keep(sums, sparsity, by_row)
        return kept.repeat_interleave(self.rows, 0).repeat_interleave(self.cols, 1)


def _share(sparsity: float | None) -> float:
    if sparsity is None or not 0 <= sparsity <= 1:
        raise ShapeError(f"sparsity is a share in [0, 1], got {sparsity}")
    return sparsity

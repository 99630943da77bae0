"""Which positions attend to which: patterns of attention, for any length of sequence."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from numbers import Integral
from typing import Any

import torch

import scorch
from scorch.errors import FormatError, ShapeError
from scorch.nn.remember import remembered

__all__ = ["Block", "Causal", "Explicit", "Full", "Global", "Mask", "Union", "Window", "pattern"]


class Mask(ABC):
    """A rule that says, for a length, which pairs (query, key) take part. `a | b` takes the pairs of both.

    >>> (Window(1) | Global(1))(4).to_dense()
    tensor([[1., 1., 1., 1.],
            [1., 1., 1., 0.],
            [1., 1., 1., 1.],
            [1., 0., 1., 1.]])
    """

    @abstractmethod
    def pairs(self, length: int) -> torch.Tensor:
        """(2, pairs): queries and keys, in any order, repetitions allowed."""

    def __call__(self, length: int) -> scorch.Tensor:
        """The csr matrix (length, length) of ones; the same object for the same length."""
        if torch.compiler.is_compiling():  # which can follow an attribute, but nothing that is kept elsewhere
            return getattr(self, self._attribute(length))  # type: ignore[no-any-return]
        return _matrix(self, length)

    def _attribute(self, length: int) -> str:
        name = f"matrix_{length}"
        object.__setattr__(self, name, _matrix(self, length))  # masks are frozen, and this one is no part of its value
        return name

    _attribute._dynamo_marked_constant = True  # type: ignore[attr-defined]  # see torch.compiler.assume_constant_result

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if not name.startswith("matrix_")}

    def __or__(self, other: Mask) -> Mask:
        return Union((self, other))


@lru_cache(maxsize=64)
def _matrix(mask: Mask, length: int) -> scorch.Tensor:
    return _ones(mask.pairs(length), (length, length))


def _ones(pairs: torch.Tensor, shape: tuple[int, int]) -> scorch.Tensor:
    made = scorch.from_coo(pairs, torch.ones(pairs.shape[1]), shape, format="csr")
    return made.with_values(torch.ones(made.nnz))


def _at_least(least: int, **sizes: int) -> None:
    for name, size in sizes.items():
        if not isinstance(size, Integral) or size < least:
            raise ShapeError(f"{name} is a whole number from {least} on, not {size!r}")


def _check_masks(*masks: Any) -> None:
    for mask in masks:
        if not isinstance(mask, Mask):
            raise FormatError(f"a {type(mask).__name__} is no mask: Window, Block, Global, Causal, or Explicit(matrix)")


@dataclass(frozen=True)
class Window(Mask):
    """Keys at most `radius` away from the query, on both sides: 2 radius + 1 keys.

    >>> Window(1)(3).nnz
    7
    """

    radius: int

    def __post_init__(self) -> None:
        _at_least(0, radius=self.radius)

    def pairs(self, length: int) -> torch.Tensor:
        offsets = torch.arange(-self.radius, self.radius + 1)
        queries = torch.arange(length)[:, None].expand(-1, len(offsets))
        keys = queries + offsets
        inside = (keys >= 0) & (keys < length)
        return torch.stack([queries[inside], keys[inside]])


@dataclass(frozen=True)
class Block(Mask):
    """Blocks of `size` positions see themselves, `neighbours` blocks on each side, and `random` more, drawn by `seed`.

    With Global blocks, the pattern of BigBird: Zaheer et al. (2020, arXiv 2007.14062). The last block may be shorter.

    >>> Block(2, neighbours=0)(4).nnz
    8
    """

    size: int
    neighbours: int = 1
    random: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        _at_least(1, size=self.size)
        _at_least(0, neighbours=self.neighbours, random=self.random)

    def pairs(self, length: int) -> torch.Tensor:
        blocks = -(-length // self.size)
        near = Window(self.neighbours).pairs(blocks)
        generator = torch.Generator().manual_seed(self.seed)
        drawn = torch.randint(max(blocks, 1), (blocks, self.random), generator=generator)
        far = torch.stack([torch.arange(blocks)[:, None].expand_as(drawn).reshape(-1), drawn.reshape(-1)])
        return _within(torch.cat([near, far], dim=1), self.size, length)


def _within(blocks: torch.Tensor, size: int, length: int) -> torch.Tensor:
    """The pairs of positions in pairs of blocks."""
    step = torch.arange(size)
    queries = blocks[0][:, None, None] * size + step[:, None]
    keys = blocks[1][:, None, None] * size + step
    queries, keys = queries.expand(-1, size, size), keys.expand(-1, size, size)
    inside = (queries < length) & (keys < length)
    return torch.stack([queries[inside], keys[inside]])


@dataclass(frozen=True)
class Global(Mask):
    """The first `count` positions attend to all positions and are attended to by all.

    >>> Global(1)(3).nnz
    5
    """

    count: int

    def __post_init__(self) -> None:
        _at_least(0, count=self.count)

    def pairs(self, length: int) -> torch.Tensor:
        special, every = torch.arange(min(self.count, length)), torch.arange(length)
        rows = torch.cartesian_prod(special, every).T
        return torch.cat([rows, rows.flip(0)], dim=1)


@dataclass(frozen=True)
class Full(Mask):
    """Every pair.

    >>> Full()(3).nnz
    9
    """

    def pairs(self, length: int) -> torch.Tensor:
        return torch.cartesian_prod(torch.arange(length), torch.arange(length)).T


@dataclass(frozen=True)
class Causal(Mask):
    """The pairs of another mask whose key is not after the query.

    >>> Causal(Full())(3).nnz
    6
    """

    of: Mask

    def __post_init__(self) -> None:
        _check_masks(self.of)

    def pairs(self, length: int) -> torch.Tensor:
        found = self.of.pairs(length)
        return found[:, found[0] >= found[1]]


@dataclass(frozen=True)
class Union(Mask):
    """The pairs of any of several masks."""

    parts: tuple[Mask, ...]

    def __post_init__(self) -> None:
        _check_masks(*self.parts)

    def pairs(self, length: int) -> torch.Tensor:
        return torch.cat([part.pairs(length) for part in self.parts], dim=1)


class Explicit(Mask):
    """A matrix as a mask for its own length: see `pattern` for what it may be.

    >>> Explicit(torch.eye(3).bool())(3).nnz
    3
    """

    def __init__(self, matrix: Any) -> None:
        self.matrix = pattern(matrix)

    def pairs(self, length: int) -> torch.Tensor:
        if self.matrix.shape != (length, length):
            raise ShapeError(f"the mask is {tuple(self.matrix.shape)}, the sequence has {length} positions")
        return self.matrix.coords()


@remembered
def pattern(matrix: Any) -> scorch.Tensor:
    """Any matrix as a csr mask of ones where it stores an entry (a dense one: where it is not zero or False).

    >>> pattern(torch.tensor([[True, False], [True, True]])).nnz
    3
    """
    given = scorch.tensor(matrix)
    if given.ndim != 2:
        raise ShapeError(f"a mask is a matrix of queries and keys; this one has {given.ndim} dimensions")
    sparse = given.to("csr") if given.format != scorch.formats.csr else given
    return sparse.with_values(torch.ones(sparse.nnz))

"""What follows from the pattern of a matrix alone: kept on the pattern."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import wraps
from typing import Any, TypeVar

import numpy as np
import torch

import scorch
from scorch.formats import Pattern, Storage, csr, resolve

__all__ = ["batched", "coordinates", "empty_rows", "headed", "looped", "looped_places", "ones", "stacked", "with_ones"]

Made = TypeVar("Made")


def of_pattern(function: Callable[..., Made]) -> Callable[..., Made]:
    """The function of a pattern and hashable options, computed once a pattern.

    Where torch.compile traces, the result is an attribute of the pattern, which it follows as any other; it knows
    nothing of what is kept elsewhere.

    >>> @of_pattern
    ... def count(pattern): return [pattern.nnz]
    >>> pattern = scorch.tensor(torch.eye(3), "csr")._storage.pattern
    >>> count(pattern) is count(pattern)
    True
    """

    def made(pattern: Pattern, *options: Hashable) -> Made:
        key = (function.__module__, function.__qualname__, *options)
        found: Made | None = pattern.cache.get(key)
        if found is None:
            # Tensors of inference mode could not be saved for a backward pass later.
            with torch.inference_mode(False):
                found = function(pattern, *options)
            if found is not pattern:  # keeping it would keep itself alive
                pattern.cache[key] = found
        return found

    def attribute(pattern: Pattern, *options: Hashable) -> str:
        name = "_".join(map(str, ("derived", function.__name__, *options))).replace(".", "_")
        setattr(pattern, name, made(pattern, *options))
        return name

    attribute._dynamo_marked_constant = True  # type: ignore[attr-defined]  # see torch.compiler.assume_constant_result

    @wraps(function)
    def kept(pattern: Pattern, *options: Hashable) -> Made:
        if torch.compiler.is_compiling():
            return getattr(pattern, attribute(pattern, *options))  # type: ignore[no-any-return]
        return made(pattern, *options)

    return kept


def with_ones(pattern: Pattern, dtype: torch.dtype) -> scorch.Tensor:
    """The tensor of that pattern whose values are 1.

    >>> with_ones(scorch.tensor(torch.eye(2) * 5, "csr")._storage.pattern, torch.float64).values
    tensor([1., 1.], dtype=torch.float64)
    """
    return scorch.Tensor(Storage(pattern, ones(pattern, dtype)))


@of_pattern
def ones(pattern: Pattern, dtype: torch.dtype) -> torch.Tensor:
    """A one for each stored value; to be read, not written."""
    return torch.ones(pattern.nnz, dtype=dtype)


@of_pattern
def coordinates(pattern: Pattern) -> torch.Tensor:
    """Coordinates of the stored values, (ndim, nnz), in stored order; to be read, not written."""
    return scorch.Tensor(Storage(pattern, torch.empty(pattern.nnz))).coords()


@of_pattern
def empty_rows(pattern: Pattern) -> torch.Tensor:
    """The rows of a csr matrix that store nothing.

    >>> empty_rows(scorch.tensor([[0.0, 0.0], [1.0, 0.0]], "csr")._storage.pattern)
    tensor([0])
    """
    pos = torch.from_numpy(pattern.arrays[1]["pos"])
    return (pos[1:] == pos[:-1]).nonzero().flatten()


# --- self-loops -------------------------------------------------------------------------------------------


@of_pattern
def looped(pattern: Pattern) -> Pattern:
    """The pattern of a square csr matrix with its whole diagonal."""
    return _with_diagonal(pattern)[0]


@of_pattern
def looped_places(pattern: Pattern) -> torch.Tensor:
    """Where the values of `looped` come from: places among the pattern's own, the new entries' behind them."""
    return _with_diagonal(pattern)[1]


def _with_diagonal(pattern: Pattern) -> tuple[Pattern, torch.Tensor]:
    places = coordinates(pattern)
    missing = torch.ones(pattern.shape[0], dtype=torch.bool)
    missing[places[0][places[0] == places[1]]] = False
    nodes = missing.nonzero().flatten()
    if len(nodes) == 0 and pattern.format == csr:
        return pattern, torch.arange(pattern.nnz)
    both = torch.cat([places, nodes.expand(2, -1)], dim=1)
    made = scorch.from_coo(both, torch.arange(both.shape[1]), pattern.shape, format=csr)
    return made._storage.pattern, made.values


# --- several matrices of one pattern ----------------------------------------------------------------------


@of_pattern
def headed(pattern: Pattern, heads: int) -> Pattern:
    """A csr pattern with a dense dimension of heads below its entries; the arrays are shared."""
    format = resolve("dense, compressed, dense", 3)
    return Pattern((*pattern.shape, heads), format, [*pattern.arrays, {}], validate=False)


@of_pattern
def batched(pattern: Pattern, batch: int) -> Pattern:
    """A csr pattern once for each matrix of a batch: (batch, rows, cols)."""
    format = resolve("dense, dense, compressed", 3)
    return Pattern((batch, *pattern.shape), format, [{}, {}, _repeated(pattern, batch)])


@of_pattern
def stacked(pattern: Pattern, batch: int) -> Pattern:
    """A csr pattern `batch` times below itself: (batch * rows, cols)."""
    return Pattern((batch * pattern.shape[0], pattern.shape[1]), csr, [{}, _repeated(pattern, batch)])


def _repeated(pattern: Pattern, batch: int) -> dict[str, Any]:
    """The level arrays of the rows of a csr pattern, `batch` times one behind the other."""
    level = pattern.arrays[1]
    starts = np.arange(batch, dtype=np.int64)[:, None] * pattern.nnz
    pos = np.append((level["pos"][:-1] + starts).reshape(-1), batch * pattern.nnz)
    return {"pos": pos, "crd": np.tile(level["crd"], batch)}

"""Generated matrices: uniform, power law, pruned weights, attention windows. All are seeded, CSR, float32."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

__all__ = ["from_edges", "power_law", "pruned", "tensor", "uniform", "values_for", "window"]


def values_for(count: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """Values in [0.5, 1.5): away from zero, so that no product vanishes by chance.

    >>> values_for(2).dtype
    dtype('float32')
    """
    return np.random.default_rng(seed).random(count, dtype=np.float32) + np.float32(0.5)


def from_edges(rows: Any, cols: Any, shape: tuple[int, int], seed: int = 0) -> Any:
    """A CSR matrix with an entry at each distinct (row, column), sorted, int32 indices.

    >>> from_edges([1, 0, 1], [0, 2, 0], (2, 3)).nnz
    2
    """
    keys = np.unique(np.asarray(rows, np.int64) * shape[1] + np.asarray(cols, np.int64))
    counts = np.bincount(keys // shape[1], minlength=shape[0])
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    indices = (keys % shape[1]).astype(np.int32)
    return sparse.csr_array((values_for(len(keys), seed), indices, indptr), shape=shape)


def uniform(rows: int, cols: int, density: float, seed: int = 0) -> Any:
    """Entries at random places; `density` is reached but for the few that fall together.

    >>> uniform(100, 50, 0.1).shape
    (100, 50)
    """
    rng = np.random.default_rng(seed)
    count = round(rows * cols * density)
    return from_edges(rng.integers(rows, size=count), rng.integers(cols, size=count), (rows, cols), seed)


def tensor(shape: tuple[int, ...], count: int, seed: int = 0) -> Any:
    """A COO tensor of any order with entries at random places; those that fall together count once.

    >>> tensor((4, 5, 6), 20).shape
    (4, 5, 6)
    """
    rng = np.random.default_rng(seed)
    places = np.unique(np.stack([rng.integers(extent, size=count) for extent in shape]), axis=1)
    return sparse.coo_array((values_for(places.shape[1], seed), tuple(places)), shape=shape)


def power_law(nodes: int, edges: int, exponent: float = 1.0, seed: int = 0) -> Any:
    """A graph whose degrees fall as rank ** -exponent, both ends of an edge drawn alike, ids shuffled.

    Edges that are drawn twice count once: 1,000,000 draws over 50,000 nodes leave about 660,000.

    >>> power_law(100, 500).shape
    (100, 100)
    """
    rng = np.random.default_rng(seed)
    weights = np.arange(1, nodes + 1, dtype=np.float64) ** -exponent
    cumulative = np.cumsum(weights / weights.sum())
    ends = np.minimum(np.searchsorted(cumulative, rng.random((2, edges))), nodes - 1)
    ids = rng.permutation(nodes)
    return from_edges(ids[ends[0]], ids[ends[1]], (nodes, nodes), seed)


def pruned(rows: int, cols: int, sparsity: float, seed: int = 0) -> Any:
    """A weight matrix with exactly the given share of zeros, at random places.

    >>> pruned(10, 10, 0.9).nnz
    10
    """
    rng = np.random.default_rng(seed)
    keep = rng.permutation(rows * cols)[: round(rows * cols * (1 - sparsity))]
    return from_edges(keep // cols, keep % cols, (rows, cols), seed)


def window(length: int, side: int, seed: int = 0) -> Any:
    """The mask of sliding-window attention: `side` neighbours on either side, and the diagonal.

    >>> window(4, 1).nnz
    10
    """
    rows = np.repeat(np.arange(length), 2 * side + 1)
    cols = rows + np.tile(np.arange(-side, side + 1), length)
    inside = (cols >= 0) & (cols < length)
    return from_edges(rows[inside], cols[inside], (length, length), seed)

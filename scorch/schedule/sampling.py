"""What two operands have to do with each other, measured on a few rows: how many products the rows of a sparse product
have, and how many of them fall together; whether it can be foretold which of two matrices has the next entry.

Statistics of each operand by itself don't say: the columns that one matrix has may be just the long rows of the other,
products of a mesh fall on far fewer places than those of a graph of the same size, and so do its entries alternate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from scorch.formats import Format, Pattern
from scorch.ir.absence import without
from scorch.ir.graph import level_indices
from scorch.ir.notation import Access, Assign, Literal

__all__ = ["FEW", "Few", "Sample", "sample", "surprise"]

FEW = (16, 64)  # products of a row, up to which it may be made in another way
WORTH = 100_000  # products of a whole result from which a sample pays
COUNTED = 512  # rows whose products are counted
MERGED = 16  # of them, rows whose entries are counted, heavy ones more likely
MERGED_ENTRIES = 30_000  # of operands that are merged, from which on it pays to look at some of them
WALKED = 1_500  # of those
HISTORY = 3  # steps of a merge by which the next one is foretold
MOST = 50_000  # products of one of those; what a longer row has more is left out

Array: TypeAlias = "np.ndarray[Any, Any]"


@dataclass(frozen=True, slots=True)
class Few:
    """The share of rows that have at most `most` products, the share of all products that those have, and how many its
    row has, for a product of them on average."""

    most: int
    rows: float
    products: float
    length: float


@dataclass(frozen=True, slots=True)
class Sample:
    """A product whose rows, one for each coordinate of the index `row`, are gathered from rows of an operand: expected
    `products` and `entries` of the whole result, and classes of rows with `few` products."""

    row: str
    products: float
    entries: float
    few: tuple[Few, ...]

    def __str__(self) -> str:
        return f"{self.products:.3g} products fall on {self.entries:.3g} places, by a sample of rows"


def sample(statement: Assign, patterns: Mapping[str, Pattern], fills: Mapping[str, Any]) -> Sample | None:
    """The sample of a product of two matrices by rows, C[i,j] += A[i,k] * B[k,j]; None for any other statement, and
    where it would take as long as the product."""
    found = _by_rows(statement, patterns)
    if found is None or not all(without(statement.expr, {a: Literal(fills[a.tensor])})[1] for a in found):
        return None  # of a sum, say, there is a term wherever either has an entry
    left, right = (_Rows(patterns[access.tensor].plain) for access in found)
    if left.nnz * right.nnz <= WORTH * right.count:
        return None
    taken = np.unique(np.linspace(0, left.count - 1, COUNTED).astype(np.int64))
    first, last = left.ranges(taken)
    entries, owner = _together(first, last)
    picked = right.ranges(left.columns[entries])
    products = np.bincount(owner, weights=picked[1] - picked[0], minlength=len(taken))
    total = products.sum()
    if not total:
        return None
    # A row for each of as many equal shares of all products: the mean of their entries by product is that of all.
    heavy = np.searchsorted(np.cumsum(products), (np.arange(MERGED) + 0.5) / MERGED * total, side="right")
    shares = [_distinct(right, left.columns[first[row] : last[row]]) for row in heavy]
    whole = total * left.count / len(taken)
    row = level_indices(found[0], patterns[found[0].tensor].format)[0]
    return Sample(row, float(whole), float(whole * np.mean(shares)), tuple(_few(products, most) for most in FEW))


def surprise(statement: Assign, patterns: Mapping[str, Pattern]) -> float | None:
    """How often the next step of a merge of matrices by rows is foretold wrongly: which of them have its coordinate.

    Foretold as the processor does it, by what came after the same last steps before (Yeh and Patt 1991). None for any
    other statement, and where looking would take as long as the merge.
    """
    sparse = [access for access in statement.accesses if not patterns[access.tensor].format.is_dense]
    if not 2 <= len(sparse) <= 3 or not all(_has_rows(patterns[access.tensor].format) for access in sparse):
        return None
    paths = {level_indices(access, patterns[access.tensor].format) for access in sparse}
    matrices = [_Rows(patterns[access.tensor].plain) for access in sparse]
    whole = sum(matrix.nnz for matrix in matrices)
    if len(paths) > 1 or whole < MERGED_ENTRIES:
        return None
    rows = max(1, min(matrices[0].count, matrices[0].count * WALKED // whole))
    taken = np.unique(np.linspace(0, matrices[0].count - 1, rows).astype(np.int64))
    places, owners = [], []
    for number, matrix in enumerate(matrices):
        entries, owner = _together(*matrix.ranges(taken))
        places.append(owner[:WALKED] * matrix.width + matrix.columns[entries[:WALKED]])
        owners.append(np.full(len(places[-1]), 1 << number))
    found, steps = np.unique(np.concatenate(places), return_inverse=True)
    cases = np.bincount(steps, weights=np.concatenate(owners), minlength=len(found)).astype(np.int64)
    return _wrong(cases, len(matrices))


def _wrong(cases: Array, bits: int) -> float:
    """The share of cases, numbers of so many bits, that are not the one that most often followed the same last ones.

    >>> _wrong(np.array([1, 3] * 50), 2)
    0.0
    """
    if len(cases) <= HISTORY:
        return 0.0
    size = len(cases) - HISTORY
    before = sum(cases[n : n + size] << (bits * n) for n in range(HISTORY))
    followed = np.bincount((before << bits) | cases[HISTORY:], minlength=1 << (bits * (HISTORY + 1)))
    return float(1 - followed.reshape(-1, 1 << bits).max(axis=1).sum() / size)


def _few(products: Array, most: int) -> Few:
    """The class of the rows that have at most so many products.

    >>> _few(np.array([1.0, 3.0, 12.0]), 4)
    Few(most=4, rows=0.6666666666666666, products=0.25, length=2.5)
    """
    found = products[products <= most]
    theirs = float(found.sum())
    length = float(found @ found) / theirs if theirs else 0.0
    return Few(most, len(found) / len(products), theirs / float(products.sum()), length)


def _by_rows(statement: Assign, patterns: Mapping[str, Pattern]) -> tuple[Access, Access] | None:
    """The two sparse operands of a product by rows, that whose columns select rows of the other first."""
    sparse = [access for access in statement.accesses if not patterns[access.tensor].format.is_dense]
    if len(sparse) != 2 or not all(_has_rows(patterns[access.tensor].format) for access in sparse):
        return None
    target = statement.target.indices
    for left, right in (sparse, reversed(sparse)):
        row, picked = level_indices(left, patterns[left.tensor].format)
        selected, column = level_indices(right, patterns[right.tensor].format)
        if picked == selected and picked not in target and {row, column} == set(target) and row != column:
            return left, right
    return None


def _has_rows(format: Format) -> bool:
    """Whether a matrix lists its entries by row, or by column."""
    if format.ndim != 2 or format.blocks:
        return False
    above, last = format.plain.levels
    return (above.full or (above.ordered and "crd" in above.arrays)) and "crd" in last.arrays and last.unique


class _Rows:
    """The rows of a matrix, or what comes first in its order: ranges of positions, and the columns there."""

    def __init__(self, pattern: Pattern) -> None:
        self.nnz = pattern.nnz
        self.count, self.width = pattern.extent(0), pattern.extent(1)
        self.columns = pattern.arrays[1]["crd"]
        self._listed = pattern.arrays[0].get("crd")
        self._ends = pattern.arrays[1].get("pos")

    def ranges(self, rows: Array) -> tuple[Array, Array]:
        """Where some rows begin and end."""
        if self._listed is None:
            assert self._ends is not None
            return self._ends[rows], self._ends[rows + 1]
        rows = rows.astype(self._listed.dtype)  # or all that are listed would be copied into the type of these
        first, last = (np.searchsorted(self._listed, rows, side=side) for side in ("left", "right"))
        return (first, last) if self._ends is None else (self._ends[first], self._ends[last])


def _together(first: Array, last: Array) -> tuple[Array, Array]:
    """All positions of some ranges, and the number of the range that each is in.

    >>> _together(np.array([3, 7]), np.array([5, 8]))
    (array([3, 4, 7]), array([0, 0, 1]))
    """
    lengths = last - first
    owner = np.repeat(np.arange(len(lengths)), lengths)
    before = np.cumsum(lengths) - lengths
    return np.arange(len(owner)) + (first - before)[owner], owner


def _distinct(matrix: _Rows, rows: Array) -> float:
    """The share of the columns of some rows that are left if each is taken once."""
    first, last = matrix.ranges(rows)
    whole = max(1, int(np.searchsorted(np.cumsum(last - first), MOST, side="right")))
    columns = matrix.columns[_together(first[:whole], last[:whole])[0]]
    found = np.count_nonzero(np.bincount(columns)) if len(columns) * 8 > matrix.width else len(np.unique(columns))
    return float(found / max(1, len(columns)))

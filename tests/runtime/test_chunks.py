"""Chunk bounds: every unit in one chunk, equal shares, and runs of one coordinate not divided."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

import scorch
from scorch.formats import Pattern, csr
from scorch.operand import as_storage
from scorch.runtime.chunks import ROW, chunk_bounds, merge_rows, unit_count


def rows(lengths: list[int]) -> Pattern:
    pos = np.append(0, np.cumsum(lengths)).astype(np.int64)
    crd = np.concatenate([np.arange(length) for length in lengths] or [[]]).astype(np.int64)
    return Pattern((len(lengths), max([1, *lengths])), csr, [{}, {"pos": pos, "crd": crd}])


@pytest.mark.smoke
@pytest.mark.parametrize("lengths", [[], [0], [5], [0, 0, 0], [1, 2, 3, 4], [100, 0, 0, 1], [0, 0, 100], [3] * 50])
@pytest.mark.parametrize("chunks", [1, 2, 7, 64])
def test_every_row_is_in_one_chunk(lengths: list[int], chunks: int) -> None:
    bounds = chunk_bounds("coordinates", len(lengths), chunks, rows(lengths))
    assert (len(bounds), bounds[0], bounds[-1]) == (chunks + 1, 0, len(lengths))
    assert (np.diff(bounds) >= 0).all()


def test_chunks_hold_equal_shares() -> None:
    lengths = np.array([1000] + [1] * 1000)
    bounds = chunk_bounds("coordinates", len(lengths), 3, rows(lengths.tolist()))
    shares = [int((lengths[lo:hi] + ROW).sum()) for lo, hi in pairwise(bounds)]
    assert max(shares) - min(shares) <= 2 * (1 + ROW)


def test_chunks_hold_equal_shares_of_the_products_that_nonzeros_select() -> None:
    """Two rows select long rows of the other matrix, all others select short ones."""
    lengths = np.array([500, 500] + [2] * 998)
    selecting = Pattern((1000, 1000), csr, [{}, {"pos": np.arange(1001), "crd": np.arange(1000)}])
    bounds = chunk_bounds("coordinates", 1000, 2, selecting, rows=rows(lengths.tolist()))
    shares = [int((lengths[lo:hi] + ROW).sum()) for lo, hi in pairwise(bounds)]
    assert abs(shares[0] - shares[1]) <= 4 + 2 * ROW
    assert chunk_bounds("coordinates", 1000, 2, selecting).tolist() == [0, 500, 1000]


def test_a_run_of_one_coordinate_stays_together() -> None:
    A = scorch.from_coo([[0] * 5 + [1] * 90 + [2] * 5, [*range(5), *range(90), *range(5)]], torch.ones(100), (3, 90))
    pattern = as_storage(A).pattern
    bounds = chunk_bounds("positions", unit_count("positions", 3, pattern, 1), 8, pattern)
    assert set(bounds.tolist()) <= {0, 5, 95, 100}
    assert (np.diff(bounds) >= 0).all()


@pytest.mark.parametrize("lengths", [[64], [0, 64], [64, 0], [0, 0, 40, 0], [7, 5, 0, 60, 0, 3], [1] * 9, [0, 1]])
@pytest.mark.parametrize("chunks", [1, 2, 3, 8])
def test_a_merge_path_divides_rows_and_nonzeros(lengths: list[int], chunks: int) -> None:
    pattern = rows(lengths)
    units = unit_count("merge-path", len(lengths), pattern, 1)
    assert units == len(lengths) + sum(lengths)
    bounds = chunk_bounds("merge-path", units, chunks, pattern)
    starts = merge_rows(bounds, pattern)
    assert np.abs(np.diff(bounds) - units / chunks).max() <= 1
    assert (np.diff(starts) >= 0).all()
    positions = bounds - starts  # the nonzeros before each bound
    pos = pattern.arrays[1]["pos"]
    inside = starts < len(lengths)
    assert (positions[inside] >= pos[starts[inside]]).all()
    assert (positions[inside] <= pos[starts[inside] + 1]).all()


def test_units() -> None:
    pattern = rows([1, 2])
    assert unit_count("coordinates", 2, pattern, 1) == 2
    assert unit_count("tiles", 100, None, 64) == 2
    assert unit_count("tiles", 0, None, 64) == 0

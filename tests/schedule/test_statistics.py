"""Statistics: exact where the level arrays tell, kept on the pattern, finite for every shape."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import scorch
from scorch.formats import Pattern, csr
from scorch.operand import as_storage
from scorch.schedule.statistics import expected_distinct, product, statistics

ARRAYS = [{}, {"pos": np.array([0, 3, 3, 4]), "crd": np.array([0, 1, 3, 2])}]


@pytest.mark.smoke
def test_rows_of_csr() -> None:
    found = statistics(Pattern((3, 8), csr, ARRAYS))
    assert (found.nnz, found.row_max, found.positions, found.distinct) == (4, 3, (3, 4), (3, 4))
    assert found.row_mean == pytest.approx(4 / 3)
    assert found.spread == pytest.approx((4 / 8 + 1 / 8) / 2)
    assert str(found).startswith("nnz 4, row mean 1.33 max 3")


def test_measured_once() -> None:
    pattern = Pattern((3, 8), csr, ARRAYS)
    assert statistics(pattern) is statistics(pattern)


@pytest.mark.parametrize("format", ["csr", "csc", "dcsr", "dcsc", "coo"])
@pytest.mark.parametrize("shape", [(5, 7), (0, 7), (5, 0), (0, 0)])
def test_empty_tensors(format: str, shape: tuple[int, int]) -> None:
    A = scorch.from_coo([[], []], torch.empty(0), shape, format=format)
    found = statistics(as_storage(A).pattern)
    assert found.nnz == 0
    assert found.row_max <= max(shape)
    assert all(np.isfinite([found.row_mean, found.row_deviation, found.spread]))


def test_distinct_rows_of_coo_are_counted() -> None:
    A = scorch.from_coo([[0, 0, 4, 4, 4], [0, 1, 2, 3, 4]], torch.ones(5), (5, 5))
    assert statistics(as_storage(A).pattern).distinct == (2, 5)


def test_unsorted_input() -> None:
    unsorted = torch.sparse_csr_tensor(torch.tensor([0, 2, 3]), torch.tensor([2, 0, 1]), torch.ones(3), (2, 3))
    found = statistics(as_storage(unsorted).pattern)
    assert (found.nnz, found.row_max) == (3, 2)
    assert found.spread <= 1


def test_expected_distinct() -> None:
    assert expected_distinct(0, 10) == 0
    assert expected_distinct(5, 0) == 0
    assert expected_distinct(10, 1e9) == pytest.approx(10)
    assert expected_distinct(1e9, 10) == pytest.approx(10)
    assert product([2**62, 2**62, 2**62]) == pytest.approx(2.0**186)


def test_groups_of_children() -> None:
    pos = np.cumsum([0, 3, 5, 8, 8, 0])
    pattern = Pattern((5, 8), csr, [{}, {"pos": pos, "crd": np.concatenate([np.arange(n) for n in np.diff(pos)])}])
    one, four, eight, sixteen = statistics(pattern).groups
    assert (one.size, one.mean, one.changes) == (1, 21 / 4, 3 / 4)  # of the rows that have one before them
    assert (four.size, four.mean, four.changes) == (4, 6 / 4, 2 / 4)
    assert (eight.size, eight.mean, eight.changes) == (8, 3 / 4, 1 / 4)
    assert (sixteen.size, sixteen.mean, sixteen.changes) == (16, 3 / 4, 1 / 4)

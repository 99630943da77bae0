"""Lanes over stored positions: where rows end decides how many, or that there are none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scorch.engine import problem_of
from scorch.formats import Pattern, Storage, csc, csr
from scorch.ir.einsum import parse_einsum
from scorch.operand import as_storage
from scorch.schedule.lanes import along_positions
from scorch.schedule.machine import AVX2, AVX512, SSE, Machine
from scorch.schedule.planner import schedule
from scorch.schedule.problem import Problem

MANY = 700  # times a few lengths make more rows than the branch predictor learns


def asked(lengths: list[int], machine: Machine = AVX2, notation: str = "ij,j->i", dtype: str = "float32") -> Problem:
    """A matrix with rows of these lengths times dense operands of ones."""
    pos = np.append(0, np.cumsum(lengths))
    crd = np.concatenate([np.arange(length) for length in lengths])
    columns = max(lengths)
    pattern = Pattern((len(lengths), columns), csr, [{}, {"pos": pos, "crd": crd}])
    first, *others = notation.partition("->")[0].split(",")
    extents = dict(zip(first, pattern.shape, strict=True))
    dense = [as_storage(np.ones([extents[v] for v in term], dtype)) for term in others]
    storages = [Storage(pattern, as_storage(np.ones(len(crd), dtype)).values), *dense]
    statement = parse_einsum(notation, [s.pattern.shape for s in storages])
    return replace(problem_of(statement, storages), machine=machine)


def lanes(problem: Problem) -> int:
    """How many lanes the innermost index has; 0 for a scalar loop."""
    along = along_positions(problem, "j", {o.name: o.format for o in problem.operands})
    return along.tile.lanes if along and along.tile else 0


@pytest.mark.parametrize(
    ("lengths", "chosen"),
    [
        ([1] * 50, 0),
        ([3, 2, 4, 3] * 20, 4),
        ([7, 2, 8, 5] * 20, 8),
        ([11, 16, 9, 14] * 20, 16),
        ([24] * 9, 8),
    ],
)
def test_the_cheapest_number_of_lanes_under_masks(lengths: list[int], chosen: int) -> None:
    assert lanes(asked(lengths * MANY, AVX512)) == chosen


def test_rows_of_a_reordered_operand_are_guessed() -> None:
    problem = asked([9, 2, 7, 5] * 20 * MANY, AVX512)
    matrix, vector = problem.operands
    formats = {"A": csr, "B": vector.format}
    converted = replace(problem, operands=(replace(matrix, format=csc), vector))
    known, guessed = along_positions(problem, "j", formats), along_positions(converted, "j", formats)
    assert known
    assert guessed
    assert guessed.tile
    assert guessed.row == pytest.approx(known.row, rel=0.5)
    past = along_positions(replace(converted, machine=AVX2), "j", formats)
    assert past
    assert past.tile is None


@pytest.mark.parametrize(
    ("lengths", "chosen"),
    [
        ([1] * 50, 0),
        ([3] * 50, 0),
        ([2, 3, 1] * 20, 4),
        ([9, 2, 7, 5] * 20, 8),
        ([4] * 9 + [12] * 3, 4),
        ([60] * 9, 8),
        ([60, 71, 38] * 9, 8),
    ],
)
def test_the_cheapest_number_of_lanes(lengths: list[int], chosen: int) -> None:
    assert lanes(asked(lengths * MANY)) == chosen


def test_ends_of_few_rows_are_learned_by_the_branch_predictor() -> None:
    lengths = [9, 2, 7, 5] * 20
    amd = replace(AVX512, microcoded=True)
    assert lanes(asked(lengths * MANY, amd)) == lanes(asked(lengths * 20, AVX2)) == 8
    assert lanes(asked(lengths, AVX2)) == lanes(asked(lengths * 20, amd)) == 0


def test_long_rows_have_two_vectors_in_flight() -> None:
    assert "unrolled 2 times" in str(schedule(asked([60, 71, 38] * 9)))
    assert "unrolled" not in str(schedule(asked([9, 12, 7, 35] * 20 * MANY)))


def test_wide_numbers_have_fewer_lanes() -> None:
    lengths = [9, 2, 7, 5] * 20 * MANY
    assert lanes(asked(lengths, dtype="float64")) == 4
    assert lanes(asked(lengths, SSE, dtype="float64")) == 0
    assert lanes(asked(lengths, SSE)) == 4


def test_places_that_must_be_computed_are_not_gathered() -> None:
    assert lanes(asked([9, 2, 7, 5] * 20, notation="ij,ij->i")) == 0


@pytest.mark.parametrize("machine", [AVX2, AVX512])
def test_the_plan_tells_how_a_row_ends(machine: Machine) -> None:
    problem = asked([30, 27, 31, 40] * 20, machine)
    text = str(schedule(problem))
    assert "stored positions at a time" in text
    assert ("past the end of a row" in text) == (machine is AVX2)


def test_every_vector_of_a_short_row_is_masked() -> None:
    assert "16 stored positions at a time, under a mask" in str(schedule(asked([11, 16, 9, 14] * 20 * MANY, AVX512)))
    assert "under a mask" not in str(schedule(asked([60, 71, 38] * 9, AVX512)))


def test_more_entries_than_a_mask_counts() -> None:
    problem = asked([9, 2, 7, 5] * 20)
    operand = problem.operands[0]
    huge = replace(operand, statistics=replace(operand.statistics, nnz=1 << 31))
    assert lanes(replace(problem, operands=(huge, *problem.operands[1:]))) == 0

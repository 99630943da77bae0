"""Unrolling reductions under a tile: where rows end decides how many positions make a group, and how the rest is
taken."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scorch.ir.plan import Tile
from scorch.schedule.machine import AVX512, SSE, Machine
from scorch.schedule.statistics import Groups
from scorch.schedule.unrolling import SINGLY, Unrolling, cheapest, in_flight, unrolled, unrollings
from tests.schedule.problems import problem

MANY = 1_000_000  # positions: more rows than the branch predictor learns
REGULAR = (Groups(1, 20.0, 0.0), Groups(4, 5.0, 0.0), Groups(8, 3.0, 0.0))
SOCIAL = (Groups(1, 22.0, 0.96), Groups(4, 6.0, 0.86), Groups(8, 3.4, 0.74))  # a network of authors
PLANAR = (Groups(1, 6.0, 0.8), Groups(4, 1.9, 0.29), Groups(8, 1.05, 0.08))  # a triangulation
SHORT = (Groups(1, 2.0, 0.2), Groups(4, 1.0, 0.0), Groups(8, 1.0, 0.0))  # a road network


def chosen(groups: tuple[Groups, ...], vectors: int, stored: int = MANY, machine: Machine = AVX512) -> Unrolling:
    asked = replace(problem("ik,kj->ij", ((3, 4), 5, "csr"), ((4, 16 * vectors), 0, "dense")), machine=machine)
    return cheapest(unrollings(asked, Tile(16, vectors, count=1), groups, stored))


@pytest.mark.parametrize(
    ("groups", "vectors", "count", "past"),
    [
        (REGULAR, 1, 4, False),
        (SOCIAL, 1, 4, True),
        (PLANAR, 1, 8, True),
        (SHORT, 1, 1, False),
        (REGULAR, 2, 4, False),
        (SOCIAL, 2, 4, True),
        (PLANAR, 2, 4, True),
        (SHORT, 2, 1, False),
        (SOCIAL, 4, 1, False),  # beside the arithmetic of more vectors it costs more than it saves
        (REGULAR, 4, 2, False),
        (SOCIAL, 8, 1, False),  # as many accumulators as hide the latency anyway
    ],
)
def test_where_rows_end(groups: tuple[Groups, ...], vectors: int, count: int, past: bool) -> None:
    found = chosen(groups, vectors)
    assert (found.count, found.past) == (count, past)
    assert found.ends < 1 if past else found.ends == 1


def test_few_rows_are_learned() -> None:
    assert chosen(SOCIAL, 1, stored=20_000) == Unrolling(4)
    assert chosen(SOCIAL, 1, stored=100_000).past
    amd = replace(AVX512, microcoded=True)
    assert chosen(SOCIAL, 1, stored=100_000, machine=amd) == Unrolling(4)


def test_nothing_is_known_of_rows() -> None:
    assert chosen((), 1) == SINGLY


@pytest.mark.parametrize(("vectors", "count"), [(1, 4), (2, 4), (3, 2), (4, 2), (5, 1), (16, 1)])
def test_accumulators_that_hide_the_latency(vectors: int, count: int) -> None:
    assert in_flight(Tile(16, vectors, count=1)) == count
    assert in_flight(Tile(16, vectors, rest=vectors, count=0)) == count


def test_rows_of_an_operand_that_is_merged_are_not_unrolled() -> None:
    asked = replace(
        problem("ik,ik,kj->ij", ((9, 9), 40, "csr"), ((9, 9), 40, "csr"), ((9, 16), 0, "dense")), machine=SSE
    )
    formats = {operand.name: operand.format for operand in asked.operands}
    assert unrolled(asked, "j", Tile(4, 1), "k", formats) == SINGLY

"""SIMD tiles: shapes that cover every extent exactly once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scorch.emit.module import emit
from scorch.formats import Format
from scorch.schedule.machine import AVX2, AVX512, SSE, Machine
from scorch.schedule.planner import alternatives, schedule
from scorch.schedule.tile import can_tile, choose_tile, vector_lanes
from tests.schedule.problems import Spec, problem

EXTENTS = [0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 255, 256, 257, 300, 1000, 4097]


@pytest.mark.smoke
@pytest.mark.parametrize("extent", EXTENTS)
@pytest.mark.parametrize("reduced", [True, False])
@pytest.mark.parametrize("parts", [1, 2, 5])
@pytest.mark.parametrize(("machine", "once"), [(AVX512, True), (AVX2, True), (AVX2, False), (SSE, True)])
def test_a_tile_covers_its_extent(extent: int, reduced: bool, parts: int, machine: Machine, once: bool) -> None:
    asked = replace(problem("ik,kj->ij", ((3, 4), 5, "csr"), ((4, extent), 0, "dense")), machine=machine)
    tile = choose_tile(asked, "j", reduced, True, parts, once)
    width = tile.vectors * tile.lanes
    full = extent // width * width if tile.count is None else tile.count * width
    rest = extent - full
    assert rest >= 0
    assert (tile.rest - 1) * tile.lanes < rest <= tile.rest * tile.lanes or (rest == 0 and tile.rest == 0)
    assert (tile.masked or tile.overlaps) == (rest % tile.lanes > 0)
    assert not (tile.masked and tile.overlaps)
    assert not tile.overlaps or extent >= tile.lanes
    assert 1 <= tile.vectors <= machine.registers
    if parts > 1 and extent >= parts * tile.lanes:
        assert -(-extent // width) > 1


def test_lanes_of_number_types() -> None:
    asked = problem("i->i", ((4,), 0, "dense"))
    for machine, lanes in ((AVX512, [16, 8, 64, 8]), (AVX2, [8, 4, 32, 4]), (SSE, [4, 2, 16, 2])):
        here = [replace(asked, dtype=name, machine=machine) for name in ("float32", "float64", "uint8", "int64")]
        assert [vector_lanes(p) for p in here] == lanes


def test_what_cannot_be_vectorised() -> None:
    def tiles(notation: str, *specs: tuple[tuple[int, ...], int, str], index: str) -> bool:
        asked = problem(notation, *specs)
        return can_tile(asked, index, {o.name: o.format for o in asked.operands})

    csr, dense = ((9, 9), 20, "csr"), ((9, 9), 0, "dense")
    assert tiles("ik,kj->ij", csr, dense, index="j")
    assert not tiles("ik,jk->ij", csr, dense, index="j")  # strided
    assert not tiles("ik,kj->ij", csr, dense, index="k")  # walked
    assert not tiles("ik,kj->ij", csr, csr, index="j")
    assert not tiles("ij,jj->ij", csr, dense, index="j")  # tied to another index


def test_other_types_are_converted_on_lanes_but_truth_values() -> None:
    asked = problem("ik,kj->ij", ((9, 9), 20, "csr"), ((9, 9), 0, "dense"))
    formats = {o.name: o.format for o in asked.operands}
    assert can_tile(replace(asked, dtype="float64"), "j", formats)
    a, b = asked.operands
    assert not can_tile(replace(asked, operands=(a, replace(b, dtype="bool"))), "j", formats)


@pytest.mark.parametrize("machine", [AVX512, AVX2, SSE])
def test_rows_do_not_share_a_walk_that_locates_them(machine: Machine) -> None:
    """The places of A's last level lie below stored coordinates of the reduction, which all rows would walk at once."""
    heads: Spec = ((4, 4, 8), 40, Format("dense, compressed, dense"))
    asked = replace(problem("ijh,jf->ihf", heads, ((4, 8), 0, "dense")), machine=machine)
    for found in alternatives(asked):
        plan = schedule(replace(asked, choice=found.description))
        assert emit(plan.kernel)

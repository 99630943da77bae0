"""SIMD tiles: shapes that cover every extent exactly once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scorch.schedule.tile import can_tile, choose_tile, vector_lanes
from tests.schedule.problems import problem

EXTENTS = [0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 255, 256, 257, 300, 1000, 4097]


@pytest.mark.smoke
@pytest.mark.parametrize("extent", EXTENTS)
@pytest.mark.parametrize("reduced", [True, False])
@pytest.mark.parametrize("parts", [1, 2, 5])
def test_a_tile_covers_its_extent(extent: int, reduced: bool, parts: int) -> None:
    asked = problem("ik,kj->ij", ((3, 4), 5, "csr"), ((4, extent), 0, "dense"))
    tile = choose_tile(asked, "j", reduced, True, parts)
    width = tile.vectors * tile.lanes
    full = extent // width * width if tile.count is None else tile.count * width
    rest = extent - full
    assert rest >= 0
    assert (tile.rest - 1) * tile.lanes < rest <= tile.rest * tile.lanes or (rest == 0 and tile.rest == 0)
    assert tile.masked == (rest % tile.lanes > 0)
    assert 1 <= tile.vectors <= 16
    if parts > 1 and extent >= parts * tile.lanes:
        assert -(-extent // width) > 1


def test_lanes_of_number_types() -> None:
    assert [vector_lanes(name) for name in ("float32", "float64", "uint8", "int64")] == [16, 8, 64, 8]


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


def test_mixed_and_exotic_types_are_not_vectorised() -> None:
    asked = problem("ik,kj->ij", ((9, 9), 20, "csr"), ((9, 9), 0, "dense"))
    formats = {o.name: o.format for o in asked.operands}
    for dtype in ("float64", "complex64", "bool"):
        assert not can_tile(replace(asked, dtype=dtype), "j", formats)

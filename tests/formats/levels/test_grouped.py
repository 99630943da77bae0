"""Grouped levels: what their arrays claim is checked, and what they cannot do is said."""

from __future__ import annotations

import numpy as np
import pytest

from scorch.errors import FormatError
from scorch.formats import Dense, Format, Pattern, csr
from scorch.formats.levels import Grouped
from scorch.grouping import grouped

pytestmark = pytest.mark.smoke

PAIRS = Format((Dense(), Grouped(rows=2)))


def made() -> dict[str, np.ndarray]:
    """Of a matrix with the rows {0, 2} and {2}."""
    source = Pattern((2, 3), csr, [{}, {"pos": np.array([0, 2, 3]), "crd": np.array([0, 2, 2])}])
    return dict(grouped(source, PAIRS)[0].arrays[1])


def test_valid_arrays_pass() -> None:
    arrays = made()
    assert Pattern((2, 3), PAIRS, [{}, arrays]).nnz == 3
    assert arrays["crd"].dtype == np.int16
    assert str(PAIRS) == "dense, grouped(2 rows)"


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"starts": np.array([0, 1, 2])}, "don't make"),
        ({"crd": np.array([0, 3], np.int16)}, "outside"),
        ({"first": np.array([0, 2])}, "as many values as it has members|must hold"),
        ({"starts": np.array([0, 2, 2, 2])}, "must hold"),
    ],
)
def test_wrong_arrays_are_refused(change: dict[str, np.ndarray], match: str) -> None:
    with pytest.raises(FormatError, match=match):
        Pattern((2, 3), PAIRS, [{}, made() | change])


def test_rows_have_to_make_whole_blocks() -> None:
    with pytest.raises(FormatError, match="don't make"):
        Pattern((3, 3), PAIRS, [{}, made()])


def test_one_row_is_no_range_and_nothing_writes_the_level() -> None:
    with pytest.raises(FormatError, match="no range"):
        Grouped(rows=2).bounds(None, 0, 1)
    with pytest.raises(FormatError, match="made from a compressed one"):
        Grouped(rows=2).allocate(2, 3, np.dtype(np.int32))


@pytest.mark.parametrize(("extent", "bits"), [(1 << 15, 16), ((1 << 15) + 1, 32), (1 << 31, 64)])
def test_coordinates_are_narrow(extent: int, bits: int) -> None:
    assert [Grouped(rows=4).bits(part, extent) for part in Grouped.arrays] == [64, bits, 64]

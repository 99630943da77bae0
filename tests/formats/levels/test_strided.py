"""Strided levels: a view of memory, positions shared by several coordinates."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from scorch.errors import FormatError
from scorch.formats import Format, Storage
from scorch.formats.levels import Adjacent, Strided
from scorch.formats.storage import strided_pattern

pytestmark = pytest.mark.smoke


def test_positions_are_found_by_strides() -> None:
    assert Strided().locate(SimpleNamespace(stride=3), 4, 5) == 19
    assert Adjacent().locate(SimpleNamespace(), 4, 5) == 9


def test_only_the_last_level_may_be_contiguous() -> None:
    pattern = strided_pattern((4, 3), (1, 1), (1, 0))
    assert [level.contiguous for level in pattern.format.levels] == [False, True]
    assert pattern.numbers == ({"stride": 1}, {"stride": 1})
    assert [level.contiguous for level in strided_pattern((4,), (2,), (0,)).format.levels] == [False]


def test_a_view_shares_memory_and_is_dense() -> None:
    x = torch.arange(6.0)
    storage = Storage.like(strided_pattern((4, 3), (1, 1), (1, 0)), x.as_strided((4, 3), (1, 1)))
    assert storage.pattern.format.is_dense
    assert str(storage.pattern.format) == "view"
    assert storage.vals.ctypes.data == x.data_ptr()
    assert storage.vals.tolist() == x.tolist()
    assert storage.pattern.nnz == 12


def test_a_tensor_that_is_no_view_any_more_is_taken_as_it_is() -> None:
    pattern = strided_pattern((4, 3), (1, 1), (1, 0))
    assert Storage.like(pattern, torch.zeros(4, 3)).pattern.strides is None


def test_a_view_has_neither_positions_to_walk_nor_arrays_to_make() -> None:
    for ask in (
        lambda: Strided().bounds(SimpleNamespace(), 0, 1),
        lambda: Strided().coordinate(SimpleNamespace(), 0),
        lambda: Strided().allocate(1, 1, torch.zeros(1).numpy().dtype),
        lambda: Format("strided, adjacent"),
    ):
        with pytest.raises(FormatError):
            ask()

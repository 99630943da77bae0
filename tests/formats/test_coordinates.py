from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scorch.errors import FormatError
from scorch.formats import Pattern, coo, csf
from scorch.formats.coordinates import coordinates, pack
from scorch.formats.storage import dense_pattern


def test_sorted_coordinates_are_not_copied() -> None:
    coords = torch.tensor([[0, 0, 1], [0, 2, 1]])
    packing = pack(coords, (2, 3))
    assert packing.is_direct
    assert packing.pattern.arrays[0]["crd"].ctypes.data == coords.data_ptr()
    assert coordinates(packing.pattern).ctypes.data == coords.data_ptr()


def test_index_type_is_kept() -> None:
    packing = pack(torch.tensor([[1, 0], [0, 1]], dtype=torch.int32), (2, 2))
    assert [level["crd"].dtype for level in packing.pattern.arrays] == [np.int32, np.int32]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_packing_equals_dense_addition(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    count = data.draw(st.integers(0, 12))
    rows = [data.draw(st.lists(st.integers(0, n - 1), min_size=count, max_size=count)) for n in shape]
    coords = torch.tensor(rows, dtype=torch.int64).reshape(len(shape), count)
    values = torch.arange(1, count + 1)
    packing = pack(coords, shape)
    Pattern(shape, coo(len(shape)), packing.pattern.arrays)  # validates
    expected = torch.zeros(shape, dtype=torch.int64).index_put(tuple(coords), values, accumulate=True)
    made = torch.zeros(shape, dtype=torch.int64)
    made[tuple(torch.from_numpy(coordinates(packing.pattern)))] = packing.gather(values)
    assert torch.equal(made, expected)


def test_shapes_beyond_64_bits() -> None:
    big = 2**40
    packing = pack(torch.tensor([[5, 5, 1], [big - 1, big - 1, 0]]), (big, big))
    assert coordinates(packing.pattern).tolist() == [[1, 5], [0, big - 1]]
    assert packing.gather(torch.tensor([1.0, 2.0, 4.0])).tolist() == [4.0, 3.0]


def test_trailing_dense_dimensions() -> None:
    packing = pack(torch.tensor([[2, 0, 2]]), (3, 2), trailing=1)
    assert packing.gather(torch.tensor([[1, 2], [3, 4], [10, 20]])).tolist() == [3, 4, 11, 22]
    assert coordinates(packing.pattern).tolist() == [[0, 0, 2, 2], [0, 1, 0, 1]]


def test_duplicates_of_bool_and_small_integers() -> None:
    packing = pack(torch.zeros((1, 300), dtype=torch.int64), (1,))
    assert packing.gather(torch.ones(300, dtype=torch.bool)).tolist() == [True]
    assert packing.gather(torch.zeros(300, dtype=torch.bool)).tolist() == [False]
    assert packing.gather(torch.ones(300, dtype=torch.uint8)).tolist() == [300 % 256]


def test_gradients_reach_every_duplicate() -> None:
    values = torch.ones(3, requires_grad=True)
    pack(torch.tensor([[1, 0, 1]]), (2,)).gather(values).mul(torch.tensor([2.0, 5.0])).sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [5.0, 2.0, 5.0]


@pytest.mark.parametrize(("row", "bad"), [([0, 3], "coordinate 3 of entry 1"), ([-1, 0], "coordinate -1 of entry 0")])
def test_out_of_range(row: list[int], bad: str) -> None:
    with pytest.raises(FormatError, match=re.escape(f"{bad} is outside dimension 1 of extent 3")):
        pack(torch.tensor([[0, 0], row]), (2, 3))


def test_coordinates_follow_the_dimension_order() -> None:
    arrays = [
        {"pos": np.array([0, 2]), "crd": np.array([0, 2])},
        {"pos": np.array([0, 1, 3]), "crd": np.array([1, 0, 1])},
    ]
    assert coordinates(Pattern((2, 3), csf(2, (1, 0)), arrays)).tolist() == [[1, 0, 1], [0, 2, 2]]
    assert coordinates(dense_pattern((2, 2), (1, 0))).tolist() == [[0, 1, 0, 1], [0, 0, 1, 1]]
    assert coordinates(dense_pattern((), ())).shape == (0, 1)
    assert coordinates(dense_pattern((0, 3), (0, 1))).shape == (2, 0)

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch

from scorch.errors import FormatError, ScorchError, ShapeError, UnsupportedError
from scorch.formats import Format, Pattern, Storage, coo, csf, csr, dense
from scorch.formats.storage import bindable, checked_size, dense_pattern

UNSORTED_CSR = Format("dense, compressed(nonordered, nonunique)")


def array(*numbers: int, dtype: type = np.int64) -> np.ndarray[Any, Any]:
    return np.array(numbers, dtype=dtype)


def csr_arrays(pos: Any, crd: Any) -> list[dict[str, Any]]:
    return [{}, {"pos": np.asarray(pos), "crd": np.asarray(crd)}]


@pytest.mark.parametrize(
    ("pos", "crd", "message"),
    [
        (
            [0, 2, 3],
            [0, 3, 1],
            "level 1 (dimension 1) of a csr tensor: coordinate 3 at position 1 is outside",
        ),
        ([0, 2, 3], [0, -1, 1], "coordinate -1 at position 1 is outside the dimension's extent 3"),
        (
            [0, 2, 1, 3][:3],
            [0, 2, 1],
            "pos must run from 0 to the number of coordinates 3; it runs from 0 to 1",
        ),
        ([0, 4, 3], [0, 2, 1], "pos runs backwards: pos[1] = 4 but pos[2] = 3"),
        ([1, 2, 3], [0, 2, 1], "it runs from 1 to 3"),
        ([0, 3], [0, 2, 1], "pos must have 3 entries, one more than there are parents; it has 2"),
        (
            [0, 2, 3],
            [2, 0, 1],
            "claims strictly ascending coordinates below one parent, but position 1 holds 0 after 2",
        ),
        ([0, 2, 3], [2, 2, 1], "but position 1 holds 2 after 2"),
        ([0.0, 2.0, 3.0], [0, 2, 1], "pos and crd must be one-dimensional integer arrays, got float64"),
        ([0, 2, 3], [0.0, 2.0, 1.0], "coordinates must be integers, got float64"),
        ([0, 2, 3], [[0, 2, 1]], "one-dimensional integer arrays"),
    ],
)
def test_structural_defects_are_found(pos: Any, crd: Any, message: str) -> None:
    with pytest.raises(FormatError, match=re.escape(message)):
        Pattern((2, 3), csr, csr_arrays(pos, crd))


def test_wrong_sets_of_arrays() -> None:
    with pytest.raises(FormatError, match="needs the arrays"):
        Pattern((2, 3), csr, [{}, {"pos": array(0, 0, 0)}])
    with pytest.raises(FormatError, match="2 levels"):
        Pattern((2, 3), csr, [{}])
    with pytest.raises(ShapeError, match="cannot be negative"):
        Pattern((2, -3), csr, csr_arrays([0, 0, 0], []))


@pytest.mark.parametrize(("pos", "crd"), [([0, 2, 3], [2, 0, 1]), ([0, 2, 3], [1, 1, 1])])
def test_unsorted_is_legal_where_declared(pos: list[int], crd: list[int]) -> None:
    assert Pattern((2, 3), UNSORTED_CSR, csr_arrays(pos, crd)).nnz == 3


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            ([0, 1, 0], [0, 0, 0]),
            "claims ascending coordinates below one parent, but position 2 holds 0 after 1",
        ),
        (
            ([0, 0, 1], [1, 0, 0]),
            "claims strictly ascending coordinates below one parent, but position 1 holds 0 after 1",
        ),
        (([0, 1, 1], [0, 2, 2]), "position 2 holds 2 after 2"),
        (([0, 1], [0, 2, 2]), "crd of a singleton level must have one entry for each of 2 parents"),
        (([0, 1, 2], [0, 2, 5]), "coordinate 5 at position 2"),
    ],
)
def test_coo_defects(rows: tuple[list[int], list[int]], message: str) -> None:
    pos = array(0, len(rows[0]))
    with pytest.raises(FormatError, match=re.escape(message)):
        Pattern((3, 3), coo(2), [{"pos": pos, "crd": array(*rows[0])}, {"crd": array(*rows[1])}])


def test_csf_counts_positions_level_by_level() -> None:
    arrays = [
        {"pos": array(0, 2), "crd": array(0, 3)},
        {"pos": array(0, 1, 3), "crd": array(1, 0, 2)},
        {"pos": array(0, 2, 3, 4), "crd": array(0, 1, 1, 0)},
    ]
    assert Pattern((4, 3, 2), csf(3), arrays).positions == (2, 3, 4)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_zero_length_dimensions(shape: tuple[int, int]) -> None:
    pattern = Pattern(shape, csr, csr_arrays(np.zeros(shape[0] + 1, dtype=np.int64), array()))
    assert (pattern.nnz, pattern.size) == (0, 0)


def test_tokens_are_never_equal_and_sizes_never_overflow() -> None:
    first = Pattern((2**40, 2**40), coo(2), [{"pos": array(0, 0), "crd": array()}, {"crd": array()}])
    second = Pattern(first.shape, first.format, first.arrays)
    assert first.token != second.token
    assert first.size == 2**80


def test_bindable_shares_memory_and_lifts_the_read_only_flag() -> None:
    plain = np.arange(4)
    plain.flags.writeable = False
    shared = bindable(plain)
    assert shared.flags.writeable
    assert shared.ctypes.data == plain.ctypes.data


@pytest.mark.parametrize("plain", [np.arange(8)[::2], np.arange(4, dtype=">i8")])
def test_bindable_copies_what_kernels_cannot_read(plain: np.ndarray[Any, Any]) -> None:
    made = bindable(plain)
    assert made.flags.c_contiguous
    assert made.dtype.isnative
    assert made.tolist() == plain.tolist()


def test_size_limits() -> None:
    assert checked_size((2**31, 2**31)) == 2**62
    with pytest.raises(ShapeError, match=re.escape("over the limit of 2^63 - 1")):
        checked_size((2**32, 2**31))
    with pytest.raises(ShapeError, match="cannot be negative"):
        checked_size((2, -1))


def test_dense_storage_shares_memory_in_any_order() -> None:
    base = torch.arange(24.0).reshape(2, 3, 4)
    for dims in [(0, 1, 2), (2, 0, 1), (1, 2, 0)]:
        view = base.permute(dims)
        storage = Storage.from_dense(view)
        assert storage.vals.ctypes.data == base.data_ptr()
        assert storage.vals.tolist() == base.reshape(-1).tolist()
        assert storage.pattern is dense_pattern(tuple(view.shape), storage.pattern.format.order)


def test_dense_storage_copies_a_strided_tensor() -> None:
    view = torch.arange(12.0).reshape(3, 4)[:, ::2]
    storage = Storage.from_dense(view)
    assert storage.pattern.format == dense(2)
    assert storage.vals.tolist() == view.reshape(-1).tolist()


def test_dense_storage_of_no_dimension_and_of_another_device() -> None:
    assert Storage.from_dense(torch.tensor(2.0)).vals.tolist() == [2.0]
    with pytest.raises(UnsupportedError, match="Scorch runs on CPU; the operand is on meta"):
        Storage.from_dense(torch.empty(2, device="meta"))


def test_number_of_values() -> None:
    with pytest.raises(ShapeError, match="stores 0 values, got 2"):
        Storage(Pattern((1, 1), csr, csr_arrays([0, 0], array())), torch.ones(2))
    assert issubclass(ShapeError, ScorchError)


def test_coordinates_without_an_order_may_still_be_checked_for_repeats() -> None:
    loose = Format("dense, compressed(nonordered)")
    pos, crd = np.array([0, 2, 4]), np.array([3, 1, 3, 0])
    assert Pattern((2, 4), loose, [{}, {"pos": pos, "crd": crd}]).positions == (2, 4)
    with pytest.raises(FormatError, match="no coordinate stands twice below one parent, but position 3 holds 3 again"):
        Pattern((2, 4), loose, [{}, {"pos": pos, "crd": np.array([3, 1, 3, 3])}])

"""Room for entries that are not counted first: waves of chunks, what is kept, and products made through it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

import scorch
from scorch.errors import ShapeError
from scorch.runtime import rooms
from scorch.runtime.rooms import collect

Array = np.ndarray[Any, Any]
KINDS = [np.dtype("int32"), np.dtype("float64")]


def writer(written: Sequence[int]) -> rooms.Fill:
    """Chunk c writes written[c] entries: the number of the chunk and of the entry."""

    def fill(chunks: slice, arrays: Sequence[Array], begin: Array) -> Array:
        ends = begin.copy()
        for n, chunk in enumerate(range(chunks.start, chunks.stop)):
            for entry in range(written[chunk]):
                arrays[0][ends[n]], arrays[1][ends[n]] = chunk, entry
                ends[n] += 1
        return ends

    return fill


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)).map(sorted), min_size=1, max_size=12),
    st.integers(1, 20),
    st.integers(1, 3),
    st.sampled_from([1, rooms.ADDRESSES]),
)
def test_entries_follow_each_other_whatever_fits_into_the_room(
    sizes: list[list[int]], capacity: int, workers: int, addresses: int
) -> None:
    written, most = zip(*sizes, strict=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rooms, "ROOM_BYTES", capacity * 12)
        patch.setattr(rooms, "ADDRESSES", addresses)
        found = collect(writer(written), np.array(most), KINDS, workers, lambda count: None)
    chunks, entries = found.arrays
    assert chunks.tolist() == [chunk for chunk, count in enumerate(written) for _ in range(count)]
    assert entries.tolist() == [entry for count in written for entry in range(count)]
    assert found.targets.tolist() == [0, *np.cumsum(written).tolist()]
    assert [array.dtype for array in found.arrays] == KINDS


@given(st.lists(st.integers(0, 9), min_size=1, max_size=12), st.integers(1, 20), st.integers(1, 3))
def test_waves_hold_what_fits_and_a_chunk_for_each_worker(most: list[int], capacity: int, workers: int) -> None:
    waves = list(rooms._waves(most, capacity, workers))
    assert [chunk for first, last in waves for chunk in range(first, last)] == list(range(len(most)))
    assert all(sum(most[first:last]) <= capacity or last - first <= workers for first, last in waves)


def test_a_room_is_used_again_and_one_too_large_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "_free", [])
    monkeypatch.setattr(rooms, "ROOM_BYTES", 4096)
    first, arrays = rooms._take(100, KINDS)
    assert all(array.ctypes.data % 64 == 0 and len(array) == 100 for array in arrays)
    rooms._give_back(first)
    second, _ = rooms._take(50, KINDS)
    assert second is first
    rooms._give_back(rooms._take(10_000, KINDS)[0])
    assert rooms._free == []


def test_a_room_that_is_too_small_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "_free", [])
    rooms._give_back(rooms._take(10, KINDS)[0])
    room, _ = rooms._take(100, KINDS)
    assert room.nbytes >= 1200
    assert rooms._free == []


def test_nothing_is_allocated_for_more_entries_than_there_may_be() -> None:
    def check(count: int) -> None:
        raise ShapeError(f"{count} entries")

    with pytest.raises(ShapeError, match="10 entries"):
        collect(writer([1]), np.array([10]), KINDS, 2, check)


@pytest.fixture
def product(monkeypatch: pytest.MonkeyPatch) -> tuple[scorch.Tensor, Any]:
    """A matrix whose square goes through its room in many waves, and that square."""
    monkeypatch.setattr(rooms, "ROOM_BYTES", 1 << 14)
    a = scipy.sparse.random(900, 900, 0.02, "csr", dtype=np.float64, random_state=np.random.default_rng(0))
    return scorch.tensor(a), (a @ a).sorted_indices()


def equal(made: scorch.Tensor, expected: Any) -> bool:
    found = made.to_scipy()
    same = np.array_equal(found.indptr, expected.indptr) and np.array_equal(found.indices, expected.indices)
    return same and np.allclose(found.data, expected.data)


def test_a_product_is_made_in_waves(product: tuple[scorch.Tensor, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    A, expected = product
    taken = []
    take = rooms._take
    monkeypatch.setattr(rooms, "_take", lambda *arguments: taken.append(arguments) or take(*arguments))
    with scorch.config.using(threads=2):
        assert equal(A @ A, expected)
    assert len(taken) > 2


def test_threads_that_call_at_once_have_rooms_of_their_own(product: tuple[scorch.Tensor, Any]) -> None:
    A, expected = product
    with scorch.config.using(threads=2), ThreadPoolExecutor(4) as pool:
        assert all(equal(made, expected) for made in pool.map(lambda _: A @ A, range(16)))

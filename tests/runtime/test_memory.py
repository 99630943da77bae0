"""Memory for results."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import scorch
from scorch.runtime import memory

F4 = torch.float32


def address(made: Any) -> int:
    return int(made.ctypes.data if isinstance(made, np.ndarray) else made.data_ptr())


def test_small_results_are_torchs_own_memory_by_either_way() -> None:
    for way in (memory.allocate, memory._by_dispatch):
        made = way((3, 5), (5, 1), torch.float64)
        assert (made.shape, made.stride(), made.dtype) == ((3, 5), (5, 1), torch.float64)
        assert made.is_cpu
        assert not made.requires_grad
        assert made.untyped_storage().nbytes() == 15 * 8


def test_without_torchs_short_way_the_public_one_is_taken(monkeypatch) -> None:
    monkeypatch.delattr(torch._C._dynamo.guards, "_empty_strided_cpu", raising=False)
    assert memory._allocate() is memory._by_dispatch


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {}
    monkeypatch.setattr(memory, "_free", found)
    return found


def kept(free: dict[int, list[Any]]) -> int:
    return sum(len(arrays) for arrays in free.values())


@pytest.mark.parametrize("make", [lambda: memory.array(100_000, np.dtype("f4")), lambda: memory.empty((400, 250), F4)])
def test_memory_is_used_again_when_nothing_refers_to_it(make: Any, free: dict[int, list[Any]]) -> None:
    first = make()
    place, part = address(first), first[7:9]
    del first
    assert kept(free) == 0  # a part of it is alive
    assert address(make()) != place
    del part
    assert kept(free) == 2
    assert address(make()) == place


def test_a_tensor_and_an_array_of_the_same_memory_keep_it(free: dict[int, list[Any]]) -> None:
    made = memory.array(100_000, np.dtype("f4"))
    shared = torch.from_numpy(made).view(-1, 10)
    del made
    assert kept(free) == 0
    parameter = torch.nn.Parameter(shared)
    del shared
    assert kept(free) == 0
    del parameter
    assert kept(free) == 1


def test_small_arrays_and_huge_ones_that_may_be_cut_are_not_kept(free: dict[int, list[Any]]) -> None:
    memory.array(100, np.dtype("f4"))
    memory.array(memory.HUGE + 1, np.dtype("u1"))
    assert kept(free) == 0


def test_huge_tensors_are_kept_as_far_as_the_setting_says(free: dict[int, list[Any]]) -> None:
    for size in (memory.HUGE + 1, 100 << 20):
        place = address(memory.empty((size,), torch.uint8))
        assert address(memory.empty((size,), torch.uint8)) == place
    memory.empty((scorch.config.kept_memory << 20,), torch.uint8)
    assert kept(free) == 0  # it and what there was are more than that


def test_no_more_is_kept_than_the_setting_says(free: dict[int, list[Any]]) -> None:
    size = 1 << 20
    with scorch.config.using(kept_memory=3):
        del (several := [memory.array(size - 4096, np.dtype("u1")) for _ in range(5)])[:]
        assert 0 < kept(free) <= 3
        assert several == []
    with scorch.config.using(kept_memory=0):
        memory.array(size - 4096, np.dtype("u1"))
        assert kept(free) == 0


@pytest.mark.parametrize("size", [memory.LARGE, memory.LARGE + 1, 5_000_001, memory.HUGE])
def test_memory_begins_on_a_cache_line_and_little_is_wasted(size: int, free: dict[int, list[Any]]) -> None:
    made = memory.array(size, np.dtype("u1"))
    assert (len(made), made.ctypes.data % 64) == (size, 0)
    del made
    assert size < next(iter(free)) <= 1.13 * size + 64


@pytest.mark.parametrize("length", [10, 400_000])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.9, 1.0])
def test_what_was_made_is_cut_to_its_length(length: int, share: float, free: dict[int, list[Any]]) -> None:
    made = memory.array(length, np.dtype("i4"))
    made[:] = np.arange(length)
    shorter = memory.cut(made, int(share * length))
    del made
    assert np.array_equal(shorter, np.arange(int(share * length)))
    if share < 0.5 and length > 10:
        assert kept(free) == 1  # nothing of it is left in what was longer


def test_results_of_calls_are_never_each_others_memory() -> None:
    A = scorch.rand(3000, 3000, density=0.01, format="csr")
    B = torch.rand(3000, 64)
    first = A @ B
    copy = first.clone()
    for _ in range(3):
        A @ B * 2
        A + A
    assert torch.equal(first, copy)

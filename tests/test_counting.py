"""Conversions that move entries: counting sorts, repeated coordinates, and conversions that move nothing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
import torch

import scorch
from scorch import counting
from scorch.formats import Pattern, coo
from scorch.reorder import reorder
from scorch.runtime import launch


@pytest.fixture(autouse=True)
def plain(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(counting, "FEW", 0)
    with scorch.config.using(jit=False, cache_dir=tmp_path_factory.getbasetemp() / "counting-kernels"):
        yield


def listed(seed: int, entries: int = 60, shape: tuple[int, int] = (9, 14)) -> tuple[torch.Tensor, torch.Tensor]:
    """Coordinates in no order, some of them twice, and values."""
    rng = np.random.default_rng(seed)
    coords = np.stack([rng.integers(0, extent, entries) for extent in shape])
    return torch.from_numpy(coords), torch.from_numpy(rng.integers(1, 9, entries).astype(np.float32))


def dense(coords: torch.Tensor, values: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.sparse_coo_tensor(coords, values, shape).to_dense()


@pytest.mark.parametrize("format", ["csr", "csc", "coo", "coo(1,0)", "dcsr", "dcsc", "dense", "csr(unsorted)"])
@pytest.mark.parametrize("entries", [0, 1, 7, 60, 400])
@pytest.mark.parametrize("index", [torch.int32, torch.int64])
def test_lists_in_no_order_are_sorted_and_summed(format: str, entries: int, index: torch.dtype) -> None:
    coords, values = listed(entries, entries)
    made = scorch.from_coo(coords.to(index), values, (9, 14), coo(2, (1, 0)) if "1,0" in format else format)
    made.validate()
    torch.testing.assert_close(made.to_dense(), dense(coords, values, (9, 14)))


def test_the_order_of_arrival_decides_the_order_of_a_sum() -> None:
    coords = torch.tensor([[0, 1, 0, 0], [1, 0, 1, 1]])
    values = torch.tensor([1e8, 5.0, 1.0, -1e8])
    assert scorch.from_coo(coords, values, (2, 2), "csr").values.tolist() == [0.0, 5.0]


@pytest.mark.parametrize("old", ["csr", "csr(unsorted)", "csr(unsorted, repeated)", "coo(unsorted)"])
@pytest.mark.parametrize("new", ["csr", "csc", "coo", "dcsc"])
def test_values_follow_the_first_time_and_later(old: str, new: str) -> None:
    coords, values = listed(3)
    source = scorch.from_coo(coords, values, (9, 14), "csr")
    pos, crd = (source.level_arrays[1][name].numpy() for name in ("pos", "crd"))
    shuffled = source
    if old != "csr":
        turned = np.concatenate([np.arange(b - 1, a - 1, -1) for a, b in pairwise(pos)]).astype(int)
        arrays = [{}, {"pos": pos, "crd": crd[turned]}]
        if old.startswith("coo"):
            rows = np.repeat(np.arange(9), np.diff(pos))[::-1].copy()
            arrays = [{"pos": [0, len(crd)], "crd": rows}, {"crd": crd[turned][::-1].copy()}]
            turned = turned[::-1].copy()
        shuffled = scorch.Tensor.from_levels((9, 14), old, arrays, source.values[torch.from_numpy(turned)])
    if shuffled.format == scorch.tensor(source, new).format:
        return
    first = shuffled.to(new)
    second = shuffled.with_values(shuffled.values * 2).to(new)
    third = shuffled.with_values(shuffled.values * 3).to(new)
    for times, made in enumerate((first, second, third), start=1):
        made.validate()
        torch.testing.assert_close(made.to_dense(), times * source.to_dense())
    assert first._storage.pattern is second._storage.pattern is third._storage.pattern


def test_gradients_follow_too() -> None:
    coords, values = listed(4)
    given = values.clone().requires_grad_()
    made = scorch.from_coo(coords, given, (9, 14), "csr")
    (made.values * torch.arange(1.0, made.nnz + 1)).sum().backward()
    weights = torch.zeros(9, 14)
    weights[tuple(made.coords())] = torch.arange(1.0, made.nnz + 1)
    torch.testing.assert_close(given.grad, weights[tuple(coords)])


def sorted_list(index: type) -> scorch.Tensor:
    coords, values = listed(5)
    exact = scorch.from_coo(coords, values, (9, 14), "coo").coords().numpy().astype(index)
    return scorch.from_coo(exact, torch.arange(1.0, exact.shape[1] + 1), (9, 14))


def test_a_list_becomes_rows_without_moving_anything() -> None:
    source = sorted_list(np.int32)
    made = source.to("csr")
    made.validate()
    assert made.values.data_ptr() == source.values.data_ptr()
    crd = made._storage.pattern.arrays[1]["crd"]
    assert np.shares_memory(crd, source._storage.pattern.arrays[1]["crd"])
    torch.testing.assert_close(made.to_dense(), source.to_dense())
    back = made.to("coo")
    back.validate()
    assert np.shares_memory(back._storage.pattern.arrays[1]["crd"], crd)
    torch.testing.assert_close(back.to_dense(), source.to_dense())


def test_wide_coordinates_are_made_narrow_once() -> None:
    made = sorted_list(np.int64).to("csr")
    made.validate()
    assert made._storage.pattern.arrays[1]["crd"].dtype == np.int32


@pytest.mark.parametrize("format", ["csr", "coo", "csf", "dcsr"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_other_levels_over_the_same_entries(format: str, rank: int) -> None:
    if format in ("csr", "dcsr") and rank != 2:
        return
    shape = (5, 6, 7)[:rank]
    x = torch.rand(shape) * (torch.rand(shape) < 0.3)
    source = scorch.tensor(x, "csf" if format == "coo" else "coo")
    made = source.to(format)
    made.validate()
    torch.testing.assert_close(made.to_dense(), x)


def test_patterns_know_what_became_of_them() -> None:
    source = sorted_list(np.int32).to("csr")._storage.pattern
    assert isinstance(source, Pattern)
    assert reorder(source, scorch.tensor(torch.eye(2), "csc").format).pattern.format.spelling.endswith("order=(1, 0)")


@pytest.mark.compiled
@pytest.mark.parametrize("format", ["csr", "csc", "coo"])
def test_compiled_and_shared_among_threads(format: str) -> None:
    coords, values = listed(6, 60_000, (3000, 2000))
    with scorch.config.using(jit=True, threads=2):
        made = scorch.from_coo(coords, values, (3000, 2000), format)
        turned = made.to("csc" if format == "csr" else "csr")
    wanted = dense(coords, values, (3000, 2000))
    for tensor in (made, turned):
        tensor.validate()
        torch.testing.assert_close(tensor.to_dense(), wanted)


@pytest.mark.parametrize("out", [5, 70, 199])
def test_a_list_that_is_sorted_only_at_its_beginning_is_not_taken_for_sorted(out: int) -> None:
    places = torch.arange(200)
    coords = torch.stack([places // 14, places % 14])
    coords[:, [out - 1, out]] = coords[:, [out, out - 1]]
    values = torch.arange(1.0, 201.0)
    made = scorch.from_coo(coords, values, (15, 14))
    assert str(made.format) == "coo"
    torch.testing.assert_close(made.to_dense(), dense(coords, values, (15, 14)))


@pytest.mark.parametrize("most", [0, 3])
def test_entries_beyond_counters_of_32_bits_are_counted_in_64(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "MOST_NARROW", most)
    coords, values = listed(5)
    made = scorch.from_coo(coords, values, (9, 14), "csr")
    torch.testing.assert_close(made.to("csc").to_dense(), dense(coords, values, (9, 14)))

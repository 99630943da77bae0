"""Frozen tensors: packed structure, the same results, and an error for values that change."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
import torch

import scorch
from scorch import frozen
from scorch.errors import ScorchError
from scorch.formats import Pattern, csr
from scorch.schedule import packing
from scorch.schedule.packing import choose_packing


def matrix(rows: int = 80, columns: int = 200, row: int = 60) -> scorch.Tensor:
    """CSR as torch makes it: 64-bit indices."""
    rng = np.random.default_rng(0)
    dense = torch.zeros(rows, columns)
    for i in range(rows):
        dense[i, torch.from_numpy(rng.choice(columns, row, replace=False))] = torch.from_numpy(rng.random(row)).float()
    return scorch.tensor(dense.to_sparse_csr())


@pytest.mark.parametrize("jit", [False, pytest.param(True, marks=pytest.mark.compiled)])
@pytest.mark.parametrize("notation", ["ij,j->i", "ij,jk->ik", "ij,ij->ij", "ij->"])
def test_results_are_the_same(notation: str, jit: bool) -> None:
    a = matrix()
    packed = a.freeze()
    others = {"ij,j->i": [torch.rand(200)], "ij,jk->ik": [torch.rand(200, 5)], "ij,ij->ij": [torch.rand(80, 200)]}
    rest = others.get(notation, [])
    with scorch.config.using(jit=jit):
        expected, found = scorch.einsum(notation, a, *rest), scorch.einsum(notation, packed, *rest)
    if isinstance(found, scorch.Tensor):
        torch.testing.assert_close(found.to_torch().to_dense(), expected.to_dense())
        assert found.level_arrays[1]["crd"].dtype == torch.int64  # nobody sees the narrow arrays
    else:
        torch.testing.assert_close(found, expected)


def test_kernels_read_narrow_indices_and_explain_says_so() -> None:
    a = matrix().freeze()
    explained = scorch.explain("ij,j->i", a, torch.ones(200))
    assert "A packed: pos2 in 16 bits, crd2 in 16 bits; 9,762 bytes instead of 39,048" in str(explained)
    (spec, _) = explained.plan.kernel.operands
    assert spec.index_bits[1] == (16, 16)
    assert "packed" not in str(scorch.explain("ij,j->i", matrix(), torch.ones(200)))


def test_the_tensor_is_what_it_was() -> None:
    a = matrix()
    packed = a.freeze()
    assert packed.format == a.format
    assert packed.values.data_ptr() == a.values.data_ptr()
    assert torch.equal(packed.to_torch().to_dense(), a.to_dense())
    assert packed.to("csc").to_dense().equal(a.to_dense())
    assert not packed.requires_grad


def test_values_that_change_are_an_error_until_frozen_again() -> None:
    a = matrix()
    packed = a.freeze()
    x = torch.ones(200)
    a.values.mul_(2)
    with pytest.raises(ScorchError, match=r"changed in place; .* call A.freeze\(\) again"):
        scorch.einsum("ij,j->i", packed, x)
    with pytest.raises(ScorchError, match="changed in place"):
        _ = packed @ x
    again = packed.freeze()
    torch.testing.assert_close(again @ x, a @ x)


@pytest.mark.parametrize(
    "read", [lambda a: a.sum(), lambda a: a.to_dense(), lambda a: a.T @ torch.ones(80), lambda a: a * 2]
)
def test_no_function_reads_values_that_changed(read) -> None:
    a = matrix()
    packed = a.freeze()
    read(packed)
    a.values.zero_()
    with pytest.raises(ScorchError, match="changed in place"):
        read(packed)


def test_a_kernel_object_notices_too() -> None:
    a, x = matrix(), torch.ones(200)
    packed = a.freeze()
    product = scorch.kernel("ij,j->i", packed, x)
    product(packed, x)
    a.values.zero_()
    with pytest.raises(ScorchError, match="changed in place"):
        product(packed, x)


def test_no_memory_for_packing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(frozen, "_packed", full)
    a = matrix()
    with pytest.warns(RuntimeWarning, match="no memory for 9,762 bytes of packed indices"):
        packed = a.freeze()
    torch.testing.assert_close(packed @ torch.ones(200), a @ torch.ones(200))
    a.values.add_(1)
    with pytest.raises(ScorchError, match="changed in place"):
        _ = packed @ torch.ones(200)


def test_small_and_dense_tensors_are_not_packed() -> None:
    small = scorch.eye(5).freeze()
    assert small._storage.pattern.packed is small._storage.pattern
    dense = scorch.tensor(torch.ones(100, 100)).freeze()
    assert dense.to_dense().sum() == 10_000


@pytest.mark.parametrize(
    ("largest", "bits"), [(2**15 - 1, 16), (2**15, 32), (2**31 - 1, 32), (2**31, 64)], ids=lambda value: f"{value}"
)
def test_indices_are_as_narrow_as_what_they_hold(largest: int, bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "SMALL", 1)
    pattern = Pattern((1, 2**40), csr, [{}, {"pos": np.array([0, 2]), "crd": np.array([0, largest])}])
    found = choose_packing(pattern)
    assert found is not None
    assert found.bits[1] == {"pos": 16, "crd": bits}


def test_nothing_to_save(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "SMALL", 1)
    arrays = {"pos": np.array([0, 1], np.int16), "crd": np.array([0], np.int16)}
    assert choose_packing(Pattern((1, 3), csr, [{}, arrays])) is None


def half() -> tuple[torch.Tensor, scorch.Tensor]:
    """A matrix of which half is stored, dense and sparse."""
    dense = torch.randn(16, 24, generator=torch.Generator().manual_seed(3)).relu()
    return dense, scorch.tensor(dense, format="csr")


@pytest.mark.usefixtures("for_avx512")
def test_copies_are_made_once_and_kept() -> None:
    dense, a = half()
    packed, b = a.freeze(), torch.randn(24, 64)
    torch.testing.assert_close(packed @ b, dense @ b)
    (format,) = packed._storage.copies
    held = packed._storage.copies[format]
    assert "grouped" in str(format)
    torch.testing.assert_close(scorch.compute("C[i,j] += 2 * A[i,k] * B[k,j]", A=packed, B=b), 2 * dense @ b)
    assert packed._storage.copies == {format: held}


@pytest.mark.usefixtures("plain")
def test_other_tensors_of_the_pattern_have_values_of_their_own() -> None:
    """Programs that keep a frozen tensor's values serve no other tensor."""
    dense, a = half()
    packed, b = a.freeze(), torch.randn(24, 64)
    for _ in range(3):
        torch.testing.assert_close(packed @ b, dense @ b)
        torch.testing.assert_close((packed * 2) @ b, 2 * dense @ b)
        torch.testing.assert_close(packed.with_values(packed.values + 1) @ b, (dense + (dense != 0)) @ b)
        torch.testing.assert_close(a @ b, dense @ b)
    a.values.mul_(3)
    again = packed.freeze()
    for _ in range(3):
        torch.testing.assert_close(again @ b, 3 * dense @ b)
        with pytest.raises(ScorchError, match="changed in place"):
            _ = packed @ b


@pytest.mark.usefixtures("for_avx512")
def test_no_memory_for_a_copy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("scorch.reorder.grouped", full)
    dense, a = half()
    packed, b = a.freeze(), torch.randn(24, 64)
    with pytest.warns(RuntimeWarning, match=r"no memory for a copy of .* grouped\(\d rows\); .* read as it is"):
        found = packed @ b
    torch.testing.assert_close(found, dense @ b)
    torch.testing.assert_close(packed @ b, dense @ b)


@pytest.mark.usefixtures("plain")
def test_in_inference_mode() -> None:
    with torch.inference_mode():
        dense = torch.randn(8, 24).relu()
        packed = scorch.tensor(dense, format="csr").freeze()
        b = torch.randn(24, 64)
        torch.testing.assert_close(packed @ b, dense @ b)


@pytest.mark.usefixtures("for_avx512")
def test_copies_go_with_the_tensor() -> None:
    _, a = half()
    packed = a.freeze()
    _ = packed @ torch.randn(24, 64)
    (copy,) = packed._storage.copies.values()
    gone = weakref.ref(copy.pattern)
    del packed, copy
    assert gone() is None

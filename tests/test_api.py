"""The front doors: what they accept, what they give back, and what they keep."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch

import scorch
from scorch import engine

DENSE = torch.tensor([[0.0, 2.0, 0.0], [1.0, 0.0, 3.0]])
B = torch.arange(12.0).reshape(3, 4)


@pytest.fixture(autouse=True)
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    home = tmp_path_factory.getbasetemp() / "api-kernels"
    with scorch.config.using(jit=False, cache_dir=home):
        yield


OPERANDS: dict[str, Callable[[], Any]] = {
    "torch dense": lambda: DENSE,
    "torch csr": lambda: DENSE.to_sparse_csr(),
    "torch csc": lambda: DENSE.to_sparse_csc(),
    "torch coo": lambda: DENSE.to_sparse_coo(),
    "torch coo, uncoalesced": lambda: torch.sparse_coo_tensor(
        [[0, 1, 1, 0], [1, 0, 2, 1]], [1.0, 1.0, 3.0, 1.0], (2, 3)
    ),
    "torch transposed": lambda: DENSE.T.contiguous().T,
    "torch strided": lambda: torch.stack([DENSE, DENSE], -1)[..., 0],
    "torch requires grad": lambda: DENSE.clone().requires_grad_(),
    "numpy": lambda: DENSE.numpy(),
    "numpy, Fortran order": lambda: np.asfortranarray(DENSE.numpy()),
    "numpy, negative strides": lambda: np.ascontiguousarray(DENSE.numpy()[::-1, ::-1])[::-1, ::-1],
    "numpy, read-only": lambda: np.broadcast_to(DENSE.numpy(), (2, 3)),
    "numpy, big-endian": lambda: DENSE.numpy().astype(">f4"),
    "scipy csr": lambda: sp.csr_array(DENSE.numpy()),
    "scipy csc": lambda: sp.csc_array(DENSE.numpy()),
    "scipy coo": lambda: sp.coo_array(DENSE.numpy()),
    "scipy matrix": lambda: sp.csr_matrix(DENSE.numpy()),
    "scipy lil": lambda: sp.lil_array(DENSE.numpy()),
    "scipy, unsorted": lambda: sp.csr_array(([3.0, 1.0, 2.0], [2, 0, 1], [0, 0, 3]), shape=(2, 3), dtype=np.float32)[
        ::-1
    ],
    "scorch csr": lambda: scorch.tensor(DENSE, format="csr"),
    "scorch dcsc": lambda: scorch.tensor(DENSE, format="dcsc"),
    "lists": lambda: DENSE.tolist(),
}


@pytest.mark.smoke
@pytest.mark.parametrize("name", OPERANDS)
def test_operands(name: str) -> None:
    operand = OPERANDS[name]()
    wanted = DENSE @ B
    if name == "scipy, unsorted":
        wanted = torch.from_numpy(operand.toarray()) @ B
    found = scorch.einsum("ik,kj->ij", operand, B)
    assert isinstance(found, torch.Tensor)
    assert torch.equal(found, wanted)


def test_no_operand_is_changed() -> None:
    unsorted = sp.csr_array((np.array([3.0, 1.0]), np.array([2, 0]), np.array([0, 2, 2])), shape=(2, 3))
    before = unsorted.copy()
    scorch.einsum("ij,ij->ij", unsorted, unsorted)
    assert (unsorted.data == before.data).all()
    assert (unsorted.indices == before.indices).all()
    assert not unsorted.has_sorted_indices


def test_the_result_owns_its_memory() -> None:
    x = torch.ones(3)
    y = scorch.einsum("i->i", x)
    assert isinstance(y, torch.Tensor)
    y[0] = 5
    assert x.tolist() == [1, 1, 1]
    first, second = (scorch.einsum("ik,kj->ij", DENSE.to_sparse_csr(), B) for _ in range(2))
    assert isinstance(first, torch.Tensor)
    assert isinstance(second, torch.Tensor)
    assert first.data_ptr() != second.data_ptr()


def test_what_kind_of_tensor_comes_back() -> None:
    A = scorch.tensor(DENSE, format="csr")
    assert isinstance(scorch.einsum("ij,jk->ik", A, B), torch.Tensor)
    assert isinstance(scorch.einsum("ij->j", A), torch.Tensor)
    total = scorch.einsum("ij->", A)
    assert isinstance(total, torch.Tensor)
    assert total.shape == ()
    assert isinstance(scorch.einsum("ij,ij->ij", A, DENSE), scorch.Tensor)
    assert isinstance(scorch.einsum("ij,kj->ik", A, A), scorch.Tensor)
    assert isinstance(scorch.einsum("ij,kj->ik", A, A, out_format="dense"), torch.Tensor)
    wanted = scorch.Format("compressed, compressed", order=(1, 0))
    found = scorch.einsum("ij,jk->ik", A, B, out_format=wanted)
    assert isinstance(found, scorch.Tensor)
    assert found.format == wanted


def test_a_shared_pattern_shares_its_arrays() -> None:
    A = scorch.tensor(DENSE, format="csr")
    scaled = scorch.einsum("ij,j->ij", A, torch.ones(3))
    assert isinstance(scaled, scorch.Tensor)
    assert scaled.level_arrays[1]["crd"].data_ptr() == A.level_arrays[1]["crd"].data_ptr()
    transposed = scorch.einsum("ij,j->ji", A, torch.ones(3))
    assert isinstance(transposed, scorch.Tensor)
    assert (transposed.shape, str(transposed.format)) == ((3, 2), "csc")
    assert torch.equal(transposed.to_dense(), DENSE.T)


def test_a_fill_is_not_overlooked_when_the_structure_is_known() -> None:
    A = scorch.tensor(DENSE, format="csr")
    scorch.einsum("ij->i", A)
    filled = scorch.tensor(A.to_torch(), fill=7.0)
    assert filled.fill == 7
    wanted = (DENSE + 7 * (DENSE == 0)).sum(1)
    assert torch.equal(scorch.einsum("ij->i", filled), wanted)
    assert torch.equal(scorch.einsum("ij->i", filled.to_dense()), wanted)
    assert scorch.kernel("ij->i", filled)(filled).tolist() == wanted.tolist()
    assert len(scorch.explain("ij->i", filled).notation) == 3


@pytest.mark.parametrize("format", ["csr", "csc", "coo", "compressed, dense"])
@pytest.mark.parametrize("fill", [5.0, -2.5, float("inf"), float("nan")])
def test_conversions_around_a_fill(format: str, fill: float) -> None:
    dense = torch.where(DENSE == 0, torch.tensor(fill), DENSE)
    A = scorch.tensor(dense, format=format, fill=fill)
    stored = 3 if format != "compressed, dense" else 6
    assert A.nnz == stored
    assert A.fill == pytest.approx(fill, nan_ok=True)
    for other in ("csc", "dense", "coo", "compressed, dense"):
        torch.testing.assert_close(A.to(other).to_dense(), dense, equal_nan=True)


def test_the_same_structure_with_other_values() -> None:
    A = scorch.tensor(DENSE, format="csr")
    for factor in (1.0, 2.0, -3.0):
        found = scorch.einsum("ik,kj->ij", A.with_values(A.values * factor), B)
        assert isinstance(found, torch.Tensor)
        assert torch.equal(found, DENSE * factor @ B)


def test_values_changed_in_place_are_seen() -> None:
    csr, dense = DENSE.to_sparse_csr(), B.clone()
    scorch.einsum("ik,kj->ij", csr, dense)
    csr.values().mul_(2)
    dense.add_(1)
    found = scorch.einsum("ik,kj->ij", csr, dense)
    assert isinstance(found, torch.Tensor)
    assert torch.equal(found, 2 * DENSE @ (B + 1))
    converted = scorch.tensor(DENSE, format="csr")
    for _ in range(2):
        converted.values.add_(1)
        found = scorch.einsum("ij,ji->ij", converted, DENSE.T, out_format="dense")
        assert isinstance(found, torch.Tensor)
        assert torch.equal(found, converted.to_dense() * DENSE)


def test_a_tensor_is_forgotten_with_its_programs() -> None:
    A = scorch.tensor(DENSE, format="csr")
    C = scorch.tensor(DENSE, format="csc")
    scorch.einsum("ij,ij->ij", A, C)
    scorch.einsum("ij,kj,kl->il", A, C, DENSE)
    pattern = weakref.ref(A._storage.pattern)
    kept = len(engine.kept.programs)
    del A
    gc.collect()
    assert pattern() is None
    assert len(engine.kept.programs) < kept


# --- kernel and explain --------------------------------------------------------------------------------------------


def test_a_kernel_takes_operands_of_another_structure_too() -> None:
    A = scorch.tensor(DENSE, format="csr")
    f = scorch.kernel("ik,kj->ij", A, B)
    for a, b in ((A, B), (A.with_values(A.values * 2), B), (A, B[:, :1]), (DENSE, B), (A.to("coo"), B.double())):
        found = f(a, b)
        assert isinstance(found, torch.Tensor)
        wide = a.to_dense() if isinstance(a, scorch.Tensor) else a
        assert torch.equal(found, (wide.to(b.dtype) @ b).to(found.dtype))
    assert "ik,kj->ij" in repr(f)


def test_a_kernel_keeps_its_result_format() -> None:
    A = scorch.tensor(DENSE, format="csr")
    f = scorch.kernel("ij,kj->ik", A, A, out_format="coo")
    for x in (A, A.to("dcsr"), DENSE):
        found = f(x, x)
        assert isinstance(found, scorch.Tensor)
        assert str(found.format) == "coo"


def test_explain_runs_nothing_and_says_all(tmp_path: Path) -> None:
    e = scorch.explain("ik,kj->ij", DENSE.to_sparse_csr(), B)
    assert str(e.notation) == "C[i,j] += A[i,k] * B[k,j]"
    assert e.statistics["A"].nnz == 3
    assert e.path is not None
    assert e.path.read_text() == e.source
    assert "def body(" in e.source
    assert "for i" in str(e)
    assert "<" in e._repr_html_()


def test_many_threads_may_call_at_once() -> None:
    A = scorch.tensor(torch.eye(30), format="csr")
    C = scorch.tensor(torch.eye(30), format="csc")
    wrong: list[str] = []

    def work(seed: int) -> None:
        x = torch.full((30, 3), float(seed))
        for _ in range(20):
            product = scorch.einsum("ik,kj->ij", A, x)
            square = scorch.einsum("ij,jk->ik", A, C)
            if not torch.equal(product, x) or square.nnz != 30:  # type: ignore[arg-type, union-attr]
                wrong.append(str(seed))

    workers = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


def test_views_that_torch_has_yet_to_negate_or_conjugate() -> None:
    z = torch.tensor([1 + 2j, 3 - 1j])
    assert scorch.einsum("i->i", z.conj()).tolist() == [1 - 2j, 3 + 1j]
    assert scorch.einsum("i->i", z[:1].conj().imag).tolist() == [-2.0]

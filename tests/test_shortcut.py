"""Calls that are written as functions: for operands like those that they were written for, and for no others."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch.autograd import forward_ad

import scorch
from scorch import recall
from scorch.config import config
from scorch.shortcut import Shortcut

N = 40


@pytest.fixture(autouse=True)
def none_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recall, "_calls", {})


@pytest.fixture
def serial() -> Iterator[None]:
    with config.using(threads=1):
        yield


def matrix(n: int = N) -> scorch.Tensor:
    generator = torch.Generator().manual_seed(n)
    dense = torch.rand(n, n, generator=generator)
    return scorch.tensor(dense * (dense > 0.5), "csr")


def recalled(notation: str, *operands: object) -> Shortcut:
    """The function of a call that came often enough."""
    for _ in range(recall.SHORTENED + 1):
        scorch.einsum(notation, *operands)
    (entry,) = recall._calls[notation, None]
    assert entry._shortcut is not None
    found = entry._shortcut()
    assert found is not None
    return found


@pytest.mark.parametrize("threads", [1, 2])
def test_a_call_that_comes_often_is_a_function(threads: int) -> None:
    n = 500  # enough to be shared among threads
    A, x = matrix(n), torch.rand(n)
    with config.using(threads=threads):
        call = recalled("ik,k->i", A, x)
        found = call((A, x))
        assert found is not None
        torch.testing.assert_close(found, A.to_dense() @ x)
        B = A.with_values(torch.rand(A.nnz))
        torch.testing.assert_close(scorch.einsum("ik,k->i", B, x + 1), B.to_dense() @ (x + 1))


def test_another_number_of_threads_takes_the_long_way() -> None:
    A, x = matrix(500), torch.rand(500)
    kernel = scorch.kernel("ik,k->i", A, x)
    want = A.to_dense() @ x
    for threads in (2, 2, 1, 1, 2):
        with config.using(threads=threads):
            torch.testing.assert_close(kernel(A, x), want)
    assert kernel._shortcut is not None
    with config.using(threads=1):
        assert kernel._shortcut((A, x)) is None


@pytest.mark.parametrize("threads", [1, 2])
def test_a_result_on_an_operands_pattern(threads: int) -> None:
    n = 500
    A = matrix(n)
    x = torch.rand(n)
    with config.using(threads=threads):
        call = recalled("ij,i->ij", A, x)
        made = call((A, x))
        assert made is not None
        assert not isinstance(made, torch.Tensor)
        assert made.pattern is A._storage.pattern
        assert made.fill == 0
        for B, y in [(A, x), (A.with_values(torch.rand(A.nnz)), x + 1)]:
            found = scorch.einsum("ij,i->ij", B, y)
            assert isinstance(found, scorch.Tensor)
            torch.testing.assert_close(found.to_dense(), B.to_dense() * y[:, None])
        kernel = scorch.kernel("ij,i->ij", A, x)
        for _ in range(3):
            assert isinstance(kernel(A, x), scorch.Tensor)
        assert kernel._shortcut is not None
        values = A.values.clone().requires_grad_()
        scorch.einsum("ij,i->ij", A.with_values(values), x).values.sum().backward()
        torch.testing.assert_close(values.grad, x.repeat_interleave(torch.bincount(A.coords()[0])))


@pytest.mark.usefixtures("serial")
def test_operands_of_another_kind_are_refused() -> None:
    A, x = matrix(), torch.rand(N)
    call = recalled("ik,k->i", A, x)
    assert call((A, x)) is not None
    refused = [
        (A,),
        (A, x, x),
        (x, A),
        (matrix(), x),
        (A.to(torch.float64), x),
        (A.with_values(torch.ones(A.nnz, requires_grad=True)), x),
        (A.to_dense(), x),
        (A.to_torch(), x),
        (A, x.double()),
        (A, torch.rand(2 * N)[::2]),
        (A, torch.rand(N, requires_grad=True)),
        (A, x.numpy()),
        (None, None),
    ]
    for operands in refused:
        assert call(operands) is None
    for operands in refused[4:-1]:
        found = scorch.einsum("ik,k->i", *operands)
        want = torch.as_tensor(np.asarray(_dense(operands[0]) @ _dense(operands[1])))
        torch.testing.assert_close(found.detach(), want, check_dtype=False)


def _dense(x: object) -> np.ndarray:
    made = x.to_dense() if hasattr(x, "to_dense") else torch.as_tensor(x)
    return made.detach().numpy()


@pytest.mark.usefixtures("serial")
def test_transforms_and_forward_derivatives_are_refused() -> None:
    A, x = matrix(), torch.rand(N)
    call = recalled("ik,k->i", A, x)
    seen = []
    torch.vmap(lambda row: seen.append(call((A, row))) or row)(torch.rand(2, N))
    with forward_ad.dual_level():
        seen.append(call((A, x)))
    assert seen == [None, None]


@pytest.mark.usefixtures("serial")
def test_operands_of_torch_sparse() -> None:
    A, x = matrix().to_torch(), torch.rand(N)
    call = recalled("ik,k->i", A, x)
    found = call((A, x))
    assert found is not None
    torch.testing.assert_close(found, A.to_dense() @ x)
    assert call((matrix(), x)) is None
    assert call((A.to_dense(), x)) is None


@pytest.mark.usefixtures("serial")
def test_dense_tensors_of_scorch_and_results_of_many_bytes() -> None:
    A, B = matrix(), scorch.tensor(torch.rand(N, 1 << 15))
    call = recalled("ik,kj->ij", A, B)
    found = call((A, B))
    assert found is not None
    assert found.data_ptr() % 64 == 0
    torch.testing.assert_close(found, A.to_dense() @ B.to_dense())


@pytest.mark.usefixtures("serial")
def test_a_function_goes_with_its_pattern_without_a_collection() -> None:
    A, x = matrix(), torch.rand(N)
    pos = A._storage.pattern.arrays[1]["pos"]
    gone = weakref.ref(pos)
    call = weakref.ref(recalled("ik,k->i", A, x))
    gc.collect()
    gc.disable()
    try:
        del A, pos
        assert call() is None
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.usefixtures("serial")
def test_too_large_a_result_is_told_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    A, x = matrix(), torch.rand(N)
    call = recalled("ik,k->i", A, x)

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setitem(call.__globals__, "allocate", fail)  # type: ignore[attr-defined]
    with pytest.raises(scorch.errors.ShapeError, match="ask for an out_format"):
        scorch.einsum("ik,k->i", A, x)


@pytest.mark.usefixtures("serial")
def test_a_frozen_tensor_that_was_changed_is_told() -> None:
    A, x = matrix().freeze(), torch.rand(N)
    recalled("ik,k->i", A, x)
    A.values.mul_(2)
    with pytest.raises(scorch.errors.ScorchError, match="frozen"):
        scorch.einsum("ik,k->i", A, x)


@pytest.mark.usefixtures("serial")
def test_programs_without_such_a_function_are_recalled_all_the_same() -> None:
    A = matrix()
    for _ in range(recall.SHORTENED + 2):
        torch.testing.assert_close(scorch.einsum("ik,kj->ij", A, A).to_dense(), A.to_dense() @ A.to_dense())
    (entry,) = recall._calls["ik,kj->ij", None]
    assert entry._shortcut is None

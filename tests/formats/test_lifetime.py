"""Arrays of sparse tensors go with them, at once: a large one must not wait for the collector of cycles."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest
import torch

import scorch
from scorch.config import config


@pytest.fixture(autouse=True)
def no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _arrays(A: scorch.Tensor) -> list[weakref.ref[object]]:
    pattern = A._storage.pattern
    found = [array for level in pattern.packed.arrays for array in level.values()]
    return [weakref.ref(array) for array in found]


@pytest.mark.parametrize("format", ["csr", "csc", "coo", "dcsr", "bsr(2,2)"])
@pytest.mark.parametrize("frozen", [False, True], ids=["", "frozen"])
def test_arrays_go_with_their_tensor(format: str, frozen: bool) -> None:
    A = scorch.tensor(torch.eye(6), format)
    A = A.freeze() if frozen else A
    known = _arrays(A)
    assert known
    with config.using(jit=False):
        scorch.einsum("ik,kj->ij", A, torch.ones(6, 3))
        A.to("csc").to_dense()
    del A
    assert [each() for each in known] == [None] * len(known)


def test_arrays_go_with_a_result_and_its_gradient() -> None:
    A = scorch.tensor(torch.eye(6), "csr").requires_grad_()
    known = _arrays(A)
    with config.using(jit=False):
        scorch.einsum("ik,kj->ij", A, torch.ones(6, 3)).sum().backward()
    assert A.grad is not None
    del A
    assert [each() for each in known] == [None] * len(known)

"""Programs that are recalled for operands like the last ones, and operands that must not be taken for those."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch
from torch.autograd import forward_ad

import scorch
from scorch import recall
from scorch.config import config
from scorch.operand import bind


@pytest.fixture(autouse=True)
def uncompiled(monkeypatch):
    monkeypatch.setattr(recall, "_calls", {})
    with config.using(jit=False):
        yield


def _guard(*operands):
    bound = bind(operands)
    assert bound is not None
    found = recall.Guard.of(operands, bound[0])
    assert found is not None
    return found


def test_a_guard_passes_what_is_alike_and_gives_its_values():
    A, x = scorch.tensor(torch.eye(3), "csr"), torch.ones(3)
    other = torch.rand(3)
    vals = _guard(A, x).values((A.with_values(torch.rand(3)), other))
    assert vals is not None
    assert vals[1] is other
    assert isinstance(vals[0], np.ndarray)


@pytest.mark.parametrize(
    "unlike",
    [
        torch.ones(2, 3),
        torch.ones(2, 3).T,
        torch.ones(3, 4)[:, ::2],
        torch.ones(3, 2, dtype=torch.float64),
        torch._neg_view(torch.ones(3, 2)),
        torch.ones(3, 2, requires_grad=True),
        torch.nn.Parameter(torch.ones(3, 2)),
        torch.ones(3, 2).to_sparse_csr(),
        torch.ones(3, 2, device="meta"),
        np.ones((3, 2), np.float32),
        [[1.0, 2.0]] * 3,
        None,
    ],
    ids=lambda x: type(x).__name__,
)
def test_a_guard_stops_what_is_unlike(unlike):
    guard = _guard(torch.ones(3, 2))
    assert guard.values((torch.zeros(3, 2),)) is not None
    assert guard.values((unlike,)) is None
    assert guard.values((torch.zeros(3, 2), torch.zeros(3, 2))) is None


def test_a_guard_of_a_sparse_operand_stops_other_patterns_types_and_gradients():
    A = scorch.tensor(torch.eye(3), "csr")
    guard = _guard(A)
    assert guard.values((A,)) is not None
    for unlike in (
        scorch.tensor(torch.eye(3), "csr"),
        A.with_values(torch.ones(3, dtype=torch.float64)),
        A.with_values(torch.ones(3, requires_grad=True)),
        torch.eye(3),
        torch.eye(3).numpy(),
    ):
        assert guard.values((unlike,)) is None


def test_operations_under_a_transform_are_not_taken_for_plain_ones():
    x = torch.ones(3)
    guard = _guard(x)
    seen = []
    torch.vmap(lambda row: seen.append(guard.values((row,))) or row)(torch.ones(2, 3))
    with forward_ad.dual_level():
        seen.append(guard.values((forward_ad.make_dual(x, x),)))
    assert seen == [None, None]


def test_a_frozen_tensor_that_was_changed_is_told_at_a_recalled_call():
    A = scorch.tensor(torch.eye(3), "csr").freeze()
    for _ in range(2):
        assert torch.equal(scorch.einsum("ik,k->i", A, torch.ones(3)), torch.ones(3))
    A.values.mul_(2)
    with pytest.raises(scorch.errors.ScorchError, match="frozen"):
        scorch.einsum("ik,k->i", A, torch.ones(3))


def test_several_programs_of_one_call_are_recalled_each_for_its_operands():
    A = scorch.tensor(torch.eye(3), "csr")
    widths = (1, 2, 3, 4, 5, 6)
    for _ in range(3):
        for width in widths:
            B = torch.rand(3, width)
            assert torch.equal(scorch.einsum("ik,kj->ij", A, B), B)
    assert len(recall._calls["ik,kj->ij", None]) == recall.MOST
    assert recall.run(("ik,kj->ij", None), (A, torch.rand(3, 6))) is not None
    assert recall.run(("ik,kj->ij", None), (A, torch.rand(3, 1))) is None  # the oldest one left
    scorch.einsum("ik,kj->ij", A, torch.rand(3, 4))
    assert recall._calls["ik,kj->ij", None][0].guard.values((A, torch.rand(3, 4))) is not None


def test_a_program_is_not_recalled_under_other_settings():
    A, x = scorch.tensor(torch.eye(3), "csr"), torch.ones(3)
    scorch.einsum("ik,k->i", A, x)
    assert recall.run(("ik,k->i", None), (A, x)) is not None
    with config.using(threads=1 if torch.get_num_threads() > 1 else 2):
        assert recall.run(("ik,k->i", None), (A, x)) is None


def test_a_program_goes_with_its_pattern():
    A, x = scorch.tensor(torch.eye(3), "csr"), torch.ones(3)
    scorch.einsum("ik,k->i", A, x)
    program = recall._calls["ik,k->i", None][0].program
    assert program() is not None
    del A
    gc.collect()
    assert program() is None


def test_calls_are_not_kept_for_ever(monkeypatch):
    monkeypatch.setattr(recall, "CALLS", 2)
    x = torch.ones(3)
    for notation in ("i,i->i", "i,i->", "i->i", "i->"):
        scorch.einsum(notation, *([x] * (1 + notation.count(","))))
    assert len(recall._calls) <= 2


def test_results_are_the_same_where_torch_has_no_such_tests(monkeypatch):
    monkeypatch.setattr(recall, "_has_tests", lambda: False)
    A, x = scorch.tensor(torch.eye(3), "csr"), torch.rand(3)
    kernel = scorch.kernel("ik,k->i", A, x)
    for call in (kernel, lambda *operands: scorch.einsum("ik,k->i", *operands)):
        assert torch.equal(call(A, x), x)
        assert torch.equal(call(A, 2 * x), 2 * x)
    assert not recall._calls


def test_functions_of_tensors_are_recalled_too_each_operand_in_its_place():
    generator = torch.Generator().manual_seed(0)
    dense = [torch.rand(4, 4, generator=generator) * (torch.rand(4, 4, generator=generator) < 0.5) for _ in range(2)]
    A, B = (scorch.tensor(x, "csr") for x in dense)
    for turn in range(3):
        for op in (torch.add, torch.sub, torch.mul):
            assert torch.equal(op(A, B).to_dense(), op(*dense)), turn
            assert torch.equal(op(B, A).to_dense(), op(*dense[::-1])), turn
    assert any(entry.order is not None for entries in recall._calls.values() for entry in entries)


def test_functions_of_tensors_that_want_gradients_are_recorded_after_plain_ones():
    A, B = (scorch.tensor(torch.eye(3) + torch.ones(3, 3).triu(k), "csr") for k in (0, 1))
    plain = (A + B).to_dense()
    values = A.values.clone().requires_grad_()
    summed = A.with_values(values) + B
    assert torch.equal(summed.to_dense(), plain)
    summed.values.sum().backward()
    assert torch.equal(values.grad, torch.ones_like(values))


def test_fills_of_results_follow_the_type_of_the_operands():
    A = scorch.from_coo([[0, 1]], torch.tensor([1, 2]), (5,), fill=3)
    B = scorch.from_coo([[0, 2]], torch.tensor([1, 2]), (5,), fill=2)
    half = A / B
    assert (half.fill, type(half.fill)) == (1.5, float)
    assert ((A + B).fill, type((A + B).fill)) == (5, int)

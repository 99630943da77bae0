"""New patterns like others that were planned for: what they share, what they don't, and that results are their own."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch

import scorch
from scorch import engine
from scorch.engine import alike, expression
from scorch.operand import as_storage


@pytest.fixture(autouse=True)
def planned(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The statements that are planned for, of all in a test."""
    engine.kept.forget()
    made: list[Any] = []
    schedule = expression._scheduled
    monkeypatch.setattr(expression, "_scheduled", lambda *given: made.append(given[0]) or schedule(*given))
    return made


def matrix(seed: int, rows: int = 100, columns: int = 120, each: int = 5, **more: Any) -> scorch.Tensor:
    rng = np.random.default_rng(seed)
    found = np.concatenate([np.sort(rng.choice(columns, each, replace=False)) for _ in range(rows)])
    ends = np.arange(0, rows * each + 1, each)
    values = rng.standard_normal(found.size).astype(np.float32)
    return scorch.tensor(scipy.sparse.csr_array((values, found, ends), (rows, columns)), **more)


def dense(A: scorch.Tensor) -> torch.Tensor:
    """The same in torch, without planning for anything."""
    return torch.from_numpy(A.to_scipy().toarray())


NOTATIONS = ["ik,kj->ij", "ik,k->i", "ik->i", "ik->k"]


@pytest.mark.parametrize("notation", NOTATIONS)
def test_a_pattern_like_another_takes_its_plan(notation: str, planned: list[Any]) -> None:
    for seed, (rows, columns) in enumerate([(100, 120), (101, 119), (102, 127), (97, 125)]):
        A = matrix(seed, rows, columns)
        others = {"ik,kj->ij": [torch.rand(columns, 7)], "ik,k->i": [torch.rand(columns)]}.get(notation, [])
        expected = torch.einsum(notation, dense(A), *others)
        torch.testing.assert_close(scorch.einsum(notation, A, *others), expected)
    assert len(planned) == 1


def test_sums_and_products_of_new_patterns(planned: list[Any]) -> None:
    for seed in range(4):
        A, B = matrix(seed, 100, 100, 4 + seed % 2), matrix(seed + 10, 100, 100)
        torch.testing.assert_close(dense(A + B), dense(A) + dense(B))
        torch.testing.assert_close(dense(A * B), dense(A) * dense(B))
        torch.testing.assert_close(dense(A @ B), dense(A) @ dense(B))
    assert len(planned) == 3


@pytest.mark.parametrize(
    "other",
    [
        lambda: matrix(1, each=11),  # more than 1.5 times as many entries
        lambda: matrix(1, rows=300),
        lambda: matrix(1).to(torch.float64),
        lambda: matrix(1, format="csc"),
        lambda: matrix(1).freeze(),
        lambda: scorch.tensor(scipy.sparse.csr_array(np.vstack([np.ones((4, 120)), np.zeros((96, 120))]).astype("f4"))),
    ],
)
def test_others_are_planned_for(other: Any, planned: list[Any]) -> None:
    scorch.einsum("ik->i", matrix(0))
    A = other()
    planned.clear()
    made = scorch.einsum("ik->i", A)
    assert len(planned) == 1
    torch.testing.assert_close(made, dense(A).sum(1))


def test_columns_of_a_dense_operand_are_not_rounded(planned: list[Any]) -> None:
    """Tiles are made for their number."""
    for seed, columns in enumerate([64, 65, 33]):
        A, B = matrix(seed), torch.rand(120, columns)
        torch.testing.assert_close(A @ B, dense(A) @ B)
    assert len(planned) == 3


def test_long_work_has_a_plan_of_its_own(planned: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alike, "SHORT", 400)
    for seed in range(2):
        scorch.einsum("ik->i", matrix(seed))
    assert len(planned) == 2


def test_a_plan_does_not_keep_the_operands_that_it_was_made_for() -> None:
    A = matrix(0)
    scorch.einsum("ik->i", A)
    arrays = weakref.ref(as_storage(A).pattern.arrays[1]["crd"])
    del A
    assert arrays() is None


def test_explain_says_whose_plan_it_is() -> None:
    for seed in range(2):
        A = matrix(seed)
        scorch.einsum("ik->i", A)
    assert "the plan of operands that are alike" in str(scorch.explain("ik->i", A))


def test_few_plans_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alike, "KEPT", 2)
    for each in (1, 2, 4, 8):
        scorch.einsum("ik->i", matrix(0, each=each))
    assert len(engine.kept.plans) == 2


def test_gradients_of_new_patterns(planned: list[Any]) -> None:
    made = []
    for seed in range(3):
        A, B = matrix(seed).requires_grad_(), torch.rand(120, 4, requires_grad=True)
        (A @ B).square().sum().backward()
        other = B.detach().requires_grad_()
        (dense(A.detach()) @ other).square().sum().backward()
        torch.testing.assert_close(B.grad, other.grad)
        made.append(len(planned))
    assert made[0] == made[2]

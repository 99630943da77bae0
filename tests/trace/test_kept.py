"""Programs are kept, and kernels serve every shape."""

from __future__ import annotations

import gc
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import scorch
from scorch.emit import jit
from scorch.trace import run
from tests.trace.cases import FUSED, same


def compilations() -> int:
    return jit._compile.cache_info().misses


def test_a_program_is_planned_once_for_operands_like_these(t: SimpleNamespace, monkeypatch: Any) -> None:
    plans = []
    plan = run.plan
    monkeypatch.setattr(run, "plan", lambda *given: plans.append(1) or plan(*given))
    function = scorch.compile(lambda A, X, W, u: torch.relu(A @ (X @ W) + u))
    for X in (t.X, t.Z, t.X * 2):
        same(function(t.A, X, t.Y, t.u), torch.relu(t.dense @ (X @ t.Y) + t.u))
    assert len(plans) == 1
    function(t.A.with_values(t.A.values * 2), t.X, t.Y, t.u)
    assert len(plans) == 1
    function(t.A.to("csc"), t.X, t.Y, t.u)
    function(t.A, t.X[:, :5].contiguous(), t.Y[:5], t.u)
    assert len(plans) == 3


def test_new_shapes_need_no_new_kernels(t: SimpleNamespace) -> None:
    function = scorch.compile(lambda A, X, u: torch.relu(A @ X + u))

    def run_on(rows: int, columns: int) -> None:
        dense = torch.rand(rows, columns) * (torch.rand(rows, columns) < 9 / columns)  # rows as long as ever
        X, u = torch.randn(columns, 16), torch.randn(16)
        same(function(scorch.tensor(dense, "csr"), X, u), torch.relu(dense @ X + u))

    run_on(20, 30)
    before = compilations()
    for rows, columns in ((21, 30), (40, 31), (64, 64)):
        run_on(rows, columns)
    assert compilations() == before
    function(scorch.tensor(t.dense, "csc"), t.X, t.u)
    assert compilations() > before


def test_batches_of_any_size(t: SimpleNamespace) -> None:
    function = scorch.compile(lambda X: torch.relu(torch.nn.functional.linear(X, t.A, t.u)))
    for batch in (1, 2, 7, 32, 1):
        X = torch.randn(batch, t.n)
        same(function(X), torch.relu(X @ t.dense.T + t.u))
    same(function(t.X[:0]), torch.zeros(0, t.n))


def test_number_types_are_told_apart(t: SimpleNamespace) -> None:
    function = scorch.compile(lambda A, X: torch.relu(A @ X))
    for dtype in (torch.float32, torch.float64, torch.float32, torch.float16, torch.int64):
        A, X = t.M.to(dtype), (t.X * 3).to(dtype)
        same(function(A, X), torch.relu(A @ X))
    x = t.X.clone().requires_grad_()
    assert function(t.A, x).requires_grad
    assert not function(t.A, x.detach()).requires_grad


def test_programs_go_with_their_patterns(t: SimpleNamespace) -> None:
    from scorch.engine.kept import forget, programs

    def of_trace() -> int:
        return sum(isinstance(key, tuple) and key[:1] == ("trace",) for key in programs)

    forget()  # those of other tests go when their tensors do
    function = scorch.compile(lambda A, X: torch.relu(A @ X))
    function(t.A, t.X)
    gc.collect()
    before = of_trace()
    B = scorch.tensor(t.dense.clone(), "csr")
    function(B, t.X)
    assert of_trace() == before + 1
    del B
    gc.collect()
    assert of_trace() == before


@pytest.mark.compiled
@pytest.mark.parametrize("name", ["gcn layer", "attention"])
def test_machine_code_gives_the_same(name: str, t: SimpleNamespace) -> None:
    with scorch.config.using(jit=True):
        found = scorch.compile(FUSED[name])(t)
    same(found, FUSED[name](t))

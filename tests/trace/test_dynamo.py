"""Beside torch.compile and torch.export, which scorch.compile must not be confused with."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import scorch
from tests.trace.cases import same


@pytest.fixture(autouse=True)
def reset() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@scorch.compile
def layer(A: Any, X: Any, u: Any) -> Any:
    return torch.relu(torch.matmul(A, X) + u)


class Layer(torch.nn.Module):
    def __init__(self, A: Any) -> None:
        super().__init__()
        self.A = A
        self.linear = torch.nn.Linear(12, 12)

    def forward(self, X: Any) -> Any:
        return torch.relu(torch.matmul(self.A, self.linear(X)))


def test_inside_of_torch_compile(t: SimpleNamespace) -> None:
    function = torch.compile(lambda X: layer(t.A, X, t.u) + 1, fullgraph=True, backend="aot_eager")
    same(function(t.X), torch.relu(t.dense @ t.X + t.u) + 1)


def test_a_module_inside_of_torch_compile(t: SimpleNamespace) -> None:
    model = scorch.compile(Layer(t.A))
    outer = torch.nn.Sequential(model, torch.nn.ReLU())
    compiled = torch.compile(outer, fullgraph=True, backend="aot_eager")
    same(compiled(t.X), model(t.X))
    compiled(t.X).sum().backward()
    assert model.linear.weight.grad is not None


def test_torch_compile_inside(t: SimpleNamespace) -> None:
    inner = torch.compile(lambda h: torch.sin(h) * 2, backend="aot_eager")
    same(scorch.compile(lambda X: inner(t.A @ X))(t.X), torch.sin(t.A @ t.X) * 2)


def test_export(t: SimpleNamespace) -> None:
    model = scorch.compile(Layer(t.A))
    same(torch.export.export(model, (t.X,)).module()(t.X), model(t.X))


def test_export_with_a_sparse_argument(t: SimpleNamespace) -> None:
    class Product(torch.nn.Module):
        def forward(self, A: Any, X: Any) -> Any:
            return torch.matmul(A, X) + 1

    program = torch.export.export(Product(), (t.A, t.X))
    same(program.module()(t.A, t.X), t.dense @ t.X + 1)
    doubled = t.A.with_values(t.A.values * 2)
    same(program.module()(doubled, t.X), t.dense @ t.X * 2 + 1)

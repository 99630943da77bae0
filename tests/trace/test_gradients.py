"""Compiled functions differentiate as the functions themselves."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn import functional as F

import scorch
from scorch.trace.compile import why_eager
from tests.trace.cases import FUSED, LEFT_TO_TORCH, dense

DIFFERENTIABLE = [
    *FUSED,
    *(name for name in LEFT_TO_TORCH if name not in ("numpy", "compute", "half", "detach and clone", "python numbers")),
]


def total(found: Any) -> Any:
    """A number that depends on every value of a result."""
    if isinstance(found, tuple | list):
        found = found[0]
    found = found.values if isinstance(found, scorch.Tensor) else found
    return (found * torch.linspace(0.5, 1.5, found.numel()).reshape(found.shape)).sum()


def gradients(function: Any, t: SimpleNamespace) -> dict[str, torch.Tensor | None]:
    given = copy.deepcopy(t)
    tensors = {name: x.requires_grad_() for name, x in vars(given).items() if name in "AMXYZuv"}
    total(function(given)).backward()
    return {name: None if x.grad is None else dense(x.grad) for name, x in tensors.items()}


@pytest.mark.parametrize("fuse", [True, False])
@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients_are_those_of_the_function(name: str, fuse: bool, t: SimpleNamespace) -> None:
    function = (FUSED | LEFT_TO_TORCH)[name]
    found, wanted = gradients(scorch.compile(function, fuse=fuse), t), gradients(function, t)
    assert any(gradient is not None for gradient in wanted.values())
    assert why_eager(function) is None
    for letter, gradient in wanted.items():
        if gradient is None:
            assert found[letter] is None, letter
        else:
            torch.testing.assert_close(found[letter], gradient, atol=1e-4, rtol=1e-4)


class Doubled(torch.autograd.Function):
    """Its gradient is not that of its forward, so that losing it would show."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, A: Any) -> torch.Tensor:
        return A @ x * 2

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        return grad * 7, None


def test_functions_with_gradients_of_their_own(t: SimpleNamespace) -> None:
    def function(X: Any) -> Any:
        return Doubled.apply(torch.relu(t.A @ X), t.A) + 1

    x, y = t.X.clone().requires_grad_(), t.X.clone().requires_grad_()
    found, wanted = scorch.compile(function)(x), function(y)
    torch.testing.assert_close(found, wanted)
    found.sum().backward()
    wanted.sum().backward()
    torch.testing.assert_close(x.grad, y.grad)
    assert torch.autograd.Function.__dict__["apply"].__func__.__module__.startswith("torch")


def test_no_grad_outside_and_inside(t: SimpleNamespace) -> None:
    x = t.X.clone().requires_grad_()

    @scorch.compile
    def function(X: Any) -> Any:
        h = t.A @ X
        with torch.no_grad():
            scale = torch.relu(h + t.u)
        return h * scale

    with torch.no_grad():
        assert not function(x).requires_grad
    function(x).sum().backward()
    y = t.X.clone().requires_grad_()
    h = t.dense @ y
    (h * torch.relu(h + t.u).detach()).sum().backward()
    torch.testing.assert_close(x.grad, y.grad, atol=1e-5, rtol=1e-4)


def test_gradients_taken_inside(t: SimpleNamespace) -> None:
    @scorch.compile
    def function(X: Any) -> Any:
        h = t.A @ X
        energy = torch.relu(h + t.u).square().sum()
        (force,) = torch.autograd.grad(energy, h)
        return force

    h = (t.dense @ t.X).requires_grad_()
    torch.relu(h + t.u).square().sum().backward()
    torch.testing.assert_close(function(t.X.clone().requires_grad_()), h.grad, atol=1e-5, rtol=1e-4)


def test_function_transforms(t: SimpleNamespace) -> None:
    def loss(X: Any) -> Any:
        return torch.relu(t.A @ X + t.u).sum()

    found = torch.func.grad(scorch.compile(loss))(t.X)
    torch.testing.assert_close(found, torch.func.grad(loss)(t.X))
    inside = scorch.compile(lambda X: torch.func.grad(loss)(t.A @ X))(t.X)
    torch.testing.assert_close(inside, torch.func.grad(loss)(t.A @ t.X))


class GCN(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Linear(8, 16), torch.nn.Linear(16, 3)
        self.dropout = torch.nn.Dropout(0.0)

    def forward(self, A: Any, X: Any) -> Any:
        h = self.dropout(torch.relu(A @ self.first(X)))
        return F.log_softmax(A @ self.second(h), dim=-1)


def test_training_follows_the_same_path(t: SimpleNamespace) -> None:
    model = GCN()
    compiled, other = scorch.compile(model), copy.deepcopy(model)
    X, y = torch.randn(t.n, 8), torch.randint(3, (t.n,))
    optimizers = [torch.optim.Adam(m.parameters(), lr=0.05) for m in (compiled, other)]
    for _ in range(10):
        losses = []
        for m, optimizer in zip((compiled, other), optimizers, strict=True):
            optimizer.zero_grad()
            loss = F.nll_loss(m(t.A, X), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[0] == pytest.approx(losses[1], abs=1e-5)
        for one, two in zip(compiled.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(one.grad, two.grad, atol=1e-5, rtol=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(compiled(t.A, X), other(t.A, X), atol=1e-4, rtol=1e-4)

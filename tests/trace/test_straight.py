"""Calls that come again: their kernels run without the function, whose code has no conditions."""

from __future__ import annotations

import gc
import sys
import weakref
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import scorch
from scorch.trace.compile import why_eager
from scorch.trace.straight import straight
from tests.trace.cases import same

scale = 2.0
table = torch.ones(12)


def layer(A: Any, X: Any, W: Any, b: Any) -> Any:
    return torch.relu(A @ (X @ W) + b)


def scaled(A: Any, X: Any, alpha: Any) -> Any:
    return F.relu(A @ X) * alpha * scale


def deep(A: Any, X: Any, W: Any, V: Any) -> Any:
    return A @ (torch.relu(A @ (X @ W)) @ V)


def sampled(A: Any, X: Any, Y: Any) -> Any:
    return A * (X @ Y)


def dense_between(A: Any, X: Any, W: Any) -> Any:
    return torch.relu(A @ X) @ W


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One item for each call that is recorded."""
    compiling = sys.modules["scorch.trace.compile"]
    recorded: list[int] = []
    recording = compiling.recording
    monkeypatch.setattr(compiling, "recording", lambda *given: recorded.append(1) or recording(*given))
    return recorded


def test_the_function_runs_once(t: SimpleNamespace, calls: list[int]) -> None:
    function = scorch.compile(layer)
    for X in (t.X, t.Z, t.X * 2, t.Y):
        same(function(t.A, X, t.Y, t.u), torch.relu(t.dense @ (X @ t.Y) + t.u))
    assert len(calls) == 1
    A = t.A.with_values(t.A.values * 3)
    for _ in range(12):  # more often than a call is recalled before it is written as a function
        same(function(A, t.X, t.Y, t.u), torch.relu(3 * t.dense @ (t.X @ t.Y) + t.u))
    assert len(calls) == 1


def test_other_kinds_of_operands_are_recorded(t: SimpleNamespace, calls: list[int]) -> None:
    function = scorch.compile(layer)
    given = [
        (t.A, t.X, t.Y, t.u),
        (t.A.to("csc"), t.X, t.Y, t.u),
        (t.A, t.X[:, :5].contiguous(), t.Y[:5], t.u),
        (t.A.to(torch.float64), t.X.double(), t.Y.double(), t.u.double()),
        (scorch.tensor(t.dense.T.contiguous(), "csr"), t.X, t.Y, t.u),
        (t.dense.to_sparse_csr(), t.X, t.Y, t.u),
    ]
    for _ in range(2):
        for A, X, W, b in given:
            same(function(A, X, W, b), torch.relu(A.to_dense() @ (X @ W) + b))
    assert len(calls) == len(given)


def test_operands_on_other_memory(t: SimpleNamespace, calls: list[int]) -> None:
    function = scorch.compile(layer)
    for X, W in ((t.X, t.Y), (t.X.T, t.Y), (t.X, t.Y.T), (t.X.T.contiguous().T, t.Y)):
        same(function(t.A, X, W, t.u), torch.relu(t.dense @ (X @ W) + t.u))
    assert calls


def test_constants_are_part_of_the_call(t: SimpleNamespace, calls: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    function = scorch.compile(scaled)
    expected = torch.relu(t.dense @ t.X)
    for alpha in (2, 3.0, 2, True, 1, 1.0):
        same(function(t.A, t.X, alpha), expected * alpha * 2)
    assert len(calls) == 5
    monkeypatch.setattr(sys.modules[__name__], "scale", 5.0)
    same(function(t.A, t.X, 2), expected * 10)
    assert len(calls) == 6


@pytest.mark.parametrize("function", [deep, sampled, dense_between])
def test_several_kernels(function: Any, t: SimpleNamespace, calls: list[int]) -> None:
    given = (t.X, t.Y, t.Z)[: function.__code__.co_argcount - 1]
    compiled = scorch.compile(function)
    for _ in range(12):
        found = compiled(t.A, *given)
        same(found.to_dense() if isinstance(found, scorch.Tensor) else found, function(t.dense, *given))
    assert len(calls) == 1


def test_one_row_and_one_column(t: SimpleNamespace, calls: list[int]) -> None:
    """Statements leave extents of 1 out."""
    function = scorch.compile(layer)
    for X, W, b in ((t.X, t.Y[:, :1], t.u[:1]), (t.X[:, :1], t.Y[:1], t.u)):
        for _ in range(3):
            same(function(t.A, X, W, b), torch.relu(t.dense @ (X @ W) + b))
    assert len(calls) == 2


def test_gradients(t: SimpleNamespace, calls: list[int]) -> None:
    function = scorch.compile(layer)
    for _ in range(3):
        ours, theirs = (t.Y.clone().requires_grad_() for _ in range(2))
        function(t.A, t.X, ours, t.u).square().sum().backward()
        torch.relu(t.dense @ (t.X @ theirs) + t.u).square().sum().backward()
        same(ours.grad, theirs.grad)
    assert len(calls) == 1
    with torch.no_grad():
        assert not function(t.A, t.X, t.Y.clone().requires_grad_(), t.u).requires_grad
    values = t.A.with_values(t.A.values.clone()).requires_grad_()
    assert function(values, t.X, t.Y, t.u).requires_grad
    assert not function(t.A, t.X, t.Y, t.u).requires_grad


def branching(A: Any, X: Any) -> Any:
    return A @ X if len(X) > 3 else X


def looping(A: Any, X: Any) -> Any:
    for _ in range(2):
        X = A @ X
    return X


def random(A: Any, X: Any) -> Any:
    return A @ torch.rand_like(X)


def printing(A: Any, X: Any) -> Any:
    print("called")
    return A @ X


def in_place(A: Any, X: Any) -> Any:
    X.add_(1)
    return A @ X


def renewing(A: Any, X: Any) -> Any:
    h = A @ X
    h += 1
    return torch.relu(h)


def reading_global(A: Any, X: Any) -> Any:
    return A @ X + table


def helped(A: Any, X: Any) -> Any:
    return branching(A, X)


def looked_at(A: Any, X: Any) -> Any:
    return (A @ X) * float((A @ X).sum())


def several(A: Any, X: Any) -> Any:
    return A @ X, A @ (A @ X)


def through(A: Any, X: Any) -> Any:
    return X


def seeded(A: Any, X: Any) -> Any:
    torch.manual_seed(0)
    return A @ X


@pytest.mark.parametrize(
    "function",
    [
        *(branching, looping, random, printing, in_place, renewing, reading_global, helped, looked_at, several),
        *(through, seeded),
    ],
)
def test_anything_else_runs_as_it_is(
    function: Any, t: SimpleNamespace, calls: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    compiled = scorch.compile(function)
    for n in range(1, 4):
        X, Y = t.X.clone(), t.X.clone()
        torch.manual_seed(n)
        found = compiled(t.A, X)
        torch.manual_seed(n)
        expected = function(t.dense, Y)
        for ours, theirs in zip(*(x if isinstance(x, tuple) else (x,) for x in (found, expected)), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
        assert torch.equal(X, Y)
    assert len(calls) == 3
    if function is printing:
        assert capsys.readouterr().out.count("called") == 6


def test_what_code_is_straight() -> None:
    def free(A: Any, X: Any) -> Any:
        return A @ X * branching.__code__.co_argcount

    assert straight(layer) is straight(layer) is not None
    assert straight(branching) is straight(looping) is None
    assert straight(lambda *args: args[0]) is None
    assert straight(torch.relu) is None
    outer = 3
    assert straight(lambda A, X: A @ X * outer) is None
    assert straight(free) is not None  # though no call of it is looked up, since it reads a name of a user's
    assert straight(free).asked((torch.eye(2), torch.eye(2))) is None


def attribute(A: Any, X: Any) -> Any:
    return A @ X * X.factor


def test_attributes_that_are_no_tensors_are_read_each_time(t: SimpleNamespace, calls: list[int]) -> None:
    compiled = scorch.compile(attribute)
    for factor in (1.0, 2.0, 3.0):
        t.X.factor = factor
        same(compiled(t.A, t.X), t.dense @ t.X * factor)
    assert len(calls) == 3


# --- modules ------------------------------------------------------------------------------------------------


class Layer(nn.Module):
    def __init__(self, features: int = 12) -> None:
        super().__init__()
        self.linear = nn.Linear(features, features, bias=False)
        self.dropout = nn.Dropout(0.5)
        self.after = nn.Sequential(nn.ReLU(), nn.Identity())
        self.bias = nn.Parameter(torch.randn(features))
        self.gain = 2.0

    def forward(self, A: Any, X: Any) -> Any:
        return self.after(A @ self.linear(self.dropout(X)) + self.bias) * self.gain


def expected_of(module: Layer, A: torch.Tensor, X: torch.Tensor) -> torch.Tensor:
    return torch.relu(A @ (X @ module.linear.weight.T) + module.bias) * module.gain


@pytest.fixture
def module() -> Layer:
    return Layer().eval().requires_grad_(False)


def test_a_module(module: Layer, t: SimpleNamespace, calls: list[int]) -> None:
    compiled = scorch.compile(module)
    for X in (t.X, t.Y, t.Z):
        same(compiled(t.A, X), expected_of(module, t.dense, X))
    assert len(calls) == 1
    with torch.no_grad():
        module.linear.weight.mul_(2)  # as an optimiser does
    same(compiled(t.A, t.X), expected_of(module, t.dense, t.X))
    module.bias = nn.Parameter(torch.randn(12), requires_grad=False)
    same(compiled(t.A, t.X), expected_of(module, t.dense, t.X))
    compiled.linear = nn.Linear(12, 12, bias=False).eval().requires_grad_(False)
    same(compiled(t.A, t.X), expected_of(compiled, t.dense, t.X))
    assert len(calls) == 1


def test_what_a_module_holds_is_part_of_the_call(module: Layer, t: SimpleNamespace, calls: list[int]) -> None:
    compiled = scorch.compile(module)
    for gain in (2.0, 3.0, 2.0):
        compiled.gain = gain
        same(compiled(t.A, t.X), expected_of(compiled, t.dense, t.X))
    assert len(calls) == 2
    compiled.after = nn.Sequential(nn.ReLU(), nn.Tanh())
    same(compiled(t.A, t.X), torch.tanh(expected_of(compiled, t.dense, t.X) / 2) * 2)
    assert len(calls) == 3
    compiled.train()
    torch.manual_seed(0)
    assert not torch.allclose(compiled(t.A, t.X), compiled(t.A, t.X))
    assert len(calls) == 5


def test_hooks_and_patches_are_called(module: Layer, t: SimpleNamespace, calls: list[int]) -> None:
    compiled = scorch.compile(module)
    same(compiled(t.A, t.X), expected_of(module, t.dense, t.X))
    seen: list[str] = []
    handle = module.linear.register_forward_hook(lambda *_: seen.append("hook"))
    same(compiled(t.A, t.X), expected_of(module, t.dense, t.X))
    handle.remove()
    assert seen == ["hook"]
    everywhere = nn.modules.module.register_module_forward_hook(lambda *_: seen.append("all"))
    same(compiled(t.A, t.X), expected_of(module, t.dense, t.X))
    everywhere.remove()
    assert "all" in seen
    module.dropout.forward = lambda X: X * 3  # type: ignore[method-assign]
    same(compiled(t.A, t.X), expected_of(module, t.dense, 3 * t.X))
    assert len(calls) == 4


class Method(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.weights = [torch.ones(12)]

    @property
    def gain(self) -> float:
        self.calls += 1
        return 2.0

    def forward(self, A: Any, X: Any) -> Any:
        return torch.relu(A @ X) * self.gain


def test_properties_are_called(t: SimpleNamespace, calls: list[int]) -> None:
    compiled = scorch.compile(Method())
    for n in range(1, 4):
        same(compiled(t.A, t.X), torch.relu(t.dense @ t.X) * 2)
        assert compiled.calls == n


class Graph(nn.Module):
    """A layer that holds its adjacency."""

    def __init__(self, A: Any) -> None:
        super().__init__()
        self.A = A

    def forward(self, X: Any) -> Any:
        return torch.relu(self.A @ X)


def test_a_sparse_attribute(t: SimpleNamespace, calls: list[int]) -> None:
    compiled = scorch.compile(Graph(t.A))
    for _ in range(3):
        same(compiled(t.X), torch.relu(t.dense @ t.X))
    assert len(calls) == 1
    compiled.A = scorch.tensor(t.dense.T.contiguous(), "csr")
    same(compiled(t.X), torch.relu(t.dense.T @ t.X))
    compiled.A = None
    with pytest.raises(TypeError):
        compiled(t.X)


# --- what goes on around a call -----------------------------------------------------------------------------


def test_modes_see_every_operation(t: SimpleNamespace, calls: list[int]) -> None:
    function = scorch.compile(layer)
    given = (t.A, t.X, t.Y, t.u)
    expected = function(*given)
    same(function(*given), expected)
    assert len(calls) == 1
    with torch.device("cpu"):  # a mode of torch's
        same(function(*given), expected)
    assert len(calls) == 2
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(function(*given).float(), expected, rtol=0.1, atol=0.3)


def test_nothing_is_kept_of_a_function_that_is_gone(t: SimpleNamespace) -> None:
    def gone(A: Any, X: Any) -> Any:
        return torch.relu(A @ X)

    A = scorch.tensor(t.dense, "csr")
    compiled = scorch.compile(gone)
    for _ in range(12):
        compiled(A, t.X)
    function, tensor = weakref.ref(gone), weakref.ref(A)
    del gone, compiled, A
    gc.collect()
    assert function() is None
    assert tensor() is None


# --- tensors that are rearranged first ----------------------------------------------------------------------


def attended(M: Any, Q: Any, K: Any, V: Any) -> Any:
    return torch.softmax(M * (Q @ K.T), -1) @ V


def transposed(A: Any, X: Any, W: Any) -> Any:
    return torch.relu(A @ (X @ W.t()))


def cut(A: Any, X: Any, W: Any) -> Any:
    return torch.relu(A @ X[:, 2:8]) * W[:1, 2:8].contiguous() + W.mT[0, 0]


def reshaped(A: Any, X: Any, W: Any) -> Any:
    return A @ X.reshape(12, 2, 6).transpose(1, 2).flatten(1)


def summed(A: Any, X: Any, W: Any) -> Any:
    return A @ (X.T + W)


@pytest.mark.parametrize(("function", "count"), [(transposed, 1), (cut, 1), (reshaped, 1), (summed, 12)])
def test_rearranged_operands(function: Any, count: int, t: SimpleNamespace, calls: list[int]) -> None:
    compiled = scorch.compile(function)
    for n in range(12):
        X = t.X * (1 + n / 10)
        same(compiled(t.A, X, t.Y), function(t.dense, X, t.Y))
    assert len(calls) == count
    for X, W in ((t.X.T, t.Y), (t.X, t.Y.T), (t.X[:, ::2].repeat(1, 2), t.Y)):
        same(compiled(t.A, X, W), function(t.dense, X, W))
    wanted = t.X.clone().requires_grad_()
    for _ in range(2):
        (ours,) = torch.autograd.grad(compiled(t.A, wanted, t.Y).square().sum(), wanted)
        (theirs,) = torch.autograd.grad(function(t.dense, wanted, t.Y).square().sum(), wanted)
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


def chosen(A: Any, X: Any, rows: Any) -> Any:
    return A @ X[:, rows]


def by_name(A: Any, X: Any) -> Any:
    return A @ torch.reshape(input=X, shape=(12, 12))


def test_values_that_decide_shapes_are_looked_at_each_time(t: SimpleNamespace, calls: list[int]) -> None:
    compiled = scorch.compile(chosen)
    for count in (5, 3, 12):
        rows = torch.arange(12) < count
        same(compiled(t.A, t.X, rows), t.dense @ t.X[:, rows])
    assert len(calls) == 3
    function = scorch.compile(by_name)
    same(function(t.A, t.X), t.dense @ t.X)
    assert why_eager(by_name) is None


def test_what_a_loop_computed_is_let_go(t: SimpleNamespace) -> None:
    held: list[Any] = []

    @scorch.compile
    def iterated(A: Any, X: Any) -> Any:
        for _ in range(5):
            X = A @ X
            held.append(weakref.ref(torch.relu(X) + float(X.sum()) * 0))
        gc.collect()
        return X * sum(ref() is not None for ref in held)

    assert not iterated(t.A, t.X).any()


def test_attention_with_turned_keys(t: SimpleNamespace, calls: list[int]) -> None:
    compiled = scorch.compile(attended)
    kept = torch.where(t.dense != 0, 0.0, -torch.inf)
    for n in range(12):
        Q = t.X * (1 + n / 10)
        expected = torch.softmax(Q @ t.Y.T + kept, -1).nan_to_num() @ t.Z
        same(compiled(t.M, Q, t.Y, t.Z), expected)
    assert len(calls) == 1

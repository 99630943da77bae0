"""What is not put off: side effects, changes in place, control flow, and functions that cannot be recorded."""

from __future__ import annotations

import subprocess
import sys
import threading
import warnings
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn import functional as F

import scorch
from tests.trace.cases import same


def test_control_flow_over_values(t: SimpleNamespace) -> None:
    def function(X: Any) -> Any:
        h = torch.relu(t.A @ X)
        steps = 0
        while h.norm() > 1:
            h = h / 2
            steps += 1
        return (h + 1 if h.sum() > 0 else h - 1), steps

    for scale in (1.0, 50.0, 1e-6):
        found, wanted = scorch.compile(function)(t.X * scale), function(t.X * scale)
        assert found[1] == wanted[1]
        same(found[0], wanted[0])


def test_control_flow_over_shapes_and_types(t: SimpleNamespace) -> None:
    def function(X: Any) -> Any:
        h = t.A @ X
        assert isinstance(h, torch.Tensor)
        assert torch.is_tensor(h)
        assert h.shape == h.size() == (t.n, X.shape[1])
        assert (h.dtype, h.device, h.layout) == (torch.float32, torch.device("cpu"), torch.strided)
        assert (h.dim(), h.ndim, len(h), h.numel(), h.size(-1)) == (2, 2, t.n, t.n * X.shape[1], X.shape[1])
        assert not h.requires_grad
        return h * 2 if h.shape[1] > 3 else h

    for columns in (1, 2, 3, 7, 12):
        X = t.X[:, :columns].contiguous()
        same(scorch.compile(function)(X), function(X))


def test_sparse_results_are_tensors_too(t: SimpleNamespace) -> None:
    def function(X: Any) -> Any:
        S = t.A * X
        assert isinstance(S, scorch.Tensor)
        assert (S.shape, S.dtype, S.ndim) == ((t.n, t.n), torch.float32, 2)
        return S.nnz, S.format, S.T, S.with_values(S.values + 1), S

    found, wanted = scorch.compile(function)(t.X), function(t.X)
    assert found[:2] == wanted[:2]
    for one, two in zip(found[2:], wanted[2:], strict=True):
        same(one, two)


def test_changes_in_place_are_seen_in_order(t: SimpleNamespace) -> None:
    def function(A: Any, X: Any, u: Any) -> Any:
        h = A @ X  # before X changes
        X += 1
        k = A @ X
        k.add_(u)
        k.mul_(2).relu_()
        h[0] = 5
        h += k
        buffer = torch.zeros_like(h)
        buffer[:, 1] = h[:, 0]
        torch.add(h, k, out=buffer[:])
        return h, k, buffer, A @ X

    one, two = t.X.clone(), t.X.clone()
    for found, wanted in zip(
        scorch.compile(function)(t.A, one, t.u.clone()), function(t.A, two, t.u.clone()), strict=True
    ):
        same(found, wanted)
    assert one.equal(two)


def test_aliases_of_what_changed(t: SimpleNamespace) -> None:
    def function(X: Any) -> Any:
        h = t.A @ X
        same_h, view = h, h.T
        before = h + 1
        h.add_(10)
        view[0] = 7
        return h, same_h, view, before

    for found, wanted in zip(scorch.compile(function)(t.X), function(t.X), strict=True):
        same(found, wanted)


@pytest.mark.parametrize("inplace", [{"inplace": True}, {"inplace": False}])
def test_activations_in_place(inplace: dict[str, bool], t: SimpleNamespace) -> None:
    def function(X: Any) -> Any:
        h = t.A @ X
        k = h + 1
        return F.relu(h, **inplace), h, k, F.leaky_relu(k, 0.2, True), k

    for found, wanted in zip(scorch.compile(function)(t.X), function(t.X), strict=True):
        same(found, wanted)
    model = torch.nn.ReLU(inplace=True)
    assert len(scorch.explain(lambda X: model(t.A @ X + t.u), t.X).kernels) == 1


def test_random_numbers_are_drawn_in_order(t: SimpleNamespace) -> None:
    def function(X: Any) -> Any:
        h = F.dropout(torch.relu(t.A @ X), 0.5)
        noise = torch.randn(t.n, t.n)
        return F.dropout(t.A @ h + noise, 0.3, training=True)

    torch.manual_seed(5)
    found = scorch.compile(function)(t.X)
    torch.manual_seed(5)
    same(found, function(t.X))


def test_side_effects_happen_once_a_call(t: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[Any] = []

    @scorch.compile
    def function(X: Any) -> Any:
        print("called")
        h = t.A @ X
        seen.append(h)
        return h + 1

    function(t.X)
    function(t.Y)
    assert capsys.readouterr().out == "called\ncalled\n"
    same(seen[0] * 2, t.dense @ t.X * 2)  # what was kept is computed by then, and works as a tensor
    assert torch.equal(seen[1], t.A @ t.Y)
    assert scorch.einsum("ij->", seen[0]).item() == pytest.approx(float((t.A @ t.X).sum()), abs=1e-3)


def test_errors_are_those_of_the_function(t: SimpleNamespace) -> None:
    def wrong_shape(X: Any) -> Any:
        return t.A @ X + torch.ones(5)

    def own(X: Any) -> Any:
        raise KeyError("mine")

    def would_be_dense(X: Any) -> Any:
        return torch.exp(t.A * X)

    with pytest.raises(RuntimeError, match="must match"):
        scorch.compile(wrong_shape)(t.X)
    with pytest.raises(scorch.ShapeError):
        scorch.compile(lambda X: t.A @ X)(t.X[:5])
    with pytest.raises(KeyError, match="mine"):
        scorch.compile(own)(t.X)
    with pytest.raises(scorch.UnsupportedError, match="its result is dense"):
        scorch.compile(would_be_dense)(t.X)


def test_a_function_that_cannot_be_recorded_runs_as_it_is(t: SimpleNamespace) -> None:
    calls = []

    def function(X: Any) -> Any:
        calls.append(1)
        h = t.A @ X
        return h if type(h) is torch.Tensor else torch._C._nn.gelu(h, approximate=3)

    compiled = scorch.compile(function)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        same(compiled(t.X), t.A @ t.X)
        assert len(calls) == 2
        same(compiled(t.Y), t.A @ t.Y)
    assert len(calls) == 3
    explained = scorch.explain(compiled, t.X)
    assert "TypeError" in str(explained)
    assert "runs as it is written" in explained._repr_html_()


def test_what_was_changed_is_not_changed_twice(t: SimpleNamespace) -> None:
    @scorch.compile
    def function(X: Any, counter: Any) -> Any:
        counter.add_(1)
        raise ValueError("after the change")

    counter = torch.zeros(1)
    with pytest.raises(ValueError, match="after the change"):
        function(t.X, counter)
    assert counter.item() == 1


def test_statements_that_are_refused_run_as_calls(t: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    from scorch.trace import run

    def refuse(*_: Any, **__: Any) -> Any:
        raise scorch.UnsupportedError("no")

    function = scorch.compile(lambda A, X, u: torch.relu(A @ X + u))
    monkeypatch.setattr(run, "_together", refuse)
    same(function(t.A, t.X, t.u), torch.relu(t.dense @ t.X + t.u))
    explained = scorch.explain(function, t.A, t.X, t.u)
    assert explained.eager is None
    assert "one by one, as they are: no" in str(explained)


def test_threads_do_not_see_each_other(t: SimpleNamespace) -> None:
    function = scorch.compile(lambda A, X, u: torch.relu(A @ X + u))
    found: dict[int, Any] = {}

    def work(n: int) -> None:
        for _ in range(5):
            found[n] = function(t.A, t.X + n, t.u)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n in range(4):
        same(found[n], torch.relu(t.dense @ (t.X + n) + t.u))


def test_nothing_heavy_is_imported() -> None:
    code = "import sys, scorch; print([m for m in ('numba', 'torch._dynamo') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"

"""Compiled functions give what the functions themselves give, in fewer steps."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

import scorch
from tests.trace.cases import FUSED, LEFT_TO_TORCH, same


@pytest.mark.parametrize("fuse", [True, False])
@pytest.mark.parametrize("name", [*FUSED, *LEFT_TO_TORCH])
def test_the_result_is_that_of_the_function(name: str, fuse: bool, t: SimpleNamespace) -> None:
    function = (FUSED | LEFT_TO_TORCH)[name]
    same(scorch.compile(function, fuse=fuse)(t), function(t))


@pytest.mark.parametrize("name", [*FUSED, *LEFT_TO_TORCH])
def test_no_function_falls_back(name: str, t: SimpleNamespace) -> None:
    function = (FUSED | LEFT_TO_TORCH)[name]
    scorch.compile(function)(t)
    explained = scorch.explain(function, t)
    assert explained.eager is None
    assert explained.original


@pytest.mark.parametrize("name", ["gcn layer", "residual", "attention", "sampled product", "linear, sparse weight"])
def test_one_kernel(name: str, t: SimpleNamespace) -> None:
    explained = scorch.explain(FUSED[name], t)
    assert len(explained.kernels) == 1
    assert len([part for part in explained.parts if part.statements]) == 1


@pytest.mark.parametrize("format", ["csr", "csc", "coo", "dcsr"])
@pytest.mark.parametrize("name", ["gcn layer", "attention", "two layers", "dense on the left"])
def test_formats(name: str, format: str, t: SimpleNamespace) -> None:
    t.A, t.M = t.A.to(format), t.M.to(format)
    same(scorch.compile(FUSED[name])(t), FUSED[name](t))


@pytest.mark.parametrize("convert", [torch.Tensor.to_sparse_csr, torch.Tensor.to_sparse_coo])
def test_sparse_tensors_of_torch(convert: Any, t: SimpleNamespace) -> None:
    t.A = convert(t.dense)
    for name in ("gcn layer", "gcn layer, other order", "vector", "two layers"):
        same(scorch.compile(FUSED[name])(t), FUSED[name](t))


def test_double_precision(t: SimpleNamespace) -> None:
    t = SimpleNamespace(**{k: x.to(torch.float64) if hasattr(x, "dtype") else x for k, x in vars(t).items()})
    found = scorch.compile(FUSED["two layers"])(t)
    torch.testing.assert_close(found, FUSED["two layers"](t), atol=1e-12, rtol=1e-12)


def test_several_results_in_their_containers(t: SimpleNamespace) -> None:
    def function(A: Any, X: Any) -> Any:
        h = A @ X
        return {"h": h, "more": (torch.relu(h), [h + 1, None, "text"])}, A

    found, again = scorch.compile(function)(t.A, t.X)
    wanted, _ = function(t.A, t.X)
    assert again is t.A
    same(found["h"], wanted["h"])
    same(found["more"][0], wanted["more"][0])
    same(found["more"][1][0], wanted["more"][1][0])
    assert found["more"][1][1:] == [None, "text"]


def test_arguments_by_name_defaults_and_numbers(t: SimpleNamespace) -> None:
    @scorch.compile
    def function(A: Any, X: Any, *, scale: float = 2.0, relu: bool = True) -> Any:
        h = A @ X * scale
        return torch.relu(h) if relu else h

    same(function(t.A, X=t.X), torch.relu(t.dense @ t.X * 2))
    same(function(t.A, X=t.X, scale=3), torch.relu(t.dense @ t.X * 3))
    same(function(t.A, t.X, relu=False), t.dense @ t.X * 2)


def test_closures_are_read_at_every_call(t: SimpleNamespace) -> None:
    scale, weight = 2.0, t.Y

    @scorch.compile
    def function(X: Any) -> Any:
        return torch.relu(t.A @ (X @ weight)) * scale

    same(function(t.X), torch.relu(t.dense @ (t.X @ t.Y)) * 2)
    scale, weight = 3.0, t.Z
    same(function(t.X), torch.relu(t.dense @ (t.X @ t.Z)) * 3)
    weight.mul_(2)
    same(function(t.X), torch.relu(t.dense @ (t.X @ t.Z)) * 3)


def test_compiled_functions_in_compiled_functions(t: SimpleNamespace) -> None:
    @scorch.compile
    def inner(A: Any, X: Any) -> Any:
        return A @ X

    def outer(A: Any, X: Any, u: Any) -> Any:
        return torch.relu(inner(A, X) + u)

    same(scorch.compile(outer)(t.A, t.X, t.u), torch.relu(t.dense @ t.X + t.u))
    assert len(scorch.explain(outer, t.A, t.X, t.u).kernels) == 1


def test_with_and_without_brackets(t: SimpleNamespace) -> None:
    @scorch.compile(fuse=False)
    def one(A: Any, X: Any) -> Any:
        """Says what it does."""
        return A @ X

    @scorch.compile()
    def other(A: Any, X: Any) -> Any:
        return A @ X

    assert one.__name__ == "one"
    assert one.__doc__ == "Says what it does."
    same(one(t.A, t.X), other(t.A, t.X))
    with pytest.raises(TypeError, match="takes a function or a torch"):
        scorch.compile(3)


def test_the_order_of_a_chain_follows_from_its_shapes() -> None:
    n = 200
    A = scorch.tensor(torch.rand(n, n) * (torch.rand(n, n) < 0.2), "csr")

    def function(A: Any, X: Any, W: Any) -> Any:
        return (A @ X) @ W

    wide, narrow = torch.rand(n, 64), torch.rand(n, 2)
    to_narrow = scorch.explain(function, A, wide, torch.rand(64, 2))
    to_wide = scorch.explain(lambda A, X, W: A @ (X @ W), A, narrow, torch.rand(2, 64))
    first = [{access.tensor for access in e.notation[0].accesses} for e in (to_narrow, to_wide)]
    calls = [e.parts[0].orders[0].description for e in (to_narrow, to_wide)]
    assert all("first" in text for text in calls)
    named = [dict(zip(("A", "X", "W"), names, strict=True)) for names in (("x0", "x1", "x2"), ("x2", "x0", "x1"))]
    assert first[0] == {named[0]["X"], named[0]["W"]}  # 64 columns become 2 before the neighbours are summed
    assert first[1] == {named[1]["A"], named[1]["X"]}  # 2 columns are summed before they become 64
    assert torch.allclose(scorch.compile(function)(A, narrow, torch.ones(2, 64)), A @ narrow @ torch.ones(2, 64))

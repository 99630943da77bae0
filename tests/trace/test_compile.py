"""Compiled functions give what the functions themselves give, in fewer steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn import functional as F

import scorch

Case = Callable[[SimpleNamespace], Any]

FUSED: dict[str, Case] = {
    "gcn layer": lambda t: torch.relu(t.A @ (t.X @ t.Y) + t.u),
    "gcn layer, other order": lambda t: F.relu((t.A @ t.X) @ t.Y + t.u),
    "bias by broadcasting a column": lambda t: t.A @ t.X + t.u[:, None],
    "activation alone": lambda t: torch.sigmoid(t.A @ t.X),
    "methods": lambda t: t.A.matmul(t.X).add(t.u).relu(),
    "leaky relu": lambda t: F.leaky_relu(t.A @ t.X - t.Y, 0.1),
    "silu": lambda t: F.silu(t.A @ t.X),
    "residual": lambda t: t.X + torch.relu(t.A @ t.X + t.u) * 0.5,
    "scaling by a row factor": lambda t: (t.A @ t.X) / t.u[:, None],
    "alpha": lambda t: torch.add(t.A @ t.X, t.Y, alpha=2),
    "reflected operators": lambda t: 2 - (1.5 * (t.A @ t.X) + t.u),
    "vector": lambda t: torch.relu(t.A @ t.u + t.v),
    "mv": lambda t: torch.mv(t.A, t.u) * 2 + 1,
    "dense on the left": lambda t: torch.relu(t.X @ t.A + t.u),
    "linear, sparse weight": lambda t: F.relu(F.linear(t.X, t.A, t.u)),
    "linear, sparse input": lambda t: F.relu(F.linear(t.A, t.X, t.u)),
    "addmm": lambda t: torch.relu(torch.addmm(t.u, t.A, t.X)),
    "einsum": lambda t: torch.relu(scorch.einsum("ij,jk->ik", t.A, t.X) + t.u),
    "torch.einsum": lambda t: torch.relu(torch.einsum("ij,jk->ki", t.A, t.X) + t.u),
    "two layers": lambda t: t.A @ (torch.relu(t.A @ (t.X @ t.Y) + t.u) @ t.Z) + t.v,
    "chain of sparse matrices": lambda t: (t.A @ t.M) @ t.X,
    "attention": lambda t: torch.softmax(t.M * (t.X @ t.Y.T) / math.sqrt(t.n), -1) @ t.Z,
    "attention, scaled first": lambda t: torch.softmax(t.M * ((t.X / 3) @ t.Y.T), dim=-1) @ t.Z,
    "attention, scaled inside": lambda t: F.softmax(t.M * ((t.X @ t.Y.T) * 0.25), dim=1) @ t.Z,
    "attention, mask on the right": lambda t: ((t.X @ t.Y.T) * t.M).softmax(-1).matmul(t.Z),
    "attention, torch.sparse": lambda t: torch.sparse.softmax(t.M * torch.mm(t.X, t.Y.t()), 1) @ t.Z,
    "attention, einsum": lambda t: torch.softmax(scorch.einsum("ij,id,jd->ij", t.M, t.X, t.Y), -1) @ t.Z,
    "attention, sampled_addmm": lambda t: (
        torch.softmax(torch.sparse.sampled_addmm(t.M, t.X, t.Y.T, beta=0) * 0.5, -1) @ t.Z
    ),
    "sampled product": lambda t: t.A * (t.X @ t.Y.T),
    "sampled, with a bias": lambda t: t.A * (t.X @ t.Y.T + t.u),
    "softmax alone": lambda t: torch.softmax(t.A * 2, -1),
    "row sums": lambda t: (t.A * t.X).sum(-1),
    "row sums kept": lambda t: (t.A @ t.X) / ((t.M * 1.0).sum(1, keepdim=True) + 1),
    "same operand twice": lambda t: (t.A @ t.X) * (t.A @ t.X),
    "read twice": lambda t: (lambda h: torch.relu(h) * h)(t.A @ t.X),
    "union": lambda t: (t.A + t.M) @ t.X,
}
LEFT_TO_TORCH: dict[str, Case] = {
    "fft": lambda t: torch.fft.rfft(torch.relu(t.A @ t.X), dim=-1).abs(),
    "cumsum": lambda t: (t.A @ t.X).cumsum(0) + t.u,
    "layer norm": lambda t: F.layer_norm(t.A @ t.X + t.u, (t.n,)),
    "log_softmax": lambda t: F.log_softmax(t.A @ t.X, dim=-1),
    "index": lambda t: (t.A @ t.X)[2:5, ::2] + (t.A @ t.X)[0, ::2],
    "cat": lambda t: torch.cat([t.A @ t.X, t.A @ t.Y], dim=1),
    "stack of a list": lambda t: torch.stack([t.A @ t.X, t.Y]),
    "reshape": lambda t: (t.A @ t.X).view(-1, 3).T.contiguous(),
    "other number types": lambda t: (t.A @ t.X).double() + t.X.double(),
    "half": lambda t: (t.A @ t.X).half() * 2,
    "comparison": lambda t: torch.where((t.A @ t.X) > 0, t.X, t.Y),
    "clamp": lambda t: (t.A @ t.X).clamp(0, 6),
    "tanh": lambda t: torch.tanh(t.A @ t.X + t.u) + 1,
    "gelu": lambda t: F.gelu(t.A @ t.X),
    "power": lambda t: (t.A @ t.X) ** 2,
    "reductions": lambda t: (t.A @ t.X).sum() + (t.A @ t.X).mean(0),
    "maximum with indices": lambda t: (t.A @ t.X).max(dim=1),
    "dense only": lambda t: torch.relu(t.X @ t.Y + t.u) @ t.Z,
    "batches": lambda t: torch.stack([t.X, t.Y]) @ t.Z,
    "sparse only": lambda t: t.A @ t.M,
    "transposed result": lambda t: torch.relu((t.A @ t.X).T + t.u),
    "to dense": lambda t: (t.A * 2).to_dense() + t.X,
    "values": lambda t: (t.A * t.X).values + 1,
    "detach and clone": lambda t: (t.A @ t.X).detach().clone(),
    "numpy": lambda t: torch.from_numpy((t.A @ t.X).numpy() + 1),
    "python numbers": lambda t: t.X * float((t.A @ t.X).sum()) + (t.A @ t.X)[0, 0].item(),
    "iteration": lambda t: [row + 1 for row in t.A @ t.X][3],
    "operators of one": lambda t: -(t.A @ t.X) + abs(t.A @ t.Y),
    "column": lambda t: (t.A @ t.X[:, :1]) + t.u[:, None],
    "bias of extent one": lambda t: torch.relu(t.A @ t.X + t.u[:1]),
    "scalar tensor": lambda t: torch.relu(t.A @ t.X * t.u[0]),
    "compute": lambda t: scorch.compute("C[i,j] = A[i,k] * X[k,j] + u[j]", A=t.A, X=t.A @ t.X, u=t.u),
}


def dense(x: Any) -> Any:
    return x.to_dense() if isinstance(x, scorch.Tensor) else x


def same(found: Any, wanted: Any) -> None:
    if isinstance(wanted, tuple | list):
        assert type(found) is type(wanted)
        for one, other in zip(found, wanted, strict=True):
            same(one, other)
        return
    assert type(found) is type(wanted)
    assert found.dtype is wanted.dtype
    assert found.shape == wanted.shape
    if isinstance(wanted, scorch.Tensor):
        assert found.nnz == wanted.nnz
    torch.testing.assert_close(dense(found), dense(wanted), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("fuse", [True, False])
@pytest.mark.parametrize("name", [*FUSED, *LEFT_TO_TORCH])
def test_the_result_is_that_of_the_function(name: str, fuse: bool, t: SimpleNamespace) -> None:
    function = (FUSED | LEFT_TO_TORCH)[name]
    same(scorch.compile(function, fuse=fuse)(t), function(t))


@pytest.mark.parametrize("name", [*FUSED, *LEFT_TO_TORCH])
def test_no_function_falls_back(name: str, t: SimpleNamespace) -> None:
    """explain raises what a call would answer by running the function as it is."""
    assert str(scorch.explain((FUSED | LEFT_TO_TORCH)[name], t))


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
    assert "x1[k,l] * x2[l,j]" in str(to_narrow.notation[0]) or "x1" in str(to_narrow.notation[0])
    first = [{access.tensor for access in e.notation[0].accesses} for e in (to_narrow, to_wide)]
    calls = [e.parts[0].orders[0].description for e in (to_narrow, to_wide)]
    assert all("first" in text for text in calls)
    named = [dict(zip(("A", "X", "W"), names, strict=True)) for names in (("x0", "x1", "x2"), ("x2", "x0", "x1"))]
    assert first[0] == {named[0]["X"], named[0]["W"]}  # 64 columns become 2 before the neighbours are summed
    assert first[1] == {named[1]["A"], named[1]["X"]}  # 2 columns are summed before they become 64
    assert torch.allclose(scorch.compile(function)(A, narrow, torch.ones(2, 64)), A @ narrow @ torch.ones(2, 64))

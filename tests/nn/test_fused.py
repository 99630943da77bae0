"""What layers compute in one kernel, against the same computation step by step, which gradients take."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch.nn import functional as F

import scorch
from scorch import nn as snn
from scorch.errors import NotationError
from scorch.explain import Explanation
from scorch.nn.attention import Causal, Global, Window
from scorch.nn.functional import attention, edge_max, gat_conv, gin_sum, graph_conv, sage_conv
from scorch.nn.functional.aggregate import aggregated
from scorch.nn.functional.attention import FUSED
from scorch.nn.functional.fused import product
from scorch.nn.functional.gat import statements

N = 9
ACTIVATIONS: dict[str | None, Callable[[torch.Tensor], torch.Tensor]] = {
    None: lambda x: x,
    "relu": torch.relu,
    "leaky_relu": F.leaky_relu,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "gelu": F.gelu,
    "tanh": torch.tanh,
}


def matrix(rows: int = N, cols: int = N, dtype: torch.dtype = torch.float32) -> scorch.Tensor:
    """A csr matrix in which the second row is empty."""
    dense = torch.where(torch.rand(rows, cols) < 0.4, torch.randn(rows, cols), 0).to(dtype)
    dense[1] = 0
    return scorch.tensor(dense, "csr")


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
@pytest.mark.parametrize("terms", [(), ("bias",), ("bias", "added"), ("added", "scale")], ids="+".join)
@pytest.mark.parametrize(("by_row", "cols"), [(False, 12), (True, 12), (True, 0)], ids=["column", "row", "vector"])
def test_product_with_what_follows(activation: str | None, terms: tuple[str, ...], by_row: bool, cols: int) -> None:
    a, b = matrix(), torch.randn(N, cols) if cols else torch.randn(N)
    bias = torch.randn(N if by_row else cols)
    given = {"bias": bias, "added": torch.randn(N, cols) if cols else torch.randn(N), "scale": torch.tensor(1.5)}
    given = {name: given[name] for name in terms}
    wanted = a.to_dense() @ b
    if "added" in terms:
        wanted = wanted + given.get("scale", 1) * given["added"]
    if "bias" in terms:
        wanted = wanted + (bias[:, None] if by_row and cols else bias)
    ours = product(a, b, activation=activation, by_row=by_row, **given)
    torch.testing.assert_close(ours, ACTIVATIONS[activation](wanted))


def test_product_with_an_activation_that_is_a_function_or_unknown() -> None:
    a, b = matrix(), torch.randn(N, 3)
    torch.testing.assert_close(product(a, b, activation=torch.exp), torch.exp(a.to_dense() @ b))
    with pytest.raises(NotationError, match="there is no activation 'rleu'"):
        product(a, b, activation="rleu")


LAYERS = {
    "linear": lambda: snn.Linear(N, 5, sparsity=0.5, activation="relu"),
    "gcn": lambda: snn.GCNConv(N, 5, activation="relu"),
    "gcn widening": lambda: snn.GCNConv(N, 11, activation="silu"),
    "sage": lambda: snn.SAGEConv(N, 5, activation="relu"),
    "sage widening": lambda: snn.SAGEConv(N, 11, "sum"),
    "sage max": lambda: snn.SAGEConv(N, 5, "max", activation="relu"),
    "gat": lambda: snn.GATConv(N, 4, heads=3),
    "gat one head": lambda: snn.GATConv(N, 4),
    "gat elu": lambda: snn.GATConv(N, 3, heads=8, activation="elu"),
    "gat one head tanh": lambda: snn.GATConv(N, 4, activation="tanh", bias=False),
    "gat gelu": lambda: snn.GATConv(N, 4, heads=2, activation="gelu"),
    "gat averaged": lambda: snn.GATConv(N, 4, heads=2, concat=False, activation="elu"),
    "gat widening": lambda: snn.GATConv(N, 40, heads=2, activation="elu"),
    "gin": lambda: snn.GINConv(torch.nn.Linear(N, 5), eps=0.25),
    "attention": lambda: snn.SparseAttention(N, 3, Window(1) | Global(1)),
    "causal attention": lambda: snn.SparseAttention(N, 3, Causal(Window(2))),
    "convolution": lambda: snn.Conv2d(1, 3, 3, sparsity=0.5),
}
SPARSE_INPUT = ("linear", "gcn", "gcn widening", "sage", "sage widening", "sage max", "gat", "gat elu", "gat averaged")


def _call(layer: torch.nn.Module, name: str, x: object, graph: scorch.Tensor) -> torch.Tensor:
    if name == "convolution":
        return layer(x[None, None])  # type: ignore[index]
    return layer(x) if name in ("linear", "attention", "causal attention") else layer(x, graph)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_layers_give_the_same_with_and_without_gradients(name: str, dtype: torch.dtype) -> None:
    layer, graph = LAYERS[name]().to(dtype), matrix(dtype=dtype)
    graph = graph.with_values(graph.values.abs())
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    for x in (torch.randn(N, N, dtype=dtype), *([matrix(dtype=dtype)] if name in SPARSE_INPUT else [])):
        wanted = _call(layer, name, x, graph)
        assert wanted.requires_grad
        with torch.no_grad():
            torch.testing.assert_close(_call(layer, name, x, graph), wanted.detach())


@pytest.mark.parametrize("batch", [(), (1,), (4, 1)], ids=str)
def test_linear_of_one_sample_and_of_batches(batch: tuple[int, ...]) -> None:
    layer, x = snn.Linear(6, 5, sparsity=0.5), torch.randn(*batch, 6)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), F.linear(x, layer.weight().to_dense(), layer.bias))


def test_nodes_without_edges_get_zeros() -> None:
    a, x = matrix(), torch.randn(N, 2, 3)
    assert bool((gat_conv(a, x, torch.randn(2, 3), torch.randn(2, 3))[1] == 0).all())
    assert bool((edge_max(a, -torch.rand(N, 3))[1] == 0).all())
    assert bool((attention(x[:, 0], x[:, 0], x[:, 1], a)[1] == 0).all())


def test_no_answer_is_invented() -> None:
    a, x = scorch.tensor(torch.ones(2, 2), "csr"), torch.tensor([[float("nan")], [1.0]])
    assert edge_max(a, torch.full((2, 1), -torch.inf)).tolist() == [[-torch.inf], [-torch.inf]]
    assert bool(attention(torch.ones(2, 1), torch.ones(2, 1), x, a).isnan().all())
    assert bool(attention(x, torch.ones(2, 1), torch.ones(2, 1), a)[0].isnan().all())


def _explained(text: str, **operands: object) -> object:
    return scorch.explain(text, out_format="dense", **operands)


@pytest.mark.parametrize(("heads", "queries", "depth"), [(1, 9, 4), (8, 64, 32), (2, 16, 5)], ids=str)
def test_attention_is_one_kernel(heads: int, queries: int, depth: int) -> None:
    q, mask = torch.zeros(heads, queries, depth), Window(3)(queries)
    assert isinstance(_explained(FUSED, M=mask, Q=q, K=q, V=q, scale=torch.tensor(0.5)), Explanation)


@pytest.mark.parametrize("heads", [1, 8])
def test_graph_attention_is_one_kernel(heads: int) -> None:
    x, at = torch.zeros(64, heads, 8), torch.zeros(64, heads)
    graph = Window(2)(64)
    text = statements(False, False, False, None)
    told = _explained(text, A=graph, l=at, r=at, slope=torch.tensor(0.2), X=x)
    assert isinstance(told, Explanation)


def test_sage_and_gin_are_sums_of_products() -> None:
    a, x, w, r = matrix(), torch.randn(N, 4), torch.randn(3, 4), torch.randn(3, 4)
    torch.testing.assert_close(sage_conv(a, x, w, r), a.to_dense() @ x @ w.T + x @ r.T)
    torch.testing.assert_close(gin_sum(a, x, torch.tensor(0.5)), a.to_dense() @ x + 1.5 * x)


@pytest.mark.parametrize("activation", [None, "silu", "tanh"], ids=str)
@pytest.mark.parametrize("has_bias", [False, True], ids=["no bias", "bias"])
def test_a_narrow_graph_layer_is_one_kernel(activation: str | None, has_bias: bool) -> None:
    a, x, bias = Window(2)(60), torch.randn(60, 8), torch.randn(9) if has_bias else None
    w, r, shift = torch.randn(9, 8), torch.randn(9, 8), 0 if bias is None else bias
    for root, own in ((None, 0), (r, x @ r.T)):
        wanted = ACTIVATIONS[activation](a.to_dense() @ x @ w.T + own + shift)
        operands = [x for x in (a, x, w.T, None if root is None else root.T, bias) if x is not None]
        for _ in range(2):  # decided, then kept
            torch.testing.assert_close(aggregated("layer", operands, root is not None, activation), wanted)
        layer = graph_conv if root is None else partial(sage_conv, root_weight=root)
        for _ in range(12):  # as it is, recalled, as a function
            torch.testing.assert_close(layer(a, x, w, bias=bias, activation=activation), wanted)


@pytest.mark.parametrize("activation", [None, "relu", "tanh"], ids=str)
@pytest.mark.parametrize("has_bias", [False, True], ids=["no bias", "bias"])
@pytest.mark.parametrize("has_root", [False, True], ids=["no root", "root"])
def test_a_layer_of_sparse_features_is_recalled(activation: str | None, has_bias: bool, has_root: bool) -> None:
    """The kernels of a layer one after the other, under one test of its operands; and other operands in between."""
    a, first = Window(2)(60), _sparse_features()
    for turn in range(14):
        x = _sparse_features() if turn == 11 else first.with_values(first.values * (turn + 1))
        features = 7 if turn == 12 else 5
        w, r = torch.randn(40, features).T, torch.randn(40, features).T
        bias = torch.randn(features) if has_bias else None
        layer = partial(sage_conv, root_weight=r) if has_root else graph_conv
        dense = x.to_dense()
        wanted = a.to_dense() @ (dense @ w.T) + (dense @ r.T if has_root else 0) + (0 if bias is None else bias)
        found = layer(a, x, w, bias=bias, activation=activation)
        torch.testing.assert_close(found, ACTIVATIONS[activation](wanted), rtol=1e-4, atol=1e-3)


def _sparse_features() -> scorch.Tensor:
    return scorch.tensor(torch.randn(60, 40) * (torch.rand(60, 40) < 0.2), "csr")


def test_a_recalled_layer_is_differentiated() -> None:
    a, w = Window(2)(60), torch.randn(40, 5).T.requires_grad_()
    x = _sparse_features()
    for _ in range(12):
        with torch.no_grad():
            plain = graph_conv(a, x, w, activation="relu")
    result = graph_conv(a, x, w, activation="relu")
    torch.testing.assert_close(result.detach(), plain)
    result.sum().backward()
    exact = w.detach().clone().requires_grad_()
    torch.relu(a.to_dense() @ (x.to_dense() @ exact.T)).sum().backward()
    torch.testing.assert_close(w.grad, exact.grad, rtol=1e-4, atol=1e-4)


def test_a_wide_graph_layer_leaves_its_dense_products_to_torch() -> None:
    a, x, w = Window(1)(600), torch.randn(600, 128), torch.randn(128, 128)
    for _ in range(2):
        assert aggregated("layer", (a, x, w)) is None
        assert aggregated("layer", (a, x, w, w), True) is None
    for wide in (w, torch.randn(130, 128)):
        wanted = a.to_dense() @ x @ wide.T
        torch.testing.assert_close(graph_conv(a, x, wide), wanted, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(sage_conv(a, x, wide, wide), wanted + x @ wide.T, rtol=1e-4, atol=1e-4)


MEMORY = """
import resource, torch
from scorch.nn.attention import Window
from scorch.nn.functional import attention
x, mask = torch.ones(2, 16384, 8), Window(4)(16384)
attention(x[:, :64], x[:, :64], x[:, :64], Window(4)(64))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
result = attention(x, x, x, mask)
assert result.allclose(x)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.compiled
def test_memory_of_attention_is_linear_in_the_length() -> None:
    pytest.importorskip("resource")
    told = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True).stdout
    scores = 2 * 16384 * 16384 * 4
    assert int(told) * 1024 < scores / 16

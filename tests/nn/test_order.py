"""Graph layers sum over neighbours before or after they change features, as the schedule expects to be faster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import scorch
from scorch import nn as snn
from scorch.explain import Explanation
from scorch.nn.functional import gat, graph, order, sums_first
from scorch.nn.functional.gat import statements

N = 12


def matrix(rows: int, cols: int, count: int) -> scorch.Tensor:
    """A csr matrix with about that many entries, which lie in no row and column more than in others."""
    places = torch.randperm(rows * cols)[:count].sort().values
    return scorch.from_coo(torch.stack([places // cols, places % cols]), torch.rand(count), (rows, cols), format="csr")


@pytest.fixture
def forced(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Sets the order of all layers."""

    def force(is_first: bool) -> None:
        for module in (graph, gat):
            monkeypatch.setattr(module, "sums_first", lambda *_: is_first)
        monkeypatch.setattr(snn.functional, "sums_first", lambda *_: is_first)

    return force


def gin(inputs: int, outputs: int) -> nn.Module:
    return snn.GINConv(nn.Sequential(nn.Linear(inputs, outputs), nn.ReLU(), nn.Linear(outputs, 3)), 0.5, train_eps=True)


LAYERS: dict[str, Callable[[int, int], nn.Module]] = {
    "gcn": lambda i, o: snn.GCNConv(i, o, activation="relu"),
    "sage": lambda i, o: snn.SAGEConv(i, o, activation="relu"),
    "sage without root": lambda i, o: snn.SAGEConv(i, o, "sum", root_weight=False),
    "gin": gin,
    "gin of one layer": lambda i, o: snn.GINConv(nn.Linear(i, o, bias=False)),
    "gat": lambda i, o: snn.GATConv(i, o, heads=2, concat=False, activation="relu"),
}


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("is_sparse", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize("name", LAYERS)
def test_both_orders_give_the_same(name: str, is_sparse: bool, grad: bool, forced: Callable[[bool], None]) -> None:
    layer, A = LAYERS[name](5, 4).double(), matrix(N, N, 40)
    x: Any = matrix(N, 5, 20).to(torch.float64)
    given = x.values if is_sparse else x.to_dense()
    results = []
    for is_first in (False, True):
        forced(is_first)
        with torch.set_grad_enabled(grad):
            leaf = given.clone().requires_grad_(grad)
            y = layer(x.with_values(leaf) if is_sparse else leaf, A)
        results.append((y, *torch.autograd.grad(y.square().sum(), (leaf, *layer.parameters()))) if grad else (y,))
    torch.testing.assert_close(*results)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("grad", [True, False])
def test_dense_features_are_summed_where_they_are_fewer(name: str, grad: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []

    def told(*operands: Any) -> bool:
        found.append(sums_first(*operands))
        return found[-1]

    for module in (graph, gat, snn.functional):
        monkeypatch.setattr(module, "sums_first", told)
    monkeypatch.setattr(graph, "aggregated", lambda *_: None)
    A = matrix(200, 200, 2000)
    with torch.set_grad_enabled(grad):
        LAYERS[name](96, 4)(torch.rand(200, 96), A)
        assert found
        assert not any(found)
        found.clear()
        LAYERS[name](4, 96)(torch.rand(200, 4), A)
        assert found
        assert all(found)


def test_sparse_features_are_summed_first_where_few_of_them_are_read() -> None:
    weight = torch.rand(64, 400)
    many, few, x = matrix(300, 300, 3000), matrix(300, 300, 20), matrix(300, 400, 3000)
    assert not sums_first(many, x, weight)
    assert sums_first(few, x, weight)
    for A in (many, few):
        wanted = A.to_dense() @ x.to_dense() @ weight.T
        torch.testing.assert_close(snn.functional.graph_conv(A, x, weight), wanted)
        torch.testing.assert_close(snn.functional.sage_conv(A, x, weight, weight), wanted + x.to_dense() @ weight.T)
        torch.testing.assert_close(snn.functional.graph_conv(A, x.to_torch(), weight), wanted)


def test_an_order_is_priced_once_for_a_pattern(monkeypatch: pytest.MonkeyPatch) -> None:
    priced = []
    monkeypatch.setattr(order, "priced_pairs", lambda problem: priced.append(problem) or {(0, 1): 1.0, (1, 2): 2.0})
    A, weight = matrix(N, N, 40), torch.rand(7, 5)
    for _ in range(2):
        assert sums_first(A, torch.rand(N, 5), weight)
        assert sums_first(A.with_values(A.values * 2), torch.rand(N, 5), weight)
    assert len(priced) == 1


def test_a_compiled_function_takes_the_same_order() -> None:
    A, weight = matrix(200, 200, 2000), torch.rand(4, 96)
    told = scorch.explain(lambda A, x: (A @ x) @ weight.T, A, torch.rand(200, 96))
    assert [str(statement) for statement in told.notation] == [
        "p0[l,j] += x1[l,k] * x2[k,j]",
        "out[i,j] += p0[l,j] * x0[i,l]",  # the matrix last
    ]
    assert not sums_first(A, torch.rand(200, 96), weight)


def test_gin_calls_a_net_with_hooks_as_it_is() -> None:
    layer, seen = gin(5, 2), []
    layer.net[0].register_forward_hook(lambda module, args, result: seen.append(args[0].shape))
    layer(torch.rand(N, 5), matrix(N, N, 40))
    assert seen == [(N, 5)]


def test_attention_that_sums_first_is_one_kernel() -> None:
    A, at, x = matrix(64, 64, 300), torch.zeros(64, 4), torch.zeros(64, 8)
    text = statements(False, True, False, None)
    told = scorch.explain(text, out_format="dense", A=A, l=at, r=at, slope=torch.tensor(0.2), X=x)
    assert isinstance(told, Explanation)


@pytest.mark.parametrize("nodes", [0, 3])
def test_graphs_without_edges(nodes: int) -> None:
    A = snn.adjacency(torch.zeros(2, 0, dtype=torch.int64), nodes)
    for make in LAYERS.values():
        for sizes in ((2, 6), (6, 2)):
            assert make(*sizes)(torch.rand(nodes, sizes[0]), A).shape[0] == nodes

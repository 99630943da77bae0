"""Layers and models as whole graphs of torch.compile and torch.export, with their gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import scorch
from scorch import nn as snn
from scorch import ops, traced
from scorch.nn import models
from scorch.nn.attention import Block, Causal, Window

N = 6
DENSE = torch.rand(N, N, generator=torch.Generator().manual_seed(0)) * (torch.arange(N * N).view(N, N) % 3 == 0)
GRAPH = scorch.tensor(DENSE, "csr")


@pytest.fixture(autouse=True)
def fresh() -> None:
    torch._dynamo.reset()


def compiled(function: Any) -> Any:
    return torch.compile(function, fullgraph=True, backend="aot_eager")


LAYERS: dict[str, tuple[Callable[[], torch.nn.Module], bool]] = {
    "linear": (lambda: snn.Linear(N, 3, sparsity=0.5, activation="silu"), False),
    "gcn": (lambda: snn.GCNConv(N, 2, activation="relu"), True),
    "gcn without norm": (lambda: snn.GCNConv(N, 8, normalize=False), True),
    "sage": (lambda: snn.SAGEConv(N, 2), True),
    "sage max": (lambda: snn.SAGEConv(N, 2, "max"), True),
    "gat": (lambda: snn.GATConv(N, 2, heads=2), True),
    "gin": (lambda: snn.GINConv(torch.nn.Linear(N, 2), train_eps=True), True),
    "attention": (lambda: snn.SparseAttention(N, 2, Window(1) | Block(2)), False),
    "causal attention": (lambda: snn.SparseAttention(N, 2, Causal(Window(2))), False),
    "attention by a matrix": (lambda: snn.SparseAttention(N, 2, torch.eye(N).bool()), False),
    "model gcn": (lambda: models.GCN(N, 3), True),
    "model gat": (lambda: models.GAT(N, 3), True),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_compile_whole_with_and_without_gradients(name: str) -> None:
    make, has_graph = LAYERS[name]
    layer, x = make().eval(), torch.randn(N, N)
    graph = (GRAPH,) if has_graph else ()
    whole = compiled(layer)
    with torch.no_grad():
        torch.testing.assert_close(whole(x, *graph), layer(x, *graph))
    x.requires_grad_()
    mine, plain = (
        torch.autograd.grad(forward(x, *graph).square().sum(), (x, *layer.parameters())) for forward in (whole, layer)
    )
    torch.testing.assert_close(mine, plain)


def test_a_sparse_input_stays_sparse() -> None:
    layer, x = snn.GCNConv(N, 2), scorch.tensor(DENSE.t().contiguous(), "csr")
    with torch.no_grad():
        torch.testing.assert_close(compiled(layer)(x, GRAPH), layer(x, GRAPH))


IMAGES = torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(1))
BAG = scorch.tensor(DENSE.t().contiguous(), "csr")
INPUTS: dict[str, tuple[Callable[[], torch.nn.Module], tuple[Any, ...]]] = {
    "conv": (lambda: snn.Conv2d(3, 4, 3, padding=1, stride=2, sparsity=0.5, activation="relu"), (IMAGES,)),
    "conv of one place": (lambda: snn.Conv2d(3, 4, 1, sparsity=0.5), (IMAGES,)),
    "bag": (lambda: snn.EmbeddingBag(N, 3, bias=True, activation="relu"), (BAG,)),
    "bag mean": (lambda: snn.EmbeddingBag(N, 3, "mean"), (BAG,)),
    "bag max": (lambda: snn.EmbeddingBag(N, 3, "max"), (BAG,)),
    "bag of a sparse table": (lambda: snn.EmbeddingBag(N, 3, sparsity=0.5), (BAG,)),
    "bag max of a sparse table": (lambda: snn.EmbeddingBag(N, 3, "max", sparsity=0.5), (BAG,)),
}


@pytest.mark.parametrize("name", INPUTS)
def test_layers_of_images_and_bags_compile_whole(name: str) -> None:
    make, inputs = INPUTS[name]
    layer = make().eval()
    whole = compiled(layer)
    with torch.no_grad():
        torch.testing.assert_close(whole(*inputs), layer(*inputs))
    mine, plain = (
        torch.autograd.grad(forward(*inputs).square().sum(), tuple(layer.parameters())) for forward in (whole, layer)
    )
    torch.testing.assert_close(mine, plain)


@pytest.mark.parametrize("name", ["conv", "bag"])
def test_layers_of_images_and_bags_are_exported(name: str) -> None:
    make, inputs = INPUTS[name]
    layer = make().eval()
    with torch.no_grad():
        program = torch.export.export(layer, inputs, strict=True)
        assert any("scorch." in str(node.target) for node in program.graph.nodes)
        torch.testing.assert_close(program.module()(*inputs), layer(*inputs))


def test_two_graphs_in_one_function() -> None:
    layer, x, other = snn.GCNConv(N, 2), torch.randn(N, N), scorch.tensor(DENSE.t().contiguous(), "csr")
    both = compiled(lambda x: layer(x, GRAPH) + layer(x, other))
    torch.testing.assert_close(both(x), layer(x, GRAPH) + layer(x, other))


def test_another_graph_is_compiled_anew_and_changed_weights_are_seen() -> None:
    layer, x = snn.GCNConv(N, 2), torch.randn(N, N)
    graph = scorch.tensor(DENSE.clone(), "csr")
    whole = compiled(layer)
    torch.testing.assert_close(whole(x, graph), layer(x, graph))
    graph.values.mul_(torch.arange(1.0, graph.nnz + 1))
    torch.testing.assert_close(whole(x, graph), layer(x, graph))
    torch.testing.assert_close(whole(x, GRAPH), layer(x, GRAPH))


def test_a_graph_that_is_no_matrix_yet_says_what_to_do() -> None:
    edges = torch.tensor([[0, 1, 2], [1, 2, 0]])
    with pytest.raises(Exception, match=r"make it outside, A = scorch\.nn\.adjacency"):
        compiled(snn.GCNConv(3, 2))(torch.ones(3, 3), edges)


@pytest.mark.parametrize("strict", [True, False])
def test_an_exported_model_runs_the_operators(strict: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (ops, traced):  # as if nothing had been traced before
        monkeypatch.setattr(module, "_FOUND", {})

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = models.GCN(N, 3)

        def forward(self, x: torch.Tensor) -> Any:
            return self.net(x, GRAPH)

    model, x = Model().eval(), torch.randn(N, N)
    with torch.no_grad():
        program = torch.export.export(model, (x,), strict=strict)
        assert any("scorch." in str(node.target) for node in program.graph.nodes)
        torch.testing.assert_close(program.module()(x), model(x))


def test_masks_that_were_traced_are_pickled_without_their_matrices() -> None:
    layer = snn.SparseAttention(N, 2, Window(1))
    compiled(layer)(torch.randn(N, N))
    assert set(layer.mask.__getstate__()) == {"radius"}
    assert layer.mask == Window(1)


def test_what_inference_mode_left_behind_serves_training() -> None:
    layer, x = snn.GCNConv(N, 2), torch.randn(N, N)
    graph = scorch.tensor(DENSE.clone(), "csr")
    with torch.inference_mode():
        expected = layer(x, graph)
    result = layer(x.requires_grad_(), graph)
    torch.testing.assert_close(result, expected)
    result.sum().backward()
    assert x.grad is not None


INDICES: dict[str, tuple[Callable[[float | None], torch.nn.Module], tuple[torch.Tensor, ...]]] = {
    "embedding": (lambda s: snn.Embedding(N, 3, sparsity=s), (torch.tensor([[0, 2], [2, 5]]),)),
    "bag": (lambda s: snn.EmbeddingBag(N, 3, sparsity=s), (torch.tensor([0, 2, 5]), torch.tensor([0, 1]))),
    "bag of rows": (
        lambda s: snn.EmbeddingBag(N, 3, "mean", bias=True, activation="relu", sparsity=s),
        (torch.tensor([[0, 2], [2, 5]]),),
    ),
    "bag max": (lambda s: snn.EmbeddingBag(N, 3, "max", sparsity=s), (torch.tensor([0, 2, 5]), torch.tensor([0, 1]))),
}


@pytest.mark.parametrize("sparsity", [None, 0.5], ids=["dense", "sparse"])
@pytest.mark.parametrize("name", INDICES)
@pytest.mark.parametrize("way", ["torch.compile", "scorch.compile"])
def test_tables_by_index_compile_whole(way: str, name: str, sparsity: float | None) -> None:
    make, inputs = INDICES[name]
    layer = make(sparsity)
    whole = compiled(layer) if way == "torch.compile" else scorch.compile(layer)
    for _ in range(2):
        torch.testing.assert_close(whole(*inputs), layer(*inputs))
        inputs = (inputs[0] + 1 - inputs[0] // 5 * 5, *inputs[1:])  # the program serves other indices
    with torch.no_grad():
        torch.testing.assert_close(whole(*inputs), layer(*inputs))
    parameters = tuple(layer.parameters())
    mine, plain = (torch.autograd.grad(f(*inputs).square().sum(), parameters) for f in (whole, layer))
    torch.testing.assert_close(mine, plain)


def test_a_sparse_table_is_picked_from_in_one_call_of_a_function() -> None:
    layer, W = snn.Embedding(N, 3, sparsity=0.5), torch.rand(3, 2)
    told = scorch.explain(lambda indices: torch.relu(layer(indices) @ W), torch.tensor([0, 2]))
    assert told.eager is None
    assert sum("= pick(" in line for line in told.original) == 1
    assert not any("one_hot" in line or "cat(" in line for line in told.original)


def test_second_derivatives_of_a_sparse_table() -> None:
    layer, indices = snn.Embedding(N, 3, sparsity=0.5), torch.tensor([0, 2, 2])
    found = []
    for f in (torch.compile(layer, fullgraph=True, backend="eager"), layer):
        (first,) = torch.autograd.grad(f(indices).pow(3).sum(), layer.parameters(), create_graph=True)
        found.append(torch.autograd.grad(first.square().sum(), layer.parameters()))
    torch.testing.assert_close(*found)


def test_a_matrix_of_indices_says_what_to_do() -> None:
    with pytest.raises(Exception, match=r"make it outside, bag = scorch\.nn\.functional\.bags"):
        compiled(snn.functional.bags)(torch.tensor([0, 2, 5]), torch.tensor([0, 1]), N)

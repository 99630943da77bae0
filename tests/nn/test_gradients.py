"""Derivatives of layers, with respect to their input and their parameters."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch.func import functional_call

import scorch
from scorch import nn as snn
from scorch.nn.attention import Window

N = 4
GRAPH = scorch.tensor(
    torch.tensor([[0, 1, 0, 2], [1, 0, 0, 0], [0, 0, 0, 0], [0, 3, 1, 0]], dtype=torch.float64), "csr"
)
LAYERS: dict[str, Callable[[], torch.nn.Module]] = {
    "linear": lambda: snn.Linear(N, 3, sparsity=0.5, activation="silu"),
    "gcn": lambda: snn.GCNConv(N, 2, activation="sigmoid"),
    "sage": lambda: snn.SAGEConv(N, 2),
    "gat": lambda: snn.GATConv(N, 2, heads=2),
    "gin": lambda: snn.GINConv(torch.nn.Linear(N, 2), train_eps=True),
    "attention": lambda: snn.SparseAttention(N, 2, Window(1)),
}


def _call(layer: torch.nn.Module, name: str) -> Callable[..., torch.Tensor]:
    graph = () if name in ("linear", "attention") else (GRAPH,)
    names = [n for n, _ in layer.named_parameters()]
    return lambda x, *values: functional_call(layer, dict(zip(names, values, strict=True)), (x, *graph))


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    layer = LAYERS[name]().double()
    x = torch.randn(N, N, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(_call(layer, name), (x, *layer.parameters()))


@pytest.mark.parametrize("format", ["csr", "csc", "coo", "dcsr"])
def test_weights_of_every_format_have_gradients(format: str) -> None:
    weight = scorch.tensor(torch.tensor([[0.0, 2.0, 0.0], [1.0, 0.0, 3.0]], dtype=torch.float64), format)
    layer = snn.Linear.from_weight(weight, torch.zeros(2, dtype=torch.float64))
    x = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(_call(layer, "linear"), (x, *layer.parameters()))


def test_gradients_of_gradients_and_batches() -> None:
    layer = snn.Linear(3, 2, sparsity=0.5, activation="sigmoid").double()
    x = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(_call(layer, "linear"), (x, *layer.parameters()))
    batch = torch.randn(3, 2, 3, dtype=torch.float64)
    torch.testing.assert_close(torch.func.vmap(layer)(batch), layer(batch))

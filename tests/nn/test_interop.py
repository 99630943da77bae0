from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from scorch.nn.interop import use_scorch

EDGES = torch.tensor([[0, 1, 2, 2], [1, 2, 0, 1]])
X = torch.randn(3, 4)


class GCNConv(nn.Module):
    """What PyTorch Geometric's layer of that name offers: propagate sums messages from sources to targets."""

    def __init__(self, aggr: str = "add", flow: str = "source_to_target") -> None:
        super().__init__()
        self.aggr, self.flow = aggr, flow

    def propagate(self, edge_index: torch.Tensor, size: Any = None, **arguments: Any) -> torch.Tensor:
        source, target = edge_index
        messages = arguments["x"][source] * arguments["edge_weight"][:, None]
        return torch.zeros_like(arguments["x"]).index_add(0, target, messages)

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor, edge_weight: torch.Tensor) -> torch.Tensor:
        return self.propagate(edge_index, x=x, edge_weight=edge_weight)


def test_propagation_is_the_same() -> None:
    layer, weight = GCNConv(), torch.rand(4)
    before = layer(X, EDGES, weight)
    assert use_scorch(nn.Sequential(layer)) == ["0"]
    torch.testing.assert_close(layer(X, EDGES, weight), before)


@pytest.mark.parametrize("layer", [GCNConv("median"), GCNConv(flow="target_to_source"), nn.Linear(2, 2)])
def test_what_is_not_understood_stays(layer: nn.Module) -> None:
    assert use_scorch(layer) == []
    assert "propagate" not in vars(layer)


def test_other_edges_weights_and_repeated_edges_are_seen() -> None:
    plain, layer = GCNConv(), GCNConv()
    use_scorch(layer)
    edges, weight = EDGES.clone(), torch.rand(4, requires_grad=True)
    for _ in range(2):  # the second time of edges that are sorted already
        torch.testing.assert_close(layer(X, edges.clone(), weight), plain(X, edges, weight))
    edges[1, 0] = 2  # in place
    torch.testing.assert_close(layer(X, edges, 2 * weight), plain(X, edges, 2 * weight))
    twice = torch.cat([EDGES, EDGES], 1)
    torch.testing.assert_close(layer(X, twice, torch.arange(8.0)), plain(X, twice, torch.arange(8.0)))
    (gradient,) = torch.autograd.grad(layer(X, EDGES, weight).square().sum(), weight)
    (expected,) = torch.autograd.grad(plain(X, EDGES, weight).square().sum(), weight)
    torch.testing.assert_close(gradient, expected)

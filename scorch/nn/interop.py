"""Models of other libraries that propagate through Scorch."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

import scorch
from scorch.nn import functional
from scorch.nn.graph.adjacency import adjacency

__all__ = ["use_scorch"]

_REDUCTIONS = {"add": "sum", "sum": "sum", "mean": "mean", "max": "max"}
# PyTorch Geometric's layers whose message is a neighbour's features, times the weight of the edge if there is one.
_LAYERS = ("GCNConv", "SAGEConv", "GINConv", "GraphConv", "SGConv", "TAGConv")


def use_scorch(model: nn.Module) -> list[str]:
    """Let a PyTorch Geometric model's layers sum over neighbours through Scorch, in place; names of those that now do.

    GCNConv, SAGEConv, GINConv, GraphConv, SGConv and TAGConv, with the aggregations add, mean and max; others, and
    layers whose flow is reversed, stay as they are. Their parameters, normalisation and call stay the same.

    >>> use_scorch(nn.Linear(2, 2))
    []
    """
    changed = []
    for name, layer in model.named_modules():
        if type(layer).__name__ in _LAYERS and _aggregation(layer) in _REDUCTIONS and _flows(layer):
            layer.propagate = _Propagation(_REDUCTIONS[_aggregation(layer)])
            changed.append(name)
    return changed


class _Propagation:
    """What stands in for MessagePassing.propagate: the neighbours' features, reduced."""

    def __init__(self, reduce: str) -> None:
        self.reduce = reduce
        self._last: _Sorted | None = None

    def __call__(self, edge_index: Any, size: Any = None, **arguments: Any) -> torch.Tensor:
        x = arguments["x"]
        sources = x[0] if isinstance(x, tuple) else x
        weight = arguments.get("edge_weight")
        return functional.propagate(self._matrix(edge_index, sources.shape[0], weight), sources, self.reduce)

    def _matrix(self, edge_index: Any, nodes: int, weight: torch.Tensor | None) -> scorch.Tensor:
        """The adjacency matrix; edges that are those of the last call are not sorted again.

        Layers that normalise make new tensors of the same edges at each call, so that the object tells nothing.
        """
        if not isinstance(edge_index, torch.Tensor) or edge_index.layout is not torch.strided:
            return adjacency(edge_index, nodes, weight)
        if self._last is None or not self._last.fits(edge_index, nodes):
            self._last = _Sorted(edge_index, nodes)
        return self._last.weighted(weight)


class _Sorted:
    """Edges in the order of a csr matrix."""

    def __init__(self, edge_index: torch.Tensor, nodes: int) -> None:
        count = edge_index.shape[1]
        self.edges, self.nodes = edge_index.clone(), nodes
        self.matrix = adjacency(edge_index, nodes, torch.arange(count, dtype=torch.float64))
        self.order = self.matrix.values.long()
        self.is_simple = self.matrix.nnz == count  # else the numbers of repeated edges were added up

    def fits(self, edge_index: torch.Tensor, nodes: int) -> bool:
        return nodes == self.nodes and torch.equal(edge_index, self.edges)

    def weighted(self, weight: torch.Tensor | None) -> scorch.Tensor:
        """The matrix with these weights of the edges, 1 without."""
        if not self.is_simple:
            return adjacency(self.edges, self.nodes, weight)
        values = torch.ones(len(self.order)) if weight is None else weight.reshape(-1)[self.order]
        return self.matrix.with_values(values)


def _aggregation(layer: Any) -> str:
    found = getattr(layer, "aggr", None)
    return found if isinstance(found, str) else ""


def _flows(layer: Any) -> bool:
    return getattr(layer, "flow", "source_to_target") == "source_to_target"

"""Models of other libraries that propagate through Scorch."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

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

    def __call__(self, edge_index: Any, size: Any = None, **arguments: Any) -> torch.Tensor:
        x = arguments["x"]
        sources = x[0] if isinstance(x, tuple) else x
        weight = arguments.get("edge_weight")
        A = adjacency(edge_index, sources.shape[0], weight)
        return functional.propagate(A, sources, self.reduce)


def _aggregation(layer: Any) -> str:
    found = getattr(layer, "aggr", None)
    return found if isinstance(found, str) else ""


def _flows(layer: Any) -> bool:
    return getattr(layer, "flow", "source_to_target") == "source_to_target"

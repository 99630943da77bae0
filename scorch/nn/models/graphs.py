"""Two-layer graph networks that classify nodes: GCN, GraphSAGE, GAT, with the settings of their papers."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

import scorch
from scorch.nn.graph.layers import GATConv, GCNConv, SAGEConv

__all__ = ["GAT", "GCN", "GraphNetwork", "GraphSAGE"]


class GraphNetwork(nn.Module):
    """Two graph layers with dropout before each: (nodes, features), dense or sparse, to (nodes, classes) logits.

    >>> net = GraphNetwork(GCNConv(4, 8, activation="relu"), GCNConv(8, 2), 0.5)
    >>> net(torch.ones(3, 4), torch.tensor([[0, 1], [1, 2]])).shape
    torch.Size([3, 2])
    """

    def __init__(self, first: nn.Module, second: nn.Module, dropout: float) -> None:
        super().__init__()
        self.first, self.second, self.dropout = first, second, dropout

    def forward(self, x: Any, graph: Any) -> torch.Tensor:
        """Logits of every node."""
        hidden = self.first(self._dropped(x), graph)
        logits: torch.Tensor = self.second(self._dropped(hidden), graph)
        return logits

    def _dropped(self, x: Any) -> Any:
        """Dropout; of a sparse input the stored entries are left out, the others are zero anyway."""
        if not self.training or not self.dropout:
            return x
        if isinstance(x, torch.Tensor) and x.layout is torch.strided:
            return F.dropout(x, self.dropout)
        sparse = scorch.tensor(x)
        return sparse.with_values(F.dropout(sparse.values, self.dropout))


class GCN(GraphNetwork):
    """Kipf and Welling (2017, arXiv 1609.02907).

    >>> GCN(1433, 7).first
    GCNConv(1433, 16, activation=relu, normalize=True)
    """

    def __init__(self, features: int, classes: int, hidden: int = 16, dropout: float = 0.5) -> None:
        super().__init__(GCNConv(features, hidden, activation="relu"), GCNConv(hidden, classes), dropout)


class GraphSAGE(GraphNetwork):
    """Hamilton et al. (2017, arXiv 1706.02216), over all neighbours; `aggr` is "mean", "max" or "sum".

    >>> GraphSAGE(1433, 7).second
    SAGEConv(64, 7, aggr=mean, activation=None)
    """

    def __init__(self, features: int, classes: int, hidden: int = 64, aggr: str = "mean", dropout: float = 0.5) -> None:
        first = SAGEConv(features, hidden, aggr, activation="relu")
        super().__init__(first, SAGEConv(hidden, classes, aggr), dropout)


class GAT(GraphNetwork):
    """Velickovic et al. (2018, arXiv 1710.10903): 8 heads of 8 features, then one of the classes.

    >>> GAT(1433, 7).first
    GATConv(1433, 64, heads=8, concat=True, activation=elu)
    """

    def __init__(self, features: int, classes: int, hidden: int = 8, heads: int = 8, dropout: float = 0.6) -> None:
        first = GATConv(features, hidden, heads, dropout=dropout, activation="elu")
        super().__init__(first, GATConv(heads * hidden, classes, concat=False, dropout=dropout), dropout)

"""Graph layers with the arguments of PyTorch Geometric's layers of the same names."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import scorch
from scorch.errors import NotationError, ShapeError
from scorch.nn import functional
from scorch.nn.bare import is_bare
from scorch.nn.functional.epilogue import Activation, check_activation, epilogue
from scorch.nn.graph.adjacency import adjacency
from scorch.nn.graph.normalise import gcn_norm, in_dtype, with_self_loops

__all__ = ["GATConv", "GCNConv", "GINConv", "SAGEConv"]


class GCNConv(nn.Module):
    """Graph convolution: activation(D^-1/2 (A + I) D^-1/2 x W^T + b), Kipf and Welling (2017).

    `x` is (nodes, in_features), dense or sparse; the graph is anything that `adjacency` takes. With `normalize=False`
    the adjacency matrix is used as it is.

    >>> conv = GCNConv(4, 2)
    >>> conv(torch.ones(3, 4), torch.tensor([[0, 1], [1, 2]])).shape
    torch.Size([3, 2])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        normalize: bool = True,
        add_self_loops: bool = True,
        bias: bool = True,
        activation: Activation = None,
    ) -> None:
        super().__init__()
        check_activation(activation)
        self.normalize, self.add_self_loops, self.activation = normalize, add_self_loops, activation
        self.weight = nn.Parameter(_glorot_by_input(out_channels, in_channels))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None

    def forward(self, x: Any, graph: Any, edge_weight: torch.Tensor | None = None) -> torch.Tensor:
        """The nodes' new features, (nodes, out_channels)."""
        x = _features(x, self.weight.shape[1])
        A = adjacency(graph, x.shape[0], edge_weight)
        if self.normalize:
            A = gcn_norm(A, self.add_self_loops)
        return functional.graph_conv(in_dtype(A, self.weight.dtype), x, self.weight, self.bias, self.activation)

    def extra_repr(self) -> str:
        return _extra_repr(self.weight, activation=self.activation, normalize=self.normalize)


class SAGEConv(nn.Module):
    """GraphSAGE: W_l reduce(neighbours) + b + W_r x, Hamilton et al. (2017, arXiv 1706.02216).

    `aggr` is "mean", "max" or "sum".

    >>> conv = SAGEConv(4, 2, aggr="max")
    >>> conv(torch.ones(3, 4), torch.tensor([[0, 1], [1, 2]])).shape
    torch.Size([3, 2])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        aggr: str = "mean",
        *,
        root_weight: bool = True,
        bias: bool = True,
        activation: Activation = None,
    ) -> None:
        super().__init__()
        check_activation(activation)
        if aggr not in ("mean", "max", "sum"):
            raise NotationError(f"aggr is mean, max or sum, not {aggr!r}")
        self.aggr, self.activation = aggr, activation
        self.weight = nn.Parameter(_glorot_by_input(out_channels, in_channels))
        self.root_weight = nn.Parameter(_glorot_by_input(out_channels, in_channels)) if root_weight else None
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None

    def forward(self, x: Any, graph: Any) -> torch.Tensor:
        """The nodes' new features, (nodes, out_channels)."""
        x = _features(x, self.weight.shape[1])
        A = adjacency(graph, x.shape[0])
        if self.aggr == "max":
            result = F.linear(functional.propagate(A, x, "max"), self.weight)
            if self.root_weight is not None:
                result = result + functional.linear(x, self.root_weight)
            return epilogue(result, self.bias, self.activation)
        A = in_dtype(functional.row_norm(A) if self.aggr == "mean" else A, self.weight.dtype)
        if self.root_weight is None:
            return functional.graph_conv(A, x, self.weight, self.bias, self.activation)
        return functional.sage_conv(A, x, self.weight, self.root_weight, self.bias, self.activation)

    def extra_repr(self) -> str:
        return _extra_repr(self.weight, aggr=self.aggr, activation=self.activation)


class GATConv(nn.Module):
    """Graph attention with several heads, Velickovic et al. (2018).

    The heads' results are concatenated, (nodes, heads * out_channels), or with `concat=False` averaged. `dropout`
    leaves out that share of the edges while training.

    >>> conv = GATConv(4, 2, heads=3)
    >>> conv(torch.ones(3, 4), torch.tensor([[0, 1], [1, 2]])).shape
    torch.Size([3, 6])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        heads: int = 1,
        *,
        concat: bool = True,
        negative_slope: float = 0.2,
        dropout: float = 0.0,
        add_self_loops: bool = True,
        bias: bool = True,
        activation: Activation = None,
    ) -> None:
        super().__init__()
        check_activation(activation)
        self.heads, self.out_channels, self.concat, self.activation = heads, out_channels, concat, activation
        self.negative_slope, self.dropout, self.add_self_loops = negative_slope, dropout, add_self_loops
        self.weight = nn.Parameter(_glorot_by_input(heads * out_channels, in_channels))
        self.att_src = nn.Parameter(_glorot(heads, out_channels))
        self.att_dst = nn.Parameter(_glorot(heads, out_channels))
        self.bias = nn.Parameter(torch.zeros(heads * out_channels if concat else out_channels)) if bias else None

    def forward(self, x: Any, graph: Any) -> torch.Tensor:
        """The nodes' new features."""
        x = _features(x, self.weight.shape[1])
        A = adjacency(graph, x.shape[0])
        if self.add_self_loops:
            A = with_self_loops(A)
        dropout = self.dropout if self.training else 0.0
        weight = self.weight.view(self.heads, self.out_channels, -1)
        attended = partial(functional.gat_conv, A, x, self.att_src, self.att_dst, self.negative_slope, dropout, weight)
        if not self.concat:
            return epilogue(attended().mean(1), self.bias, self.activation)
        bias = None if self.bias is None else self.bias.view(self.heads, self.out_channels)
        return attended(bias, self.activation).flatten(1)

    def extra_repr(self) -> str:
        return _extra_repr(self.weight, heads=self.heads, concat=self.concat, activation=self.activation)


class GINConv(nn.Module):
    """Graph isomorphism layer: net((1 + eps) x + sum of neighbours), Xu et al. (2019, arXiv 1810.00826).

    Where the net begins with a torch.nn.Linear that makes few features, these are summed.

    >>> conv = GINConv(nn.Linear(4, 2))
    >>> conv(torch.ones(3, 4), torch.tensor([[0, 1], [1, 2]])).shape
    torch.Size([3, 2])
    """

    eps: torch.Tensor

    def __init__(self, net: nn.Module, eps: float = 0.0, train_eps: bool = False) -> None:
        super().__init__()
        self.net = net
        value = torch.tensor(float(eps))
        if train_eps:
            self.eps = nn.Parameter(value)
        else:
            self.register_buffer("eps", value)

    def forward(self, x: torch.Tensor, graph: Any) -> torch.Tensor:
        """The nodes' new features: what `net` makes of them."""
        x = _features(x)
        A = adjacency(graph, x.shape[0])
        if isinstance(x, torch.Tensor | scorch.Tensor) and x.dtype.is_floating_point:
            A = in_dtype(A, x.dtype)
        first, rest = _opened(self.net)
        if first is None or functional.sums_first(A, x, first.weight):
            result: torch.Tensor = self.net(functional.gin_sum(A, x, self.eps))
            return result
        result = functional.gin_sum(A, functional.linear(x, first.weight), self.eps, first.bias)
        for module in rest:
            result = module(result)
        return result


def _opened(net: nn.Module) -> tuple[nn.Linear | None, list[nn.Module]]:
    """The Linear with which a net begins and what follows it; None if calling the net does anything else.

    >>> _opened(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
    (Linear(in_features=2, out_features=2, bias=True), [ReLU()])
    """
    modules = [*net] if type(net) is nn.Sequential and is_bare(net) else [net]
    first = modules[0] if modules else None
    return (first, modules[1:]) if type(first) is nn.Linear and is_bare(first) else (None, modules)


def _features(x: Any, width: int | None = None) -> Any:
    """The features, a matrix with a row for each node; ShapeError for anything else, or another number of features."""
    if isinstance(x, np.ndarray):
        x = torch.from_numpy(x)
    shape = getattr(x, "shape", None)
    if shape is None or len(shape) != 2 or width not in (None, shape[1]):
        given = type(x).__name__ if shape is None else f"of shape {tuple(shape)}"
        raise ShapeError(f"a graph layer takes features (nodes, {width or 'features'}), this is {given}")
    return x


def _glorot(*shape: int) -> torch.Tensor:
    return nn.init.xavier_uniform_(torch.empty(shape))


def _glorot_by_input(out_features: int, in_features: int) -> torch.Tensor:
    """A weight whose memory has a row for each input feature: one piece for each entry of a sparse input."""
    return _glorot(out_features, in_features).t().contiguous().t()


def _extra_repr(weight: torch.Tensor, **settings: object) -> str:
    return ", ".join([f"{weight.shape[1]}, {weight.shape[0]}", *(f"{k}={v}" for k, v in settings.items())])

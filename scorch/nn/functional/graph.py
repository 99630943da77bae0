"""Message passing: what each node takes from its neighbours."""

from __future__ import annotations

from typing import Any

import torch

import scorch
from scorch.errors import NotationError
from scorch.functions.registry import taker
from scorch.nn.functional.aggregate import aggregated
from scorch.nn.functional.edges import edge_max
from scorch.nn.functional.epilogue import Activation, epilogue
from scorch.nn.functional.fused import is_plain_call, product
from scorch.nn.functional.linear import is_sparse, linear, matmul
from scorch.nn.functional.order import sums_first
from scorch.nn.functional.whole import by_statements, recalled
from scorch.nn.graph.normalise import row_norm

__all__ = ["gin_sum", "graph_conv", "propagate", "sage_conv"]


def propagate(adjacency: scorch.Tensor, x: Any, reduce: str = "sum") -> torch.Tensor:
    """What each node gets from its neighbours: (nodes, features) to (nodes, features).

    "sum" weights each neighbour by its edge, "mean" divides that by the sum of the weights, "max" is the largest of
    each feature and 0 for a node without neighbours. `x` may be sparse. Raises NotationError for
    another `reduce`.

    >>> A = scorch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]], "csr")
    >>> propagate(A, torch.tensor([[1.0], [2.0], [6.0]]), "mean").T
    tensor([[4., 1., 0.]])
    """
    if reduce == "sum":
        return matmul(adjacency, x)
    if reduce == "mean":
        return matmul(row_norm(adjacency), x)
    if reduce == "max":
        return edge_max(adjacency, x)
    raise NotationError(f"nodes reduce by sum, mean or max, not by {reduce!r}")


def graph_conv(
    adjacency: scorch.Tensor,
    x: Any,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    activation: Activation = None,
) -> torch.Tensor:
    """activation(A x weight.T + bias): neighbours are summed before or after the features change, as is cheaper.

    The order is that of `sums_first`: of a dense x the one that sums fewer features; of a sparse x it depends on how
    many entries A and x have.

    >>> A = scorch.tensor(torch.eye(2), "csr")
    >>> graph_conv(A, torch.ones(2, 3), torch.ones(1, 3)).T
    tensor([[3., 3.]])
    """
    if is_plain_call(adjacency, x, weight, bias):
        whole = _whole("graph_conv", adjacency, x, weight, None, bias, activation)
        if whole is not None:
            return whole
    if not sums_first(adjacency, x, weight):
        return matmul(adjacency, linear(x, weight), bias, activation)
    # What a sparse x sums to is sparse, too.
    sums = scorch.einsum("ij,jf->if", adjacency, x) if is_sparse(x) else matmul(adjacency, x)
    return linear(sums, weight, bias, activation)


def sage_conv(
    adjacency: scorch.Tensor,
    x: Any,
    weight: torch.Tensor,
    root_weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    activation: Activation = None,
) -> torch.Tensor:
    """activation(A x weight.T + x root_weight.T + bias): a node's neighbours, and itself through another weight.

    Neighbours are summed first where `sums_first` says so.

    >>> A = scorch.tensor(torch.eye(2), "csr")
    >>> sage_conv(A, torch.ones(2, 3), torch.ones(1, 3), 2 * torch.ones(1, 3)).T
    tensor([[9., 9.]])
    """
    if is_plain_call(adjacency, x, weight, root_weight, bias):
        whole = _whole("sage_conv", adjacency, x, weight, root_weight, bias, activation)
        if whole is not None:
            return whole
    own = linear(x, root_weight)
    if sums_first(adjacency, x, weight):
        return epilogue(graph_conv(adjacency, x, weight) + own, bias, activation)
    neighbours = linear(x, weight)
    if is_plain_call(adjacency, neighbours, own, bias):
        return product(adjacency, neighbours, bias, activation, added=own)
    return epilogue(matmul(adjacency, neighbours) + own, bias, activation)


def _whole(
    name: str,
    adjacency: Any,
    x: Any,
    weight: torch.Tensor,
    root_weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    activation: Activation,
) -> torch.Tensor | None:
    """A layer by statements of which only the values are asked for, or the kernels that they took before.

    None where the weight of a sparse x comes last, dense products are torch's, or torch traces the call.
    """
    if torch.compiler.is_compiling() or taker() is not None:
        return None
    # A row for each input feature is what SIMD lanes read; these layers store their weights so, and nothing is copied.
    weights = [each.t().contiguous() for each in (weight, root_weight) if each is not None]
    operands = [adjacency, x, *weights, *(() if bias is None else (bias,))]
    result = recalled(name, operands, activation)
    if result is not None:
        return result
    if is_sparse(x):
        if sums_first(adjacency, x, weight):
            return None
        return by_statements(name, operands, root_weight is not None, activation)
    if weight.shape[0] < weight.shape[1]:  # fewer features than before: they change before they are summed
        return None
    return aggregated(name, operands, root_weight is not None, activation)


def gin_sum(
    adjacency: scorch.Tensor, x: torch.Tensor, eps: torch.Tensor, bias: torch.Tensor | None = None
) -> torch.Tensor:
    """A x + (1 + eps) x + bias: the sum over a node's neighbours and itself, Xu et al. (2019).

    >>> A = scorch.tensor(torch.eye(2), "csr")
    >>> gin_sum(A, torch.ones(2, 1), torch.tensor(0.5)).T
    tensor([[2.5000, 2.5000]])
    """
    if is_plain_call(adjacency, x, eps, bias):
        return product(adjacency, x, bias, added=x, scale=(1 + eps).to(x.dtype))
    return epilogue(matmul(adjacency, x) + (1 + eps) * x, bias, None)

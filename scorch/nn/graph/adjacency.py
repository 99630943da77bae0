"""Graphs of other libraries as an adjacency matrix: A[i, j] is the weight of the edge that brings j's message to i."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import scorch
from scorch.errors import FormatError, ShapeError, UnsupportedError
from scorch.formats import csr
from scorch.nn.device import check_cpu
from scorch.nn.remember import remembered

__all__ = ["adjacency"]


def adjacency(graph: Any, num_nodes: int | None = None, edge_weight: torch.Tensor | None = None) -> scorch.Tensor:
    """The csr adjacency matrix of a graph, targets in rows, sources in columns.

    `graph` is a square matrix (scorch, torch.sparse, scipy.sparse, dense floating-point), or, recognised by what they
    offer and without importing their libraries: PyTorch Geometric's `edge_index` (2, edges) of integers, row 0 the
    sources, a `Data` object or a transposed `SparseTensor` (adj_t); a DGL graph or DGL sparse matrix; a networkx
    graph, its nodes in their order there, undirected edges both ways. `num_nodes` counts nodes that no edge of an
    `edge_index` names; `edge_weight` (edges,) weights it. Edges without a weight have 1, repeated edges are summed.

    The matrix of an `edge_index` or torch.sparse object is remembered while that object lives and does not change.
    Raises ShapeError for a matrix that is not square or a node beyond `num_nodes`, UnsupportedError for a graph that
    torch.compile would have to convert, FormatError for anything else.

    >>> adjacency(torch.tensor([[0, 1, 2], [1, 2, 0]])).to_dense()
    tensor([[0., 0., 1.],
            [1., 0., 0.],
            [0., 1., 0.]])
    """
    is_ready = isinstance(graph, scorch.Tensor) and _is_ready(graph)
    if not is_ready and torch.compiler.is_compiling():
        raise UnsupportedError(
            "torch.compile cannot follow how a graph becomes a matrix: make it outside, A = scorch.nn.adjacency(graph) "
            "and pass A"
        )
    if not is_ready and _is_edge_index(graph):
        return _from_edges(graph, num_nodes, edge_weight) if edge_weight is not None else _kept(graph, num_nodes)
    if edge_weight is not None:
        raise FormatError("edge_weight goes with an edge_index; a matrix has its weights as values")
    made: scorch.Tensor = graph if is_ready else _kept(graph)
    if num_nodes is not None and made.shape[0] != num_nodes:
        raise ShapeError(f"the graph has {made.shape[0]} nodes, the features {num_nodes} rows")
    return made


def _is_ready(matrix: scorch.Tensor) -> bool:
    shape = matrix.shape
    return len(shape) == 2 and shape[0] == shape[1] and matrix.format == csr


@remembered
def _kept(graph: Any, num_nodes: int | None = None) -> scorch.Tensor:
    for recognise, convert in _KINDS:
        if recognise(graph):
            return convert(graph, num_nodes)
    raise FormatError(
        f"a {type(graph).__name__} is no graph: pass a square sparse matrix (scorch, torch, scipy), an edge_index of "
        "shape (2, edges), a SparseTensor, a DGL or a networkx graph"
    )


def _is_edge_index(graph: Any) -> bool:
    if not isinstance(graph, torch.Tensor | np.ndarray) or graph.ndim != 2 or graph.shape[0] != 2:
        return False
    if isinstance(graph, torch.Tensor) and graph.layout is not torch.strided:
        return False
    return not torch.as_tensor(graph).is_floating_point()


def _from_edges(graph: Any, num_nodes: int | None, edge_weight: torch.Tensor | None = None) -> scorch.Tensor:
    source, target = torch.as_tensor(graph).long()
    return _from_pairs(target, source, edge_weight, num_nodes)


def _from_pairs(
    target: torch.Tensor, source: torch.Tensor, weight: torch.Tensor | None, num_nodes: int | None
) -> scorch.Tensor:
    check_cpu(target, source, weight)
    highest = int(max(target.max(), source.max())) + 1 if target.numel() else 0
    if num_nodes is not None and highest > num_nodes:
        raise ShapeError(f"an edge names node {highest - 1}, but there are {num_nodes} nodes")
    count = highest if num_nodes is None else num_nodes
    weight = torch.ones(target.numel()) if weight is None else _floating(weight.reshape(-1))
    return scorch.from_coo(torch.stack([target, source]), weight, (count, count), format="csr")


def _from_matrix(graph: Any, num_nodes: int | None) -> scorch.Tensor:
    matrix = scorch.tensor(graph)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ShapeError(f"an adjacency matrix is square, this has the shape {matrix.shape}")
    rows = matrix.to(csr)
    return rows if rows.dtype.is_floating_point else rows.to(torch.get_default_dtype())


def _from_data(graph: Any, num_nodes: int | None) -> scorch.Tensor:
    count = getattr(graph, "num_nodes", None) if num_nodes is None else num_nodes
    return _from_edges(graph.edge_index, count, getattr(graph, "edge_weight", None))


def _from_sparse_tensor(graph: Any, num_nodes: int | None) -> scorch.Tensor:
    row, col, value = graph.coo()
    rows, cols = graph.sparse_sizes()
    if rows != cols:
        raise ShapeError(f"an adjacency matrix is square, this has the shape {(rows, cols)}")
    return _from_pairs(row, col, value, rows)


def _from_dgl_matrix(graph: Any, num_nodes: int | None) -> scorch.Tensor:
    row, col = graph.coo()
    return _from_pairs(row, col, graph.val, int(graph.shape[0]))


def _from_dgl_graph(graph: Any, num_nodes: int | None) -> scorch.Tensor:
    source, target = graph.edges()
    return _from_pairs(torch.as_tensor(target).long(), torch.as_tensor(source).long(), None, int(graph.num_nodes()))


def _from_networkx(graph: Any, num_nodes: int | None) -> scorch.Tensor:
    number = {node: n for n, node in enumerate(graph.nodes)}
    edges = [(number[a], number[b], data.get("weight", 1)) for a, b, data in graph.edges(data=True)]
    if not graph.is_directed():
        edges += [(b, a, weight) for a, b, weight in edges if a != b]
    source, target, weight = (torch.tensor(column) for column in zip(*edges, strict=True)) if edges else _NO_EDGES
    return _from_pairs(target, source, weight, len(number))


_NO_EDGES = (torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64), torch.zeros(0))


def _offers(*names: str) -> Callable[[Any], bool]:
    return lambda graph: all(hasattr(graph, name) for name in names)


def _is_matrix(graph: Any) -> bool:
    if isinstance(graph, scorch.Tensor | torch.Tensor | np.ndarray):
        return True
    return _offers("tocsr", "nnz")(graph)


def _floating(weight: torch.Tensor) -> torch.Tensor:
    return weight if weight.is_floating_point() else weight.to(torch.get_default_dtype())


# The first that recognises a graph converts it. A kind of graph more is a line more.
_KINDS: tuple[tuple[Callable[[Any], bool], Callable[[Any, int | None], scorch.Tensor]], ...] = (
    (_is_edge_index, _from_edges),
    (_is_matrix, _from_matrix),
    (_offers("edge_index"), _from_data),
    (_offers("coo", "sparse_sizes"), _from_sparse_tensor),
    (_offers("coo", "val", "shape"), _from_dgl_matrix),
    (_offers("nodes", "adjacency", "is_directed"), _from_networkx),
    (_offers("edges", "num_nodes"), _from_dgl_graph),
)

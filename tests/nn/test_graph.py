from __future__ import annotations

import gc
import weakref
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch
from torch import nn

import scorch
from scorch.errors import FormatError, NotationError, ShapeError
from scorch.nn import GATConv, GCNConv, GINConv, SAGEConv, adjacency, models
from scorch.nn.functional import gcn_norm, propagate

N = 7
torch.manual_seed(1)
DENSE = ((torch.rand(N, N) < 0.4) * torch.rand(N, N)).fill_diagonal_(0)
DENSE[3] = 0  # a node without neighbours
X = torch.randn(N, 5)


def edges() -> tuple[torch.Tensor, torch.Tensor]:
    """The graph as PyTorch Geometric has it: sources, targets and weights."""
    target, source = DENSE.nonzero().T
    return torch.stack([source, target]), DENSE[target, source]


class SparseTensor:
    """What torch_sparse's class of that name offers."""

    def coo(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        row, col = DENSE.nonzero().T
        return row, col, DENSE[row, col]

    def sparse_sizes(self) -> tuple[int, int]:
        return N, N


class DglMatrix:
    """What dgl.sparse.SparseMatrix offers."""

    shape = (N, N)
    val = edges()[1]

    def coo(self) -> tuple[torch.Tensor, torch.Tensor]:
        row, col = DENSE.nonzero().T
        return row, col


class NetworkX:
    """What networkx.DiGraph offers, nodes under names."""

    nodes = tuple("abcdefg")

    def adjacency(self) -> None:
        raise AssertionError("edges tells more")

    def is_directed(self) -> bool:
        return True

    def edges(self, data: bool) -> list[tuple[str, str, dict[str, float]]]:
        (source, target), weight = edges()
        pairs = zip(source.tolist(), target.tolist(), weight.tolist(), strict=True)
        return [(self.nodes[a], self.nodes[b], {"weight": w}) for a, b, w in pairs]


@pytest.mark.parametrize(
    "make",
    [
        lambda: DENSE,
        lambda: DENSE.numpy(),
        lambda: DENSE.to_sparse_csr(),
        lambda: DENSE.to_sparse_coo(),
        lambda: scipy.sparse.csc_array(DENSE.numpy()),
        lambda: scipy.sparse.coo_matrix(DENSE.numpy()),
        lambda: scorch.tensor(DENSE, "coo"),
        lambda: SimpleNamespace(edge_index=edges()[0], edge_weight=edges()[1], num_nodes=N),
        SparseTensor,
        DglMatrix,
        NetworkX,
    ],
)
def test_graphs_of_every_kind(make: Any) -> None:
    found = adjacency(make())
    assert found.format == scorch.formats.csr
    torch.testing.assert_close(found.to_dense(), DENSE)


@pytest.mark.parametrize("convert", [lambda x: x, lambda x: x.numpy(), lambda x: x.int()])
def test_edge_index(convert: Any) -> None:
    index, weight = edges()
    torch.testing.assert_close(adjacency(convert(index), N, weight).to_dense(), DENSE)
    torch.testing.assert_close(adjacency(convert(index), N).to_dense(), (DENSE != 0).float())
    assert adjacency(torch.tensor([[0, 0], [1, 1]])).to_dense()[1, 0] == 2
    assert adjacency(torch.zeros(2, 0, dtype=torch.int64), 3).nnz == 0


def test_dgl_graph_and_undirected_graph() -> None:
    graph = SimpleNamespace(edges=lambda: tuple(edges()[0]), num_nodes=lambda: N)
    torch.testing.assert_close(adjacency(graph).to_dense(), (DENSE != 0).float())
    undirected = SimpleNamespace(
        nodes=[0, 1], adjacency=None, is_directed=lambda: False, edges=lambda data: [(0, 1, {}), (1, 1, {"weight": 3})]
    )
    assert adjacency(undirected).to_dense().tolist() == [[0, 1], [1, 3]]


def test_bad_graphs() -> None:
    with pytest.raises(FormatError, match="a str is no graph: pass a square sparse matrix"):
        adjacency("cora")
    with pytest.raises(ShapeError, match="an adjacency matrix is square"):
        adjacency(torch.ones(2, 3))
    with pytest.raises(ShapeError, match="an edge names node 4, but there are 3 nodes"):
        adjacency(torch.tensor([[4], [0]]), 3)
    with pytest.raises(ShapeError, match="the graph has 7 nodes, the features 6 rows"):
        GCNConv(5, 2)(X[:6], DENSE)
    with pytest.raises(FormatError, match="edge_weight goes with an edge_index"):
        adjacency(DENSE, N, edges()[1])


def test_a_graph_is_converted_once_and_let_go() -> None:
    index = edges()[0]
    first = adjacency(index, N)
    assert adjacency(index, N) is first
    assert gcn_norm(first) is gcn_norm(first)
    index[:, 0] = index[:, 1]
    assert adjacency(index, N) is not first
    reference = weakref.ref(first)
    del first
    gc.collect()
    assert reference() is None


def test_gcn_norm_is_its_formula() -> None:
    looped = DENSE + torch.eye(N)
    scale = looped.sum(1).rsqrt()
    torch.testing.assert_close(gcn_norm(adjacency(DENSE)).to_dense(), scale[:, None] * looped * scale)


@pytest.mark.parametrize("reduce", ["sum", "mean", "max"])
def test_propagate(reduce: str) -> None:
    expected = {
        "sum": DENSE @ X,
        "mean": (DENSE @ X) / DENSE.sum(1).clamp(min=1e-9)[:, None],
        "max": torch.stack([X[row != 0].amax(0) if row.any() else torch.zeros(5) for row in DENSE]),
    }[reduce]
    torch.testing.assert_close(propagate(adjacency(DENSE), X, reduce), expected)


@pytest.mark.parametrize("x", [X, X.relu().to_sparse_csr()], ids=["dense", "sparse"])
@pytest.mark.parametrize("width", [2, 9])
def test_gcn_conv(x: torch.Tensor, width: int) -> None:
    conv = GCNConv(5, width, activation="relu")
    A = gcn_norm(adjacency(DENSE)).to_dense()
    with torch.no_grad():
        torch.testing.assert_close(conv(x, DENSE), torch.relu(A @ x.to_dense() @ conv.weight.T + conv.bias))


@pytest.mark.parametrize("aggr", ["mean", "max", "sum"])
@pytest.mark.parametrize("width", [2, 9])
def test_sage_conv(aggr: str, width: int) -> None:
    conv = SAGEConv(5, width, aggr)
    taken = propagate(adjacency(DENSE), X, aggr)
    with torch.no_grad():
        expected = taken @ conv.weight.T + X @ conv.root_weight.T + conv.bias  # type: ignore[union-attr]
        torch.testing.assert_close(conv(X, DENSE), expected)


@pytest.mark.parametrize("concat", [True, False])
def test_gat_conv(concat: bool) -> None:
    conv = GATConv(5, 3, heads=2, concat=concat)
    h = (X @ conv.weight.T).reshape(N, 2, 3)
    source, target = ((h * att).sum(-1) for att in (conv.att_src, conv.att_dst))
    mask = (DENSE != 0) | torch.eye(N).bool()
    scores = nn.functional.leaky_relu(target[:, None] + source[None], 0.2).masked_fill(~mask[:, :, None], -torch.inf)
    expected = torch.einsum("ijh,jhf->ihf", scores.softmax(1), h)
    expected = expected.flatten(1) if concat else expected.mean(1)
    with torch.no_grad():
        torch.testing.assert_close(conv(X, DENSE), expected + conv.bias)


def test_gin_conv() -> None:
    conv = GINConv(nn.Linear(5, 2), eps=0.5, train_eps=True)
    with torch.no_grad():
        torch.testing.assert_close(conv(X, DENSE), conv.net(DENSE @ X + 1.5 * X))
    assert "eps" in dict(conv.named_parameters())


def test_unknown_reductions() -> None:
    with pytest.raises(NotationError, match="sum, mean or max, not by 'median'"):
        propagate(adjacency(DENSE), X, "median")
    with pytest.raises(NotationError, match="aggr is mean, max or sum"):
        SAGEConv(5, 2, "median")


def test_numbers_of_other_types() -> None:
    conv = GCNConv(5, 2).double()
    assert conv(X.double(), scorch.tensor(DENSE.double(), "csr")).dtype is torch.float64
    assert adjacency(np.eye(3, dtype=np.int64)).dtype is torch.float32


# --- number types of models -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("make", [models.GCN, models.GraphSAGE, models.GAT])
def test_a_model_of_any_type_takes_edges_that_have_none(make: Any, grad: bool, dtype: torch.dtype) -> None:
    edges, x = torch.tensor([[0, 1, 2, 2], [1, 2, 0, 1]]), torch.rand(4, 5)
    model = make(5, 3).eval()
    expected = model(x, edges)
    with torch.set_grad_enabled(grad):
        result = model.to(dtype)(x.to(dtype), edges)
    assert result.dtype == dtype
    torch.testing.assert_close(result.float(), expected, atol=0.05, rtol=0.05)
    if grad:
        result.sum().backward()
        assert all(parameter.grad.dtype == dtype for parameter in model.parameters())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_gin_computes_in_the_type_of_its_features(dtype: torch.dtype) -> None:
    layer = GINConv(torch.nn.Linear(4, 2)).to(dtype)
    assert layer(torch.rand(3, 4, dtype=dtype), torch.tensor([[0, 1], [1, 2]])).dtype == dtype


def test_a_graph_of_another_type_does_not_change_the_type_of_a_layer() -> None:
    layer, graph = GCNConv(3, 2), scorch.tensor(torch.eye(3, dtype=torch.float64), "csr")
    weight = graph.values.requires_grad_()
    result = layer(torch.rand(3, 3), graph.with_values(weight))
    assert result.dtype == torch.float32
    result.sum().backward()
    assert weight.grad is not None
    assert weight.grad.dtype == torch.float64

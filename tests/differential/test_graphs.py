"""Triangles, breadth-first search and shortest paths as statements in semirings, against scipy.sparse.csgraph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.sparse import csgraph

import scorch

INF = float("inf")
Graph = sparse.csr_array


def random_graph(nodes: int, degree: int, seed: int) -> Graph:
    """A directed graph with weights 1 to 4 and no loops."""
    rng = np.random.default_rng(seed)
    rows, cols = rng.integers(0, nodes, (2, nodes * degree))
    kept = rows != cols
    made = sparse.coo_array((np.ones(kept.sum()), (rows[kept], cols[kept])), shape=(nodes, nodes)).tocsr()
    made.data[:] = rng.integers(1, 5, made.nnz)
    return made


def lower(graph: Graph) -> Graph:
    """The undirected graph below its diagonal, each edge a 1."""
    both = sparse.csr_array(graph + graph.T)
    both.data[:] = 1
    return sparse.csr_array(sparse.tril(both, -1))


def triangles(graph: Graph) -> int:
    L = scorch.tensor(lower(graph))
    return int(scorch.compute("c += L[i,j] * L[j,k] * L[i,k]", L=L))


def levels(graph: Graph, source: int) -> list[float]:
    """Steps from the source to each node, by or-and: the frontier's neighbours that were not seen."""
    A = scorch.tensor(sparse.csr_array(graph.T).astype(bool))
    found = torch.full((graph.shape[0],), INF)
    frontier = torch.zeros(graph.shape[0], dtype=torch.bool)
    frontier[source] = True
    for step in range(graph.shape[0]):
        found[frontier] = step
        seen = found < INF
        frontier = scorch.compute("F[i] |= A[i,j] & Q[j]; N[i] = F[i] & not(S[i])", A=A, Q=frontier, S=seen)
        if not frontier.any():
            break
    return found.tolist()


def distances(graph: Graph, source: int) -> torch.Tensor:
    """Lengths of the shortest paths from the source, by min-plus: Bellman and Ford, until nothing changes."""
    by_target = sparse.coo_array(graph.T)
    A = scorch.from_coo(np.stack(by_target.coords), torch.from_numpy(by_target.data), graph.shape, "csr", fill=INF)
    found = torch.full((graph.shape[0],), INF, dtype=torch.float64)
    found[source] = 0
    while True:
        better = scorch.compute("E[i] min= A[i,j] + D[j]; F[i] = min(E[i], D[i])", A=A, D=found)
        if torch.equal(better, found):
            return found
        found = better


def expected_triangles(graph: Graph) -> int:
    below = lower(graph)
    return int(((below @ below) * below).sum())


def expected_levels(graph: Graph, source: int) -> list[float]:
    return csgraph.shortest_path(graph, indices=source, unweighted=True, method="D").tolist()  # type: ignore[no-any-return]


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize(("nodes", "degree"), [(1, 0), (2, 1), (12, 1), (30, 3), (40, 8)])
def test_small_graphs(nodes: int, degree: int) -> None:
    graph = random_graph(nodes, degree, seed=nodes)
    assert triangles(graph) == expected_triangles(graph)
    assert levels(graph, 0) == expected_levels(graph, 0)
    torch.testing.assert_close(distances(graph, 0), torch.from_numpy(csgraph.dijkstra(graph, indices=0)))


@pytest.mark.usefixtures("plain")
def test_all_pairs_by_squares_of_a_matrix_whose_fill_is_infinity() -> None:
    graph = random_graph(10, 2, seed=5)
    by_row = sparse.coo_array(graph)
    D = scorch.from_coo(np.stack(by_row.coords), torch.from_numpy(by_row.data), graph.shape, "csr", fill=INF).to_dense()
    D.fill_diagonal_(0)
    for _ in range(4):
        D = scorch.compute("E[i,j] min= D[i,k] + D[k,j]", D=D)
    torch.testing.assert_close(D, torch.from_numpy(csgraph.floyd_warshall(graph)))


def test_a_real_graph(data_dir: Path) -> None:
    files = sorted(data_dir.glob("graphs/*.npz"))
    if not files:
        pytest.skip("no graphs in the data folder")
    from asv_benchmarks.inputs import files as inputs

    graph = sparse.csr_array(inputs.graph(min(files, key=lambda path: path.stat().st_size))).astype(np.float64)
    graph.data[:] = 1
    assert triangles(graph) == expected_triangles(graph)
    assert levels(graph, 0) == expected_levels(graph, 0)
    torch.testing.assert_close(distances(graph, 0), torch.from_numpy(csgraph.dijkstra(graph, indices=0)))

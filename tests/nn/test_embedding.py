from __future__ import annotations

import pytest
import torch
from torch import nn

import scorch
from scorch.errors import DtypeError, FormatError, NotationError, ShapeError, UnsupportedError
from scorch.nn import Embedding, EmbeddingBag


@pytest.mark.parametrize("sparsity", [None, 0.5])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_embedding_picks_rows(sparsity: float | None, shape: tuple[int, ...]) -> None:
    layer = Embedding(8, 4, sparsity=sparsity)
    table = layer.table()
    dense = table if isinstance(table, torch.Tensor) else table.to_dense()
    indices = torch.randint(8, shape)
    with torch.no_grad():
        torch.testing.assert_close(layer(indices), dense[indices])


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_bags_equal_torch(mode: str) -> None:
    layer = EmbeddingBag(8, 4, mode)
    theirs = nn.EmbeddingBag(8, 4, mode=mode, _weight=layer.weight)  # type: ignore[arg-type]
    indices, offsets = torch.tensor([1, 2, 4, 4, 3]), torch.tensor([0, 3, 3])
    with torch.no_grad():
        torch.testing.assert_close(layer(indices, offsets), theirs(indices, offsets))


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("sparsity", [None, 0.5])
@pytest.mark.parametrize("given", ["offsets", "rows", "no indices", "no bags"])
def test_bags_of_indices_equal_torch_with_gradients(mode: str, sparsity: float | None, given: str) -> None:
    layer = EmbeddingBag(8, 4, mode, sparsity=sparsity)
    table = layer.table()
    dense = (table if isinstance(table, torch.Tensor) else table.to_dense()).detach().requires_grad_()
    indices, offsets = {
        "offsets": (torch.tensor([1, 2, 4, 4, 3]), torch.tensor([0, 3, 3])),
        "rows": (torch.tensor([[1, 2], [4, 0]]), None),
        "no indices": (torch.zeros(0, dtype=torch.int64), torch.tensor([0, 0])),
        "no bags": (torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64)),
    }[given]
    mine, theirs = layer(indices, offsets), nn.functional.embedding_bag(indices, dense, offsets, mode=mode)
    torch.testing.assert_close(mine, theirs)
    ((mine + 1).square().sum() + (table if isinstance(table, torch.Tensor) else table.values).sum()).backward()
    ((theirs + 1).square().sum() + dense.sum()).backward()
    if isinstance(table, torch.Tensor):
        torch.testing.assert_close(table.grad, dense.grad)
    else:
        rows, cols = table.coords()
        torch.testing.assert_close(table.values.grad, dense.grad[rows, cols])  # type: ignore[index]


@pytest.mark.parametrize("sparsity", [None, 0.5])
def test_sparse_input_with_bias_and_activation(sparsity: float | None) -> None:
    layer = EmbeddingBag(8, 4, bias=True, activation="relu", sparsity=sparsity)
    nn.init.normal_(layer.bias)  # type: ignore[arg-type]
    x = torch.randn(5, 8) * (torch.rand(5, 8) < 0.3)
    table = layer.table()
    dense = table if isinstance(table, torch.Tensor) else table.to_dense()
    with torch.no_grad():
        torch.testing.assert_close(layer(x.to_sparse_csr()), torch.relu(x @ dense + layer.bias))
        torch.testing.assert_close(layer(scorch.tensor(x, "coo")), torch.relu(x @ dense + layer.bias))


def test_bad_input() -> None:
    with pytest.raises(DtypeError, match="indices are integers, not"):
        Embedding(8, 4)(torch.tensor([1.0]))
    for index in (8, -1):
        with pytest.raises(FormatError, match=f"index {index} names no row of a table of 8: they are 0 to 7"):
            Embedding(8, 4)(torch.tensor([index]))
    with pytest.raises(DtypeError, match=r"indices are integers, not torch\.bool"):
        Embedding(8, 4)(torch.tensor([True]))
    with pytest.raises(UnsupportedError, match="Scorch runs on CPU"):
        Embedding(8, 4)(torch.tensor([1], device="meta"))
    with pytest.raises(ShapeError, match=r"a bag is \(samples, 8\); this is a list"):
        EmbeddingBag(8, 4)([1, 2])
    with pytest.raises(ShapeError, match=r"indices are \(samples, length\), or \(count,\) with offsets"):
        EmbeddingBag(8, 4)(torch.tensor([1, 2]))
    with pytest.raises(ShapeError, match="offsets begin at 0"):
        EmbeddingBag(8, 4)(torch.tensor([1, 2]), torch.tensor([], dtype=torch.int64))
    with pytest.raises(ShapeError, match="the table has 8 rows"):
        EmbeddingBag(8, 4)(torch.eye(5).to_sparse_csr())
    with pytest.raises(NotationError, match="sum, mean or max"):
        EmbeddingBag(8, 4, "median")

"""Batches of sparse tensors with unequal numbers of stored values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import scipy.sparse
import torch

import scorch
from scorch.errors import ShapeError
from scorch.formats import Format, csf


@pytest.fixture(autouse=True)
def plain(tmp_path: Path) -> Iterator[None]:
    with scorch.config.using(jit=False, cache_dir=tmp_path):
        yield


@pytest.fixture
def parts() -> list[torch.Tensor]:
    torch.manual_seed(1)
    return [torch.rand(4, 6).masked_fill(torch.rand(4, 6) < p, 0) for p in (0.2, 0.5, 0.9, 1.0)]


SOURCES: dict[str, Callable[[torch.Tensor], object]] = {
    "csr": lambda x: x.to_sparse_csr(),
    "csc": lambda x: x.to_sparse_csc(),
    "coo": lambda x: x.to_sparse(),
    "scipy": lambda x: scipy.sparse.csr_array(x.numpy()),
    "csf": lambda x: scorch.tensor(x, format="csf"),
    "bitmap": lambda x: scorch.tensor(x, format="bitmap"),
    "bsr": lambda x: scorch.tensor(x, format="bsr(2,3)"),
}


@pytest.mark.parametrize("source", SOURCES)
def test_batch_of_a_list(source: str, parts: list[torch.Tensor]) -> None:
    batch, dense = scorch.tensor([SOURCES[source](x) for x in parts]).validate(), torch.stack(parts)
    assert batch.format.levels[0].full
    assert torch.equal(batch.to_dense(), dense)
    y = torch.rand(4, 6, 3)
    assert torch.allclose(scorch.einsum("bij,bjk->bik", batch, y, out_format="dense"), dense @ y)


def test_batches_in_every_format(parts: list[torch.Tensor]) -> None:
    batch, dense, y = scorch.tensor([x.to_sparse_csr() for x in parts]), torch.stack(parts), torch.rand(4, 6, 3)
    assert str(batch.format) == "dense, dense, compressed"
    blocks = Format("dense, dense, compressed", blocks=(1, 2, 2))
    for format in ("coo", "csf", "compressed, compressed, compressed", "bitmap", csf(3, (1, 0, 2)), blocks):
        made = batch.to(format).validate()
        assert torch.equal(made.to_dense(), dense)
        assert torch.allclose(scorch.einsum("bij,bjk->bik", made, y, out_format="dense"), dense @ y)
        product = scorch.einsum("bij,bij->bij", made, batch)
        assert isinstance(product, scorch.Tensor)
        assert torch.allclose(product.to_dense(), dense * dense)
        assert torch.equal(made.to(batch.format).to_dense(), dense)


def test_gradients_and_number_types(parts: list[torch.Tensor]) -> None:
    leaves = [scorch.tensor(x, format="csr").requires_grad_() for x in parts[:2]]
    scorch.tensor(leaves).values.sum().backward()
    assert all(torch.equal(leaf.grad.values, torch.ones(leaf.nnz)) for leaf in leaves)
    mixed = [parts[0].to_sparse(), parts[1].double().to_sparse()]
    assert scorch.tensor(mixed).dtype == torch.float64


def test_shapes_must_agree(parts: list[torch.Tensor]) -> None:
    with pytest.raises(ShapeError, match=r"one shape and one fill: \(4, 6\) .* \(6, 4\) and 0 in item 1"):
        scorch.tensor([parts[0].to_sparse(), parts[1].T.to_sparse()])

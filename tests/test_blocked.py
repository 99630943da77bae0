"""Tensors in blocks and with encoded levels, from and to other libraries, and in expressions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
import torch

import scorch
from scorch.errors import UnsupportedError
from scorch.formats import Format, bsc, bsr


@pytest.fixture(autouse=True)
def plain(tmp_path: Path) -> Iterator[None]:
    with scorch.config.using(jit=False, cache_dir=tmp_path):
        yield


@pytest.fixture
def x() -> torch.Tensor:
    made = torch.zeros(8, 12)
    made[0:2, 3:6], made[4:6, 0:3], made[6, 11] = 1.5, torch.arange(1.0, 7).reshape(2, 3), 2.0
    return made


@pytest.mark.parametrize("layout", ["bsr", "bsc"])
def test_torch_shares_memory_both_ways(layout: str, x: torch.Tensor) -> None:
    source = getattr(x, f"to_sparse_{layout}")((2, 3))
    A = scorch.tensor(source)
    assert A.format == (bsr if layout == "bsr" else bsc)((2, 3))
    assert A.values.shape == (3, 2, 3)
    assert A.values.data_ptr() == source.values().data_ptr()
    assert torch.equal(A.to_dense(), x)
    back = A.to_torch()
    assert back.layout == source.layout
    assert back.values().data_ptr() == source.values().data_ptr()
    assert torch.equal(back.to_dense(), x)
    for other in (torch.sparse_csr, torch.sparse_coo, torch.sparse_bsr, torch.sparse_bsc):
        assert A.to_torch(other).layout == other
        assert torch.equal(A.to_torch(other).to_dense(), x)
    assert torch.equal(A.T.to_torch().to_dense(), x.T)
    assert torch.allclose(scorch.einsum("ij,jk->ik", source, torch.ones(12, 2)), x @ torch.ones(12, 2))


def test_scipy_shares_memory_both_ways(x: torch.Tensor) -> None:
    source = scipy.sparse.bsr_array(x.numpy(), blocksize=(2, 3))
    A = scorch.tensor(source)
    assert A.format == bsr((2, 3))
    assert np.shares_memory(A.values.numpy(), source.data)
    back = A.to_scipy()
    assert back.format == "bsr"
    assert np.shares_memory(back.data, source.data)
    np.testing.assert_array_equal(back.toarray(), x.numpy())


def test_batched_blocks(x: torch.Tensor) -> None:
    both = torch.stack([x, 2 * x])
    B = scorch.tensor(both.to_sparse_bsr((2, 3)))
    assert B.format == Format("dense, dense, compressed", blocks=(1, 2, 3))
    assert torch.equal(B.to_dense(), both)
    y = torch.rand(2, 12, 5)
    assert torch.allclose(scorch.einsum("bij,bjk->bik", B, y), both @ y)


def test_block_size_is_needed(x: torch.Tensor) -> None:
    with pytest.raises(UnsupportedError, match=r"use .to\('bsr\(r, c\)'\).to_torch\(\)"):
        scorch.tensor(x, format="csr").to_torch(torch.sparse_bsr)


def test_dense_operands_meet_blocks_without_a_conversion(x: torch.Tensor) -> None:
    A = scorch.tensor(x, format="bsr(2,3)")
    explained = scorch.explain("ij,jk->ik", A, torch.ones(12, 64))
    assert "A[i,j,i_in,j_in] * B[j,j_in,k]" in str(explained)
    assert "convert" not in str(explained)
    assert "tile" in str(explained)


@pytest.mark.parametrize("format", [bsr((2, 3)), bsc((2, 2)), "bitmap"])
def test_entrywise_results_keep_the_pattern(format: Format | str, x: torch.Tensor) -> None:
    A = scorch.tensor(x, format=format)
    for made in (scorch.compute("C[i,j] = 3 * A[i,j]", A=A), scorch.einsum("ij,ij->ij", A, A)):
        assert made.format == A.format
        assert made.values.shape == A.values.shape
    assert torch.allclose(scorch.compute("C[i,j] = tanh(A[i,j])", A=A).to_dense(), x.tanh())


def test_product_with_a_dense_matrix_keeps_blocks(x: torch.Tensor) -> None:
    A, y = scorch.tensor(x, format="bsr(2,3)"), torch.rand(8, 12)
    made = scorch.einsum("ij,ij->ij", A, y)
    assert made.format == A.format
    assert torch.equal(made.to_dense(), x * y)


def test_values_of_blocks_carry_gradients(x: torch.Tensor) -> None:
    A = scorch.tensor(x, format="bsr(2,3)").requires_grad_()
    A.to("csr").values.sum().backward()
    assert A.grad is not None
    assert A.grad.format == A.format
    assert torch.equal(A.grad.values, torch.ones(3, 2, 3))


@pytest.mark.parametrize("format", ["bsr(2,3)", "bitmap", "csr"])
def test_a_fill_survives_conversions(format: str) -> None:
    inf = float("inf")
    x = torch.full((4, 6), inf)
    x[0, 1], x[3, 5], x[2, 2] = 1.0, 0.0, -2.0
    A = scorch.tensor(x, format=format, fill=inf)
    assert A.fill == inf
    assert torch.equal(A.to_dense(), x)
    for other in ("coo", "csc", "bsr(2,2)", "bitmap", "dense", bsr((1, 3))):
        B = A.to(other)
        assert B.fill == inf
        assert torch.equal(B.to_dense(), x), other
        assert torch.equal(B.to(format).to_dense(), x), other
    with pytest.raises(UnsupportedError, match="no fill value, and this tensor's is inf; use to_dense"):
        A.to_torch()

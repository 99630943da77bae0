"""Reductions, softmax and products, against torch on the dense tensors."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

import scorch
from scorch import DtypeError, ShapeError, UnsupportedError
from tests.functions.agreement import CUBE_FORMATS, MATRIX_FORMATS, Function, check, random_dense, sparse

REDUCTIONS: dict[str, Function] = {
    name: getattr(torch, name) for name in ("sum", "mean", "amax", "amin", "prod", "any", "all", "var", "std")
} | {
    "norm": lambda A, dim=None: torch.linalg.vector_norm(A, dim=dim),
    "argmax": torch.argmax,
    "argmin": torch.argmin,
    "count_nonzero": lambda A, dim=None: torch.count_nonzero(A, dim),
    "nansum": torch.nansum,
    "max": lambda A, *dim: tuple(torch.max(A, *dim)) if dim else torch.max(A),
    "min": lambda A, *dim: tuple(A.min(*dim)) if dim else A.min(),
    "norm 1": lambda A, dim=None: torch.norm(A, 1, dim),
    "norm 3": lambda A, dim=None: torch.norm(A, 3, dim),
    "norm inf": lambda A, dim=None: torch.norm(A, math.inf, dim),
    "norm 0": lambda A, dim=None: torch.linalg.vector_norm(A, 0, dim),
    "linalg.norm": lambda A, dim=None: torch.linalg.norm(A, dim=dim),
    "sum bool": lambda A, dim=None: (A > 0).sum(dim),
    "any bool": lambda A, dim=None: (A > 0).any() if dim is None else (A > 0).any(dim),
}
KEEPDIM = ("sum", "mean", "amax", "amin", "prod", "any", "all", "argmax")


def small(dense: torch.Tensor) -> torch.Tensor:
    """With a row and a column that are full, and ones that are empty."""
    dense = dense.clone()
    dense[0], dense[1] = 0, -2.0
    dense[:, 2] = 1.5
    return dense


@pytest.mark.parametrize("format", MATRIX_FORMATS)
@pytest.mark.parametrize("name", REDUCTIONS)
def test_matrices(name: str, format: str) -> None:
    dense = small(random_dense(4, 5))
    A = sparse(dense, format)
    check(REDUCTIONS[name], [A], [dense], f"{name} of {format}", exact=False)
    for dim in (0, 1, -1):
        check(lambda A, dim=dim: REDUCTIONS[name](A, dim), [A], [dense], f"{name} {dim} of {format}", exact=False)
    if name in KEEPDIM:
        check(lambda A: REDUCTIONS[name](A, 1, keepdim=True), [A], [dense], f"{name} keepdim of {format}", exact=False)


@pytest.mark.parametrize("format", CUBE_FORMATS)
@pytest.mark.parametrize("name", ["sum", "mean", "amax", "prod", "all", "max", "norm", "std", "count_nonzero"])
def test_cubes(name: str, format: str) -> None:
    dense = small(random_dense(3, 4, 2, density=0.7))
    A = sparse(dense, format)
    dims: list[Any] = [0, 1, 2]
    if name in ("sum", "mean", "amax", "norm"):
        dims += [(0, 2), (1, 2), (0, 1, 2)]
    for dim in dims:
        check(lambda A, dim=dim: REDUCTIONS[name](A, dim), [A], [dense], f"{name} {dim} of {format}", exact=False)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int32, torch.int64, torch.float32, torch.complex64])
def test_number_types(dtype: torch.dtype) -> None:
    dense = random_dense(4, 5, dtype=dtype)
    A = sparse(dense, "csr")
    for dim in (0, 1):
        check(lambda A, dim=dim: A.sum(dim), [A], [dense])
        check(lambda A, dim=dim: A.prod(dim), [A], [dense])
        check(lambda A, dim=dim: A.any(dim), [A], [dense])
        check(lambda A, dim=dim: A.all(dim), [A], [dense])
        if not dtype.is_complex:
            check(lambda A, dim=dim: A.amax(dim), [A], [dense])
            check(lambda A, dim=dim: A.amin(dim), [A], [dense])
    check(lambda A: A.sum(dtype=torch.float64), [A], [dense])
    check(lambda A: A.sum(1, dtype=torch.float64), [A], [dense])


@pytest.mark.parametrize("fill", [0.0, 1.5, -math.inf])
@pytest.mark.parametrize("format", ["csr", "csc", "coo"])
def test_logsumexp(format: str, fill: float) -> None:
    dense = small(random_dense(4, 5))
    dense[dense == 0] = fill
    dense[2, 3], dense[3, 4] = math.inf, -math.inf
    A = scorch.tensor(dense, format, fill=fill)
    for dim in (0, 1, (0, 1)):
        check(lambda A, dim=dim: A.logsumexp(dim), [A], [dense], f"{dim} of {format}", exact=False)
    check(lambda A: torch.logsumexp(A, 1, keepdim=True), [A], [dense], exact=False)


def test_nan_is_handed_on() -> None:
    dense = random_dense(4, 5)
    dense[1, 2] = math.nan
    A = sparse(dense, "csr")
    for function in (
        lambda A: A.amax(1),
        lambda A: A.sum(0),
        lambda A: A.amin(),
        lambda A: tuple(A.max(1)),
        lambda A: A.nansum(1),
    ):
        check(function, [A], [dense])


@pytest.mark.parametrize("fill", [2.0, -1.0])
def test_fills_count(fill: float) -> None:
    dense = torch.where(random_dense(4, 5) == 0, fill, random_dense(4, 5))
    A = scorch.tensor(dense, "csr", fill=fill)
    for name in ("sum", "mean", "amax", "amin", "prod", "all", "any", "argmax"):
        check(REDUCTIONS[name], [A], [dense], name, exact=False)
        check(lambda A, name=name: REDUCTIONS[name](A, 1), [A], [dense], name, exact=False)


def test_errors() -> None:
    A = sparse(random_dense(4, 5), "csr")
    with pytest.raises(DtypeError, match=r"dtype=torch\.float32"):
        A.to(torch.int32).mean()
    with pytest.raises(IndexError, match="out of range"):
        A.sum(2)
    with pytest.raises(ShapeError, match="stands twice"):
        A.sum((0, 0))
    with pytest.raises(ShapeError, match="no values"):
        A[:, :0].amax(1)
    with pytest.raises(ShapeError, match="needs its dimension"):
        torch.nn.functional.softmax(A)
    with pytest.raises(DtypeError, match="floating-point"):
        torch.softmax(A.to(torch.int64), 1)
    with pytest.raises(UnsupportedError, match="matrix norm"):
        torch.linalg.norm(A, "nuc")


# --- softmax ------------------------------------------------------------------------------------------------


SOFTMAX = (torch.softmax, torch.log_softmax, torch.nn.functional.softmax, torch.sparse.softmax)


@pytest.mark.parametrize("function", SOFTMAX)
@pytest.mark.parametrize("dim", [0, 1, -1])
@pytest.mark.parametrize("format", MATRIX_FORMATS)
def test_softmax_is_that_of_torch_sparse(format: str, dim: int, function: Function) -> None:
    dense = random_dense(4, 5)
    result = function(sparse(dense, format), dim)
    name = "log_softmax" if function is torch.log_softmax else "softmax"
    expected = getattr(torch.sparse, name)(dense.to_sparse(), dim % 2).coalesce()
    assert result.nnz == expected._nnz()
    torch.testing.assert_close(result.to_dense(), expected.to_dense())


@pytest.mark.parametrize("format", CUBE_FORMATS)
@pytest.mark.parametrize("dim", [0, 1, 2])
def test_softmax_of_cubes(format: str, dim: int) -> None:
    dense = random_dense(3, 4, 2) * 300  # exp of it would overflow
    result = torch.softmax(sparse(dense, format), dim)
    expected = torch.sparse.softmax(dense.to_sparse(), dim)
    torch.testing.assert_close(result.to_dense(), expected.to_dense())


# --- products -----------------------------------------------------------------------------------------------

M, V, R = random_dense(5, 3, density=1.0), random_dense(5, density=1.0), random_dense(2, 4, density=1.0)
S = random_dense(5, 6, seed=4)

PRODUCTS: dict[str, Function] = {  # of a (4, 5) matrix
    "matmul": lambda A: torch.matmul(A, M),
    "@": lambda A: A @ M,
    "D @ A": lambda A: R @ A,
    "matmul D A": lambda A: torch.matmul(R, A),
    "mm": lambda A: torch.mm(A, M),
    "mv": lambda A: torch.mv(A, V),
    "A @ v": lambda A: A @ V,
    "v @ A": lambda A: R[0] @ A,
    "A @ A.T": lambda A: A @ A.T,
    "A.T @ A": lambda A: torch.mm(A.T, A),
    "dot": lambda A: torch.dot(A[1], V),
    "addmm": lambda A: torch.addmm(torch.ones(4, 3, dtype=torch.float64), A, M, beta=2, alpha=3),
    "addmv": lambda A: torch.addmv(torch.ones(4, dtype=torch.float64), A, V),
    "einsum": lambda A: torch.einsum("ik,kj->ji", A, M),
    "einsum 2": lambda A: torch.einsum("ij,ij->ij", A, A),
    "outer": lambda A: torch.outer(A[1], V),
    "inner": lambda A: torch.inner(A, V),
    "tensordot": lambda A: torch.tensordot(A, M, 1),
    "tensordot dims": lambda A: torch.tensordot(A, M, ([1], [0])),
    "multi_dot": lambda A: torch.linalg.multi_dot([R, A, M]),
    "linear": lambda A: torch.nn.functional.linear(A, M.T.contiguous(), torch.ones(3, dtype=torch.float64)),
    "linear weight": lambda A: torch.nn.functional.linear(torch.ones(2, 3, 5, dtype=torch.float64), A),
    "vdot": lambda A: torch.linalg.vecdot(A, A),
    "embedding": lambda A: torch.nn.functional.embedding(torch.tensor([2, 0]), A),
    "normalize": lambda A: torch.nn.functional.normalize(A),
}


@pytest.mark.parametrize("format", MATRIX_FORMATS)
@pytest.mark.parametrize("name", PRODUCTS)
def test_products(name: str, format: str) -> None:
    dense = random_dense(4, 5)
    check(PRODUCTS[name], [sparse(dense, format)], [dense], f"{name} of {format}", exact=False)


@pytest.mark.parametrize("other", ["csr", "csc", "coo", "dcsr"])
@pytest.mark.parametrize("format", MATRIX_FORMATS)
def test_sparse_products(format: str, other: str) -> None:
    dense = random_dense(4, 5)
    result = check(torch.matmul, [sparse(dense, format), sparse(S, other)], [dense, S])
    assert isinstance(result, scorch.Tensor)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.int8, torch.int32, torch.int64])
@pytest.mark.parametrize("format", MATRIX_FORMATS)
def test_products_of_every_number_type(format: str, dtype: torch.dtype) -> None:
    dense, other = random_dense(4, 5, dtype=dtype), random_dense(5, 3, dtype=dtype, density=1.0)
    check(torch.matmul, [sparse(dense, format), other], [dense, other])


@pytest.mark.parametrize("format", CUBE_FORMATS)
def test_batched_products(format: str) -> None:
    dense, other = random_dense(3, 4, 2), random_dense(3, 2, 5, density=1.0)
    A = sparse(dense, format)
    check(torch.bmm, [A, other], [dense, other])
    check(torch.matmul, [A, other], [dense, other])
    check(torch.matmul, [A, other[0]], [dense, other[0]])
    check(torch.matmul, [other[:1].mT, A.mT], [other[:1].mT, dense.mT])
    check(torch.matmul, [A, other[0, :, 0]], [dense, other[0, :, 0]])
    check(lambda A: torch.baddbmm(torch.ones(3, 4, 5, dtype=torch.float64), A, other), [A], [dense])


@pytest.mark.parametrize("format", MATRIX_FORMATS)
def test_sampled_addmm(format: str) -> None:
    dense = random_dense(4, 5)
    q, k = random_dense(4, 3, density=1.0), random_dense(3, 5, density=1.0)
    expected = torch.sparse.sampled_addmm(dense.to_sparse_csr(), q, k, beta=0.5, alpha=2.0)
    result = torch.sparse.sampled_addmm(sparse(dense, format), q, k, beta=0.5, alpha=2.0)
    assert result.nnz == torch.count_nonzero(dense)
    torch.testing.assert_close(result.to_dense(), expected.to_dense())
    plain = torch.sparse.sampled_addmm(sparse(dense, format), q, k, beta=0)
    torch.testing.assert_close(plain.to_dense(), (q @ k) * (dense != 0))


@pytest.mark.parametrize("format", CUBE_FORMATS)
def test_sampled_addmm_of_batches(format: str) -> None:
    dense = random_dense(3, 4, 5)
    q, k = random_dense(3, 4, 2, density=1.0), random_dense(3, 2, 5, density=1.0)
    result = torch.sparse.sampled_addmm(sparse(dense, format), q, k)
    torch.testing.assert_close(result.to_dense(), dense + (q @ k) * (dense != 0))


@pytest.mark.parametrize("reduce", ["sum", "mean", "amax", "amin"])
@pytest.mark.parametrize("format", MATRIX_FORMATS)
def test_mm_with_a_reduction(format: str, reduce: str) -> None:
    dense = small(random_dense(4, 5)).float()
    other = random_dense(5, 3, dtype=torch.float32, density=1.0)
    result = torch.sparse.mm(sparse(dense, format), other, reduce)
    torch.testing.assert_close(result, torch.sparse.mm(dense.to_sparse_csr(), other, reduce))


def test_torch_sparse_sum_and_addmm() -> None:
    dense = random_dense(4, 5)
    A = sparse(dense, "csr")
    assert torch.equal(torch.sparse.sum(A), dense.sum())
    assert torch.equal(torch.sparse.sum(A, 1), dense.sum(1))
    start = torch.ones(4, 3, dtype=torch.float64)
    torch.testing.assert_close(torch.sparse.addmm(start, A, M), start + dense @ M)


def test_shapes_of_products() -> None:
    A = sparse(random_dense(4, 5), "csr")
    with pytest.raises(ShapeError, match="don't fit a product: 5 is not 4"):
        torch.matmul(A, torch.ones(4, 2))
    with pytest.raises(ShapeError, match="mm takes tensors of 2 and 2 dimensions"):
        torch.mm(A, torch.ones(5))
    with pytest.raises(ShapeError, match="sampled_addmm"):
        torch.sparse.sampled_addmm(A, torch.ones(4, 2), torch.ones(2, 4))
    with pytest.raises(ShapeError, match="reduces by sum, mean, amax, amin"):
        torch.sparse.mm(A, torch.ones(5, 2), "median")

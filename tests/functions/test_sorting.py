"""sort, argsort, cumsum and cumprod, against torch on dense tensors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

import scorch
from scorch.errors import DtypeError


@pytest.fixture(autouse=True)
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with scorch.config.using(jit=False, cache_dir=tmp_path_factory.getbasetemp() / "sorting-kernels"):
        yield


def values(shape: tuple[int, ...], dtype: torch.dtype = torch.float32, fill: Any = 0) -> torch.Tensor:
    torch.manual_seed(2)
    made = torch.randint(-4, 5, shape)
    return torch.where(torch.rand(shape) < 0.5, made, torch.as_tensor(fill)).to(dtype)


@pytest.mark.parametrize("format", ["csr", "csc", "coo", "dcsr", "bitmap", "bsr(2,2)"])
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_sort_is_torch_s(format: str, dim: int, descending: bool) -> None:
    x = values((6, 8))
    found = torch.sort(scorch.tensor(x, format=format), dim=dim, descending=descending, stable=True)
    expected = torch.sort(x, dim=dim, descending=descending, stable=True)
    assert isinstance(found.values, scorch.Tensor)
    assert torch.equal(found.values.to_dense(), expected.values)
    assert torch.equal(found.indices, expected.indices)
    assert torch.equal(scorch.tensor(x, format=format).argsort(dim, descending), expected.indices)


@pytest.mark.parametrize("fill", [2, float("inf"), float("nan"), -1])
@pytest.mark.parametrize("descending", [False, True])
def test_sort_around_a_fill_and_nan(fill: float, descending: bool) -> None:
    x = values((5, 7), fill=fill)
    x[1, 2] = float("nan")
    A = scorch.tensor(x, format="coo", fill=fill)
    found = torch.sort(A, 1, descending).values
    assert found.nnz == A.nnz
    torch.testing.assert_close(
        found.to_dense(), torch.sort(x, dim=1, descending=descending).values, equal_nan=True, rtol=0, atol=0
    )


@pytest.mark.parametrize("shape", [(9,), (2, 3, 4), (0, 3), (3, 0)])
def test_sort_of_any_rank(shape: tuple[int, ...]) -> None:
    x = values(shape, torch.int64)
    assert torch.equal(torch.sort(scorch.tensor(x, format="coo"))[0].to_dense(), torch.sort(x)[0])


def test_sort_has_gradients_and_needs_an_order() -> None:
    x = torch.randperm(20).reshape(4, 5).double() * (torch.arange(20).reshape(4, 5) % 3 != 0)
    A, dense = scorch.tensor(x, format="csr").requires_grad_(), x.clone().requires_grad_()
    weights = torch.arange(20.0, dtype=torch.float64).reshape(4, 5)
    (torch.sort(A, 1).values * weights).sum().backward()
    (torch.sort(dense, dim=1).values * weights).sum().backward()
    torch.testing.assert_close(A.grad.to_dense(), dense.grad * (x != 0))
    with pytest.raises(DtypeError, match=r"have no order; sort A.abs\(\)"):
        torch.sort(scorch.tensor(x.to(torch.complex64), format="csr"))


@pytest.mark.parametrize("name", ["cumsum", "cumprod"])
@pytest.mark.parametrize("dim", [0, 1])
def test_running_totals(name: str, dim: int) -> None:
    x = values((4, 6))
    for format in ("csr", "coo"):
        made = getattr(torch, name)(scorch.tensor(x, format=format), dim)
        torch.testing.assert_close(made, getattr(x, name)(dim))
    one = scorch.tensor(x.where(x != 0, 1), format="coo", fill=1)
    torch.testing.assert_close(one.cumprod(dim), x.where(x != 0, 1).cumprod(dim))

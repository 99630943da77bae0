"""Gradients of the functions in the stored values, by finite differences and against torch's on the dense tensor."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import scorch
from tests.functions.agreement import Function, random_dense, sparse

D = random_dense(4, 5, density=1.0, seed=3).abs() + 0.5
M = random_dense(5, 3, density=1.0)
OTHER = random_dense(4, 5, seed=8)

CALLS: dict[str, Function] = {
    "A * D": lambda A: A * D,
    "A / D": lambda A: A / D,
    "A / row": lambda A: A / D[0],
    "A + D": lambda A: A + D,
    "A * column": lambda A: D[:, :1] * A,
    "A + B": lambda A: A + sparse(OTHER, "csc") if isinstance(A, scorch.Tensor) else A + OTHER,
    "A * B": lambda A: A * sparse(OTHER, "coo") if isinstance(A, scorch.Tensor) else A * OTHER,
    "A * A": lambda A: A * A,
    "A.T + A": lambda A: A[:, :4].T + A[:, :4],
    "tanh": torch.tanh,
    "sum": torch.sum,
    "sum 1": lambda A: A.sum(1),
    "mean 0": lambda A: A.mean(0),
    "amax 1": lambda A: (A * 1).amax(1),
    "norm": torch.norm,
    "norm 1": lambda A: torch.norm(A, dim=1),
    "A @ M": lambda A: A @ M,
    "A.T @ A": lambda A: A.T @ A,
    "addmm": lambda A: torch.addmm(torch.ones(4, 3, dtype=torch.float64), A, M, alpha=2),
    "where": lambda A: torch.where(D > 1.5, A, 0.0),
    "index": lambda A: A[torch.tensor([2, 0, 2])],
    "slice": lambda A: A[1:3, ::2],
    "reshape": lambda A: A.reshape(2, 10),
    "cat": lambda A: torch.cat([A, A * 2], 1),
    "kron": lambda A: torch.kron(A, A[:2]),
    "triu": torch.triu,
}


def small_values(dense: torch.Tensor) -> torch.Tensor:
    """Different values, so that maxima are attained once."""
    return dense + torch.arange(20.0, dtype=torch.float64).reshape(4, 5) * 0.01 * (dense != 0)


@pytest.mark.parametrize("format", ["csr", "csc", "dcsr"])
@pytest.mark.parametrize("name", CALLS)
def test_gradient_is_that_of_dense_torch(name: str, format: str) -> None:
    dense = small_values(random_dense(4, 5))
    A, X = sparse(dense, format).requires_grad_(), dense.clone().requires_grad_()
    found, expected = CALLS[name](A), CALLS[name](X)
    weight = torch.arange(1.0, expected.numel() + 1, dtype=torch.float64).reshape(expected.shape)
    scalar(found, weight).backward()
    scalar(expected, weight).backward()
    assert A.grad is not None
    assert X.grad is not None
    torch.testing.assert_close(A.grad.values, X.grad[tuple(A.coords())])


def scalar(x: Any, weight: torch.Tensor) -> torch.Tensor:
    if isinstance(x, scorch.Tensor):
        return (x.values * weight[tuple(x.coords())]).sum()
    return (x * weight).sum()


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("dim", [0, 1])
def test_softmax_by_finite_differences(name: str, dim: int) -> None:
    A = sparse(random_dense(4, 5), "csr")
    function = getattr(torch, name)
    values = A.values.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda values: function(A.with_values(values), dim).values, values)


def test_sampled_addmm_by_finite_differences() -> None:
    S = sparse(random_dense(4, 5), "csr")
    q = random_dense(4, 3, density=1.0).requires_grad_()
    k = random_dense(3, 5, density=1.0).requires_grad_()
    values = S.values.detach().clone().requires_grad_()

    def sampled(values: torch.Tensor, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = torch.sparse.sampled_addmm(S.with_values(values), q, k, beta=0.5, alpha=2).values
        return made

    assert torch.autograd.gradcheck(sampled, (values, q, k))


def test_double_backward_of_arithmetic() -> None:
    A = sparse(small_values(random_dense(4, 5)), "csr")
    values = A.values.detach().clone().requires_grad_()
    for function in (lambda A: A * A * D, lambda A: A / D + A, lambda A: torch.tanh(A) * 2):
        assert torch.autograd.gradgradcheck(lambda v, f=function: f(A.with_values(v)).values, values)

"""Results that are written by address: whatever operands look like, and whatever shape the result has."""

from __future__ import annotations

import pytest
import torch

import scorch
from scorch.operand import bind

pytestmark = pytest.mark.compiled


def _matrix() -> tuple[torch.Tensor, scorch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    dense = torch.randn(7, 5, generator=generator) * (torch.rand(7, 5, generator=generator) < 0.4)
    return dense, scorch.tensor(dense, "csr")


def test_operands_of_every_look_give_one_result() -> None:
    dense, A = _matrix()
    B = torch.randn(5, 3)
    wide = torch.zeros(5, 6)
    wide[:, ::2] = B
    looks = (
        B,
        B.T.contiguous().T,
        wide[:, ::2],
        torch._neg_view(-B),
        torch.nn.Parameter(B),
        B.numpy(),
        scorch.tensor(B, "dense"),
    )
    kernel = scorch.kernel("ik,kj->ij", A, B)
    with torch.no_grad():
        for look in looks:
            torch.testing.assert_close(scorch.einsum("ik,kj->ij", A, look), dense @ B)
            torch.testing.assert_close(kernel(A, look), dense @ B)


@pytest.mark.parametrize(("notation", "shape"), [("ij->", ()), ("ij,ij->i", (7,)), ("ij,ij->ij", (7, 5))])
def test_results_of_every_rank(notation: str, shape: tuple[int, ...]) -> None:
    dense, A = _matrix()
    operands = (A, torch.ones(7, 5))[: notation.count(",") + 1]
    result = scorch.einsum(notation, *operands)
    result = result.to_dense() if isinstance(result, scorch.Tensor) else result
    assert tuple(result.shape) == shape
    torch.testing.assert_close(result, torch.einsum(notation, dense, *operands[1:]))


def test_results_do_not_share_memory() -> None:
    _, A = _matrix()
    kernel = scorch.kernel("ik,kj->ij", A, torch.ones(5, 3))
    first, kept = kernel(A, torch.ones(5, 3)), kernel(A, torch.ones(5, 3)).clone()
    second = kernel(A, torch.zeros(5, 3))
    torch.testing.assert_close(first, kept)
    assert not second.any()


def test_empty_operands_and_results() -> None:
    A = scorch.tensor(torch.zeros(4, 0), "csr")
    torch.testing.assert_close(scorch.einsum("ik,kj->ij", A, torch.zeros(0, 2)), torch.zeros(4, 2))
    assert scorch.einsum("ik,kj->ij", A, torch.zeros(0, 0)).shape == (4, 0)


def test_bind_leaves_recorded_operations_to_torch() -> None:
    x = torch.ones(3, requires_grad=True)
    assert bind((x,)) is None
    assert bind((scorch.tensor(torch.eye(3), "csr").with_values(x),)) is None
    with torch.no_grad():
        bound = bind((x,))
    assert bound is not None
    assert bound[1][0] is x

"""Weights of 8 bits with a scale a row: converted in registers, scaled once a row, never multiplied in 8 bits."""

from __future__ import annotations

import pytest
import torch

import scorch
from scorch.ir.plan import Compute, walk

ROWS, COLUMNS, WIDTH = 12, 40, 8


def weights() -> torch.Tensor:
    torch.manual_seed(0)
    full = torch.randint(-127, 128, (ROWS, COLUMNS), dtype=torch.int8)
    return full * (torch.rand(ROWS, COLUMNS) < 0.4)


@pytest.mark.parametrize("jit", [False, pytest.param(True, marks=pytest.mark.compiled)])
@pytest.mark.parametrize("activations", [torch.float32, torch.int8])
def test_a_scaled_product_is_that_of_the_wide_values(activations: torch.dtype, jit: bool) -> None:
    w, scale = weights(), torch.rand(ROWS)
    x = (torch.rand(COLUMNS, WIDTH) * 127).to(activations)
    expected = scale[:, None] * (w.double() @ x.double()).float()
    with scorch.config.using(jit=jit):
        found = scorch.einsum("i,ik,kj->ij", scale, scorch.tensor(w, format="csr"), x)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-2)


def test_the_scale_stays_in_the_sum_and_lanes_convert_in_registers() -> None:
    explained = scorch.explain(
        "i,ik,kj->ij", torch.rand(ROWS), scorch.tensor(weights(), format="csr"), torch.rand(COLUMNS, 64)
    )
    (inner,) = [stmt for stmt in walk(explained.plan.kernel.root) if isinstance(stmt, Compute) and stmt.reduce]
    assert (
        str(inner) == "acc[j] += A[i] * B[i,k] * C[k,j]"
    )  # outside, an infinite scale times an empty sum is no number
    assert "vload(" in explained.source
    assert "np.float32(b)" in explained.source


def test_a_wide_operand_widens_the_sum() -> None:
    """Integers wrap as torch's do: in the type of the result, which is that of the widest operand."""
    w, x = torch.full((3, COLUMNS), 100, dtype=torch.int8), torch.full((COLUMNS,), 100, dtype=torch.int8)
    with scorch.config.using(jit=False):
        wide = scorch.einsum("ij,j->i", scorch.tensor(w, format="csr"), x.int())
        narrow = scorch.einsum("ij,j->i", scorch.tensor(w, format="csr"), x)
    assert wide.dtype == torch.int32
    assert wide.tolist() == [COLUMNS * 10_000] * 3
    assert torch.equal(narrow, w @ x)

"""Kernels for several machines, run uncompiled on this one: their tiles cover every width, their sums are right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import scorch
from scorch import engine
from scorch.emit.jit import compile_kernel
from scorch.formats import Storage
from scorch.ir.einsum import parse_einsum
from scorch.operand import as_storage
from scorch.schedule.machine import AVX2, AVX512, SSE, Machine
from scorch.schedule.planner import schedule

WIDTHS = [1, 3, 5, 8, 9, 17, 33, 64, 200]
MACHINES = {"AVX-512": AVX512, "AVX2": AVX2, "SSE": SSE, "two caches of nothing": replace(AVX2, near_bytes=1)}


def operand(rows: int, columns: int, mean: int, dtype: torch.dtype) -> scorch.Tensor:
    """A csr matrix with rows of very different lengths."""
    rng = np.random.default_rng(rows)
    stored = rng.random((rows, columns)) < mean / columns
    stored[0], stored[1] = False, True
    values = torch.from_numpy(np.where(stored, rng.standard_normal((rows, columns)), 0)).to(dtype)
    return scorch.tensor(values.to_sparse_csr())


def run(notation: str, operands: list[Storage], machine: Machine) -> torch.Tensor:
    """An einsum by the plan for another machine, uncompiled: a dense result, or the values of a sparse one."""
    statement = parse_einsum(notation, [s.pattern.shape for s in operands])
    with scorch.config.using(jit=False, threads=2):
        plan = schedule(replace(engine.problem_of(statement, operands), machine=machine))
        program = engine.Program(plan, compile_kernel(plan.kernel), operands)
        result = program([s.vals for s in operands])
    return result if isinstance(result, torch.Tensor) else result.values


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("width", WIDTHS)
def test_sampled_products(width: int, machine: str, dtype: torch.dtype) -> None:
    a = operand(14, 23, 9, dtype)
    q, k = torch.randn(14, width, dtype=dtype), torch.randn(23, width, dtype=dtype)
    got = run("ij,ik,jk->ij", [as_storage(x) for x in (a, q, k)], MACHINES[machine])
    i, j = a.coords()
    torch.testing.assert_close(got, (q @ k.T)[i, j] * a.values, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("width", WIDTHS)
def test_products_with_a_dense_matrix(width: int, machine: str) -> None:
    a, b = operand(14, 23, 9, torch.float32), torch.randn(23, width)
    got = run("ij,jk->ik", [as_storage(a), as_storage(b)], MACHINES[machine])
    torch.testing.assert_close(got, a.to_dense() @ b, rtol=1e-4, atol=1e-4)


def test_positions_are_taken_side_by_side() -> None:
    a = operand(14, 23, 9, torch.float32)
    q, k = torch.randn(14, 64), torch.randn(23, 64)
    operands = [as_storage(x) for x in (a, q, k)]
    statement = parse_einsum("ij,ik,jk->ij", [s.pattern.shape for s in operands])
    asked = engine.problem_of(statement, operands)
    shown = {name: str(schedule(replace(asked, machine=machine))) for name, machine in MACHINES.items()}
    assert "4 positions side by side" in shown["AVX2"]
    assert "8 positions side by side" in shown["AVX-512"]


@pytest.mark.parametrize("width", [40, 200])
def test_a_dot_product_longer_than_a_tile(width: int) -> None:
    """The rest of a tile has fewer vectors than the tile, and leaves the other accumulators alone."""
    x, y = torch.randn(7, width), torch.randn(7, width)
    for machine in MACHINES.values():
        got = run("ik,ik->i", [as_storage(x), as_storage(y)], machine)
        torch.testing.assert_close(got, (x * y).sum(1), rtol=1e-4, atol=1e-4)

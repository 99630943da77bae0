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
    assert "4 side by side" in shown["AVX2"]
    assert "4 side by side" in shown["AVX-512"]
    assert "tile(4 x 16 lanes" in shown["AVX-512"]  # twice the registers: twice the vectors of each


LENGTHS = {"short": (1, 2, 3), "irregular": (0, 3, 9, 1, 17, 8, 4), "long": (40, 33, 64), "one": (5,), "none": (0, 0)}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int32])
@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("lengths", LENGTHS)
def test_reductions_over_stored_positions(lengths: str, machine: str, dtype: torch.dtype) -> None:
    """Rows that end inside a vector, at its end, and at the end of the arrays."""
    a, x = rows_of(LENGTHS[lengths] * 5, dtype), torch.arange(1, 71).to(dtype)
    for notation, operands, expected in (
        ("ij,j->i", [a, x], a.to_dense() @ x),
        ("ij->i", [a], a.to_dense().sum(1, dtype=dtype)),
        ("ij,j,j->i", [a, x, x], a.to_dense() @ (x * x)),
    ):
        got = run(notation, [as_storage(operand) for operand in operands], MACHINES[machine])
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def rows_of(lengths: tuple[int, ...], dtype: torch.dtype) -> scorch.Tensor:
    """A csr matrix of 70 columns with rows of these lengths."""
    rng = np.random.default_rng(0)
    crow = torch.tensor([0, *np.cumsum(lengths)])
    columns = [np.sort(rng.choice(70, length, replace=False)) for length in lengths]
    values = torch.from_numpy(rng.integers(1, 9, int(crow[-1]))).to(dtype)
    return scorch.tensor(
        torch.sparse_csr_tensor(crow, torch.from_numpy(np.concatenate(columns)), values, (len(lengths), 70))
    )


def test_what_lies_behind_a_row_does_not_reach_its_sum() -> None:
    """A row's last vector holds the next row's entries, whose products may be inf or nan."""
    a = rows_of((3, 9, 2, 11, 5, 1, 12) * 3, torch.float32)
    x = torch.ones(70)
    i, j = a.coords()
    x[j[i == 1]] = torch.inf
    got = run("ij,j->i", [as_storage(a), as_storage(x)], AVX2)
    clean = ~torch.isin(torch.arange(21), i[torch.isinf(x[j])])
    torch.testing.assert_close(got[clean], (a.to_dense() @ torch.ones(70))[clean])
    assert torch.isinf(got[~clean]).all()


@pytest.mark.parametrize("width", [40, 200])
def test_a_dot_product_longer_than_a_tile(width: int) -> None:
    """The rest of a tile has fewer vectors than the tile, and leaves the other accumulators alone."""
    x, y = torch.randn(7, width), torch.randn(7, width)
    for machine in MACHINES.values():
        got = run("ik,ik->i", [as_storage(x), as_storage(y)], machine)
        torch.testing.assert_close(got, (x * y).sum(1), rtol=1e-4, atol=1e-4)

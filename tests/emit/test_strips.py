"""Strips: a few vectors of the dense index for all rows of a chunk, so that rows picked by nonzeros stay near."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import scorch
from scorch import engine
from scorch.emit.jit import compile_kernel
from scorch.formats import Storage, csf
from scorch.ir.einsum import parse_einsum
from scorch.operand import as_storage
from scorch.schedule.machine import AVX2, AVX512, SSE, Machine
from scorch.schedule.planner import alternatives, schedule
from scorch.schedule.problem import Problem

OUTSIDE = "outside all rows of a chunk"
MACHINES = {"AVX-512": AVX512, "AVX2": AVX2, "SSE": SSE}


def asked(notation: str, operands: list[Storage], machine: Machine, near: int = 256) -> Problem:
    """An einsum on a machine whose second cache holds next to nothing."""
    statement = parse_einsum(notation, [storage.pattern.shape for storage in operands])
    problem = engine.problem_of(statement, operands)
    return replace(problem, machine=replace(machine, near_bytes=near), threads=2)


def in_strips(problem: Problem) -> Problem:
    """The same, by the first plan that has strips."""
    found = next(each.description for each in alternatives(problem) if OUTSIDE in each.description)
    return replace(problem, choice=found)


def matrix(rows: int, columns: int, format: str) -> tuple[torch.Tensor, Storage]:
    dense = torch.randn(rows, columns) * (torch.rand(rows, columns) < 0.3)
    return dense, as_storage(scorch.tensor(dense, format))


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("columns", [65, 100, 128, 301])
@pytest.mark.parametrize("format", ["csr", "coo", "dcsr"])
def test_a_product_by_strips(format: str, columns: int, machine: str) -> None:
    a, sparse = matrix(13, 30, format)
    b = torch.randn(30, columns)
    operands = [sparse, as_storage(b)]
    with scorch.config.using(jit=False, threads=2):
        plan = schedule(in_strips(asked("ik,kj->ij", operands, MACHINES[machine])))
        found = engine.Program(plan, compile_kernel(plan.kernel), operands)([s.vals for s in operands])
    assert isinstance(found, torch.Tensor)
    torch.testing.assert_close(found, a @ b)


def test_strips_compiled_and_shared_among_threads() -> None:
    a, sparse = matrix(400, 300, "csr")
    b = torch.randn(300, 150)
    operands = [sparse, as_storage(b)]
    with scorch.config.using(threads=2):
        plan = schedule(in_strips(asked("ik,kj->ij", operands, AVX512)))
        assert plan.partition.unit == "coordinates"
        found = engine.Program(plan, compile_kernel(plan.kernel), operands)([s.vals for s in operands])
    assert isinstance(found, torch.Tensor)
    torch.testing.assert_close(found, a @ b, rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("plain")
def test_strips_of_a_tensor_of_order_three() -> None:
    cube = torch.randn(6, 7, 8) * (torch.rand(6, 7, 8) < 0.3)
    b, c = torch.randn(7, 80), torch.randn(8, 80)
    operands = [as_storage(scorch.tensor(cube, csf(3))), as_storage(b), as_storage(c)]
    plan = schedule(in_strips(asked("ijk,jl,kl->il", operands, AVX512)))
    found = engine.Program(plan, compile_kernel(plan.kernel), operands)([s.vals for s in operands])
    assert isinstance(found, torch.Tensor)
    torch.testing.assert_close(found, torch.einsum("ijk,jl,kl->il", cube, b, c))


def test_strips_are_for_rows_from_afar() -> None:
    _, sparse = matrix(60, 500, "csr")
    operands = [sparse, as_storage(torch.randn(500, 256))]
    near = [each.description for each in alternatives(asked("ik,kj->ij", operands, AVX512, near=1 << 20))]
    assert not any(OUTSIDE in each for each in near)
    assert OUTSIDE in alternatives(asked("ik,kj->ij", operands, AVX512, near=200 << 10))[0].description
    narrow = [sparse, as_storage(torch.randn(500, 64))]
    assert not any(OUTSIDE in each.description for each in alternatives(asked("ik,kj->ij", narrow, AVX512)))

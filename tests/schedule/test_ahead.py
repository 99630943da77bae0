"""Short rows that come from memory are fetched ahead of the loop that walks them."""

from __future__ import annotations

from dataclasses import replace

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
from scorch.schedule.problem import Problem

MACHINES = {"AVX-512": AVX512, "AVX2": AVX2, "SSE": SSE}


def asked(notation: str, operands: list[Storage], machine: Machine, far: int = 1 << 10) -> Problem:
    """An einsum on a machine whose last cache holds next to nothing."""
    problem = engine.problem_of(parse_einsum(notation, [s.pattern.shape for s in operands]), operands)
    return replace(problem, machine=replace(machine, far_bytes=far), convert=False)


def matrix(density: float = 0.3, columns: int = 40) -> torch.Tensor:
    return torch.randn(60, columns) * (torch.rand(60, columns) < density)


@pytest.mark.parametrize("format", ["csr", "dcsr", "coo"])
@pytest.mark.parametrize("machine", MACHINES)
def test_a_product_with_a_vector(machine: str, format: str) -> None:
    dense, x = matrix(), torch.randn(40)
    operands = [as_storage(scorch.tensor(dense, format)), as_storage(x)]
    plan = schedule(asked("ij,j->i", operands, MACHINES[machine]))
    with scorch.config.using(jit=False):
        program = engine.Program(plan, compile_kernel(plan.kernel), operands)
        found = program([s.vals for s in operands])
    assert isinstance(found, torch.Tensor)
    torch.testing.assert_close(found, dense @ x, rtol=1e-4, atol=1e-4)
    assert ("prefetch(" in program.source) == any("256 stored positions ahead" in told for told in plan.reasons)
    assert format != "csr" or "fetched 256 ahead" in str(plan.kernel)


def test_compiled_past_the_end_of_the_arrays() -> None:
    dense, x = matrix(), torch.randn(40)
    operands = [as_storage(scorch.tensor(dense, "csr")), as_storage(x)]
    plan = schedule(asked("ij,j->i", operands, AVX2))
    program = engine.Program(plan, compile_kernel(plan.kernel), operands)
    found = program([s.vals for s in operands])
    assert "prefetch(" in program.source
    assert isinstance(found, torch.Tensor)
    torch.testing.assert_close(found, dense @ x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("operands", "notation", "far"),
    [
        ([matrix(), torch.randn(40)], "ij,j->i", 1 << 20),
        ([matrix(1.0), torch.randn(40)], "ij,j->i", 1 << 10),
        ([matrix(), torch.randn(40, 16)], "ij,jk->ik", 1 << 10),
        ([matrix(), torch.randn(60)], "ij,i->j", 1 << 10),
    ],
    ids=["small", "long rows", "rows of a dense operand", "in place"],
)
def test_what_is_not_fetched_ahead(operands: list[torch.Tensor], notation: str, far: int) -> None:
    given = [as_storage(scorch.tensor(operands[0], "csr")), as_storage(operands[1])]
    assert "ahead" not in str(schedule(asked(notation, given, AVX512, far)).kernel).replace("prefetch 16 ahead", "")

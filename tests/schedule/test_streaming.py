"""Results that outgrow the last cache are stored past it."""

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
ROWS = 40


def asked(notation: str, operands: list[Storage], machine: Machine, far: int = 1 << 10) -> Problem:
    """An einsum on a machine whose last cache holds next to nothing."""
    problem = engine.problem_of(parse_einsum(notation, [s.pattern.shape for s in operands]), operands)
    return replace(problem, machine=replace(machine, far_bytes=far), convert=False)


def product(width: int, dtype: torch.dtype = torch.float32) -> tuple[list[Storage], torch.Tensor]:
    """The operands of a product, and their product."""
    left, right = torch.randn(ROWS, 30, dtype=dtype), torch.randn(30, width, dtype=dtype)
    left *= torch.rand(ROWS, 30) < 0.3
    return [as_storage(scorch.tensor(left, "csr")), as_storage(right)], left @ right


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("width", [16, 64, 144])
def test_whole_vectors_go_past_the_caches(width: int, dtype: torch.dtype, machine: str) -> None:
    operands, expected = product(width, dtype)
    plan = schedule(asked("ij,jk->ik", operands, MACHINES[machine]))
    assert plan.kernel.assembly.streamed
    assert "past the caches" in str(plan.kernel.assembly)
    assert any("result to memory" in reason for reason in plan.reasons)
    with scorch.config.using(jit=False):
        program = engine.Program(plan, compile_kernel(plan.kernel), operands)
        found = program([s.vals for s in operands])
    assert "vstream(" in program.source
    assert "fence()" in program.source
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("width", [1, 15, 17, 100])
def test_rows_that_end_inside_a_vector_do_not(width: int) -> None:
    operands, _ = product(width)
    assert not schedule(asked("ij,jk->ik", operands, AVX512)).kernel.assembly.streamed


def test_vectors_that_are_no_whole_line_do_not() -> None:
    operands, _ = product(8)
    assert not schedule(asked("ij,jk->ik", operands, AVX2)).kernel.assembly.streamed


def test_results_that_a_cache_holds_do_not() -> None:
    operands, _ = product(64)
    plan = schedule(asked("ij,jk->ik", operands, AVX512, far=ROWS * 64 * 4))
    assert not plan.kernel.assembly.streamed
    assert not any("result to memory" in reason for reason in plan.reasons)


def test_sums_in_place_do_not_and_are_dearer() -> None:
    operands = [product(64)[0][0], as_storage(torch.randn(ROWS, 64))]
    plans = [schedule(asked("ji,jk->ik", operands, AVX512, far)) for far in (1 << 10, 1 << 30)]
    assert not any(plan.kernel.assembly.owned or plan.kernel.assembly.streamed for plan in plans)
    assert plans[0].cost > plans[1].cost


@pytest.mark.parametrize("shift", [0, 1, 3])
def test_compiled_into_memory_that_begins_anywhere(shift: int) -> None:
    operands, expected = product(32)
    plan = schedule(asked("ij,jk->ik", operands, replace(AVX512, gathers=False)))
    assert plan.kernel.assembly.streamed
    program = engine.Program(plan, compile_kernel(plan.kernel), operands)
    room = torch.full((ROWS * 32 + 80,), 7.0)
    first = -(room.data_ptr() // 4) % 16 + shift
    out = room[first : first + ROWS * 32].view(ROWS, 32)
    assert program([s.vals for s in operands], out) is out
    torch.testing.assert_close(out, expected)
    assert bool((room[:first] == 7).all() and (room[first + ROWS * 32 :] == 7).all())

"""Square blocks of dense operands that are turned in registers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import scorch
from scorch import engine
from scorch.emit.jit import compile_kernel
from scorch.ir.einsum import parse_einsum
from scorch.ir.plan import Loop, Plan, walk
from scorch.operand import as_storage
from scorch.schedule.machine import AVX2, AVX512, SSE
from scorch.schedule.planner import schedule

MACHINES = {"AVX-512": AVX512, "AVX2": AVX2, "SSE": SSE}


def turned(text: str, **operands: torch.Tensor) -> list[str]:
    """The accesses of which the plan of an expression turns blocks."""
    plan = scorch.explain(text, **operands).plan
    assert isinstance(plan, Plan)
    return [str(a) for s in walk(plan.kernel.root) if isinstance(s, Loop) for a in s.turned]


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("columns", [16, 37, 64])
@pytest.mark.parametrize("rows", [16, 17, 50])
def test_a_copy_on_every_machine(rows: int, columns: int, machine: str) -> None:
    a = torch.randn(rows, columns)
    operands = [as_storage(a)]
    statement = parse_einsum("ij->ji", [(rows, columns)])
    with scorch.config.using(jit=False, threads=2):
        plan = schedule(replace(engine.problem_of(statement, operands), machine=MACHINES[machine]))
        assert any(isinstance(s, Loop) and s.turned for s in walk(plan.kernel.root))
        found = engine.Program(plan, compile_kernel(plan.kernel), operands)([s.vals for s in operands])
    assert isinstance(found, torch.Tensor)
    assert torch.equal(found, a.T)


@pytest.mark.compiled
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int16])
@pytest.mark.parametrize("shape", [(64, 64), (40, 530), (1000, 999)], ids=str)
def test_compiled_and_in_parallel(shape: tuple[int, int], dtype: torch.dtype) -> None:
    a = (torch.randn(shape) * 9).to(dtype)
    found = scorch.einsum("ij->ji", a)
    assert torch.equal(found, a.T)
    assert found.is_contiguous()


@pytest.mark.usefixtures("plain")
def test_operands_in_two_orders() -> None:
    a, b, s = torch.randn(40, 50), torch.randn(50, 40), torch.randn(40)
    text = "C[i,j] = relu(A[j,i] * s[j]) + 2 * B[i,j]"
    assert turned(text, A=a, B=b, s=s) == ["A[j,i]"]
    torch.testing.assert_close(scorch.compute(text, A=a, B=b, s=s), (a * s[:, None]).T.relu() + 2 * b)
    text = "C[i,j] = A[j,i] - D[j,i] * B[i,j]"
    torch.testing.assert_close(scorch.compute(text, A=a, D=-a, B=b), a.T + a.T * b)


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("notation", ["bij->bji", "bij->ijb", "bij->jib", "bij->ibj"])
def test_three_dimensions(notation: str) -> None:
    a = torch.randn(17, 18, 19)
    torch.testing.assert_close(scorch.einsum(notation, a), torch.einsum(notation, a))


@pytest.mark.usefixtures("plain")
def test_number_types_side_by_side() -> None:
    a, b = torch.randint(-9, 9, (40, 50)), torch.randn(50, 40)
    assert turned("C[i,j] = A[j,i] * B[i,j]", A=a, B=b)
    torch.testing.assert_close(scorch.compute("C[i,j] = A[j,i] * B[i,j]", A=a, B=b), a.T * b)
    torch.testing.assert_close(scorch.compute("C[i,j] = A[j,i] * B[i,j]", A=a > 0, B=b), (a > 0).T * b)


def test_what_is_not_turned() -> None:
    assert not turned("C[i,j] = A[j,i]", A=torch.randn(3, 50))  # less than a vector
    assert not turned("C[i,j] = A[j,i]", A=torch.ones(50, 50, dtype=torch.bool))
    assert not turned("C[i,j] = A[i,j] + B[i,j]", A=torch.randn(50, 50), B=torch.randn(50, 50))
    assert not turned("C[i] += A[j,i]", A=torch.randn(50, 50))

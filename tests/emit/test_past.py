"""What a row leaves over of groups of positions is taken into the rows behind it, and their part is dropped."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import scorch
from scorch import engine
from scorch.emit.jit import compile_kernel
from scorch.formats import Storage
from scorch.ir.normalise import normalise
from scorch.ir.parse import parse_statements
from scorch.ir.plan import Loop, Plan, walk
from scorch.operand import as_storage
from scorch.schedule import unrolling
from scorch.schedule.machine import AVX2, AVX512, SSE, Machine
from scorch.schedule.planner import schedule
from scorch.schedule.unrolling import Unrolling

MACHINES = {"AVX-512": AVX512, "AVX2": AVX2, "SSE": SSE}
LENGTHS = {
    "all lengths": list(range(20)),
    "an empty row at each end": [0, 3, 0, 5, 1, 0],
    "the last row reaches the end": [2, 0, 9],
    "fewer entries than a group": [1, 0, 1],
    "one row": [5],
    "nothing": [0, 0],
}


@pytest.fixture(params=[4, 8])
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Every reduction under a tile takes groups of so many positions, past the ends of rows."""
    taken = Unrolling(request.param, past=True)
    monkeypatch.setattr(unrolling, "unrollings", lambda *_: {Unrolling(): 1.0, taken: 0.5})
    return int(request.param)


def rows(lengths: list[int], dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """A matrix of 24 columns with so many entries in each row."""
    dense = torch.zeros(len(lengths), 24, dtype=dtype)
    for row, length in enumerate(lengths):
        dense[row, torch.randperm(24)[:length]] = torch.randint(1, 9, (length,)).to(dtype)
    return dense


def computed(text: str, machine: Machine, **given: object) -> tuple[torch.Tensor, Plan]:
    """A statement's dense result, and its plan for a machine."""
    storages = [as_storage(x) for x in given.values()]
    (statement,) = normalise(parse_statements(text))
    problem = engine.problem_of(statement, storages)
    plan = schedule(replace(problem, machine=machine, convert=False))
    by_name: dict[str, Storage] = dict(zip(given, storages, strict=True))
    operands = [by_name[spec.name] for spec in plan.kernel.operands]
    found = engine.Program(plan, compile_kernel(plan.kernel), operands)([s.vals for s in operands])
    assert isinstance(found, torch.Tensor)
    return found, plan


def is_past(plan: Plan) -> bool:
    return any(isinstance(stmt, Loop) and stmt.past for stmt in walk(plan.kernel.root))


@pytest.mark.parametrize("format", ["csr", "dcsr", "coo"])
@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.usefixtures("plain")
def test_rows_of_every_length(machine: str, lengths: str, format: str, size: int) -> None:
    dense, b = rows(LENGTHS[lengths]), torch.randn(24, 16)
    found, plan = computed("Y[i,j] = A[i,k] * B[k,j]", MACHINES[machine], A=scorch.tensor(dense, format), B=b)
    torch.testing.assert_close(found, dense @ b)
    if lengths == "nothing" and format != "csr":
        return  # other loops are as good
    assert is_past(plan)
    assert f"unrolled {size} times, past the end of a row" in str(plan.kernel)
    assert any(
        "what groups leave over is taken into the next row, 50% of what it takes singly" in r for r in plan.reasons
    )


@pytest.mark.parametrize("columns", [1, 7, 16, 23, 32])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int32])
def test_compiled(dtype: torch.dtype, columns: int, size: int) -> None:
    dense, b = rows(list(range(20)), dtype), torch.randint(-9, 9, (24, columns)).to(dtype)
    found, plan = computed("Y[i,j] = A[i,k] * B[k,j]", AVX512, A=scorch.tensor(dense, "csr"), B=b)
    assert torch.equal(found, dense @ b)
    assert is_past(plan)


@pytest.mark.usefixtures("size")
def test_what_is_dropped_may_be_anything() -> None:
    """The second row's infinities and NaN are no part of the first."""
    dense = torch.zeros(2, 24)
    dense[0, :3], dense[1, 3:12] = 1.0, 1.0
    b = torch.ones(24, 16)
    b[3:] = float("inf")
    b[4:] = float("nan")
    found, plan = computed("Y[i,j] = A[i,k] * B[k,j]", AVX512, A=scorch.tensor(dense, "csr"), B=b)
    assert is_past(plan)
    assert torch.equal(found[0], torch.full((16,), 3.0))
    assert bool(found[1].isnan().all())


@pytest.mark.usefixtures("size", "plain")
def test_other_reductions_and_more_operands() -> None:
    dense, b, d = rows([5, 0, 1, 9, 4, 3]), torch.rand(24, 16), torch.rand(6, 24)
    a = scorch.tensor(dense, "csr")
    product, plan = computed("Y[i,j] = A[i,k] * B[k,j] * C[i,k]", AVX512, A=a, B=b, C=d)
    torch.testing.assert_close(product, (dense * d) @ b)
    assert is_past(plan)
    most, plan = computed("Y[i,j] max= where(stored(A[i,k]), A[i,k] + B[k,j], absent)", AVX512, A=a, B=b)
    terms = torch.where(dense[:, :, None] != 0, dense[:, :, None] + b, -torch.inf)
    torch.testing.assert_close(most, terms.amax(1))


@pytest.mark.usefixtures("size", "plain")
def test_fibres_of_a_tensor_of_order_three() -> None:
    cube = torch.randn(5, 6, 24) * (torch.rand(5, 6, 24) < 0.2)
    b, c = torch.randn(6, 16), torch.randn(24, 16)
    found, plan = computed("Y[i,r] = A[i,j,k] * B[j,r] * C[k,r]", AVX512, A=scorch.tensor(cube, "csf"), B=b, C=c)
    torch.testing.assert_close(found, torch.einsum("ijk,jr,kr->ir", cube, b, c), rtol=1e-4, atol=1e-4)
    assert is_past(plan)


@pytest.mark.usefixtures("size", "plain")
def test_not_where_one_coordinate_is_wanted_or_sums_may_be_absent() -> None:
    dense, b = rows([5, 0, 1, 9, 4, 3]), torch.rand(24, 16)
    a = scorch.tensor(dense, "csr")
    found, plan = computed("Y[i,j] = A[i,i] * B[i,j]", AVX512, A=scorch.tensor(dense[:, :6], "csr"), B=b[:6])
    torch.testing.assert_close(found, dense[:, :6].diagonal()[:, None] * b[:6])
    assert not is_past(plan)
    found, plan = computed("Y[i,j] = where(A[i,k] > 4, B[k,j], 0)", AVX512, A=a, B=b)
    torch.testing.assert_close(found, (dense > 4).float() @ b)

"""Rows of frozen matrices that share what belongs to a coordinate: right on every machine, for every expression."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import scorch
from scorch import engine
from scorch.emit.jit import compile_kernel
from scorch.ir.einsum import parse_einsum
from scorch.ir.plan import Plan
from scorch.operand import as_storage
from scorch.schedule.machine import AVX2, AVX512, SSE, Machine, host
from scorch.schedule.planner import alternatives, schedule

MACHINES = {"AVX-512": AVX512, "AVX2": AVX2, "SSE": SSE}


def weight(rows: int, columns: int, density: float = 0.5, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(rows * columns)
    dense = torch.randn(rows, columns, generator=generator, dtype=torch.float64)
    return (dense * (torch.rand(rows, columns, generator=generator) < density)).to(dtype)


def frozen(dense: torch.Tensor, format: str = "csr") -> scorch.Tensor:
    return scorch.tensor(dense, format=format).freeze()


@pytest.fixture
def wide_vectors(plain: None) -> None:
    """Where a register holds fewer values, prices may keep rows apart."""
    if host().bits < AVX512.bits:
        pytest.skip("plans of machines with registers of 512 bits")


def grouping(text: str, **operands: object) -> str | None:
    """The format of the copy that the plan of an expression reads A in."""
    plan = scorch.explain(text, **operands).plan
    assert isinstance(plan, Plan)
    found = [str(format) for _, format in plan.conversions if "grouped" in str(format)]
    return found[0] if found else None


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("columns", [19, 37, 100])
@pytest.mark.parametrize("rows", [4, 6, 14])
def test_a_product_on_every_machine(rows: int, columns: int, machine: str) -> None:
    dense, b = weight(rows, 23), torch.randn(23, columns)
    operands = [as_storage(frozen(dense)), as_storage(b)]
    statement = parse_einsum("ik,kj->ij", [(rows, 23), (23, columns)])
    with scorch.config.using(jit=False, threads=2):
        problem = replace(engine.problem_of(statement, operands), machine=MACHINES[machine])
        names = [each.description for each in alternatives(problem) if "grouped" in each.description]
        assert len(names) == 1
        assert f"grouped({4 if rows % 4 == 0 else 2} rows)" in names[0]
        for name in names:
            plan = schedule(replace(problem, choice=name))
            found = engine.Program(plan, compile_kernel(plan.kernel), operands)([s.vals for s in operands])
            assert isinstance(found, torch.Tensor)
            torch.testing.assert_close(found, dense @ b)


@pytest.mark.parametrize(("columns", "machine", "grouped"), [(16, AVX512, False), (17, AVX512, True), (16, AVX2, True)])
def test_one_vector_is_not_worth_groups(columns: int, machine: Machine, grouped: bool) -> None:
    operands = [as_storage(frozen(weight(8, 23))), as_storage(torch.randn(23, columns))]
    statement = parse_einsum("ik,kj->ij", [(8, 23), (23, columns)])
    problem = replace(engine.problem_of(statement, operands), machine=machine)
    assert any("grouped" in each.description for each in alternatives(problem)) == grouped


@pytest.mark.compiled
@pytest.mark.parametrize("rows", [48, 50, 4000])
def test_compiled_and_in_parallel(rows: int) -> None:
    dense, b = weight(rows, 60), torch.randn(60, 130)
    operands, statement = [as_storage(frozen(dense)), as_storage(b)], parse_einsum("ik,kj->ij", [(rows, 60), (60, 130)])
    names = [each.description for each in engine.choices(statement, operands) if "grouped" in each.description]
    assert names
    for name in names:
        found = engine.prepare(statement, operands, choice=name)([s.vals for s in operands])
        torch.testing.assert_close(found, dense @ b, rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("wide_vectors")
@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("C[i,j] += A[i,k] * B[k,j]", lambda a, b, s: a @ b),
        ("C[i,j] += s[i] * A[i,k] * B[k,j] * 2", lambda a, b, s: 2 * s[:, None] * (a @ b)),
        ("T[i,j] += A[i,k] * B[k,j]; C[i,j] = relu(T[i,j] + s[i])", lambda a, b, s: (a @ b + s[:, None]).relu()),
        (
            "C[i,j] max= where(stored(A[i,k]), A[i,k] * B[k,j], absent)",
            lambda a, b, s: torch.where((a != 0)[:, :, None], a[:, :, None] * b, -torch.inf).amax(1),
        ),
    ],
)
def test_other_expressions(text: str, wanted: object) -> None:
    dense, b, s = weight(16, 23), torch.randn(23, 64), torch.randn(16)
    operands = {"A": frozen(dense), "B": b, **({"s": s} if "s[" in text else {})}
    assert grouping(text, **operands) is not None
    torch.testing.assert_close(scorch.compute(text, **operands), wanted(dense, b, s))  # type: ignore[operator]


@pytest.mark.usefixtures("wide_vectors")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16, torch.int32, torch.int8])
def test_other_number_types(dtype: torch.dtype) -> None:
    dense = (weight(16, 230, 0.9) * 3).to(dtype)
    b = torch.randint(-3, 4, (230, 320)).to(dtype)
    a = frozen(dense)
    assert grouping("C[i,j] += A[i,k] * B[k,j]", A=a, B=b) is not None
    tolerance = {"rtol": 1e-2, "atol": 1.0} if dtype in (torch.float16, torch.bfloat16) else {}
    wanted = dense.double() @ b.double()
    if not dtype.is_floating_point:
        wanted = wanted.long().to(dtype).double()  # wraps
    torch.testing.assert_close((a @ b).double(), wanted, **tolerance)


@pytest.mark.usefixtures("wide_vectors")
def test_columns_of_a_csc_matrix_and_batches() -> None:
    dense, b = weight(23, 16), torch.randn(23, 64)
    a = frozen(dense, "csc")
    assert grouping("C[i,j] += A[k,i] * B[k,j]", A=a, B=b) is not None
    torch.testing.assert_close(scorch.einsum("ki,kj->ij", a, b), dense.T @ b)
    batch = torch.randn(3, 23, 64)
    torch.testing.assert_close(scorch.einsum("ki,bkj->bij", a, batch), dense.T @ batch)


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("format", ["csr", "csc", "coo", "dcsr"])
@pytest.mark.parametrize("notation", ["ik,kj->ij", "ki,kj->ij"])
def test_any_format_is_brought_into_order_first(notation: str, format: str) -> None:
    dense = weight(16, 23) if notation.startswith("ik") else weight(23, 16)
    a, b = frozen(dense, format), torch.randn(23, 64)
    for choice in engine.choices(parse_einsum(notation, [a.shape, b.shape]), [as_storage(a), as_storage(b)]):
        if "grouped" in choice.description:
            operands = [as_storage(a), as_storage(b)]
            program = engine.prepare(parse_einsum(notation, [a.shape, b.shape]), operands, choice=choice.description)
            found = program([s.vals for s in operands])
            torch.testing.assert_close(found, torch.einsum(notation, dense, b))
    torch.testing.assert_close(scorch.einsum(notation, a, b), torch.einsum(notation, dense, b))


def test_what_keeps_rows_apart() -> None:
    b = torch.randn(23, 64)
    text = "C[i,j] += A[i,k] * B[k,j]"
    assert grouping(text, A=scorch.tensor(weight(16, 23), format="csr"), B=b) is None  # may change
    assert grouping(text, A=frozen(weight(15, 23)), B=b) is None  # no whole blocks
    assert grouping(text, A=frozen(weight(2000, 23, 0.01)), B=b) is None  # few rows share a coordinate
    assert grouping(text, A=frozen(weight(16, 23)), B=torch.randn(23, 2)) is None  # one vector: nothing to share
    assert grouping("C[i,j] += A[i,k] * B[i,k,j]", A=frozen(weight(16, 23)), B=torch.randn(16, 23, 64)) is None


@pytest.mark.usefixtures("plain")
def test_gradients_go_through() -> None:
    dense, b = weight(16, 23), torch.randn(23, 64, requires_grad=True)
    (frozen(dense) @ b).sum().backward()
    torch.testing.assert_close(b.grad, dense.T @ torch.ones(16, 64))

"""Register blocks: rows by vectors of dense expressions, and of sparse ones in dense blocks."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import scorch
from scorch import engine
from scorch.emit.jit import compile_kernel
from scorch.ir.einsum import parse_einsum
from scorch.ir.plan import Loop, Plan, Where, walk
from scorch.operand import as_storage
from scorch.schedule.machine import AVX2, AVX512, SSE
from scorch.schedule.planner import _candidates, schedule

MACHINES = {"AVX-512": AVX512, "AVX2": AVX2, "SSE": SSE}


def plan_of(text: str, **operands: torch.Tensor) -> Plan:
    plan = scorch.explain(text, **operands).plan
    assert isinstance(plan, Plan)
    return plan


def rows_of(plan: Plan) -> int:
    """How many rows the plan takes at a time."""
    blocks = [s.unroll for s in walk(plan.kernel.root) if isinstance(s, Loop) and isinstance(s.body, Where)]
    return max(blocks, default=1)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("columns", [1, 8, 37, 100])
@pytest.mark.parametrize("rows", [3, 12, 13])
def test_a_product_of_dense_matrices_on_every_machine(rows: int, columns: int, machine: str) -> None:
    a, b = torch.randn(rows, 7), torch.randn(7, columns)
    operands = [as_storage(a), as_storage(b)]
    statement = parse_einsum("ik,kj->ij", [(rows, 7), (7, columns)])
    with scorch.config.using(jit=False, threads=2):
        plan = schedule(replace(engine.problem_of(statement, operands), machine=MACHINES[machine]))
        found = engine.Program(plan, compile_kernel(plan.kernel), operands)([s.vals for s in operands])
    assert isinstance(found, torch.Tensor)
    torch.testing.assert_close(found, a @ b)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("columns", [200, 261])
@pytest.mark.parametrize("terms", [3, 19])
@pytest.mark.parametrize("notation", ["ik,kj->ij", "ik,jk->ij", "bik,kj->bij", "bik,jk->bij"])
def test_what_rows_share_is_packed_on_every_machine(notation: str, terms: int, columns: int, machine: str) -> None:
    a = torch.randn(*((2,) if notation[0] == "b" else ()), 14, terms)
    b = torch.randn(terms, columns) if ",kj" in notation else torch.randn(columns, terms)
    operands = [as_storage(a), as_storage(b)]
    statement = parse_einsum(notation, [a.shape, b.shape])
    with scorch.config.using(jit=False, threads=2):
        problem = replace(engine.problem_of(statement, operands), machine=MACHINES[machine])
        ways = [c.description for c in _candidates(problem) if c.layout.packed is not None]
        assert any("outermost" in way for way in ways)
        assert any("turned" in way for way in ways) == (",jk" in notation and terms > 16)
        for way in ways:
            plan = schedule(replace(problem, choice=way))
            assert "panel" in str(plan.kernel.root)
            found = engine.Program(plan, compile_kernel(plan.kernel), operands)([s.vals for s in operands])
            assert isinstance(found, torch.Tensor)
            torch.testing.assert_close(found, torch.einsum(notation, a, b), rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("width", [32, 37, 250])
def test_parts_of_a_weight_are_packed_one_by_one(width: int) -> None:
    x, weight = torch.randn(14, 19), torch.randn(3, width, 19)
    operands = [as_storage(x), as_storage(weight)]
    statement = parse_einsum("nk,pdk->pnd", [x.shape, weight.shape])
    ways = [c.description for c in engine.choices(statement, operands) if "packed" in c.description]
    assert any("turned" in way for way in ways)
    assert not any("outermost" in way for way in ways)
    for way in ways:
        found = engine.prepare(statement, operands, choice=way)([s.vals for s in operands])
        torch.testing.assert_close(found, torch.einsum("nk,pdk->pnd", x, weight), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(64, 100, 300), (5, 16, 272), (1, 48, 170), (33, 17, 163)])
def test_a_layers_weight_is_turned_while_it_is_packed(shape: tuple[int, int, int]) -> None:
    rows, terms, columns = shape
    x, weight = torch.randn(rows, terms), torch.randn(columns, terms)
    operands = [as_storage(x), as_storage(weight)]
    statement = parse_einsum("ik,jk->ij", [x.shape, weight.shape])
    ways = [c.description for c in engine.choices(statement, operands) if "turned" in c.description]
    assert ways or rows == 1
    for way in ways:
        found = engine.prepare(statement, operands, choice=way)([s.vals for s in operands])
        torch.testing.assert_close(found, x @ weight.t(), rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("plain")
def test_a_large_product_is_packed_and_finished() -> None:
    x, weight, bias = torch.randn(600, 260), torch.randn(260, 1030), torch.randn(1030)
    text = "T[n,o] += x[n,k] * W[k,o]; C[n,o] = tanh(T[n,o] + b[o])"
    plan = plan_of(text, x=x, W=weight, b=bias)
    assert any("packed" in other.description for other in plan.alternatives)
    with scorch.config.using(jit=True):
        found = scorch.compute(text, x=x / 16, W=weight, b=bias)
    torch.testing.assert_close(found, torch.tanh(x / 16 @ weight + bias), rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("plain")
def test_any_semiring_and_what_finishes_a_sum() -> None:
    a, b, bias = torch.randn(14, 5), torch.randn(5, 24), torch.randn(14)
    text = "C[i,j] max= A[i,k] + B[k,j]"
    assert rows_of(plan_of(text, A=a, B=b)) > 1
    torch.testing.assert_close(scorch.compute(text, A=a, B=b), (a[:, :, None] + b).amax(1))
    found = scorch.compute("C[i,j] += A[i,k] * B[k,j] * 2 + bias[i]", A=a, B=b, bias=bias)
    torch.testing.assert_close(found, 2 * a @ b + 5 * bias[:, None])


@pytest.mark.usefixtures("plain")
def test_rows_that_are_left_over_are_taken_singly() -> None:
    a, b = torch.randn(3, 2, 13, 5), torch.randn(5, 130)
    found = scorch.compute("C[n,h,i,j] min= A[n,h,i,k] * B[k,j]", A=a, B=b)
    torch.testing.assert_close(found, (a[..., None] * b).amin(3))


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("shape", [(0, 20, 5, 30), (3, 0, 5, 30), (3, 20, 0, 30), (3, 20, 5, 0)])
def test_extents_of_zero(shape: tuple[int, ...]) -> None:
    n, i, k, j = shape
    a, b = torch.rand(n, i, k), torch.rand(k, j)
    assert scorch.compute("C[n,i,j] max= A[n,i,k] + B[k,j]", A=a, B=b).shape == (n, i, j)
    torch.testing.assert_close(scorch.einsum("nik,kj->nij", a, b), a @ b)
    torch.testing.assert_close(scorch.einsum("nik,jk->nij", a, b.t().contiguous()), a @ b)


@pytest.mark.usefixtures("plain")
def test_rows_with_patterns_of_their_own_are_no_block() -> None:
    a = scorch.tensor((torch.rand(14, 9) < 0.4).float().to_sparse_csr())
    assert rows_of(plan_of("C[i,j] += A[i,k] * B[k,j]", A=a, B=torch.randn(9, 24))) == 1


def test_compiled_on_threads() -> None:
    a, b = torch.randn(203, 96), torch.randn(96, 150)
    text = "C[i,j] max= A[i,k] + B[k,j]"
    plan = plan_of(text, A=a, B=b)
    assert rows_of(plan) > 1
    assert plan.partition.unit == "coordinates" or scorch.config.threads == 1
    torch.testing.assert_close(scorch.compute(text, A=a, B=b), (a[:, :, None] + b).amax(1))


@pytest.mark.usefixtures("plain")
def test_a_dense_operand_is_turned_where_that_gives_vectors() -> None:
    a, b = torch.randn(200, 3), torch.randn(320, 3)
    text = "C[i,j] max= A[i,k] + B[j,k]"
    explained = scorch.explain(text, A=a, B=b)
    assert "convert B to dense(1,0), at each call" in str(explained)
    torch.testing.assert_close(scorch.compute(text, A=a, B=b), (a[:, None] + b[None]).amax(2))
    torch.testing.assert_close(scorch.compute(text, A=a, B=torch.randn(3, 320).t() * 0 + b), (a[:, None] + b).amax(2))

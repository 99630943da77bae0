"""Merges without branches: what is chosen, what the source looks like, and results whatever the operands hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch

import scorch
from scorch import engine
from scorch.formats import csr
from scorch.ir.plan import Loop, Plan, walk
from scorch.operand import as_storage


@pytest.fixture(autouse=True)
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with scorch.config.using(jit=False, cache_dir=tmp_path_factory.getbasetemp() / "merge-kernels"):
        yield


def matrix(seed: int, format: str = "csr", shape: tuple[int, int] = (13, 40), density: float = 0.2) -> scorch.Tensor:
    made = scipy.sparse.random_array(shape, density=density, format="csr", rng=np.random.default_rng(seed))
    return scorch.tensor(made).to(format)


def merged(text: str, **operands: Any) -> Plan:
    plan = scorch.explain(text, **operands).plan
    assert isinstance(plan, Plan)
    return plan


def is_blended(plan: Plan) -> bool:
    return any(isinstance(stmt, Loop) and stmt.blended for stmt in walk(plan.kernel.root))


A, B, C = matrix(0), matrix(1), matrix(2)


def test_a_sum_has_one_path_for_all_cases() -> None:
    explained = scorch.explain("S[i,j] = A[i,j] + B[i,j]", A=A, B=B)
    assert "for j merged without branches" in str(explained)
    assert "j: merged without branches" in str(explained)
    loop = explained.source.split("while A_p1 < A_e1 and B_p1 < B_e1:")[-1].split("while")[0]
    assert "if holds" in loop
    assert not [line for line in loop.splitlines() if line.strip().startswith(("if", "elif", "else"))]


@pytest.mark.parametrize("out", ["csr", "dense", "coo", "dcsr", "csr(unsorted)"])
@pytest.mark.parametrize("formats", [("csr", "csr"), ("dcsr", "csr"), ("coo", "dcsr"), ("csc", "csc")])
@pytest.mark.parametrize(
    "text",
    [
        "S[i,j] = A[i,j] + B[i,j]",
        "S[i,j] = A[i,j] * B[i,j]",
        "S[i,j] = A[i,j] - 2 * B[i,j]",
        "S[i,j] = max(A[i,j], B[i,j])",
        "S[i,j] = A[i,j] * (B[i,j] + C[i,j])",
        "S[i,j] = A[i,j] * B[i,j] + C[i,j]",
        "S[i,j] = relu(A[i,j] - B[i,j])",
    ],
)
def test_results_are_those_of_dense_operands(text: str, formats: tuple[str, str], out: str) -> None:
    if out == "csr(unsorted)" and formats[0] == "csc":
        out = "csc"
    operands = {"A": A.to(formats[0]), "B": B.to(formats[1])} | ({"C": C} if "C" in text else {})
    dense = {name: operand.to_dense() for name, operand in operands.items()}
    made = scorch.compute(text, **operands, out_format=out)
    torch.testing.assert_close(
        made if isinstance(made, torch.Tensor) else made.to_dense(), scorch.compute(text, **dense)
    )


@pytest.mark.parametrize(
    "text", ["s[i] += A[i,j] * B[i,j]", "s += A[i,j] * B[i,j]", "s[i] += A[i,j] * (B[i,j] + C[i,j])"]
)
def test_reductions_take_what_holds(text: str) -> None:
    operands = {"A": A, "B": B} | ({"C": C} if "C" in text else {})
    dense = scorch.compute(text, **{name: operand.to_dense() for name, operand in operands.items()})
    assert is_blended(merged(text, **operands))
    made = scorch.compute(text, **operands)
    torch.testing.assert_close(made if isinstance(made, torch.Tensor) else made.to_dense(), dense)


@pytest.mark.parametrize("room", [True, False])
@pytest.mark.parametrize("text", ["S[i,j] = A[i,j] + B[i,j]", "S[i,j] = A[i,j] * B[i,j]"])
def test_room_for_every_step_and_counting_first_give_the_same(text: str, room: bool) -> None:
    statement = scorch.explain(text, A=A, B=B, out_format="csr").plan.kernel.statement
    operands = [as_storage(A), as_storage(B)]
    names = [each.description for each in engine.choices(statement, operands, csr)]
    chosen = next(name for name in names if ("room for every step" in name) == room)
    program = engine.prepare(statement, operands, csr, choice=chosen)
    assert program.plan.kernel.assembly.bounded == room
    made = scorch.Tensor(program([storage.vals for storage in operands]))
    made.validate()
    a, b = A.to_dense(), B.to_dense()
    torch.testing.assert_close(made.to_dense(), a + b if "+" in text else a * b)


def test_entries_of_sums_are_not_counted_first() -> None:
    for shape in ((300, 400), (6000, 8000)):
        left, right = (matrix(seed, shape=shape, density=0.005) for seed in (7, 8))
        assert merged("S[i,j] = A[i,j] + B[i,j]", A=left, B=right, out_format="csr").kernel.assembly.bounded


def test_what_has_no_entry_is_not_computed_with() -> None:
    inf = scorch.from_coo([[0, 0], [1, 3]], [float("inf"), 1.0], (1, 5), "csr")
    other = scorch.from_coo([[0, 0], [0, 3]], [2.0, 3.0], (1, 5), "csr")
    assert is_blended(merged("S[i,j] = A[i,j] * B[i,j]", A=inf, B=other))
    product = scorch.compute("S[i,j] = A[i,j] * B[i,j]", A=inf, B=other, out_format="csr")
    assert product.coords().tolist() == [[0], [3]]
    assert product.values.tolist() == [3.0]
    assert scorch.compute("s += A[i,j] * B[i,j]", A=inf, B=other) == 3.0


@pytest.mark.parametrize(
    "text",
    [
        "S[i,j] = exp(A[i,j]) * B[i,j] + A[i,j]",  # takes longer than a branch
        "S[i,j] = A[i,j] / (B[i,j] + C[i,j])",
    ],
)
def test_what_is_merged_with_branches(text: str) -> None:
    operands = {name: value for name, value in {"A": A, "B": B, "C": C}.items() if name in text}
    plan = merged(text, **operands)
    assert not is_blended(plan)


def test_little_of_much_room_is_copied_out_of_it() -> None:
    left = scorch.tensor(torch.eye(64).roll(1, 0)).to("csr")
    right = scorch.tensor(torch.eye(64)).to("csr")
    left = scorch.compute("S[i,j] = A[i,j] + B[i,j]", A=left, B=right, out_format="csr")
    made = scorch.compute("S[i,j] = A[i,j] * B[i,j]", A=left, B=right.T.to("csr"), out_format="csr")
    assert made.nnz == 64
    few = scorch.compute("S[i,j] = A[i,j] * B[i,j]", A=matrix(5, density=0.6), B=matrix(6, density=0.01))
    assert few.values.untyped_storage().nbytes() <= 8 * 4 * max(1, few.nnz)


@pytest.mark.compiled
@pytest.mark.parametrize(
    "text", ["S[i,j] = A[i,j] + B[i,j]", "S[i,j] = A[i,j] * B[i,j]", "S[i,j] = A[i,j] - 2 * B[i,j]"]
)
def test_compiled_and_shared_among_threads(text: str) -> None:
    left, right = (matrix(seed, shape=(6000, 8000), density=0.005) for seed in (7, 8))
    with scorch.config.using(jit=True, threads=2):
        explained = scorch.explain(text, A=left, B=right, out_format="csr")
        assert explained.plan.partition.unit == "coordinates"
        assert explained.plan.kernel.assembly.bounded
        made = scorch.compute(text, A=left, B=right, out_format="csr")
    assert isinstance(made, scorch.Tensor)
    made.validate()
    a, b = left.to_scipy(), right.to_scipy()
    wanted = {"+": a + b, "*": a * b, "-": a - 2 * b}[text.split("A[i,j] ")[1][0]]
    assert abs(made.to_scipy() - wanted).max() < 1e-12

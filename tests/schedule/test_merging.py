"""Galloping: chosen by statistics, told by explain, and right whatever the operands hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch

import scorch
from scorch.explain import Explanations
from scorch.ir.plan import Loop, Plan, walk


@pytest.fixture(autouse=True)
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with scorch.config.using(jit=False, cache_dir=tmp_path_factory.getbasetemp() / "gallop-kernels"):
        yield


def matrix(density: float, shape: tuple[int, int] = (30, 800), format: str = "csr", seed: int = 0) -> scorch.Tensor:
    rng = np.random.default_rng(seed)
    return scorch.tensor(scipy.sparse.random_array(shape, density=density, format="csr", rng=rng)).to(format)


def loops(explained: Any) -> dict[str, Loop]:
    plan = explained.plan
    assert isinstance(plan, Plan)
    return {stmt.index: stmt for stmt in walk(plan.kernel.root) if isinstance(stmt, Loop)}


SHORT, LONG = matrix(0.005), matrix(0.4, seed=1)


def test_the_long_operand_is_searched() -> None:
    explained = scorch.explain("ij,ij->i", SHORT, LONG)
    (searched,) = loops(explained)["j"].searched
    assert searched.tensor == "B"
    assert "for j, searched in B[i,j]" in str(explained)
    assert "j: coordinates are searched in B[i,j], which has about 320" in str(explained)
    assert "gallop(B_crd1" in explained.source
    assert loops(scorch.explain("ij,ij->i", LONG, SHORT))["j"].searched[0].tensor == "A"


@pytest.mark.parametrize(
    ("text", "left", "right"),
    [
        ("C[i] = A[i,j] * B[i,j]", LONG, matrix(0.3, seed=2)),
        ("C[i,j] = A[i,j] + B[i,j]", SHORT, LONG),
        ("C[i] = A[i,j] * B[i,j]", SHORT, matrix(1.0).to("dense")),
    ],
)
def test_what_is_merged_as_ever(text: str, left: scorch.Tensor, right: scorch.Tensor) -> None:
    explained = scorch.explain(text, A=left, B=right)
    assert "searched" not in str(explained)


@pytest.mark.parametrize("format", ["csr", "coo", "dcsr", "csc"])
@pytest.mark.parametrize("text", ["C[i] = A[i,j] * B[i,j]", "C[i,j] = A[i,j] * B[i,j]", "C[j] = A[i,j] * B[i,j]"])
def test_results_are_those_of_dense_operands(format: str, text: str) -> None:
    left, right = matrix(0.01, (7, 300), format), matrix(0.6, (7, 300), seed=3)
    made = scorch.compute(text, A=left, B=right)
    dense = made if isinstance(made, torch.Tensor) else made.to_dense()
    torch.testing.assert_close(dense, scorch.compute(text, A=left.to_dense(), B=right.to_dense()))


def test_several_are_searched_and_ends_are_met() -> None:
    lead = scorch.from_coo([[0, 5, 399]], [1.0, 2.0, 3.0], (400,))
    long = [scorch.tensor(torch.arange(400.0) * (torch.arange(400) % step == 0), format="coo") for step in (3, 2)]
    for others in (long, long[::-1]):
        text, operands = "s max= A[i] * B[i] * C[i]", dict(zip("ABC", (lead, *others), strict=True))
        explained = scorch.explain(text, **operands)
        steps = explained.parts if isinstance(explained, Explanations) else (explained,)
        assert max(len(loop.searched) for step in steps for loop in loops(step).values()) == 2
        dense = [operand.to_dense() for operand in operands.values()]
        assert scorch.compute(text, **operands) == (dense[0] * dense[1] * dense[2]).amax()
    assert scorch.einsum("i,i->", lead, scorch.tensor(torch.zeros(400), format="coo")) == 0


def test_coordinates_that_lead_several_entries_are_walked_to_their_end() -> None:
    rng = torch.Generator().manual_seed(0)
    cube, factor = (torch.randn(shape, generator=rng, dtype=torch.float64) for shape in ((17, 65, 65), (65, 17)))
    cube *= torch.rand(cube.shape, generator=rng) < 0.01
    factor *= torch.rand(factor.shape, generator=rng) < 0.1
    operands = {"T": scorch.tensor(cube, "coo"), "C": scorch.tensor(factor, "coo")}
    text = "Y[i,j,r] = T[i,j,k] * C[k,r]"
    assert "searched in B[k,r]" in str(scorch.explain(text, **operands))
    torch.testing.assert_close(scorch.compute(text, **operands).to_dense(), torch.einsum("ijk,kr->ijr", cube, factor))

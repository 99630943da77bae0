"""Blocks and bitmaps, which store zeros too: every function on them, against torch on the dense tensor."""

from __future__ import annotations

import pytest
import torch

from tests.functions import test_arithmetic as arithmetic
from tests.functions import test_reductions as reductions
from tests.functions import test_structure as structure
from tests.functions.agreement import Function, check, random_dense, sparse

FORMATS = ("bsr(2,5)", "dense, bitmap")
CALLS: dict[str, Function] = (
    structure.MATRIX
    | arithmetic.MIXED
    | arithmetic.UNARY
    | reductions.PRODUCTS
    | {f"{name} along 1": lambda A, f=f: f(A, 1) for name, f in reductions.REDUCTIONS.items()}
)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", CALLS)
def test_one_operand(name: str, format: str) -> None:
    dense = random_dense(4, 5)
    check(CALLS[name], [sparse(dense, format)], [dense], f"{name} of {format}", exact=False)


@pytest.mark.parametrize("formats", [(a, b) for a in FORMATS for b in (*FORMATS, "csr", "csc")])
@pytest.mark.parametrize("name", ["add", "mul", "maximum", "where", "ne", "hypot", "broadcast row", "equal"])
def test_two_operands(name: str, formats: tuple[str, str]) -> None:
    dense = [random_dense(4, 5), random_dense(4, 5, seed=8)]
    operands = [sparse(x, format) for x, format in zip(dense, formats, strict=True)]
    check(arithmetic.BOTH[name], operands, dense, f"{name} of {formats}")


@pytest.mark.parametrize("format", FORMATS)
def test_patterns_are_kept(format: str) -> None:
    A = sparse(random_dense(4, 5), format)
    for made in (torch.relu(A), A * 2, A * A, torch.zeros_like(A)):
        assert made._storage.pattern is A._storage.pattern

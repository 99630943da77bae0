"""Notation from Python objects: the same statements as text, and what is refused."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import scorch
from scorch.errors import NotationError
from scorch.indexing import (
    Index,
    Result,
    Statement,
    Term,
    absent,
    access,
    collect,
    indices,
    is_symbolic,
    result,
    stored,
    where,
)
from scorch.ir.parse import parse_statements

pytestmark = pytest.mark.smoke

i, j, k, d = indices("i j k d")
A, B = torch.ones(3, 3), torch.ones(3, 3).to_sparse_csr()
x = torch.ones(3)
C, T, s = result("C"), result("T"), result("s")

SAME: list[tuple[Callable[[], Any], str]] = [
    (lambda: C[i, j] << A[i, k] * B[k, j], "C[i,j] = A[i,k] * B[k,j]"),
    (lambda: C[i] << x[2 * i + k - 1] * x[k], "C[i] = A[2*i+k-1] * A[k]"),
    (lambda: C[i] << x[1 - i] + x[-i + 3 * k] + x[(i - 2) * 2], "C[i] = A[-i+1] + A[-i+3*k] + A[2*i-4]"),
    (lambda: C[i] << A[x[i], k] * x[k], "C[i] = A[B[i],k] * B[k]"),
    (lambda: C[i, j] << A[i, k] * B[k, j] + x[i], "C[i,j] = A[i,k] * B[k,j] + D[i]"),
    (lambda: C[i] << A[i, i], "C[i] = A[i,i]"),
    (lambda: C[i] << A[i, k] * A[k, i] * x[k], "C[i] = A[i,k] * A[k,i] * B[k]"),
    (lambda: C[i, j].reduce("min", A[i, k] + B[k, j]), "C[i,j] min= A[i,k] + B[k,j]"),
    (lambda: C[i].reduce("+", A[i, k] - 1), "C[i] += A[i,k] - 1"),
    (lambda: C[i].reduce("|", A[i, k] > 0), "C[i] |= A[i,k] > 0"),
    (lambda: s << x[i] * x[i], "s = A[i] * A[i]"),
    (lambda: C[i] << torch.tensor(2.0) * x[i], "C[i] = A * B[i]"),
    (lambda: C[i] << x[i] * torch.tensor(2.0), "C[i] = A[i] * B"),
    (lambda: C[i] << np.float64(2.5) * x[i] + np.int64(3), "C[i] = 2.5 * A[i] + 3"),
    (lambda: C[i] << 1 - x[i], "C[i] = 1 - A[i]"),
    (lambda: C[i] << 1 / x[i] / 2, "C[i] = 1 / A[i] / 2"),
    (lambda: C[i] << -(x[i] ** 2), "C[i] = -A[i] ** 2"),
    (lambda: C[i] << 2 ** x[i], "C[i] = 2 ** A[i]"),
    (lambda: C[i] << (x[i] // 2) % 3, "C[i] = A[i] // 2 % 3"),
    (lambda: C[i] << 7 // x[i] + 7 % x[i], "C[i] = 7 // A[i] + 7 % A[i]"),
    (lambda: C[i] << abs(+x[i]), "C[i] = abs(A[i])"),
    (lambda: C[i] << ((x[i] < 1) & ~(x[i] == 2) | (x[i] != 3)), "C[i] = (A[i] < 1) & ~(A[i] == 2) | (A[i] != 3)"),
    (lambda: C[i] << (x[i] >= 1), "C[i] = A[i] >= 1"),
    (lambda: C[i] << (x[i] <= 1), "C[i] = A[i] <= 1"),
    (lambda: C[i] << (True & (x[i] > 1)), "C[i] = True & (A[i] > 1)"),
    (lambda: C[i] << x[i].exp().max(0), "C[i] = max(exp(A[i]), 0)"),
    (lambda: C[i] << x[i].max(1, 2), "C[i] = max(A[i], 1, 2)"),
    (lambda: C[i] << torch.exp(x[i]) + torch.sigmoid(x[i]), "C[i] = exp(A[i]) + sigmoid(A[i])"),
    (lambda: C[i] << torch.maximum(x[i], A[i, i]), "C[i] = max(A[i], B[i,i])"),
    (lambda: C[i] << torch.nn.functional.relu(x[i]), "C[i] = relu(A[i])"),
    (lambda: C[i] << torch.where(x[i] > 0, x[i], 0.1), "C[i] = where(A[i] > 0, A[i], 0.1)"),
    (lambda: C[i] << torch.tensor(1.0) - x[i], "C[i] = A - B[i]"),
    (lambda: C[i] << (torch.tensor(1.0) < x[i]), "C[i] = A < B[i]"),
    (lambda: C[i] << torch.tensor(2.0) ** x[i], "C[i] = A ** B[i]"),
    (lambda: C[i] << torch.tensor(2.0) / x[i] % 3, "C[i] = A / B[i] % 3"),
    (
        lambda: C[i, j] << where(stored(B[i, j]), A[i, d] * A[j, d], absent),
        "C[i,j] = where(stored(A[i,j]), B[i,d] * B[j,d], absent)",
    ),
]


@pytest.mark.parametrize(("build", "text"), SAME, ids=[text for _, text in SAME])
def test_the_same_statements_as_text(build: Callable[[], Statement], text: str) -> None:
    assert collect(build()).statements == parse_statements(text)


def test_several_statements_and_their_operands() -> None:
    found = collect(T[i, j] << A[i, k] * B[k, j], C[i].reduce("max", T[i, j] * x[j] - A[i, j]))
    assert found.statements == parse_statements("T[i,j] = A[i,k] * B[k,j]; C[i] max= T[i,j] * D[j] - A[i,j]")
    assert list(found.operands) == ["A", "B", "D"]
    assert all(found.operands[name] is tensor for name, tensor in {"A": A, "B": B, "D": x}.items())
    assert found.targets == {}


def test_an_existing_tensor_can_be_the_target() -> None:
    out = torch.zeros(3, 3)
    found = collect(out[i, j] << A[i, k] * B[k, j])
    assert found.statements == parse_statements("C[i,j] = A[i,k] * B[k,j]")
    assert found.targets["C"] is out
    assert list(found.operands) == ["A", "B"]


def test_names_avoid_results_and_indices() -> None:
    (B2,) = indices("B")
    assert str(collect(C[i] << A[i, B2] * x[B2]).statements[0]) == "C[i] = A[i,B] * D[B]"
    many = [torch.ones(3) for _ in range(30)]
    total = many[0][i]
    for one in many[1:]:
        total = total * one[i]
    assert list(collect(C[i] << total).operands)[-8:] == ["Y", "Z", "A0", "A1", "A2", "A3", "A4", "A5"]


@pytest.mark.parametrize("layout", ["coo", "csr", "csc", "bsr", "parameter", "subclass"])
def test_every_torch_tensor_can_be_indexed(layout: str) -> None:
    dense = torch.eye(4)
    tensor = {
        "coo": dense.to_sparse,
        "csr": dense.to_sparse_csr,
        "csc": dense.to_sparse_csc,
        "bsr": lambda: dense.to_sparse_bsr((2, 2)),
        "parameter": lambda: torch.nn.Parameter(dense),
        "subclass": lambda: dense.as_subclass(type("Own", (torch.Tensor,), {})),
    }[layout]()
    found = collect(C[i] << tensor[i, k])
    assert found.operands["A"] is tensor


def test_other_operands_take_access() -> None:
    array = np.ones((2, 3))
    tensor = scorch.tensor(A)
    found = collect(C[i] << access(array, (i, k)) * access(tensor, (i, k)))
    assert found.statements == parse_statements("C[i] = A[i,k] * B[i,k]")
    assert found.operands["A"] is array
    assert found.operands["B"] is tensor


def test_printing() -> None:
    assert repr(A[i, k] * x[k]) == "A[i,k] * B[k]"
    assert repr(C[i] << T[i, k] * A[i, k]) == "C[i] = T[i,k] * A[i,k]"
    assert repr(C) == "C"
    assert str(i) == "i"


def test_indices() -> None:
    assert indices("i, j k1") == (Index("i"), Index("j"), Index("k1"))
    assert is_symbolic(i)
    assert is_symbolic((i, slice(None)))
    assert not is_symbolic((0, slice(None)))
    assert not is_symbolic(())
    for names, message in (("i i", "duplicate"), (" ", "expected the names"), ("2", "not '2'"), ("in", "not 'in'")):
        with pytest.raises(NotationError, match=message):
            indices(names)
    with pytest.raises(NotationError, match="not 'a b'"):
        result("a b")


REFUSED: list[tuple[Callable[[], Any], str]] = [
    (lambda: x[i * 0.5], "multiplied by whole numbers, not combined with 0.5"),
    (lambda: x[i * k], "not combined with k"),
    (lambda: x[i // 2], "not combined with 2"),
    (lambda: x[i + True], "not combined with True"),
    (lambda: x[i - i], "indexes every dimension by an Index"),
    (lambda: x[x[i] + x[k]], "by different indices alone"),
    (lambda: x[A[i, i]], "by different indices alone"),
    (lambda: x[x[i + 1]], "by different indices alone"),
    (lambda: C[i + 1] << x[i], "a result is indexed by names alone"),
    (lambda: A[i, 0], "an Index, not by 0; slice the tensor first"),
    (lambda: A[i], "a tensor of 2 dimensions is given 1 index"),
    (lambda: B[i, j, k], "a tensor of 2 dimensions is given 3 indices"),
    (lambda: access(x, (i, j)), "a tensor of 1 dimension is given 2 indices"),
    (lambda: C[0], "not by 0"),
    (lambda: C[i] << A * x[i], "a tensor of 2 dimensions needs its indices"),
    (lambda: C[i] << x[i] * A, "a tensor of 2 dimensions needs its indices"),
    (lambda: x[i] + "2", "a str can't be part of an expression"),
    (lambda: x[i] * i, "index i has no value"),
    (lambda: x[i] * 2**70, "does not fit into 64 bits"),
    (lambda: x[i] * A[i, j] << x[i], "only an indexed tensor can be assigned to"),
    (lambda: C[i] << x[i] < 3, "not supported between|<< binds more tightly"),
    (lambda: C[i] << x[i] < x[i], "<< binds more tightly"),
    (lambda: C[i] << x[i] | x[i], "<< binds more tightly"),
    (lambda: 1 < x[i] < 3, "a Term has no truth value"),
    (lambda: C[i].reduce("-", x[i]), "nothing can be reduced by '-'"),
    (lambda: operator.setitem(C, i, x[i]), "a statement is written C"),
    (lambda: operator.setitem(torch.ones(3), i, x[i]), "a statement is written C"),
    (lambda: torch.exp(i), "an index has no value, so torch's exp"),  # type: ignore[call-overload]
    (lambda: torch.cumsum(x[i], 0), "torch's cumsum has no counterpart"),  # type: ignore[call-overload]
    (lambda: torch.add(x[i], x[i], alpha=2), "torch's add has no counterpart"),  # type: ignore[call-overload]
    (lambda: x[i].where(1), "where takes 3 arguments, but 2 are given"),  # type: ignore[call-overload]
    (lambda: stored(x[i] + 1), "stored takes a tensor"),
    (lambda: collect(C[i] << T[i]), "result T is read, but no statement assigns it"),
]


@pytest.mark.parametrize(("build", "message"), REFUSED)
def test_what_is_refused(build: Callable[[], Any], message: str) -> None:
    with pytest.raises((NotationError, TypeError), match=message):
        build()


def test_what_is_not_available() -> None:
    with pytest.raises(AttributeError, match="a Term has no 'sum'"):
        x[i].sum()  # type: ignore[operator]
    with pytest.raises(TypeError):
        iter(C)


def test_a_term_lists_its_methods() -> None:
    assert {"exp", "relu", "max", "reduce"} <= set(dir(x[i]))
    assert isinstance(C, Term)
    assert isinstance(C, Result)


def test_long_chains_are_refused_before_the_stack_is_exhausted() -> None:
    term = x[i]
    for _ in range(300):
        term = term - 1
    with pytest.raises(NotationError, match="nested more than 100 deep"):
        C[i] << term

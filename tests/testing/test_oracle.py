"""The oracle says what is certain: the answer, except where the order of operations may choose between infinities."""

import pytest
import torch

import scorch
from scorch.ir.normalise import normalise
from scorch.ir.parse import parse_statements
from scorch.testing.oracle import Expected, reference

INF = float("inf")


def expected(text: str, **operands: scorch.Tensor) -> Expected:
    return reference(normalise(parse_statements(text)), operands)


def dense(*values: float) -> scorch.Tensor:
    return scorch.tensor(torch.tensor(values, dtype=torch.float64))


def test_values_are_certain() -> None:
    found = expected("C = A[i] / B[i]", A=dense(1.0, 2.0), B=dense(2.0, -4.0))
    assert found.value.item() == 0.0
    assert found.certain.all()


@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_the_sign_of_a_division_by_zero_is_not_certain(zero: float) -> None:
    found = expected("C[i] = A[i] / B[i]", A=dense(1.0, 2.0), B=dense(zero, 4.0))
    assert found.certain.tolist() == [False, True]


def test_nan_that_depends_on_when_a_factor_leaves_a_sum_is_not_certain() -> None:
    found = expected("C[i] = A[i] * B[j]", A=dense(INF, 2.0), B=dense(1.0, -1.0))
    assert found.certain.tolist() == [False, True]


def test_an_infinity_made_on_the_way_counts() -> None:
    found = expected("C[i] = exp(A[i]) * B[j]", A=dense(1000.0, 0.0), B=dense(1.0, -1.0))
    assert found.certain.tolist() == [False, True]


def test_zero_in_a_product_that_overflows_is_not_certain() -> None:
    found = expected("C *= A[i]", A=dense(0.0, 1e200, 1e200))
    assert not found.certain
    assert expected("C *= A[i]", A=dense(0.0, 1e20, 1e10)).certain
    assert not expected("C *= A[i]", A=dense(1e200, 1e200, 0.0)).certain  # NaN, unless 0 is met first
    double = scorch.tensor(torch.tensor([0.0, 1e200, 1e200], dtype=torch.complex128))
    assert not expected("C *= A[i]", A=double).certain


def test_entries_stored_twice_beside_an_infinity_are_not_certain() -> None:
    format = scorch.Format("compressed(nonunique)")
    twice = scorch.from_coo([[0, 0, 1]], [3.0, -1.0, 2.0], (2,), format=format)
    assert expected("C[i] = A[i] * B[i]", A=dense(INF, 2.0), B=twice).certain.tolist() == [False, True]
    once = scorch.from_coo([[0, 1]], [2.0, 2.0], (2,))
    assert expected("C[i] = A[i] * B[i]", A=dense(INF, 2.0), B=once).certain.all()

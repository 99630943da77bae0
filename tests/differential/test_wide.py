"""Unions of many operands, which are computed in parts."""

from __future__ import annotations

import numpy as np
import pytest

import scorch
from tests.differential.oracle import build, dense_of


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("format", ["csr", "dcsr", "coo"])
def test_a_sum_of_six(format: str) -> None:
    rng = np.random.default_rng(4)
    arrays = {name: rng.integers(1, 4, (6, 5)) * (rng.random((6, 5)) < 0.3) * 1.0 for name in "ABDEFG"}
    text = "C[i,j] = " + " + ".join(f"{name}[i,j]" for name in arrays)
    result = scorch.compute(text, **{name: build(array, format) for name, array in arrays.items()})
    np.testing.assert_array_equal(dense_of(result), sum(arrays.values()))


@pytest.mark.usefixtures("plain")
def test_an_error_function_needs_no_more_than_its_module() -> None:
    assert scorch.compute("y[i] = erf(x[i])", x=np.array([0.0, 3.0])).tolist() == pytest.approx([0, 1], abs=1e-4)


@pytest.mark.usefixtures("plain")
def test_true_where_nothing_is_stored_is_no_identity_of_a_count() -> None:
    a, d = np.array([[True, True], [True, False], [True, False]]), np.zeros(2, dtype=bool)
    result = scorch.compute("C[i] = A[j,i] & (D[i] == False)", A=a, D=build(d, "coo"), out_format="dense")
    assert result.tolist() == [1, 1]  # of 3 and 1, the lowest bit

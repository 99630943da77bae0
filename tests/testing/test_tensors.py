"""Tensors for tests are what they are said to be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from scorch.formats import Format, coo, csr, dense
from scorch.testing import Operand, build
from scorch.testing.strategies import operands


@settings(max_examples=30)
@given(operand=operands((2, 3, 2)))
def test_any_operand_is_well_formed(operand: Operand) -> None:
    made = operand.make().validate()
    assert made.format == operand.format
    assert made.shape == operand.shape


@pytest.mark.parametrize("format", [csr, coo(2), dense(2), Format("compressed, dense", order=(1, 0))])
def test_values_and_fill(format: Format) -> None:
    array = np.array([[1.0, 5.0, 1.0], [1.0, 1.0, 2.0]])
    made = build(array, format, fill=1)
    assert made.to_dense().tolist() == array.tolist()


def test_entries_are_shuffled_and_doubled_where_the_format_allows_it() -> None:
    array = np.arange(1.0, 21.0).reshape(4, 5)
    loose = Format("compressed(nonordered, nonunique), singleton(nonordered, nonunique)")
    made = build(array, loose, rng=np.random.default_rng(0))
    rows = made.coords()[0].tolist()
    assert rows != sorted(rows)
    assert made.nnz > array.size
    assert made.to_dense().tolist() == array.tolist()

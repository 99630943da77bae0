"""Reductions over SIMD lanes: those behind the last value must not count."""

from __future__ import annotations

import pytest
import torch

import scorch


@pytest.fixture(autouse=True)
def _uncompiled():
    with scorch.config.using(jit=False):
        yield


@pytest.mark.parametrize("count", [1, 7, 16, 21])
@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("C[i] += A[i,k] + 1", lambda a: (a + 1).sum(1)),
        ("C[i] += exp(A[i,k])", lambda a: a.exp().sum(1)),
        ("C[i] += sigmoid(A[i,k]) * 2", lambda a: a.sigmoid().sum(1) * 2),
        ("C[i] max= A[i,k]", lambda a: a.amax(1)),
        ("C[i] min= A[i,k] * 2", lambda a: a.amin(1) * 2),
        ("C[i] *= A[i,k]", lambda a: a.prod(1)),
    ],
)
def test_lanes_behind_the_last_value_are_neutral(text, wanted, count):
    A = torch.rand(5, count, generator=torch.Generator().manual_seed(1)) - 3  # all negative: 0 would be the largest
    torch.testing.assert_close(scorch.compute(text, A=A), wanted(A))

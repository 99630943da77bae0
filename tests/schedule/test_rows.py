"""Statements in one kernel: how the loops of each are unrolled."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import scorch

DEGREE = 40
NEIGHBOURS = np.stack([np.repeat(np.arange(200), DEGREE), np.arange(200 * DEGREE) % 200])
GRAPH = scorch.from_coo(NEIGHBOURS, torch.ones(200 * DEGREE), (200, 200), format="csr")
FEATURES = torch.ones(200, 16)


def _plan(text: str, **operands: object) -> str:
    return str(scorch.explain(text, out_format="dense", A=GRAPH, X=FEATURES, **operands).plan)  # type: ignore[union-attr]


@pytest.mark.parametrize("finish", ["T[i,j]", "relu(T[i,j])", "T[i,j] + b[j]", "T[i,j] + X[i,j]"])
def test_what_finishes_a_sum_leaves_its_loop_as_it_is(finish: str) -> None:
    bias = {"b": torch.ones(16)} if "b[j]" in finish else {}
    plan = _plan(f"T[i,j] += A[i,k] * X[k,j]; C[i,j] = {finish} * 2", **bias)
    assert "for k unrolled" in plan


def test_a_dense_reduction_in_a_row_is_unrolled() -> None:
    text = "T[i,k] += A[i,j] * X[j,k]; C[i,o] += T[i,k] * W[k,o]"
    narrow, W = torch.ones(200, 19), torch.rand(19, 16)
    plan = str(scorch.explain(text, out_format="dense", A=GRAPH, X=narrow, W=W).plan)  # type: ignore[union-attr]
    assert "for k unrolled" in plan  # in groups, with iterations left over
    with scorch.config.using(jit=False):
        made = scorch.compute(text, out_format="dense", A=GRAPH, X=narrow, W=W)
    torch.testing.assert_close(made, GRAPH.to_dense() @ narrow @ W)

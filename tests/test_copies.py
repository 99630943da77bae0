"""Copies into another format by a plan that was made for another tensor of about the same size."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import scorch
from scorch.config import config
from scorch.engine import copies

FORMATS = ["csr", "csc", "dcsr", "dcsc", "coo"]


@pytest.mark.parametrize("source", FORMATS)
def test_tensors_of_about_the_same_size_share_plans_and_are_right(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "_kept", type(copies._kept)())
    rng = np.random.default_rng(0)
    planned = []
    with config.using(jit=False):
        for shape, nnz in [((13, 17), 30), ((14, 16), 31), ((12, 31), 28), ((15, 18), 0), ((0, 17), 0), ((13, 17), 30)]:
            coords = np.stack([rng.integers(0, max(1, extent), nnz) for extent in shape])
            A = scorch.from_coo(coords, torch.rand(nnz), shape, source)
            for target in FORMATS:
                B = A.to(target)
                B.validate()
                assert torch.equal(B.to_dense(), A.to_dense())
            planned.append(len(copies._kept))
    assert planned[2] <= planned[0] + planned[0]  # at most as many again, where a level of rows is complete or is not
    assert planned[-1] == planned[-2]


def test_a_pattern_with_an_empty_row_has_a_plan_of_its_own() -> None:
    full, gap = torch.eye(6), torch.eye(6)
    gap[3] = 0
    with config.using(jit=False):
        for x in (full, gap, full):
            for source in ("csr", "dcsr"):
                made = scorch.tensor(x, source).to("csc")
                made.validate()
                assert torch.equal(made.to_dense(), x)


def test_plans_are_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "KEPT", 3)
    monkeypatch.setattr(copies, "_kept", type(copies._kept)())
    with config.using(jit=False):
        for size in (2, 5, 9, 20, 40):
            scorch.tensor(torch.eye(size), "csr").to("csc")
    assert len(copies._kept) <= 3

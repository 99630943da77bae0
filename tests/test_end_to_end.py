"""Whole models in the comparison: every contender computes the same. No times."""

from __future__ import annotations

import pytest

from asv_benchmarks.compare import families
from asv_benchmarks.compare.model import Options
from asv_benchmarks.compare.options import parse

OPTIONS = Options(families=("end-to-end",), quick=True, rounds=1, budget=0.0)
SMALL = ("sparse-input", "64-48-32/autoencoder 90 %", "linear 90 %")


def test_the_flag_names_the_family() -> None:
    assert parse(["--end-to-end"]).families == ("end-to-end",)


def test_every_task_of_every_model_is_there() -> None:
    ids = " ".join(case.id for _, case in families.select(OPTIONS))
    tasks = (
        "GCN",
        "GraphSAGE",
        "GAT",
        "GCN training step",
        "linear",
        "autoencoder",
        "sparse-input",
        "decoder",
        "longformer",
    )
    assert all(task in ids for task in (*tasks, "bigbird"))


@pytest.mark.compiled
@pytest.mark.parametrize("name", SMALL)
def test_contenders_agree(name: str) -> None:
    family, case = next((f, c) for f, c in families.select(OPTIONS) if name in c.id)
    outcomes = family.measure(case, OPTIONS).outcomes
    assert {outcome.peer for outcome in outcomes if outcome.rival} == {"scorch", "torch.sparse", "torch dense"}
    assert not [outcome for outcome in outcomes if outcome.wrong]
    assert all(outcome.value for outcome in outcomes if outcome.peer == "scorch")

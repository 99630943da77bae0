"""The schedule's choices: converted operands, merged operands, and a plan for whatever is legal."""

from __future__ import annotations

import pytest

from scorch.formats import Format, csr
from scorch.schedule import planner
from scorch.schedule.planner import schedule
from tests.schedule.problems import Spec, problem

UNSORTED_ROWS = Format("dense, compressed(nonordered, nonunique)")


def matrix(format: Format | str, nnz: int = 60) -> Spec:
    return ((30, 30), nnz, format)


@pytest.mark.smoke
def test_the_cheapest_candidate_is_taken() -> None:
    asked = problem("ik,kj->ij", matrix("csr"), matrix("csr"))
    plan = schedule(asked)
    assert plan.cost == pytest.approx(min(c.cost for c in planner._candidates(asked)) / 1000)
    assert [a.cost for a in plan.alternatives] == sorted(a.cost for a in plan.alternatives)
    assert plan.alternatives[0].cost == plan.cost


def test_operands_against_the_loop_order_are_converted() -> None:
    asked = problem("ij,ij->ij", matrix("csr"), matrix("csc"))
    assert len(schedule(asked).conversions) == 1


def test_unordered_operands_are_sorted_where_they_are_merged() -> None:
    merged = schedule(problem("ij,ij->ij", matrix(UNSORTED_ROWS), matrix("csr")))
    assert merged.conversions == (("A", csr),)
    alone = schedule(problem("ik,k->i", matrix(UNSORTED_ROWS), ((30,), 0, "dense")))
    assert alone.conversions == ()


def test_an_operand_is_sorted_if_another_s_conversion_merges_them() -> None:
    """B comes to be walked over j only when it is converted, which is decided after A was looked at."""
    asked = problem("ij,ij->ij", matrix(UNSORTED_ROWS), matrix("csc"))
    for candidate in planner._candidates(asked):
        walked = {name: str(f) for name, f in candidate.layout.formats.items()}
        if candidate.layout.order == ("i", "j") and walked["B"] == "csr":
            assert walked["A"] == "csr"


def test_duplicates_don_t_accumulate_into_what_is_written_once() -> None:
    plan = schedule(problem("ij->i", matrix(UNSORTED_ROWS)))
    assert plan.kernel.assembly.owned
    assert "C" not in str(plan.kernel)
    assert "B[i] = acc" in str(plan.kernel)


def test_every_permutation_is_legal_after_conversion() -> None:
    asked = problem("ijk,ijk->ijk", ((5, 4, 3), 20, "csf"), ((5, 4, 3), 20, "coo"))
    assert {c.layout.order for c in planner._candidates(asked)} >= {("i", "j", "k"), ("k", "j", "i")}

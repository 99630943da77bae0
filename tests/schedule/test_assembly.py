"""How a loop order can write a result format, and what the order and uniqueness of operands forbid."""

from __future__ import annotations

import pytest

from scorch.formats import Format
from scorch.schedule.assembly import Writing, choose_assembly, unsorted_coo
from scorch.schedule.problem import Problem
from tests.schedule.problems import problem

N = 30
UNSORTED = Format("compressed(nonordered, nonunique), singleton(nonordered, nonunique)")
UNSORTED_ROWS = Format("dense, compressed(nonordered, nonunique)")


def writing(asked: Problem, order: str) -> Writing:
    formats = {operand.name: operand.format for operand in asked.operands}
    assert asked.wanted is not None
    return choose_assembly(asked, tuple(order), asked.wanted, formats)


def product(a: Format | str, b: Format | str, wanted: Format | str) -> Problem:
    return problem("ik,kj->ij", ((N, N), 80, a), ((N, N), 80, b), wanted=wanted)


@pytest.mark.smoke
def test_dense_results_are_located() -> None:
    assert writing(product("csr", "dense", "dense"), "ijk").assembly.owned
    assert not writing(product("csr", "dense", "dense"), "kij").assembly.owned  # the reduction stands outside
    assert not writing(product("dcsr", "dense", "dense"), "ijk").assembly.owned  # rows without entries are not visited


def test_rows_in_order_are_collected() -> None:
    found = writing(product("csr", "csr", "csr"), "ikj")
    assert (found.assembly.kind, found.scatter, found.split, str(found.format)) == ("append", "j", 1, "csr")


def test_a_reduction_outside_every_row_is_sorted_afterwards() -> None:
    found = writing(product("csc", "csr", "csr"), "kij")
    assert found.format == unsorted_coo((0, 1))


@pytest.mark.parametrize("wanted", ["csr", "dcsr", "coo", UNSORTED_ROWS])
def test_rows_that_come_back_are_no_rows(wanted: Format | str) -> None:
    """An unsorted coordinate list has a row in several places, so that it can neither be appended nor collected."""
    asked = product(UNSORTED, "csr", wanted)
    assert writing(asked, "ikj").format == unsorted_coo((0, 1))


def test_unsorted_rows_can_be_collected() -> None:
    assert writing(product(UNSORTED_ROWS, UNSORTED_ROWS, "csr"), "ikj").scatter == "j"
    copy = problem("ij->ij", ((N, N), 80, UNSORTED_ROWS), wanted="csr")
    assert writing(copy, "ij").scatter == "j"


def test_a_shared_pattern_needs_one_sparse_operand_in_the_same_order() -> None:
    scaled = problem("ij,j->ij", ((N, N), 80, "csr"), ((N,), N, "dense"), wanted="csr")
    assert str(writing(scaled, "ij").assembly.source) == "A[i,j]"
    transposed = problem("ij,j->ji", ((N, N), 80, "csr"), ((N,), N, "dense"), wanted="csc")
    assert str(writing(transposed, "ij").assembly.source) == "A[i,j]"
    both = problem("ij,ij->ij", ((N, N), 80, "csr"), ((N, N), 80, "csr"), wanted="csr")
    assert writing(both, "ij").assembly.kind == "append"


def test_a_shared_pattern_is_filled_once_or_starts_at_zero() -> None:
    outer = problem("ij,k->ij", ((N, N), 80, "csr"), ((N,), N, "dense"), wanted="csr")
    assert writing(outer, "ijk").assembly.owned
    assert not writing(outer, "kij").assembly.owned


def test_dense_operands_leave_zeros_out() -> None:
    dense = problem("ij->ij", ((N, N), 0, "dense"), wanted="csr")
    assert writing(dense, "ij").assembly.filtered
    assert not writing(problem("ij->ij", ((N, N), 80, "coo"), wanted="csr"), "ij").assembly.filtered


@pytest.mark.parametrize(("format", "gaps"), [("csr", False), ("dcsr", True), ("coo", True)])
def test_rows_that_a_sparse_loop_skips_leave_gaps(format: str, gaps: bool) -> None:
    assert writing(product(format, "csr", "csr"), "ikj").assembly.gaps is gaps
    deep = problem(
        "ij,kl->ijkl", ((N, N), 80, format), ((N, N), 0, "dense"), wanted=Format("dense, compressed, dense, dense")
    )
    assert writing(deep, "ijkl").assembly.gaps is gaps

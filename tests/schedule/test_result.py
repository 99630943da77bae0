"""Which results are sparse tensors: by the expression and the formats only; their levels by what they will hold."""

from __future__ import annotations

import pytest

from scorch.formats import csf, dense
from scorch.schedule.result import candidate_formats, is_sparse_result
from tests.schedule.problems import problem

N = 40


def matrix(format: str, nnz: int = 60) -> tuple[tuple[int, int], int, str]:
    return ((N, N), nnz, format)


VECTOR = ((N,), N, "dense")


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("notation", "operands", "sparse"),
    [
        ("ik,kj->ij", [matrix("csr"), matrix("dense")], False),
        ("ik,kj->ij", [matrix("csr"), matrix("csr")], True),
        ("ik,kj->ij", [matrix("coo"), matrix("csc")], True),
        ("ik,jk->ij", [matrix("csr"), matrix("csr")], True),  # the rows of both are dense levels
        ("ik,jl->ij", [matrix("csr"), matrix("csr")], False),  # an outer product of row sums
        ("ik,k->i", [matrix("csr"), VECTOR], False),
        ("ij,ij->ij", [matrix("csr"), matrix("dense")], True),
        ("ij->ji", [matrix("csr")], True),
        ("ij->i", [matrix("csr")], False),
        ("ij->", [matrix("csr")], False),
        ("ij,ik,jk->ij", [matrix("csr"), matrix("dense"), matrix("dense")], True),
        ("ij,jk->ik", [matrix("dense"), matrix("dense")], False),
    ],
)
def test_sparse_or_not(notation: str, operands: list[tuple[tuple[int, ...], int, str]], sparse: bool) -> None:
    assert is_sparse_result(problem(notation, *operands)) is sparse


def test_the_number_of_entries_does_not_decide() -> None:
    for nnz in (0, 1, 1000):
        assert is_sparse_result(problem("ik,kj->ij", matrix("csr", nnz), matrix("csr", nnz)))
        assert not is_sparse_result(problem("ik,kj->ij", matrix("csr", nnz), matrix("dense")))


def test_what_was_asked_for_is_the_only_candidate() -> None:
    asked = problem("ik,kj->ij", matrix("csr"), matrix("csr"), wanted="coo")
    assert [str(f) for f in candidate_formats(asked)] == ["coo"]
    asked = problem("ik,kj->ij", matrix("csr"), matrix("dense"))
    assert candidate_formats(asked) == [dense(2)]


def test_levels_follow_the_expected_rows() -> None:
    full = candidate_formats(problem("ik,kj->ij", matrix("csr", 400), matrix("csr", 400)))
    few = candidate_formats(problem("ik,kj->ij", ((4000, 4000), 40, "dcsr"), ((4000, 4000), 40, "dcsr")))
    assert str(full[0]) == "csr"
    assert str(few[0]) == "dcsr"


def test_an_operand_with_the_result_s_indices_offers_its_format() -> None:
    found = candidate_formats(problem("ijk,ijk->ijk", ((9, 8, 7), 50, csf(3, (2, 0, 1))), ((9, 8, 7), 0, "dense")))
    assert found[0] == csf(3, (2, 0, 1))

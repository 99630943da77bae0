"""SpMSpM, "ik,kj->ij": A @ A of a square matrix, A @ A.T of another; rows sorted, and left open."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from operator import matmul
from typing import Any

from asv_benchmarks.compare import ratios, timing
from asv_benchmarks.compare.apart import apart
from asv_benchmarks.compare.model import Case, CaseResult, Family, Options
from asv_benchmarks.compare.peers.work import products
from asv_benchmarks.inputs import Matrix, load

from .operands import chosen

__all__ = ["FAMILY", "UNSORTED", "too_large"]

# Multiply-adds of a product; beyond, results take gigabytes.
_MOST_PRODUCTS = 200_000_000


def too_large(a: Any, b: Any) -> str:
    """Why a product is left out; empty if it is not."""
    work = products(a, b)
    return f"left out: {work:.2g} multiply-adds" if work > _MOST_PRODUCTS else ""


def _operands(matrix: Matrix) -> tuple[Any, ...]:
    a = load(matrix)
    return a, (a if a.shape[0] == a.shape[1] else a.T.tocsr())


def _measure(case: Case, options: Options) -> CaseResult:
    """In a process of its own, because torch.sparse leaves the memory of each product behind."""
    return apart(_measured, case, options)


def _measured(case: Case, options: Options) -> CaseResult:
    a, b = case.load()
    if reason := too_large(a, b):
        result = CaseResult(case.id, case.family, case.matrix, case.variant, case.real, timing.describe((a, b)))
        result.notes.append(reason)
        return result
    result = timing.measure(case, options)
    if a is not b:
        result.notes.insert(0, "A @ A.T")
    mine = ratios.ours(result)
    ordered = [o.value for o in result.outcomes if o.counted and o.peer != "scorch" and o.value and not o.unsorted]
    if mine is not None and mine.value and ordered:
        result.notes.insert(0, f"{min(ordered) / mine.value:.2f} x the best with sorted rows")
    return result


def _cases(operation: str, options: Options) -> Iterator[Case]:
    for matrix in chosen(options, "generated", "matrix", "graph"):
        yield Case(
            family=operation,
            matrix=matrix.name,
            variant="",
            operation=operation,
            load=partial(_operands, matrix),
            reference=matmul,
            real=matrix.real,
        )


FAMILY = Family(
    "spmspm",
    "SpMSpM: A @ A (A @ A.T where A is not square)",
    "ms",
    partial(_cases, "spmspm"),
    _measure,
    about="The ratio is to the best rival, sorted rows or not; the note gives the ratio to rivals that sort.",
)
UNSORTED = Family(
    "spmspm_unsorted",
    "SpMSpM into csr(unsorted), as the rivals leave their rows",
    "ms",
    partial(_cases, "spmspm_unsorted"),
    _measure,
)

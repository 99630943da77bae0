"""Chosen plans beside all others that the planner lists: is the cheapest by the estimate the fastest?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np

from asv_benchmarks.compare import check, timing
from asv_benchmarks.compare.model import Case, CaseResult, Contender, Family, Options, Outcome
from asv_benchmarks.compare.ratios import ratio

from . import convert, sddmm, spmm, spmspm, spmv

__all__ = ["FAMILY"]

NEAR = 1 / 1.1  # best / chosen: the chosen plan takes at most 10 % longer
FAR = 20.0  # times the chosen plan's estimate: dearer ones are left out; or its time: slower ones run once
_LEAST = 3  # plans that run whatever is expected of them
_MOST_ENTRIES = 3_000_000  # of a matrix: hopeless plans of larger ones would take the time of all others
_MOST_PRODUCTS = 20_000_000  # of two sparse matrices: plans that list and sort them all take gigabytes
_WORK: dict[str, tuple[str, str | None]] = {
    "spmm": ("ik,kj->ij", None),
    "spmm_weight": ("ik,kj->ij", None),
    "spmv": ("ij,j->i", None),
    "spmspm": ("ik,kj->ij", "csr"),
    "sddmm": ("ij,id,jd->ij", None),
    "multiply": ("ij,ij->ij", "csr"),
}
_VARIANTS = {"", "K=16", "K=128", "d=64", "CSR*CSR"}
_QUICK_VARIANTS = {"", "K=16", "d=32", "CSR*CSR"}


@dataclass(frozen=True, slots=True)
class _Plans:
    """The plans of an expression over operands: descriptions, the chosen one first, how to make a call of one, and how
    to read what it gives."""

    names: tuple[str, ...]
    left_out: int
    build: Callable[[str], Callable[[], Any]]
    plain: Callable[[Any], Any]


def _cases(options: Options) -> Iterator[Case]:
    wanted = _QUICK_VARIANTS if options.quick else _VARIANTS
    for family in (spmm.FAMILY, spmv.FAMILY, spmspm.FAMILY, sddmm.FAMILY, convert.FAMILY):
        for case in family.cases(options):
            if case.operation in _WORK and case.variant in wanted:
                yield replace(case, family="schedules", variant=f"{case.operation} {case.variant}".strip())


def _plans(operation: str, operands: tuple[Any, ...]) -> _Plans:
    """Of every plan by its description; those that are expected to be far slower are counted only."""
    import torch

    import scorch
    from scorch import engine
    from scorch.formats import resolve
    from scorch.ir.einsum import parse_einsum
    from scorch.operand import as_storage

    notation, format = _WORK[operation]
    tensors = [scorch.tensor(o) if hasattr(o, "nnz") else torch.from_numpy(o) for o in operands]
    if operation == "spmm_weight":
        tensors[0] = tensors[0].freeze()
    storages = [as_storage(tensor) for tensor in tensors]
    statement = parse_einsum(notation, [storage.pattern.shape for storage in storages])
    wanted = None if format is None else resolve(format, len(statement.target.indices))
    found = engine.choices(statement, storages, wanted)
    near = [each.description for n, each in enumerate(found) if n < _LEAST or each.cost <= FAR * found[0].cost]

    def build(name: str) -> Callable[[], Any]:
        program = engine.prepare(statement, storages, wanted, choice=name)
        return lambda: program([storage.vals for storage in storages])

    def plain(result: Any) -> Any:
        return check.canonical(result if isinstance(result, torch.Tensor) else scorch.Tensor(result))

    return _Plans(tuple(near), len(found) - len(near), build, plain)


def _measure(case: Case, options: Options) -> CaseResult:
    operands = case.load()
    result = CaseResult(case.id, case.family, case.matrix, case.variant, case.real, timing.describe(operands))
    if operands[0].nnz > _MOST_ENTRIES or (case.operation == "spmspm" and _products(*operands) > _MOST_PRODUCTS):
        result.notes.append("left out: too large for its slowest plans")
        return result
    plans = _plans(case.operation, operands)
    expected = check.expect(case.reference, operands) if case.reference else None
    runners = _runners(plans, case, expected, result)
    timing.interleave([runner for runner in runners if runner.active], options.rounds, options.budget)
    for runner in runners:
        runner.close()
    _condense(result, runners, plans)
    return result


def _products(a: Any, b: Any) -> int:
    """How many products of values the product of two scipy CSR matrices has."""
    return int(np.bincount(a.indices, minlength=a.shape[1]) @ np.diff(b.indptr))


def _runners(plans: _Plans, case: Case, expected: check.Expected | None, result: CaseResult) -> list[timing.Runner]:
    """A runner a plan, ready to be interleaved; one that takes far longer than the chosen one has had its only turn.

    A plan with a wrong result has none: it is an outcome of its own.
    """
    runners: list[timing.Runner] = []
    limit = float("inf")
    for n, name in enumerate(plans.names):
        outcome = Outcome(name, "scorch" if n == 0 else "other plans", counted=True)
        try:
            runner = timing.Runner(Contender(name, partial(plans.build, name)), outcome, case.inner)
            call = runner.call()
            outcome.wrong = check.mistake(plans.plain(call()), expected) if expected else ""
            if outcome.wrong:
                result.outcomes.append(replace(outcome, peer="scorch"))
                continue
            start = perf_counter()
            call()
            taken = perf_counter() - start
        except Exception as error:  # a plan that can't run is no rival
            outcome.error = timing.reason(error)
            continue
        if n == 0:
            limit = FAR * taken
        runner.active = taken <= limit
        if not runner.active:
            runner.samples.append(taken * 1e9)
        runners.append(runner)
    return runners


def _condense(result: CaseResult, runners: Sequence[timing.Runner], plans: _Plans) -> None:
    """The chosen plan, the best of the others, and in words which that is."""
    ran = [runner.outcome for runner in runners if runner.outcome.value is not None]
    chosen = [outcome for outcome in ran if outcome.peer == "scorch"]
    others = sorted((outcome for outcome in ran if outcome.peer != "scorch"), key=lambda o: o.value or 0.0)
    timed = [replace(outcome, label="chosen") for outcome in chosen]
    timed += [replace(outcome, label="best other") for outcome in others[:1]]
    result.outcomes[:0] = timed  # before those that were wrong
    total = len(plans.names) + plans.left_out
    result.notes.append(f"{len(ran)} of {total} plans run")
    value = ratio(result)
    if value is not None and value < 1:
        result.notes.append(f"faster: {others[0].label}")


def _closing(results: Sequence[CaseResult]) -> str:
    """How many chosen plans are the fastest or nearly so."""
    values = [value for result in results if (value := ratio(result)) is not None]
    near = sum(value >= NEAR for value in values)
    return f"The chosen plan is the fastest or within 10 % of it in {near} of {len(values)} cases."


FAMILY = Family(
    "schedules",
    "Chosen plans beside all others",
    "ms",
    _cases,
    _measure,
    about="Every loop order, conversion, assembly, row accumulator and tile that the planner prices, interleaved. "
    "Of those expected to take 20 times as long, the first two run all the same. Ratio: best other plan / chosen plan.",
    usual=False,
    closing=_closing,
)

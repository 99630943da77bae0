"""Peak memory of a call beyond its operands, each contender in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator

from asv_benchmarks.compare import timing
from asv_benchmarks.compare.model import Case, CaseResult, Family, Options, Outcome

from . import children, spmm, spmspm

__all__ = ["FAMILY"]

_CONTENDERS = {"scorch": "scorch", "torch csr32": "torch.sparse", "scipy": "scipy"}
_MATRICES = ("powerlaw-50k", "uniform-20000-1e-3", "email-Enron", "ca-AstroPh", "bcsstk16", "delaunay_n16")
_QUICK_MATRICES = ("uniform-1000-1e-2", "bcsstk16")
_COLUMNS = "K=64"


def _cases(options: Options) -> Iterator[Case]:
    names = _QUICK_MATRICES if options.quick else _MATRICES
    for family in (spmm.FAMILY, spmspm.FAMILY):
        for case in family.cases(options):
            if case.matrix in names and case.variant in {_COLUMNS, ""}:
                yield Case(
                    "memory",
                    case.matrix,
                    f"{family.name} {case.variant}".strip(),
                    case.id,
                    case.load,
                    real=case.real,
                )


def _measure(case: Case, options: Options) -> CaseResult:
    operands = case.load()
    result = CaseResult(case.id, case.family, case.matrix, case.variant, case.real, timing.describe(operands))
    if case.variant.startswith(spmspm.FAMILY.name) and (reason := spmspm.too_large(*operands)):
        result.notes.append(reason)
        return result
    sizes: dict[str, str] = {}
    for label, peer in _CONTENDERS.items():
        outcome = Outcome(label, peer, counted=True, rounds=1)
        result.outcomes.append(outcome)
        try:
            found = children.run("memory", case.operation, label, *_settings(options))
        except Exception as error:  # the child's failure is the outcome
            outcome.error = timing.reason(error)
            continue
        outcome.value = outcome.low = outcome.high = found["peak"]
        if found["result"]:
            sizes[label] = f"{found['result'] / 2**20:.1f} MiB"
    if len(set(sizes.values())) == 1:
        result.notes.append(f"result {sizes.popitem()[1]}")
    elif sizes:
        result.notes.append("result " + ", ".join(f"{size} ({label})" for label, size in sizes.items()))
    return result


def _settings(options: Options) -> list[str]:
    settings = ["--quick"] if options.quick else []
    if options.data is not None:
        settings += ["--data", str(options.data)]
    if options.threads:
        settings += ["--threads", str(options.threads)]
    return settings


FAMILY = Family(
    "memory",
    "Peak memory of a call, beyond its operands",
    "MiB",
    _cases,
    _measure,
    about="Resident memory at its highest during the second call, less what was resident before it; the "
    "result is part of it. What the first call keeps for later ones (workspaces) is not.",
)

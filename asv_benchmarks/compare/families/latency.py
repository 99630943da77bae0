"""The latency of first calls: a cold compilation, and the disk cache in a new process."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from typing import Any

from asv_benchmarks.compare import timing
from asv_benchmarks.compare.model import Case, CaseResult, Family, Options, Outcome

from . import children

__all__ = ["FAMILY"]

_CASES = {
    "first SpMM, warm process, empty cache": ("empty", "first"),
    "first SpMM, new process, disk cache": ("filled", "first"),
    "first sparse call of a new process, disk cache": ("filled", "start"),
    "second call": ("filled", "second"),
    "import": ("filled", "import"),
}
_TIMES = 3
_QUICK_TIMES = 1
_measured: dict[tuple[str, bool], dict[str, list[dict[str, float]]]] = {}


def _cases(options: Options) -> Iterator[Case]:
    for name in _CASES:
        yield Case("latency", name, "", "", tuple)


def _measure(case: Case, options: Options) -> CaseResult:
    cache, key = _CASES[case.matrix]
    result = CaseResult(case.id, case.family, case.matrix, case.variant, case.real)
    for peer in ("scorch", "torch.sparse"):
        # Torch compiles nothing, so that a ratio would say nothing.
        outcome = Outcome("scorch" if peer == "scorch" else "torch csr64", peer, counted=False)
        result.outcomes.append(outcome)
        try:
            runs = _runs(peer, options)[cache]
        except Exception as error:  # the child's failure is the outcome
            outcome.error = timing.reason(error)
            continue
        values = [run[key] for run in runs if key in run]
        if not values:
            continue
        outcome.value, outcome.low, outcome.high = statistics.median(values), min(values), max(values)
        outcome.rounds = len(values)
    return result


def _runs(peer: str, options: Options) -> dict[str, list[dict[str, float]]]:
    """Nanoseconds of each child: with an empty cache folder, then with the one that was filled."""
    key = (peer, options.quick)
    if key not in _measured:
        found: dict[str, list[dict[str, float]]] = {"empty": [], "filled": []}
        for _ in range(_QUICK_TIMES if options.quick else _TIMES):
            with tempfile.TemporaryDirectory(prefix="scorch-latency-") as folder:
                for state in ("empty", "filled"):
                    found[state].append(_child(peer, folder, options))
        _measured[key] = found
    return _measured[key]


def _child(peer: str, folder: str, options: Options) -> Any:
    threads = ("--threads", str(options.threads)) if options.threads else ()
    return children.run("latency", peer, *threads, environment={"SCORCH_CACHE_DIR": folder})


FAMILY = Family(
    "latency",
    "Latency of first calls",
    "ms",
    _cases,
    _measure,
    averaged=False,
    about="Each is a process of its own. A warm process has run another expression before. Goals: under "
    "1000 ms with an empty cache, under 20 ms from the disk cache. Times of torch include no compilation.",
)

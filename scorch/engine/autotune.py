"""Timing the best few plans on the real operands, once, and remembering the fastest on disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from statistics import median
from time import perf_counter_ns
from typing import Any

from scorch.emit import cache
from scorch.emit.entry import write_atomically
from scorch.errors import ScheduleError, ScorchError
from scorch.formats import Storage
from scorch.ir.plan import Handover, Plan, Split
from scorch.schedule.path import contract, described
from scorch.schedule.prices import identity
from scorch.schedule.problem import Problem

__all__ = ["tuned"]

FEW = 4  # plans that are timed
FAR = 8.0  # times the best estimate: what is expected to be slower than that is not timed
_ROUNDS = 7
_BUDGET = 100_000_000  # nanoseconds for each plan, compilation apart

AnyPlan = Plan | Split | Handover
Runs = Callable[[list[Any]], object]


def tuned(problem: Problem, plan: AnyPlan, operands: Sequence[Storage], make: Callable[[AnyPlan], Runs]) -> AnyPlan:
    """The plan that was fastest on operands like these, now or in an earlier process; `make` makes it callable.

    Where only one is worth timing, the plan as it is. Operands are alike in formats, number types, shapes, and to two
    figures in numbers of entries.
    """
    path = cache.directory() / f"tuned_{sha256(_key(problem).encode()).hexdigest()[:16]}.json"
    kept = _read(path)
    if kept is None:
        kept = _measure(problem, plan, operands, make)
        if len(kept) < 2:
            return plan
        with suppress(OSError):  # measured again by the next process
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, json.dumps(kept).encode())
    try:
        return _named(problem, kept)
    except ScheduleError:  # made by a version that had other plans
        path.unlink(missing_ok=True)
        return plan


def _named(problem: Problem, kept: dict[str, float]) -> AnyPlan:
    """The fastest of the plans that were timed, with the reason."""
    (best, taken), *others = sorted(kept.items(), key=lambda item: item[1])
    found = contract(replace(problem, choice=best))
    if not isinstance(found, Plan):
        return found
    reason = f"autotuned: {taken:.4g} us, the fastest of {len(kept)} plans; the next took {others[0][1]:.4g} us"
    return replace(found, reasons=(*found.reasons, reason))


def _measure(
    problem: Problem, plan: AnyPlan, operands: Sequence[Storage], make: Callable[[AnyPlan], Runs]
) -> dict[str, float]:
    """Median microseconds of each plan that is worth timing, the rounds interleaved."""
    programs: dict[str, Runs] = {}
    for each in described(problem):
        if each.cost <= FAR * plan.cost and len(programs) < FEW:
            with suppress(ScorchError, MemoryError):
                programs[each.description] = make(contract(replace(problem, choice=each.description)))
    if len(programs) < 2:
        return {}
    samples: dict[str, list[int]] = {name: [] for name in programs}
    for name, program in list(programs.items()):
        if not _runs(program, operands):
            del programs[name], samples[name]
    start = perf_counter_ns()
    for _ in range(_ROUNDS):
        for name, program in programs.items():
            before = perf_counter_ns()
            program([storage.vals for storage in operands])
            samples[name].append(perf_counter_ns() - before)
        if perf_counter_ns() - start > _BUDGET * len(programs):
            break
    return {name: median(taken) / 1000 for name, taken in samples.items()}


def _runs(program: Runs, operands: Sequence[Storage]) -> bool:
    """Run it once, which compiles; whether that worked. A plan may need more memory than there is."""
    try:
        program([storage.vals for storage in operands])
    except (ScorchError, MemoryError):
        return False
    return True


def _read(path: Path) -> dict[str, float] | None:
    """What was measured before; None where nothing was, or the file is damaged."""
    try:
        found = json.loads(path.read_bytes())
        kept = {str(name): float(taken) for name, taken in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return kept if len(kept) > 1 else None


def _key(problem: Problem) -> str:
    """What the winner depends on."""
    operands = [
        (o.name, str(o.format), o.dtype, o.bits, o.shape, f"{o.statistics.nnz:.2g}", f"{o.statistics.row_max:.2g}")
        for o in problem.operands
    ]
    asked = (str(problem.wanted), problem.dtype, problem.rounded, problem.onto, problem.threads)
    return repr((str(problem.statement), operands, asked, identity()))

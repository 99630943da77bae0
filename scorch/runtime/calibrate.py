"""Measuring what the steps of a kernel cost on this machine, once, and keeping it for later processes."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from statistics import median
from time import perf_counter_ns
from typing import Any

import numpy as np

from scorch.config import config
from scorch.emit.entry import write_atomically
from scorch.emit.vocabulary import register
from scorch.runtime import threads
from scorch.runtime.probes import AHEAD, Array, compiled, picks
from scorch.schedule import prices
from scorch.schedule.machine import host
from scorch.schedule.prices import BUILT_IN, Prices

__all__ = ["Calibration", "calibrate", "ensure"]

AGREE = 1.3  # two halves of a measurement on a quiet machine differ by less
_ATTEMPTS = 3
_TRIALS = 5
_NANOSECONDS = 1_500_000  # of one trial
_told: set[str] = set()

Step = Callable[[], float]


@dataclass(frozen=True)
class Calibration:
    """Prices and whether they can be trusted: by which factor the `worst` step differs between two halves.

    Or how much longer the measurement took than this thread was on a core.
    """

    prices: Prices
    worst: str
    disagreement: float

    @property
    def sound(self) -> bool:
        """Whether the machine was quiet enough."""
        return self.disagreement <= AGREE

    @property
    def complaint(self) -> str:
        """What is wrong with a calibration that is not sound."""
        return f"the machine is busy: {self.worst} varies by {self.disagreement:.1f} x"


def calibrate(keep: bool = True, attempts: int = _ATTEMPTS) -> Calibration:
    """Measure the prices, anew while two halves of a measurement disagree; keep them on disk if they agree.

    Takes a few seconds. A machine that is busy with something else gives a calibration that is not sound, and not kept.
    """
    made = [_once()]
    while not made[-1].sound and len(made) < attempts:
        made.append(_once())
    best = min(made, key=lambda each: each.disagreement)
    if best.sound and keep:
        path = prices.kept_at()
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, prices.written(best.prices))
        prices.forget()
    return best


def ensure() -> None:
    """With `scorch.config.calibrate` on, measure where nothing is kept; once a process, and never in a forked child."""
    if not config.calibrate or prices.kept_at().is_file() or str(prices.kept_at()) in _told or threads.is_forked():
        return
    _told.add(str(prices.kept_at()))
    if not config.jit:
        return  # plain Python says nothing of compiled kernels
    reason = ""
    try:
        found = calibrate()
        if not found.sound:
            reason = found.complaint
    except OSError as error:
        reason = f"{prices.kept_at()} cannot be written: {error.strerror}"
    if reason:
        warnings.warn(
            f"scorch: prices were not calibrated, built-in ones hold ({reason}). `scorch calibrate` tries again.",
            RuntimeWarning,
            stacklevel=2,
        )


def _once() -> Calibration:
    """Two halves, one after the other, of each step."""
    steps = _steps()
    for step in steps.values():
        step()  # compiles, warms
    start, used = perf_counter_ns(), time.thread_time_ns()
    halves = [{name: step() for name, step in steps.items()} for _ in range(2)]
    waited = (perf_counter_ns() - start) / max(1, time.thread_time_ns() - used)
    apart = {name: max(a, b) / min(a, b) for name, a, b in ((n, halves[0][n], halves[1][n]) for n in steps)}
    apart["waiting for a core"] = waited  # others may take the same share of both halves
    worst = max(apart, key=lambda name: apart[name])
    best = {name: min(half[name] for half in halves) for name in steps}
    return Calibration(_prices(best), worst, apart[worst])


def _prices(found: dict[str, float]) -> Prices:
    """All prices from the measured steps; those of the same kind keep their relation to the one that was measured."""
    b = BUILT_IN
    core = found["entry"] / (b.sparse + b.scalar + b.cached)
    collect = found["collected"] / (b.scatter + b.append)
    place = found["placed"] / b.place
    mispredicted = found["merge"] / b.merge
    core_steps = ("loop", "sparse", "scalar", "next", "cached", "blend", "move", "foretold")
    own = {
        **{name: getattr(b, name) * core for name in core_steps},
        **{name: getattr(b, name) * collect for name in ("scatter", "append", "word")},
        **{name: getattr(b, name) * place for name in ("place", "convert", "gather")},
        **{name: getattr(b, name) * mispredicted for name in ("enter", "search", "visit", "wrong")},
        **{name: getattr(b, name) * found["vector"] / b.vector for name in ("fma", "across", "turn")},
        **{name: found[name] for name in ("merge", "vector", "sort", "launch")},
    }
    near = max(own["cached"], found["near"])
    line = max(0.1 * b.line, found["line"] - found["vector"] * 64 / host().bits * 8)
    far, when = max(near, found["far"]), time.strftime("%Y-%m-%d")
    return replace(b, **own, near=near, far=far, line=line, origin=f"prices measured on this machine on {when}")


# --- the steps, in nanoseconds ------------------------------------------------------------------------------


def _timed(call: Callable[[int], object], count: float) -> float:
    """Nanoseconds of one of `count` steps of call(1); the median of trials, so that two halves can disagree."""
    call(1)
    start = perf_counter_ns()
    call(1)
    turns = max(1, int(_NANOSECONDS / max(1, perf_counter_ns() - start)))
    samples = []
    for _ in range(_TRIALS):
        start = perf_counter_ns()
        call(turns)
        samples.append(perf_counter_ns() - start)
    return median(samples) / turns / count


def _steps() -> dict[str, Step]:
    machine = host()
    return {
        "entry": _entry,
        "vector": lambda: _row(machine.near_bytes // 2) / (256 * 8 / machine.bits),
        "line": lambda: _row(machine.far_bytes // 2) / 4,
        "near": lambda: _random(machine.far_bytes // 2),
        "far": lambda: _random(4 * machine.far_bytes),
        "merge": _merged,
        "collected": _collected,
        "sort": _sorted,
        "placed": _placed,
        "launch": _launched,
    }


def _entry() -> float:
    """An entry of a sparse row times a value of the first cache."""
    rows, rng = 1024, np.random.default_rng(0)
    pos = np.append(0, np.cumsum(rng.integers(0, 17, rows)))  # lengths that no branch predictor knows
    crd = rng.integers(0, 1024, int(pos[-1])).astype(np.int32)
    vals, x, y = (np.ones(n, np.float32) for n in (crd.size, 1024, rows))
    probe = compiled("row_sums")
    return _timed(lambda turns: probe(pos, crd, vals, x, y, turns), crd.size)


def _row(size: int) -> float:
    """A row of 256 bytes from a random place of a table of some bytes."""
    table, chosen, probe = np.ones(size // 4, np.float32), picks(size, 256), compiled("rows")
    return _timed(lambda turns: probe(table, chosen, 64, turns), chosen.size - AHEAD)


def _random(size: int) -> float:
    """A value from a random place of a table of some bytes."""
    table, chosen, probe = np.ones(size // 4, np.float32), picks(size, 4), compiled("pick")
    return _timed(lambda turns: probe(table, chosen, turns), chosen.size - AHEAD)


def _merged() -> float:
    rng = np.random.default_rng(0)
    left, right = (np.sort(rng.choice(1 << 16, 1 << 13, replace=False)).astype(np.int32) for _ in range(2))
    probe = compiled("merge")
    return _timed(lambda turns: probe(left, right, turns), left.size + right.size)


def _collected() -> float:
    """An entry of a sparse row accumulator: added once, read back in order."""
    width, count = 8192, 2048
    keys = np.random.default_rng(0).choice(width, count, replace=False).astype(np.int32)
    bits, row = np.zeros(width // 64, np.uint64), np.zeros(width, np.float32)
    vals, crd, out = np.ones(count, np.float32), np.zeros(count, np.int64), np.zeros(count, np.float32)
    probe = compiled("scatter")
    return _timed(lambda turns: probe(keys, vals, bits, row, crd, out, turns), count)


def _sorted() -> float:
    """Sorting, an entry and binary digit of the row's length."""
    length = 64
    source = np.random.default_rng(0).integers(0, 1 << 30, 64 * length)
    target, probe = source.copy(), compiled("sort")
    return _timed(lambda turns: probe(source, target, length, turns), source.size * math.log2(length))


def _placed() -> float:
    keys = np.random.default_rng(0).integers(0, 1 << 14, 1 << 16).astype(np.int32)
    pos, crd = np.zeros((1 << 14) + 1, np.int64), np.zeros(keys.size, np.int32)
    vals, out = np.ones(keys.size, np.float32), np.zeros(keys.size, np.float32)
    probe = compiled("place")
    return _timed(lambda turns: probe(keys, vals, pos, crd, out, turns), keys.size)


def _launched() -> float:
    """Entering a parallel region; the built-in price where there is one thread."""
    workers = threads.workers()
    if workers == 1:
        return BUILT_IN.launch
    kernel, marks = _parallel(), np.zeros(workers, np.int64)

    def call(turns: int) -> None:
        for _ in range(turns):
            threads.run(kernel, workers, marks)

    return _timed(call, 1)


@cache
def _parallel() -> Any:
    import numba

    register()

    def kernel(workers: int, marks: Array) -> None:
        for t in numba.prange(workers):
            marks[t] += 1

    return numba.njit(nogil=True, parallel=True)(kernel)

"""Interleaved timing: rounds of A B C D A B C D ..., each call on its own, after every result was checked."""

from __future__ import annotations

import gc
import math
import os
import statistics
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from time import perf_counter, perf_counter_ns
from typing import Any, TypeAlias

from scorch.runtime import threads

from . import check, peers, ratios, resident, roofline
from .model import Case, CaseResult, Contender, LeftOut, Options, Outcome, Peer

__all__ = ["Runner", "describe", "interleave", "measure", "reason"]

Contenders: TypeAlias = Callable[[str, tuple[Any, ...]], Iterable[tuple[Peer, Contender]]]
_LEAST_ROUNDS = 3
_WARM_CALLS = 2
_QUICK, _QUICK_CALLS = 1e6, 12  # nanoseconds; calls that come again and again may find shorter ways
_SLOW = 50e6  # nanoseconds: next to such a call, waking threads and filling caches is nothing
# After the first rounds, a contender this many times slower than the fastest can't be the best any more; it
# sits out instead of taking the others' share of the budget and of the caches.
_HOPELESS = 4.0
_HOPELESS_AT_ONCE = 20.0  # after a single round
_LEAST_SECONDS = 0.15  # from then on, whatever the budget: three calls of some microseconds say little
# Rounds end before the budget does when the medians of Scorch and its best rival are known this well.
_KNOWN = 0.01
_KNOWN_ROUNDS = 20
_MOST_GROWTH = 2 << 30  # bytes: torch's product of two CSR matrices leaves the memory of each result behind


class Runner:
    """A contender with its operands built: one timed call at a time."""

    def __init__(self, contender: Contender, outcome: Outcome, inner: int) -> None:
        self.outcome = outcome
        self.inner = inner
        self.active = True
        self.samples: list[float] = []
        self._made = contender.build()
        self._fresh = contender.fresh
        self._clock = contender.clock

    def call(self) -> Callable[[], Any]:
        """The call to time; a new one where the contender asks for that."""
        made: Callable[[], Any] = self._made() if self._fresh else self._made
        return made

    def warm(self) -> None:
        """A few calls that nobody times, one if it is slow, more if they are quick."""
        for done in range(1, _QUICK_CALLS + 1):
            call = self.call()
            start = perf_counter_ns()
            call()
            took = perf_counter_ns() - start
            if took > _SLOW or (done >= _WARM_CALLS and took > _QUICK):
                break

    def sample(self) -> None:
        """Time one call (or `inner` calls, divided) in nanoseconds.

        An untimed call of the same contender comes right before: else whoever follows a slow serial rival would pay for
        waking the threads and for filling the caches, which says more of the neighbour than of the contender.
        Slow calls do without.
        """
        if self._clock is not None:
            self.samples.append(self._clock())
            return
        if not self.samples or self.samples[-1] < _SLOW:
            self.call()()
        call = self.call()
        if self.inner == 1:
            start = perf_counter_ns()
            result = call()  # kept until the clock has stopped: freeing it is not part of the operation
            stop = perf_counter_ns()
            del result
        else:
            turns = range(self.inner)
            start = perf_counter_ns()
            for _ in turns:
                call()
            stop = perf_counter_ns()
        self.samples.append((stop - start) / self.inner)

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def doubt(self) -> float:
        """The standard error of the median as a share of it, from the quartiles: robust against a few slow calls."""
        low, _, high = statistics.quantiles(self.samples, n=4)
        return 0.93 * (high - low) / (self.median * math.sqrt(len(self.samples)))

    def close(self) -> None:
        """Write the median, the fastest and the slowest call into the outcome."""
        if self.samples:
            self.outcome.value = self.median
            self.outcome.low, self.outcome.high = min(self.samples), max(self.samples)
            self.outcome.rounds = len(self.samples)


def interleave(runners: Sequence[Runner], rounds: int, budget: float) -> None:
    """Run rounds until `rounds` are done, `budget` seconds are over, the medians are known, or calls have left
    gigabytes behind, but three at least."""
    if not runners:
        return
    for runner in runners:
        _attempt(runner, runner.warm)
    gc.collect()
    gc.disable()
    before = _resident()
    try:
        deadline = perf_counter() + budget
        for done in range(1, rounds + 1):
            turn = done % len(runners)  # each contender follows each other one
            for runner in [*runners[turn:], *runners[:turn]]:
                if runner.active:
                    _attempt(runner, runner.sample)
            if done == 1:
                _retire(runners, _HOPELESS_AT_ONCE)
            if done == _LEAST_ROUNDS:
                _retire(runners, _HOPELESS)
                deadline = max(deadline, perf_counter() + _LEAST_SECONDS)
            if done >= _LEAST_ROUNDS and (
                perf_counter() > deadline or _resident() - before > _MOST_GROWTH or _known(runners, done)
            ):
                break
    finally:
        gc.enable()
    for runner in runners:
        runner.close()


def _resident() -> int:
    """Bytes of this process that are in memory; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def measure(case: Case, options: Options, contenders: Contenders = peers.contenders) -> CaseResult:
    """Build, check and time every contender of a case; one that fails is an outcome with an error."""
    operands = case.load()
    result = CaseResult(case.id, case.family, case.matrix, case.variant, case.real, describe(operands))
    expected = check.expect(case.reference, operands, case.by_largest) if case.reference else None
    if options.roofline and expected is not None:
        count = options.threads or threads.available()
        result.work = roofline.work_of(case.operation, operands, expected[0], count)
    runners = []
    for peer, contender in contenders(case.operation, operands):
        outcome = Outcome(contender.label, peer.name, peer.counted, rival=peer.rival)
        result.outcomes.append(outcome)
        runner = _prepare(peer, contender, outcome, expected, case.inner)
        if runner is not None:
            runners.append(runner)
    interleave(runners, options.rounds, options.budget)
    _weigh(runners, result)
    result.notes.extend(_notes(result))
    return result


def _weigh(runners: Sequence[Runner], result: CaseResult) -> None:
    """The peak memory of Scorch and of the rival that makes the ratio, after all times are taken."""
    compared = [outcome for outcome in (ratios.ours(result), ratios.best_rival(result)) if outcome is not None]
    for runner in runners:
        if any(runner.outcome is outcome for outcome in compared):
            with suppress(OSError, AttributeError):  # not every system tells
                runner.outcome.peak = resident.peak(runner.call)[0]


def describe(operands: tuple[Any, ...]) -> str:
    """Shape and number of nonzeros of the first operand.

    >>> import scipy.sparse
    >>> describe((scipy.sparse.eye_array(3),))
    '3x3 nnz 3'
    """
    first = operands[0]
    return f"{'x'.join(map(str, first.shape))} nnz {getattr(first, 'nnz', first.size)}"


def reason(error: BaseException) -> str:
    """One line of an error for a table."""
    if isinstance(error, LeftOut):
        return f"left out: {error}"
    first = (str(error).strip().splitlines() or [""])[0]
    return f"not available: {type(error).__name__}: {first}"[:160]


def _prepare(
    peer: Peer, contender: Contender, outcome: Outcome, expected: check.Expected | None, inner: int
) -> Runner | None:
    """Build and call once; a wrong result is never timed."""
    try:
        runner = Runner(contender, outcome, inner)
        raw = contender.result(runner.call()())
        if expected is None or not peer.rival:
            return runner
        outcome.unsorted = check.rows_unsorted(raw)
        outcome.wrong = check.mistake(check.canonical(raw), expected)
    except Exception as error:  # whatever a peer raises is its outcome; the others still run
        outcome.error = reason(error)
        return None
    return None if outcome.wrong else runner


def _attempt(runner: Runner, step: Callable[[], None]) -> None:
    """A contender that fails after it was checked (another process can die) is out; the others go on."""
    try:
        step()
    except Exception as error:
        runner.outcome.error = reason(error)
        runner.active = False
        runner.samples.clear()


def _retire(runners: Sequence[Runner], hopeless: float) -> None:
    """Those far behind sit out; Scorch and its best rival stay, whoever else is fast: they make the ratio."""
    running = [runner for runner in runners if runner.active]
    fastest = min((runner.median for runner in running), default=0.0)
    kept = _compared(running)
    for runner in running:
        runner.active = runner in kept or runner.median <= hopeless * fastest


def _compared(running: Sequence[Runner]) -> list[Runner]:
    """Scorch, and the fastest of the counted rivals."""
    rivals = [runner for runner in running if runner.outcome.counted and runner.outcome.peer != "scorch"]
    best = min(rivals, key=lambda runner: runner.median, default=None)
    return [runner for runner in running if runner is best or runner.outcome.peer == "scorch"]


def _known(runners: Sequence[Runner], done: int) -> bool:
    """Are the medians that make the ratio known well enough? Asked from time to time."""
    if done % _KNOWN_ROUNDS:
        return False
    return all(runner.doubt <= _KNOWN for runner in _compared([runner for runner in runners if runner.active]))


def _notes(result: CaseResult) -> list[str]:
    unsorted = any(outcome.unsorted for outcome in result.outcomes)
    wrong = [f"{outcome.label} WRONG: {outcome.wrong}" for outcome in result.outcomes if outcome.wrong]
    return wrong + (["~ leaves rows unsorted"] if unsorted else [])

"""Time contenders side by side: interleaved rounds, medians, first calls apart."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scorch.demo.cases import Case, Contender
from scorch.demo.compare import difference

__all__ = ["TOLERANCE", "Measurement", "Timing", "measure", "time_call"]

TOLERANCE = 1e-4
_HOPELESS = 5.0


@dataclass(frozen=True, slots=True)
class Timing:
    """One contender: seconds of the first call, the median of the later ones, the error, the failure."""

    label: str
    first: float = float("nan")
    median: float = float("nan")
    error: float = float("nan")
    failure: str = ""

    @property
    def agrees(self) -> bool:
        """Whether the result was right; a contender that could not run is not wrong."""
        return bool(self.failure) or self.error <= TOLERANCE


@dataclass(frozen=True, slots=True)
class Measurement:
    """The timings of a case."""

    case: Case
    timings: tuple[Timing, ...]

    def best(self, library: str) -> Timing | None:
        """The fastest variant of a library that ran.

        Labels read "library" or "library variant", as in "torch csr".
        """
        ran = [t for t in self.timings if t.label.split(" ")[0] == library and not t.failure]
        return min(ran, key=lambda t: t.median, default=None)

    def ratio(self, library: str) -> float:
        """How many times longer the best variant of `library` takes than scorch; nan if either is missing."""
        ours, theirs = self.best("scorch"), self.best(library)
        if ours is None or theirs is None or ours.median <= 0:
            return float("nan")
        return theirs.median / ours.median

    @property
    def worst_error(self) -> float:
        """The largest error of the contenders that ran."""
        return max((t.error for t in self.timings if not t.failure), default=0.0)

    @property
    def wrong(self) -> tuple[Timing, ...]:
        """The contenders that disagree with the reference."""
        return tuple(t for t in self.timings if not t.agrees)


def measure(case: Case, rounds: int = 25, seconds: float = 2.0) -> Measurement:
    """Run every contender once and check it, then time them in turns, A B C A B C.

    At most `rounds` rounds and about `seconds` in all, one round at least. A contender whose second call
    takes more than five times as long as the fastest is not called again: that call is its time. What scorch
    itself raises propagates; a rival that raises is noted as failed.
    """
    started = time.perf_counter()
    reference, scale = case.reference()
    timings = {c.label: _first(c, reference, scale) for c in case.contenders}
    calls = {c.label: c.call for c in case.contenders if not timings[c.label].failure}
    laps: dict[str, list[float]] = {label: [time_call(call)[0]] for label, call in calls.items()}
    limit = _HOPELESS * min((lap[0] for lap in laps.values()), default=0.0)
    racing = {label: call for label, call in calls.items() if laps[label][0] <= limit or label == "scorch"}
    for _ in range(rounds - 1):
        if time.perf_counter() - started > seconds:
            break
        for label, call in racing.items():
            laps[label].append(time_call(call)[0])
    return Measurement(case, tuple(_finished(timing, laps.get(label)) for label, timing in timings.items()))


def _first(contender: Contender, reference: Any, scale: Any) -> Timing:
    label = contender.label
    try:
        seconds, result = time_call(contender.call)
    except Exception as error:
        if label == "scorch":
            raise
        # Not every layout of torch has every operation; the table tells which were left out.
        return Timing(label, failure=" ".join(str(error).split())[:120] or type(error).__name__)
    return Timing(label, first=seconds, error=difference(contender.plain(result), reference, scale))


def time_call(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that a call takes, and its result."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def _finished(timing: Timing, laps: list[float] | None) -> Timing:
    if laps is None:
        return timing
    return Timing(timing.label, timing.first, statistics.median(laps), timing.error)

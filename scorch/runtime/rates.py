"""What the machine can do at most, measured: bandwidth of each level of memory, gathered rows, multiply-adds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from scorch.runtime.probes import AHEAD, FMAS, Array, compiled, picks
from scorch.runtime.threads import available
from scorch.schedule.machine import Machine, cache_bytes, host

__all__ = ["Level", "Rates", "measure_rates"]

ROWS = (4, 64, 256, 1024)  # bytes of a gathered row
FIRST = 32 << 10  # bytes of a first cache, where the system doesn't tell
_TRIALS = 8
_SECONDS = 0.004  # of one trial: long beside what starting the threads takes


@dataclass(frozen=True)
class Level:
    """One level of memory: up to how many `bytes` it holds, and GB/s of all threads together.

    `read`, `copy` and `triad` are those of STREAM (McCalpin 1995), without the lines that a store reads first.
    `gathered` are pairs: bytes of a row, rate at which rows come from random places of a table of that level.
    """

    name: str
    bytes: float
    read: float
    copy: float
    triad: float
    gathered: tuple[tuple[int, float], ...]

    @property
    def stream(self) -> float:
        """The highest of the rates of streams."""
        return max(self.read, self.copy, self.triad)

    def gather(self, row: float) -> float:
        """The rate for rows of some bytes, between those measured by the logarithm.

        >>> level = Level("L2", 1e6, 20, 10, 10, ((4, 2.0), (64, 10.0)))
        >>> level.gather(16), level.gather(256)
        (6.0, 10.0)
        """
        sizes = [math.log(size) for size, _ in self.gathered]
        return float(np.interp(math.log(max(1.0, row)), sizes, [rate for _, rate in self.gathered]))


@dataclass(frozen=True)
class Rates:
    """The rates of a machine with some threads: `levels`, nearest first, and `flops` in GFLOP/s, float32.

    The first cache, of `first_bytes` in all cores together, is no level: what it holds is as near as a register nearly.
    """

    levels: tuple[Level, ...]
    flops: float
    threads: int
    first_bytes: float = 0.0

    def level(self, size: float) -> Level:
        """The level that holds a working set of some bytes."""
        return next((level for level in self.levels if size <= level.bytes), self.levels[-1])


def measure_rates(threads: int | None = None) -> Rates:
    """Measure in about two seconds, beside the compilation of the loops; the best of several trials counts."""
    count = threads or available()
    with _pool(count) as run:
        flops = _flops(run, count)
        levels = tuple(_level(run, count, *each) for each in _working_sets(host(), count))
    return Rates(levels, flops, count, float(cache_bytes(1, FIRST) * count))


Run = Callable[[Callable[[int, int], object]], float]


@contextmanager
def _pool(threads: int) -> Iterator[Run]:
    """A function that gives the seconds of one turn of `call(thread, turns)` on all threads at once."""
    with ThreadPoolExecutor(threads) as pool:

        def run(call: Callable[[int, int], object]) -> float:
            def timed(turns: int) -> float:
                start = perf_counter()
                list(pool.map(lambda thread: call(thread, turns), range(threads)))
                return (perf_counter() - start) / turns

            def fastest(turns: int) -> float:
                return min(timed(turns) for _ in range(_TRIALS))

            call(0, 1)  # compiles
            turns = 1
            # The best of some: a thread that wakes late must not pass for long work, of which a few turns would do.
            while (once := fastest(turns)) * turns < _SECONDS / 4:
                turns *= 2
            return fastest(max(1, int(_SECONDS / once)))

        yield run


def _working_sets(machine: Machine, threads: int) -> Sequence[tuple[str, float, int]]:
    """Name, bytes held, and bytes to measure with, all threads together: half of a cache, several times the last."""
    near, far = machine.near_bytes * threads, machine.far_bytes
    sets = [("L2", float(near), near // 2)]
    if far > near:
        sets.append(("L3", float(far), far // 2))
    return [*sets, ("memory", math.inf, max(8 * far, 64 << 20))]


def _flops(run: Run, threads: int) -> float:
    probe, lanes = compiled("multiply_adds"), host().bits // 32
    source = np.full(lanes, 1e-3, np.float32)
    block = 1000
    return threads * block * FMAS * 2 * lanes / run(lambda _, turns: probe(source, block * turns)) / 1e9


def _level(run: Run, threads: int, name: str, held: float, size: int) -> Level:
    mine = size // threads // 4  # values of one thread
    arrays = [np.ones(mine, np.float32) for _ in range(threads)]
    read, copy, triad = compiled("read"), compiled("copy"), compiled("triad")
    half, third = mine // 2, mine // 3
    rates = (
        _rate(threads * mine * 4, run(lambda t, turns: read(arrays[t], turns))),
        _rate(threads * half * 8, run(lambda t, turns: copy(arrays[t][:half], arrays[t][half : 2 * half], turns))),
        _rate(threads * third * 12, run(lambda t, turns: triad(*_thirds(arrays[t], third), turns))),
    )
    gathered = tuple((row, _gathered(run, arrays, row)) for row in ROWS)
    return Level(name, held, *rates, gathered)


def _thirds(array: Array, size: int) -> tuple[Array, Array, Array]:
    return array[:size], array[size : 2 * size], array[2 * size : 3 * size]


def _gathered(run: Run, arrays: Sequence[Array], row: int) -> float:
    """Rows from random places of tables, one a thread, in GB/s."""
    width, probe = row // 4, compiled("rows" if row > 4 else "pick")
    chosen = picks(arrays[0].nbytes, row)  # the same for all threads: their tables are not
    if width == 1:
        seconds = run(lambda t, turns: probe(arrays[t], chosen, turns))
    else:
        seconds = run(lambda t, turns: probe(arrays[t], chosen, width, turns))
    return _rate(len(arrays) * (chosen.size - AHEAD) * row, seconds)


def _rate(size: float, seconds: float) -> float:
    return size / seconds / 1e9

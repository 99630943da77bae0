"""The rates of the machine: loops that do what they say, and figures that are in order. No times."""

from __future__ import annotations

import time

import numpy as np
import pytest

from scorch.runtime import rates
from scorch.runtime.probes import AHEAD, LINE, compiled, picks
from scorch.runtime.rates import Level, Rates

pytestmark = pytest.mark.compiled


def test_streams_compute_what_they_say() -> None:
    left, right, target = (np.full(100, value, np.float32) for value in (1, 2, 0))
    assert compiled("read")(left, 3) == 300
    compiled("copy")(left, target, 2)
    assert target.tolist() == [2] * 100  # the second turn adds one
    compiled("triad")(left, right, target, 4)
    assert target.tolist() == [7] * 100


def test_gathers_read_the_rows_that_are_named() -> None:
    table = np.arange(10 * 16, dtype=np.float32)
    picks = np.array([3, 7] + [0] * AHEAD, np.int32)
    rows = table.reshape(10, 16)
    assert compiled("rows")(table, picks, 16, 1) == rows[3].sum() + rows[7].sum()
    assert compiled("pick")(table, picks, 1) == 3 + 7


def test_every_rate_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "_SECONDS", 1e-5)
    monkeypatch.setattr(rates, "_TRIALS", 1)
    monkeypatch.setattr(rates, "_working_sets", lambda *_: [("L2", 1e5, 1 << 16), ("memory", float("inf"), 1 << 18)])
    found = rates.measure_rates(2)
    assert [level.name for level in found.levels] == ["L2", "memory"]
    assert found.flops > 0
    for level in found.levels:
        assert min(level.read, level.copy, level.triad, *(rate for _, rate in level.gathered)) > 0


def test_the_nearest_level_that_is_large_enough_holds_a_working_set() -> None:
    levels = tuple(Level(name, size, 1, 1, 1, ((4, 1.0),)) for name, size in (("L2", 10), ("L3", 100)))
    found = Rates(levels, 1.0, 1)
    assert [found.level(size).name for size in (10, 11, 100, 1000)] == ["L2", "L3", "L3", "L3"]


def test_a_thread_that_wakes_late_does_not_pass_for_long_work() -> None:
    turns: list[int] = []

    def call(_: int, count: int) -> None:
        turns.append(count)
        time.sleep(0.01 if len(turns) == 2 else 1e-5 * count)  # the second is the first that is timed

    with rates._pool(1) as run:
        run(call)
    assert max(turns) > 8


@pytest.mark.parametrize("row", [4, 64, 256, 1024])
def test_a_turn_over_the_picks_reads_every_line_of_the_table(row: int) -> None:
    size = 1 << 16
    chosen = picks(size, row)[:-AHEAD].astype(np.int64)
    assert chosen.max() < size // row
    lines = chosen * row // max(row, LINE)
    assert np.array_equal(np.sort(lines), np.arange(size // max(row, LINE)))
    assert not np.array_equal(lines, np.sort(lines))

"""Rounds of the side-by-side comparison: their order, when they end, who sits out. No times."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from asv_benchmarks.compare import timing
from asv_benchmarks.compare.model import Contender, Outcome


def outcome(label: str, value: float | None, peer: str = "torch.sparse", **more: Any) -> Outcome:
    return Outcome(label, peer, more.pop("counted", True), value, **more)


def test_rounds_are_interleaved_and_the_hopeless_sit_out() -> None:
    order: list[str] = []

    def runner(name: str, median: float) -> Any:
        return SimpleNamespace(
            warm=lambda: None,
            sample=lambda: order.append(name),
            active=True,
            outcome=outcome(name, None),
            median=median,
            close=lambda: None,
        )

    timing.interleave([runner("a", 1.0), runner("b", 3.0), runner("c", 9.0)], rounds=4, budget=60)
    # every round begins with the next contender, so that none always follows the same one; c, hopeless, sits out
    assert "".join(order) == "bca" + "cab" + "abc" + "ba"


def test_rounds_end_when_the_medians_are_known() -> None:
    def runner(name: str, peer: str, spread: float) -> timing.Runner:
        made = timing.Runner(Contender(name, lambda: lambda: None), outcome(name, None, peer), 1)
        numbers = iter(range(1000))
        made.sample = lambda: made.samples.append(100 + spread * (next(numbers) % 2))  # type: ignore[method-assign]
        return made

    steady = [runner("scorch", "scorch", 0.1), runner("a", "torch.sparse", 0.1)]
    timing.interleave(steady, rounds=200, budget=60)
    assert steady[0].outcome.rounds == 20
    shaky = [runner("scorch", "scorch", 0.1), runner("a", "torch.sparse", 20)]
    timing.interleave(shaky, rounds=100, budget=60)
    assert shaky[0].outcome.rounds == 100


def test_quick_calls_are_warmed_and_timed_more_often() -> None:
    calls: list[float] = []

    def runner(seconds: float) -> timing.Runner:
        calls.clear()
        return timing.Runner(
            Contender("a", lambda: lambda: (calls.append(seconds), time.sleep(seconds))), outcome("a", None), 1
        )

    quick, slow = runner(0.0), runner(0.002)
    quick.warm()
    assert len(calls) == 12
    calls.clear()
    slow.warm()
    assert len(calls) == 2
    for each in (quick, slow):
        timing.interleave([each], rounds=15, budget=0)  # nothing is left of the budget
    assert quick.outcome.rounds == 15


def test_the_best_counted_rival_stays_beside_a_faster_peer() -> None:
    def runner(name: str, peer: str, time: float, counted: bool = True) -> timing.Runner:
        made = timing.Runner(Contender(name, lambda: lambda: None), outcome(name, None, peer, counted=counted), 1)
        made.sample = lambda: made.samples.append(time)  # type: ignore[method-assign]
        return made

    runners = [
        runner("scorch", "scorch", 90.0),
        runner("a", "torch.sparse", 50.0),
        runner("b", "torch.sparse", 60.0),
        runner("c", "scipy", 300.0),
        runner("deepsparse", "deepsparse", 10.0, counted=False),
    ]
    timing.interleave(runners, rounds=10, budget=60)
    assert [each.outcome.rounds for each in runners] == [10, 10, 3, 1, 10]


def test_rounds_end_when_calls_leave_gigabytes_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = iter(range(0, 100 << 30, 1 << 30))
    monkeypatch.setattr(timing, "_resident", lambda: next(sizes))
    done: list[int] = []
    runner: Any = SimpleNamespace(
        warm=lambda: None,
        sample=lambda: done.append(1),
        active=True,
        outcome=outcome("a", None),
        median=1.0,
        close=lambda: None,
    )
    timing.interleave([runner], rounds=50, budget=60)
    assert len(done) == 5  # three at least, then until 3 GiB are more than 2

"""Calibration: what is kept, what is dropped, and which plans are priced by it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from itertools import cycle

import pytest
import torch

import scorch
from scorch.cli import main
from scorch.config import config
from scorch.runtime import calibrate as module
from scorch.runtime import threads
from scorch.runtime.calibrate import calibrate
from scorch.schedule import prices
from scorch.schedule.prices import BUILT_IN, in_force, kept_at

MEASURED = {
    "entry": 3.2,
    "vector": 0.5,
    "line": 3.0,
    "near": 2.0,
    "far": 9.0,
    "merge": 5.0,
    "collected": 7.0,
    "sort": 5.0,
    "placed": 8.0,
    "launch": 4000.0,
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path) -> Iterator[None]:
    with config.using(cache_dir=tmp_path, calibrate=False):
        prices.forget()
        module._told.clear()
        yield
    prices.forget()


def measured(monkeypatch: pytest.MonkeyPatch, *factors: float) -> list[str]:
    """Steps that take the same time at each call, times the next of some factors for `merge`; who was called."""
    called: list[str] = []
    turns = cycle(factors or (1.0,))

    def step(name: str) -> float:
        called.append(name)
        return MEASURED[name] * (next(turns) if name == "merge" else 1.0)

    monkeypatch.setattr(module, "_steps", lambda: {name: lambda n=name: step(n) for name in MEASURED})
    monkeypatch.setattr(module.time, "thread_time_ns", module.perf_counter_ns)  # never waits for a core
    return called


def test_measured_steps_become_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    measured(monkeypatch)
    found = calibrate(keep=False)
    assert found.sound
    assert found.prices.merge == 5.0
    assert found.prices.scalar == pytest.approx(BUILT_IN.scalar * 3.2 / 1.6)
    assert found.prices.scatter + found.prices.append == pytest.approx(7.0)
    assert found.prices.convert == pytest.approx(2 * BUILT_IN.convert)
    assert not kept_at().exists()


def test_kept_prices_are_used_only_where_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    measured(monkeypatch)
    found = calibrate()
    assert in_force() is BUILT_IN
    with config.using(calibrate=True):
        assert in_force() == found.prices


def test_halves_that_disagree_are_repeated_then_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    called = measured(monkeypatch, 1.0, 1.0, 2.0)  # warm, first half, second half
    found = calibrate(attempts=2)
    assert not found.sound
    assert found.complaint == "the machine is busy: merge varies by 2.0 x"
    assert called.count("merge") == 6
    assert not kept_at().exists()


def test_a_second_attempt_may_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    called = measured(monkeypatch, 1.0, 1.0, 2.0, 1.0, 1.0, 1.0)
    assert calibrate().sound
    assert called.count("merge") == 6
    assert kept_at().exists()


def test_waiting_for_a_core_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    measured(monkeypatch)
    monkeypatch.setattr(module.time, "thread_time_ns", lambda: module.perf_counter_ns() // 2)
    found = calibrate(attempts=1)
    assert found.worst == "waiting for a core"
    assert not found.sound


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"loop": 1}'])
def test_a_damaged_file_counts_for_nothing(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    measured(monkeypatch)
    calibrate()
    kept_at().write_text(text)
    prices.forget()
    with config.using(calibrate=True):
        assert in_force() is BUILT_IN


def test_prices_that_are_no_prices_count_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    measured(monkeypatch)
    calibrate()
    kept = json.loads(kept_at().read_text())
    for wrong in (0, -1.0, float("nan"), "2"):
        kept_at().write_text(json.dumps({**kept, "loop": wrong}))
        assert prices.read(kept_at()) is None


def test_the_first_plan_measures_once_and_explain_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    called = measured(monkeypatch)
    a, b = scorch.eye(3), torch.ones(3, 2)
    assert "by built-in prices" in str(scorch.explain("ik,kj->ij", a, b))
    assert not called
    with config.using(calibrate=True):
        assert "by prices measured on this machine" in str(scorch.explain("ik,kj->ij", a, b))
        torch.testing.assert_close(scorch.einsum("ik,kj->ij", a, b), b)
    assert called.count("merge") == 3


def test_a_busy_machine_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    measured(monkeypatch, 1.0, 1.0, 2.0)
    with config.using(calibrate=True):
        with pytest.warns(RuntimeWarning, match=r"built-in ones hold \(the machine is busy: merge"):
            module.ensure()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            module.ensure()
        assert in_force() is BUILT_IN


def test_forked_children_and_plain_python_measure_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    called = measured(monkeypatch)
    with config.using(calibrate=True):
        monkeypatch.setattr(threads, "_forked", True)
        module.ensure()
        monkeypatch.setattr(threads, "_forked", False)
        with config.using(jit=False):
            module.ensure()
    assert not called


def test_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    measured(monkeypatch)
    assert main(["calibrate", "--dry-run"]) == 0
    assert not kept_at().exists()
    assert main(["calibrate"]) == 0
    assert "SCORCH_CALIBRATE=1" in capsys.readouterr().out
    assert kept_at().exists()
    measured(monkeypatch, 1.0, 1.0, 2.0)
    assert main(["calibrate"]) == 1
    assert "Not kept: the machine is busy" in capsys.readouterr().out


@pytest.mark.compiled
def test_every_step_can_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_NANOSECONDS", 1000)
    monkeypatch.setattr(module, "_TRIALS", 1)
    steps = module._steps()
    assert steps.keys() == MEASURED.keys()
    for step in steps.values():
        assert 0 < step() < float("inf")

import pytest

from scorch.demo import bystanders
from scorch.demo.bystanders import Bystanders


@pytest.fixture
def clocks(monkeypatch):
    """The three clocks, to be set by hand."""
    times = {"monotonic": 100.0, "_machine_seconds": 50.0, "_own_seconds": 7.0}
    for name in times:
        monkeypatch.setattr(bystanders, name, lambda name=name: times[name])
    return times


def test_own_work_is_not_that_of_others(clocks):
    watch = Bystanders.from_now()
    clocks.update(monotonic=102.0, _machine_seconds=54.0, _own_seconds=11.0)
    assert watch.cores() == 0.0
    assert watch.warning() == ""


def test_work_of_others_is_seen(clocks):
    watch = Bystanders.from_now()
    clocks.update(monotonic=102.0, _machine_seconds=54.0, _own_seconds=8.0)
    assert watch.cores() == 1.5
    assert watch.warning().startswith("Other processes used 1.5 of ")


def test_no_time_and_no_such_file_are_no_work(clocks):
    watch = Bystanders.from_now()
    assert watch.cores() == 0.0
    clocks.update(monotonic=101.0, _machine_seconds=0.0)
    assert watch.cores() == 0.0


def test_the_real_clocks_run():
    assert Bystanders.from_now().cores() >= 0.0

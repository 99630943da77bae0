import time

import numpy as np
import pytest

from scorch.demo.cases import Case, Contender
from scorch.demo.measure import measure


def _case(**calls):
    contenders = tuple(Contender(label.replace("_", " "), call) for label, call in calls.items())
    return Case("Work", "i->i", (), contenders, lambda: (np.ones(2), np.ones(2)))


def _after(delay, log=None, label=""):
    def call():
        if log is not None:
            log.append(label)
        time.sleep(delay)
        return np.ones(2)

    return call


def test_rounds_are_interleaved():
    log = []
    measure(_case(scorch=_after(0.001, log, "a"), scipy=_after(0.001, log, "b")), rounds=3)
    assert "".join(log) == "ab" * 4


def test_the_best_variant_of_a_library_counts():
    found = measure(_case(scorch=_after(0.002), torch_csr=_after(0.008), torch_coo=_after(0.004)), rounds=3)
    assert found.best("torch").label == "torch coo"
    assert found.ratio("torch") == pytest.approx(found.best("torch").median / found.best("scorch").median)
    assert found.best("scipy") is None
    assert np.isnan(found.ratio("scipy"))


def test_a_hopeless_contender_is_called_twice_only():
    log = []
    measure(_case(scorch=_after(0.001), torch_coo=_after(0.05, log, "slow")), rounds=6)
    assert log == ["slow"] * 2


def test_time_is_limited():
    log = []
    measure(_case(scorch=_after(0.02, log, "x")), rounds=1000, seconds=0.1)
    assert 2 <= len(log) < 20


def test_a_rival_that_cannot_is_left_out_and_not_wrong():
    def cannot():
        raise RuntimeError("no kernel\nfor this layout")

    found = measure(_case(scorch=_after(0), torch_csc=cannot), rounds=2)
    assert found.best("torch") is None
    assert found.wrong == ()
    assert found.timings[1].failure == "no kernel for this layout"


def test_scorch_that_cannot_is_an_error():
    def cannot():
        raise RuntimeError("bug")

    with pytest.raises(RuntimeError, match="bug"):
        measure(_case(scorch=cannot, scipy=_after(0)))


def test_wrong_results_are_named():
    found = measure(_case(scorch=_after(0), scipy=lambda: np.array([1.0, 1.1])), rounds=2)
    assert [timing.label for timing in found.wrong] == ["scipy"]
    assert found.worst_error == pytest.approx(0.1)

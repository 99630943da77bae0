"""DeepSparse beside Scorch: the real child with a stand-in for the engine, and what is said when there is none."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from asv_benchmarks.compare import families, peers, report
from asv_benchmarks.compare.__main__ import main
from asv_benchmarks.compare.model import CaseResult, Options, Outcome
from asv_benchmarks.compare.peers import deepsparse_engine
from asv_benchmarks.compare.ratios import beside, ratio

OPTIONS = Options(families=("end-to-end",), quick=True, rounds=3, budget=0.0)
# An interpreter whose deepsparse and onnx are these few lines; the script that it is given is the real one.
STAND_IN = """#!{python}
import runpy, sys
from unittest.mock import MagicMock

import numpy as np

class Engine:
    def run(self, inputs, val_inp=True):
        (x,) = inputs
        weights = np.load("weights.npz")
        for n in range(len(weights.files)):
            x = np.maximum(x, 0) if n else x
            x = x @ weights[f"w{{n}}"].T
        return [x + {error}]

def compile_model(path, batch_size, num_cores):
    print("a banner that is no answer")
    {start}
    return Engine()

sys.modules["onnx"] = MagicMock()
sys.modules["deepsparse"] = MagicMock(compile_model=compile_model, __version__="1.8.stand-in")
runpy.run_path(sys.argv[-1], run_name="__main__")
"""


@pytest.fixture(autouse=True)
def stopped() -> Iterator[None]:
    yield
    deepsparse_engine.stop()


def interpreter(folder: Path, error: float = 0.0, start: str = "pass") -> str:
    path = folder / "python"
    path.write_text(STAND_IN.format(python=sys.executable, error=error, start=start))
    path.chmod(0o755)
    return str(path)


def measured(name: str) -> CaseResult:
    family, case = next((f, c) for f, c in families.select(OPTIONS) if name in c.id)
    return family.measure(case, OPTIONS)


def outcome(result: CaseResult) -> Outcome:
    return next(o for o in result.outcomes if o.peer == "deepsparse")


@pytest.mark.compiled
@pytest.mark.parametrize("name", ["linear 90 %", "autoencoder 95 %", "autoencoder 99 %, batch 1"])
def test_it_stands_beside(tmp_path: Path, name: str) -> None:
    assert deepsparse_engine.start(interpreter(tmp_path)) == ""
    assert peers.versions()["deepsparse"] == "1.8.stand-in"
    result = measured(name)
    found = outcome(result)
    assert (found.error, found.wrong, found.counted) == ("", "", False)
    assert found.value
    assert f"{beside(result)['deepsparse']:.2f} x deepsparse" in result.notes
    without = [o for o in result.outcomes if o.peer != "deepsparse"]
    assert ratio(result) == ratio(CaseResult("", "", "", "", False, outcomes=without))
    assert "x deepsparse in 1 cases" in report.as_text({}, [result])


@pytest.mark.compiled
def test_a_wrong_result_is_not_timed(tmp_path: Path) -> None:
    folder = tmp_path / "wrong"
    folder.mkdir()
    assert deepsparse_engine.start(interpreter(folder, error=1.0)) == ""
    found = outcome(measured("linear 90 %"))
    assert found.value is None
    assert found.wrong.startswith("differs by 1 at")


@pytest.mark.compiled
def test_a_child_that_dies_is_an_outcome_and_the_next_case_has_a_new_one(tmp_path: Path) -> None:
    assert deepsparse_engine.start(interpreter(tmp_path, start="batch_size == 32 and sys.exit('no AVX2')")) == ""
    assert outcome(measured("linear 90 %")).error == "not available: RuntimeError: no AVX2"
    assert outcome(measured("autoencoder 90 %, batch 1")).value


@pytest.mark.compiled
def test_a_child_that_dies_between_rounds_ends_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert deepsparse_engine.start(interpreter(tmp_path)) == ""
    monkeypatch.setattr(deepsparse_engine.Child, "time", lambda child: child.ask("nonsense"))
    result = measured("linear 90 %")
    assert (
        outcome(result).error
        == "not available: RuntimeError: AttributeError: 'Session' object has no attribute 'nonsense'"
    )
    assert outcome(result).value is None
    assert ratio(result) is not None


def test_it_takes_no_part_unasked() -> None:
    assert not list(deepsparse_engine.PEER.operations["autoencoder"](None, None))
    assert "deepsparse" not in peers.versions()


@pytest.mark.parametrize(
    ("python", "why"),
    [
        ("no/such/python", "no/such/python can't be run (No such file or directory)"),
        (sys.executable, "ModuleNotFoundError: No module named 'deepsparse'"),
    ],
)
def test_one_line_says_what_to_install(python: str, why: str) -> None:
    said = deepsparse_engine.start(python)
    assert said.startswith(f"No DeepSparse: {why}. ")
    assert "pip install 'deepsparse<1.9'" in said
    assert "\n" not in said


def test_an_engine_that_cannot_run_here(tmp_path: Path) -> None:
    said = deepsparse_engine.start(interpreter(tmp_path, start="raise OSError('needs AVX2')"))
    assert said.startswith("No DeepSparse: OSError: needs AVX2. ")


@pytest.mark.compiled
def test_the_rest_of_the_run_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--quick", "--family", "spmv", "--case", "powerlaw-2k", "--rounds", "3", "--budget", "0"]
    assert main([*words, "--deepsparse", "no/such/python"]) == 0
    said = capsys.readouterr()
    assert said.err.count("No DeepSparse: ") == 1
    assert "SpMV" in said.out


@pytest.mark.compiled
def test_nothing_stays_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    assert deepsparse_engine.start(interpreter(tmp_path)) == ""
    assert list((tmp_path / "temporary").iterdir())
    deepsparse_engine.stop()
    assert not list((tmp_path / "temporary").iterdir())

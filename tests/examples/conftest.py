"""How the tests run the examples."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

import scorch

EXAMPLES = Path(__file__).parents[2] / "examples"
BESIDE = ("datasets", "options")  # the modules that the examples import from their own folder


@pytest.fixture
def typed(tmp_path: Path) -> Callable[..., str]:
    """Run an example as its user types it, `typed("gcn", "--epochs", 5)`; what it prints."""

    def run(name: str, *words: object) -> str:
        # One thread: the tests of other processes have the other cores.
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "SCORCH_THREADS": "1"}
        environment["PYTHONPATH"] = os.pathsep.join([str(EXAMPLES.parent), str(tmp_path)])
        command = [sys.executable, str(EXAMPLES / f"{name}.py"), *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def run_here(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Run an example as `typed` does, but in this process, which saves the seconds that a new one takes to begin."""
    monkeypatch.syspath_prepend(EXAMPLES)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)

    def run(name: str, *words: object) -> None:
        path = str(EXAMPLES / f"{name}.py")
        monkeypatch.setattr(sys, "argv", [path, *map(str, words)])
        runpy.run_path(path, run_name="__main__")

    with scorch.config.using(threads=1):
        yield run
    torch.set_num_threads(threads)
    for name in BESIDE:
        sys.modules.pop(name, None)


@pytest.fixture
def printed(run_here: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What an example prints that runs in this process."""

    def run(name: str, *words: object) -> str:
        run_here(name, *words)
        return capsys.readouterr().out

    return run


@pytest.fixture
def ended(run_here: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The help of an example, or the last line that its user reads where it ends itself for a mistake.

    Any other exception passes, and fails the test with its traceback.
    """

    def run(name: str, *words: object) -> str:
        with pytest.raises(SystemExit) as ending:
            run_here(name, *words)
        code = ending.value.code
        out, err = capsys.readouterr()
        if isinstance(code, str):
            return code
        return out if code == 0 else err.splitlines()[-1]

    return run


@pytest.fixture
def figure() -> Callable[[str, str], float]:
    """The one number of a text that stands where the pattern has its group."""

    def find(pattern: str, text: str) -> float:
        (found,) = re.findall(pattern, text)
        return float(found)

    return find

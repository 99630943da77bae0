"""Fixtures of all tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

import scorch
from scorch import engine
from scorch.schedule import machine

# Machines that run the tests are shared: slow generation of examples says nothing of the code.
hypothesis.settings.register_profile("shared", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("shared")

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write what the golden tests print to tests/golden")


@pytest.fixture(scope="session")
def kernel_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kernels")


@pytest.fixture
def plain(kernel_home: Path) -> Iterator[None]:
    """Kernels run as plain Python, which takes milliseconds: for tests of numbers, not of machine code."""
    with scorch.config.using(jit=False, cache_dir=kernel_home):
        yield


@pytest.fixture
def for_avx512(plain: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Plans for a CPU with AVX-512, whatever the one that runs the tests has; kernels run as plain Python."""
    monkeypatch.setenv("NUMBA_CPU_NAME", "skylake-avx512")
    monkeypatch.setenv("NUMBA_CPU_FEATURES", "+avx2,+fma,+avx512f,+avx512vl")
    _plan_anew()
    yield
    monkeypatch.undo()
    _plan_anew()


def _plan_anew() -> None:
    machine.host.cache_clear()
    engine.kept.forget()


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with tests/golden/<name>.txt, or write it there with --update-golden."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / f"{name}.txt"
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        known = path.read_text(encoding="utf-8") if path.exists() else ""
        assert text == known, f"{path.name} differs; if that is meant, run pytest --update-golden and read git diff"

    return compare


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real matrices and tensors: SCORCH_DATA, or shared/data beside the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SCORCH_DATA") or beside)
    if not folder.is_dir():
        pytest.skip("no real data here: set SCORCH_DATA to its folder")
    return folder

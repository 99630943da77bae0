"""Uncompiled runs: kernels as plain Python, their sources in a folder of the test run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import scorch
from scorch import engine
from tests.differential.chooser import Chooser


@pytest.fixture(scope="session")
def kernel_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kernels")


@pytest.fixture
def plain(kernel_home: Path) -> Iterator[None]:
    """Kernels run as plain Python."""
    with scorch.config.using(jit=False, cache_dir=kernel_home):
        yield


@pytest.fixture
def chooser(monkeypatch: pytest.MonkeyPatch, plain: None) -> Iterator[Chooser]:
    """Random plans, divided among three threads that run one after the other."""
    chooser = Chooser()
    chooser.install(monkeypatch)
    with scorch.config.using(threads=3):
        yield chooser
    engine.kept.programs.clear()

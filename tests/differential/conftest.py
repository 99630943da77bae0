"""Uncompiled runs by plans that small inputs would never get."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import scorch
from scorch import engine
from tests.differential.chooser import Chooser


@pytest.fixture
def chooser(monkeypatch: pytest.MonkeyPatch, plain: None) -> Iterator[Chooser]:
    """Random plans, divided among three threads that run one after the other."""
    chooser = Chooser()
    chooser.install(monkeypatch)
    with scorch.config.using(threads=3):
        yield chooser
    engine.kept.forget()

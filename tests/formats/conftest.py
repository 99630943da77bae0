"""Uncompiled runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import scorch


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[None]:
    """Kernels run as plain Python."""
    with scorch.config.using(jit=False, cache_dir=tmp_path):
        yield

"""Kernels of these tests run as plain Python."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import scorch


@pytest.fixture(autouse=True)
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with scorch.config.using(jit=False, cache_dir=tmp_path_factory.getbasetemp() / "function-kernels"):
        yield

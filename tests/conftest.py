"""Fixtures of all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real matrices and tensors: SCORCH_DATA, or shared/data beside the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SCORCH_DATA") or beside)
    if not folder.is_dir():
        pytest.skip("no real data here: set SCORCH_DATA to its folder")
    return folder

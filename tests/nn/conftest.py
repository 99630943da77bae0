from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

import scorch


@pytest.fixture(autouse=True)
def plain() -> Iterator[None]:
    """Kernels as plain Python: what is tested here is not the compiler."""
    torch.manual_seed(0)
    with scorch.config.using(jit=False):
        yield

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch

import scorch


@pytest.fixture(autouse=True)
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Kernels as plain Python: what is tested here is not the compiler."""
    torch.manual_seed(0)
    with scorch.config.using(jit=False, cache_dir=tmp_path_factory.getbasetemp() / "trace-kernels"):
        yield


@pytest.fixture
def t() -> SimpleNamespace:
    """Square matrices, so that swapped operands would go unnoticed by shapes: A sparse, X, Y, Z dense, vectors u, v."""
    generator = torch.Generator().manual_seed(1)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    n = 12
    dense = random(n, n) * (torch.rand(n, n, generator=generator) < 0.3)
    dense[3] = 0  # a row without entries
    return SimpleNamespace(
        n=n,
        dense=dense,
        A=scorch.tensor(dense, "csr"),
        M=scorch.tensor((dense != 0).float(), "csr"),
        X=random(n, n),
        Y=random(n, n),
        Z=random(n, n),
        u=random(n),
        v=random(n),
    )

"""Dense products as models have them: rows of samples times a weight, stored as it is multiplied or the other way.

numpy takes no part: the threads of its OpenBLAS keep the cores busy for milliseconds after each product, which would be
taken from whoever comes next.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.nn import functional as F

from asv_benchmarks.compare.model import Contender

from .common import Operations, inference

__all__ = ["SCORCH", "SPARSE", "dense_product", "turned_product"]


def dense_product(x: Any, weight: Any) -> Any:
    """(n, k) times (k, m)."""
    return x @ weight


def turned_product(x: Any, weight: Any) -> Any:
    """(n, k) times the transpose of (m, k), as torch.nn.Linear stores it."""
    return x @ weight.T


def _scorch(notation: str) -> Any:
    def contenders(x: Any, weight: Any) -> Iterator[Contender]:
        import scorch

        left, right = torch.from_numpy(x), torch.from_numpy(weight)
        yield inference("scorch", lambda: lambda: scorch.einsum(notation, left, right))

    return contenders


def _torch(x: Any, weight: Any) -> Iterator[Contender]:
    left, right = torch.from_numpy(x), torch.from_numpy(weight)
    yield inference("torch", lambda: lambda: torch.mm(left, right))


def _torch_turned(x: Any, weight: Any) -> Iterator[Contender]:
    left, right = torch.from_numpy(x), torch.from_numpy(weight)
    yield inference("torch", lambda: lambda: F.linear(left, right))


SCORCH: Operations = {"dense_product": _scorch("ik,kj->ij"), "turned_product": _scorch("ik,jk->ij")}
SPARSE: Operations = {"dense_product": _torch, "turned_product": _torch_turned}

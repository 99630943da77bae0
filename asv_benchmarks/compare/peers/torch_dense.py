"""Dense torch, where the dense matrix has a sensible size. Shown beside; it makes no ratio."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from asv_benchmarks.compare import tasks
from asv_benchmarks.compare.model import Contender, LeftOut, Peer

__all__ = ["PEER"]

# 256 MiB of float32: beyond, a dense copy of a sparse matrix is nobody's choice.
_ELEMENTS = 2**26


def _dense(a: Any) -> torch.Tensor:
    if a.shape[0] * a.shape[1] > _ELEMENTS:
        raise LeftOut(f"it would take {a.shape[0] * a.shape[1] * 4 / 2**20:.0f} MiB")
    return torch.from_numpy(a.toarray())


def _times(a: Any, b: Any) -> Iterator[Contender]:
    def build() -> Callable[[], Any]:
        left, right = _dense(a), torch.from_numpy(b)
        return lambda: left @ right

    yield Contender("dense", build)


def _sddmm(mask: Any, q: Any, k: Any) -> Iterator[Contender]:
    def build() -> Callable[[], Any]:
        weights, left, right = _dense(mask), torch.from_numpy(q), torch.from_numpy(k).T
        return lambda: (left @ right).mul_(weights)

    yield Contender("dense", build)


PEER = Peer(
    name="torch dense",
    operations={"spmm": _times, "spmm_weight": _times, "spmv": _times, "sddmm": _sddmm, "small": _times, **tasks.DENSE},
    modules=("torch",),
    counted=False,
)

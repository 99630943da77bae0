"""SpMM, SpMV, SpMSpM and SDDMM over a few matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asv_benchmarks.benchmarks.common import CONTENDERS, build, matrices

__all__ = ["Sddmm", "Spmm", "Spmspm", "Spmv"]

# Not for products of two sparse matrices, whose results would take gigabytes, nor as a mask.
WIDE = ("uniform-20000-1e-3", "powerlaw-50k", "pruned-2048x1024-90")


class _Product:
    """A case of `compare`, named by the parameters, and one of its contenders."""

    family: str
    param_names: tuple[str, ...] = ("matrix", "contender")
    timeout = 300
    call: Callable[[], Any]

    def setup(self, matrix: str, *rest: str) -> None:
        *variant, contender = rest
        self.call = build("/".join((self.family, matrix, *variant)), contender)

    def time_call(self, *_: str) -> None:
        self.call()


class Spmm(_Product):
    """Sparse times dense."""

    family = "spmm"
    param_names = ("matrix", "columns", "contender")
    params = (matrices(), ["K=16", "K=128"], CONTENDERS)


class Spmv(_Product):
    """Sparse times a vector."""

    family = "spmv"
    params = (matrices(), CONTENDERS)


class Spmspm(_Product):
    """Sparse times sparse."""

    family = "spmspm"
    params = (
        matrices("uniform-10000-1e-3", "powerlaw-20k", without=WIDE),
        CONTENDERS,
    )


class Sddmm(_Product):
    """A dense product sampled at a pattern."""

    family = "sddmm"
    param_names = ("matrix", "depth", "contender")
    params = (
        matrices("window-4096-w64", without=WIDE),
        ["d=64"],
        ("scorch", "torch csr32", "numpy gather"),
    )

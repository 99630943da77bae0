"""The cost of a call, of a first call, and of its memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

from asv_benchmarks.benchmarks.common import CONTENDERS, build, matrices, options
from asv_benchmarks.compare.families import children

__all__ = ["FirstCall", "Memory", "Overhead"]


class Overhead:
    """Operands of 10 x 10: nothing but the call is left."""

    param_names = ("contender",)
    params = (["scorch einsum", "scorch kernel", "scorch einsum, torch csr", "torch csr32", "scipy", "dense"],)
    call: Callable[[], Any]

    def setup(self, contender: str) -> None:
        self.call = build("overhead/10x10/ik,kj->ij", contender)

    def time_100_calls(self, _: str) -> None:
        # asv sets up anew before each sample, which empties caches: one call alone would measure that.
        for _turn in range(100):
            self.call()


class FirstCall:
    """A new SpMM in a warm process: compiled, and from the disk cache of another process."""

    unit = "ms"
    param_names = ("cache",)
    params = (["empty", "filled"],)
    timeout = 300

    def setup(self, _: str) -> None:
        try:
            from scorch import einsum  # noqa: F401
        except ImportError as error:
            raise NotImplementedError(str(error)) from error

    def track_first_call(self, cache: str) -> float:
        with tempfile.TemporaryDirectory(prefix="scorch-asv-") as folder:
            found = {state: _first(folder) for state in ("empty", "filled")}
        return found[cache] / 1e6


class Memory:
    """Peak memory of a call beyond its operands, and of the whole process."""

    unit = "MiB"
    param_names = ("matrix", "contender")
    params = (matrices(without=("pruned-2048x1024-90",)), CONTENDERS)
    timeout = 300
    call: Callable[[], Any]

    def setup(self, matrix: str, contender: str) -> None:
        self.case = f"spmm/{matrix}/K=64"
        self.call = build(self.case, contender)

    def track_peak_of_call(self, _: str, contender: str) -> float:
        data = options().data
        folder = ("--data", str(data)) if data is not None else ()
        return float(children.run("memory", self.case, contender, *folder)["peak"]) / 2**20

    def peakmem_process(self, *_: str) -> None:
        self.call()


def _first(folder: str) -> float:
    return float(children.run("latency", "scorch", environment={"SCORCH_CACHE_DIR": folder})["first"])

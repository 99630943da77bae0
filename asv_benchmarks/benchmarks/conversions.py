"""Conversions between formats and elementwise work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asv_benchmarks.benchmarks.common import build, matrices

__all__ = ["Convert"]


class Convert:
    """COO -> CSR, CSR -> CSC, CSR + CSR, CSR * CSR. Every sample takes a new tensor."""

    param_names = ("matrix", "work", "contender")
    params = (
        matrices(without=("pruned-2048x1024-90",)),
        ["COO->CSR", "shuffled COO->CSR", "CSR->CSC", "CSR+CSR", "CSR*CSR"],
        ("scorch", "scipy"),
    )
    # A sample is one call, and setup makes a new tensor before each.
    number = 1
    timeout = 300
    call: Callable[[], Any]

    def setup(self, matrix: str, work: str, contender: str) -> None:
        self.call = build(f"convert/{matrix}/{work}", contender)

    def time_call(self, *_: str) -> None:
        self.call()

"""The cost of a call: operands so small (10 x 10) that nothing else is left."""

from __future__ import annotations

from collections.abc import Iterator
from operator import matmul
from typing import Any

from asv_benchmarks.compare import timing
from asv_benchmarks.compare.model import Case, Family, Options
from asv_benchmarks.inputs.generate import uniform

from .operands import dense

__all__ = ["FAMILY"]

_CALLS = 100


def _operands() -> tuple[Any, ...]:
    return uniform(10, 10, 0.3), dense(10, 10)


def _cases(options: Options) -> Iterator[Case]:
    yield Case("overhead", "10x10", "ik,kj->ij", "small", _operands, matmul, inner=_CALLS)


FAMILY = Family(
    "overhead",
    "Call overhead: 10 x 10 operands",
    "us",
    _cases,
    timing.measure,
    averaged=False,
    about=f"A sample is {_CALLS} calls, divided. Goals: einsum under 10 us, a kernel object under 5; "
    "dense is torch's own product of dense operands.",
)

"""Whole expressions: one statement of Scorch beside the same composed of scipy's operations."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from asv_benchmarks.compare import timing
from asv_benchmarks.compare.model import Case, Family, Options
from asv_benchmarks.compare.tasks.algebra import EXPRESSIONS, Expression
from asv_benchmarks.inputs.generate import uniform

from .operands import dense

__all__ = ["FAMILY"]

_SIZES = ((2_000, 0.002), (20_000, 0.0005))


def _operands(expression: Expression, size: int, density: float) -> tuple[Any, ...]:
    made: dict[str, Any] = {
        **{name: uniform(size, size, density, seed=n) for n, name in enumerate("ABC")},
        **{name: np.abs(dense(size, seed=n)) + np.float32(0.1) for n, name in enumerate("xy")},
    }
    return tuple(made[name] for name in expression.operands)


def _cases(options: Options) -> Iterator[Case]:
    for size, density in _SIZES[:1] if options.quick else _SIZES:
        for name, expression in EXPRESSIONS.items():
            yield Case(
                family="algebra",
                matrix=f"{size}x{density:g}",
                variant=name,
                operation=f"algebra {name}",
                load=partial(_operands, expression, size, density),
                reference=expression.by_hand,
                by_largest=expression.out_format != "csr",
            )


FAMILY = Family(
    "algebra",
    "Expressions: one statement beside scipy's operations one after the other",
    "ms",
    _cases,
    timing.measure,
    about="Goal: none slower than 2 x scipy.",
)

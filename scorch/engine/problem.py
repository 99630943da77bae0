"""What the schedule is asked about a statement and its operands."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from scorch.config import config
from scorch.formats import Format, Storage, dtypes
from scorch.ir.einsum import operand_names
from scorch.ir.notation import Assign, check_extents
from scorch.ir.types import Kind, type_of
from scorch.runtime import calibrate, threads
from scorch.schedule.problem import Operand, Problem
from scorch.schedule.sampling import sample, surprise

__all__ = ["problem_of", "result_type"]


def problem_of(
    statement: Assign,
    operands: Sequence[Storage],
    wanted: Format | None = None,
    dtype: str | None = None,
    convert: bool = True,
    onto: str | None = None,
    choice: str | None = None,
) -> Problem:
    """What the schedule is asked; ShapeError and NotationError if the operands don't fit the statement."""
    if config.calibrate:
        calibrate.ensure()
    names = operand_names(len(operands))
    extents = check_extents(statement, {name: s.pattern.shape for name, s in zip(names, operands, strict=False)})
    described = tuple(
        Operand.of(name, s.pattern, s.dtype, s.fill, s.is_frozen) for name, s in zip(names, operands, strict=False)
    )
    result = dtype or dtypes.promote(*(operand.dtype for operand in described))
    arithmetic = dtypes.computed(result)
    patterns = {name: s.pattern for name, s in zip(names, operands, strict=False)}
    return Problem(
        statement,
        described,
        extents,
        arithmetic,
        threads.available(),
        wanted,
        convert,
        result,
        onto,
        choice=choice,
        sample=sample(statement, patterns, {operand.name: operand.fill for operand in described}),
        surprise=surprise(statement, patterns),
    )


def result_type(statement: Assign, operands: Sequence[Storage]) -> str:
    """The number type of a statement over operands A, B, ...: torch's promotion; sums of truth values count."""
    return _result_type(statement, tuple([Kind(s.dtype, 2 if s.pattern.shape else 1) for s in operands]))


@lru_cache(maxsize=4096)
def _result_type(statement: Assign, operands: tuple[Kind, ...]) -> str:
    return type_of(statement, dict(zip(operand_names(len(operands)), operands, strict=False)))

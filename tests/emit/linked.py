"""Statements as the problems that the schedule joins, for tests of one kernel for several."""

from __future__ import annotations

import torch

from scorch import engine
from scorch.emit.jit import compile_kernel
from scorch.formats import Storage
from scorch.ir.normalise import normalise
from scorch.ir.parse import parse_statements
from scorch.ir.plan import Plan
from scorch.operand import as_storage
from scorch.schedule import fuse
from scorch.schedule.problem import Operand, Problem


def linked(text: str, given: dict[str, object]) -> tuple[list[Problem], dict[str, Storage]]:
    """The problems of a text's statements, sums finished where they are made, and the operands by name."""
    statements = normalise(parse_statements(text))
    storages = {name: as_storage(x) for name, x in given.items()}
    known = {name: Operand.of(name, s.pattern, s.dtype, s.fill, s.is_frozen) for name, s in storages.items()}
    problems = fuse._problems(statements, fuse._Asked(known, 2, None, None))
    assert problems is not None
    links = fuse.joined_problems(fuse.finished(statements), problems, known)
    assert links is not None
    return links, storages


def result(plan: Plan, storages: dict[str, Storage]) -> torch.Tensor:
    """The dense result of a plan."""
    operands = [storages[spec.name] for spec in plan.kernel.operands]
    found = engine.Program(plan, compile_kernel(plan.kernel), operands)([s.vals for s in operands])
    assert isinstance(found, torch.Tensor)
    return found

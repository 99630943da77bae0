"""Where rows end: what is known of it, and what a branch costs that depends on it."""

from __future__ import annotations

import math
from collections.abc import Mapping

from scorch.formats import Format
from scorch.ir.notation import Access
from scorch.schedule.problem import Problem
from scorch.schedule.statistics import GROUP_SIZES, Groups

__all__ = ["flush_cost", "row_groups"]

LEARNED_ROWS = 1_000  # up to so many row lengths are learned by the branch predictor, and no end is mispredicted
LEARNED_MICROCODED = 12_000  # the same on CPUs with microcoded gathers, all of which are AMD's


def row_groups(problem: Problem, walker: Access, index: str, formats: Mapping[str, Format]) -> tuple[Groups, ...]:
    """The rows of the access that a loop over the index walks, by groups of several sizes. Of an operand that is
    reordered first they are not known: as many entries in each."""
    operand = problem.by_name[walker.tensor]
    if formats[walker.tensor] == operand.format:
        return operand.statistics.groups
    parents = math.prod(float(problem.extents[v]) for v in walker.indices if v != index)
    mean = operand.statistics.nnz / max(1.0, parents)
    return tuple(Groups(size, mean / size + (0.5 if size > 1 else 0.0), min(1.0, mean / size)) for size in GROUP_SIZES)


def flush_cost(problem: Problem, rows: float) -> float:
    """Nanoseconds of a mispredicted branch at the end of one of so many rows; nothing if they are few enough to be
    learned."""
    learned = LEARNED_MICROCODED if problem.machine.microcoded else LEARNED_ROWS
    return problem.prices.enter if rows > learned else 0.0

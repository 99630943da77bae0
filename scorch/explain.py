"""What a program does and why, for people: text and HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scorch.emit.jit import Compiled
from scorch.formats import Storage
from scorch.ir.notation import Assign
from scorch.ir.plan import Plan
from scorch.schedule.statistics import Statistics, statistics

__all__ = ["Explanation"]


@dataclass(frozen=True)
class Explanation:
    """The statement, the plan with its alternatives, each operand's statistics, the generated source and its file."""

    notation: Assign
    plan: Plan
    statistics: dict[str, Statistics]
    source: str
    path: Path

    @classmethod
    def of(cls, plan: Plan, compiled: Compiled, operands: Sequence[Storage]) -> Explanation:
        named = zip((spec.name for spec in plan.kernel.operands), operands, strict=True)
        measured = {name: statistics(storage.pattern) for name, storage in named}
        return cls(plan.kernel.statement, plan, measured, compiled.module.source, compiled.path)

    def _table(self) -> list[str]:
        rows = [(f"{a.cost:12,.1f}", a.description) for a in self.plan.alternatives]
        return ["considered, estimated microseconds on one core (the first was taken)"] + [f"{cost}  {text}" for cost, text in rows]

    def __str__(self) -> str:
        return "\n".join([str(self.plan), *self._table(), f"source    {self.path}"])

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre><details><summary>generated source</summary><pre>{html.escape(self.source)}</pre></details>"

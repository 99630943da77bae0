"""What a program does and why, for people: text and HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from math import prod
from pathlib import Path

from scorch.engine import AnyProgram
from scorch.formats import Format, Storage
from scorch.ir.einsum import operand_names
from scorch.ir.notation import Assign
from scorch.ir.plan import Handover, Plan, Split
from scorch.schedule.statistics import Statistics, statistics

__all__ = ["Explanation"]

_CHOSEN, _OTHER = "->", "  "
_COSTS = "estimated time on one core"


@dataclass(frozen=True)
class Explanation:
    """The statement, the plan with its alternatives, each operand's statistics, the generated source and its file.

    As text, and in a notebook as HTML: operands and result, the plan, the reasons, what else was considered.
    """

    notation: Assign
    plan: Plan | Split | Handover
    statistics: dict[str, Statistics]
    source: str
    path: Path | None

    operands: tuple[tuple[str, Format, str, tuple[int, ...]], ...] = ()

    @classmethod
    def of(cls, program: AnyProgram, operands: Sequence[Storage]) -> Explanation:
        """What there is to say about a program over these operands."""
        named = list(zip(operand_names(len(operands)), operands, strict=False))
        measured = {name: statistics(storage.pattern) for name, storage in named}
        given = tuple((name, s.pattern.format, s.dtype, s.pattern.shape) for name, s in named)
        return cls(program.plan.statement, program.plan, measured, program.source, program.path, given)

    def __str__(self) -> str:
        sections = [
            ("", [str(self.notation)]),
            ("tensors", _aligned(_tensor_rows(self))),
            ("plan", _plan_lines(self.plan)),
            ("because", _reasons(self)),
            (f"alternatives, {_COSTS}", _aligned(_alternative_rows(self.plan), right=(1, 2))),
            ("source", [str(self.path)] if self.path else []),
        ]
        return "\n\n".join(_section(title, lines) for title, lines in sections if lines)

    def _repr_html_(self) -> str:
        head = "margin:0.8em 0 0.2em 0;font-weight:bold"
        parts = [
            f"<div style='font-weight:bold'><code>{escape(str(self.notation))}</code></div>",
            _html_table(["", "format", "type", "shape", "stored"], _tensor_rows(self)),
            f"<div style='{head}'>Plan</div>",
            f"<pre>{escape(chr(10).join(_plan_lines(self.plan)))}</pre>",
            _html_list(_reasons(self)),
            f"<div style='{head}'>Alternatives, {_COSTS}</div>",
            _html_table(["", "time", "ratio", "plan"], _alternative_rows(self.plan), bold=0, right=(1, 2)),
            f"<div style='{head}'>Source</div><code>{escape(str(self.path))}</code>",
            f"<details><summary>show it</summary><pre>{escape(self.source)}</pre></details>",
        ]
        return "\n".join(part for part in parts if part)


# --- what there is to say -----------------------------------------------------------------------------------


def _tensor_rows(explanation: Explanation) -> list[tuple[str, ...]]:
    """Name, format, number type, shape and structure of each operand and of the result."""
    plan = explanation.plan
    converted = dict(plan.conversions) if isinstance(plan, Plan) else {}
    rows = []
    for name, format, dtype, shape in explanation.operands:
        note = _structure(format, shape, explanation.statistics[name])
        if name in converted:
            note += f"; converted to {converted[name]}"
        rows.append((name, _named(format), dtype, _shape(shape), note))
    if isinstance(plan, Plan):
        result, extents = plan.kernel.result, dict(plan.extents)
        shape = tuple(extents[index] for index in explanation.notation.target.indices)
        rows.append((result.name, _named(plan.wanted or result.format), result.dtype, _shape(shape), "the result"))
    return rows


def _named(format: Format) -> str:
    return str(format) if format.ndim else "scalar"


def _shape(extents: Iterable[int]) -> str:
    return " x ".join(f"{extent}" for extent in extents) or "()"


def _structure(format: Format, shape: Sequence[int], found: Statistics) -> str:
    """How much is stored and how it is spread, in words."""
    if format.is_dense:
        return ""
    size = prod(shape)
    density = f" ({100 * found.nnz / size:.2g} %)" if size else ""
    text = f"{found.nnz:,} stored{density}"
    if format.ndim < 2:
        return text
    text += f"; a row: mean {found.row_mean:.3g}, most {found.row_max:,}, deviation {found.row_deviation:.3g}"
    if format.ndim > 2:
        text += f"; levels {' > '.join(f'{count:,}' for count in found.distinct)}"
    return text


def _plan_lines(plan: Plan | Split | Handover) -> list[str]:
    """Conversions, partition, assembly, and the loops; or the steps of a plan that has no loops of its own."""
    if not isinstance(plan, Plan):
        return str(plan).splitlines()[1:]
    kernel = plan.kernel
    lines = [f"convert {name} to {format}, once a pattern" for name, format in plan.conversions]
    lines.append(f"result {kernel.assembly}")
    if plan.wanted is not None and plan.wanted != kernel.result.format:
        lines.append(f"result written as {kernel.result.format}, then made {plan.wanted}")
    return [*lines, str(plan.partition), "", *str(kernel).splitlines()]


def _reasons(explanation: Explanation) -> list[str]:
    """The schedule's reasons, less the statistics, which the table of tensors has."""
    told = tuple(f"{name}: {found}" for name, found in explanation.statistics.items())
    reasons = explanation.plan.reasons if isinstance(explanation.plan, Plan) else ()
    return [reason for reason in reasons if reason not in told]


def _alternative_rows(plan: Plan | Split | Handover) -> list[tuple[str, ...]]:
    """A row for each plan that was priced, cheapest first: mark, time, ratio to the chosen one, description."""
    rows = []
    least = plan.alternatives[0].cost if plan.alternatives else 0.0
    for number, each in enumerate(plan.alternatives):
        ratio = f"{_three(each.cost / least)} x" if least > 0 else "-"
        text = each.description + (f" ({each.note})" if each.note else "")
        rows.append((_OTHER if number else _CHOSEN, _time(each.cost), ratio, text))
    return rows


def _time(microseconds: float) -> str:
    """A time with three figures and a unit.

    >>> _time(3404.5), _time(0.25), _time(2_027_118.4), _time(float("inf"))
    ('3.40 ms', '0.25 us', '2.03 s', 'inf s')
    """
    for unit, size in (("us", 1.0), ("ms", 1e3)):
        if microseconds < 999.5 * size:
            return f"{_three(microseconds / size)} {unit}"
    return f"{_three(microseconds / 1e6)} s"


def _three(value: float) -> str:
    decimals = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:,.{decimals}f}"


# --- how it is set ------------------------------------------------------------------------------------------


def _section(title: str, lines: Iterable[str]) -> str:
    if not title:
        return "\n".join(lines)
    return "\n".join([title, *(f"  {line}" if line else "" for line in lines)])


def _aligned(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """The rows with their columns under each other; those in `right` end at the same place."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    pairs = [list(zip(row, widths, strict=True)) for row in rows]
    return [
        "  ".join(cell.rjust(w) if n in right else cell.ljust(w) for n, (cell, w) in enumerate(row)).rstrip()
        for row in pairs
    ]


def _html_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], bold: int | None = None, right: Sequence[int] = ()
) -> str:
    if not rows:
        return ""
    sides = ["right" if n in right else "left" for n in range(len(header))]

    def line(kind: str, cells: Sequence[str], weight: str = "") -> str:
        inner = "".join(
            f"<{kind} style='text-align:{side}{weight}'>{escape(cell)}</{kind}>"
            for cell, side in zip(cells, sides, strict=True)
        )
        return f"<tr>{inner}</tr>"

    body = [line("td", row, ";font-weight:bold" if n == bold else "") for n, row in enumerate(rows)]
    return "<table>" + "".join([line("th", header), *body]) + "</table>"


def _html_list(lines: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>" if lines else ""

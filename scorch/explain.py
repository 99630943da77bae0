"""What a program does and why, for people: text and HTML."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from scorch.blocked import Recast
from scorch.formats import Format, Storage, dtypes
from scorch.ir.canonical import canonical_run
from scorch.ir.einsum import operand_names
from scorch.ir.notation import Access, Apply, Assign, Expr, accesses
from scorch.ir.plan import Alternative, Entrywise, Handover, Plan, Split
from scorch.schedule.statistics import Statistics, statistics

if TYPE_CHECKING:
    from scorch.engine import AnyProgram

__all__ = ["Explanation", "Explanations", "ranked"]

_CHOSEN, _OTHER = "->", "  "
_COSTS = "estimated time"

AnyPlan: TypeAlias = "Plan | Split | Handover | Entrywise"
Row: TypeAlias = tuple[str, ...]


@dataclass(frozen=True)
class Explanation:
    """The statement, the plan with its alternatives, each operand's statistics, the source and its file.

    `tensors` says of each operand and of the result: name, format, number type, shape, what is stored.
    `before` are statements that the same kernel computes on the way. Of a sparse result `expected` is how many values
    the schedule thought that it would store, `stored` how many the last run did; None if there was none. `path` is None
    where the work is left to several kernels or to torch. As text, and in a notebook as HTML.
    """

    notation: Assign
    plan: AnyPlan
    statistics: dict[str, Statistics]
    source: str
    path: Path | None
    tensors: tuple[Row, ...] = ()
    before: tuple[Assign, ...] = ()
    expected: float | None = None
    stored: int | None = None

    @classmethod
    def of(cls, program: AnyProgram, operands: Sequence[Storage], statements: tuple[Assign, ...] = ()) -> Explanation:
        """What there is to say about a program over these operands; `statements` have them by the users' names."""
        while isinstance(program, Recast):  # in blocks, or with levels that encode others
            operands = program.see(operands)
            program = program.inner
        names = operand_names(len(operands))
        named = dict(zip(names, operands, strict=False))
        measured = {name: statistics(storage.pattern) for name, storage in named.items()}
        given = _read(statements) or names
        rows = [
            _operand_row(name if name == user else f"{name} ({user})", storage, measured[name])
            for (name, storage), user in zip(named.items(), given, strict=False)
        ]
        expected, stored = _expected(program.plan, measured), program.stored
        rows.append(_result_row(program.plan, named, expected, stored))
        *before, last = statements or (program.plan.statement,)
        plan, source, path = program.plan, program.source, program.path
        return cls(last, plan, measured, source, path, tuple(rows), tuple(before), expected, stored)

    def __str__(self) -> str:
        sections = [
            ("", [str(statement) for statement in (*self.before, self.notation)]),
            ("tensors", _aligned(self.tensors)),
            ("plan", _plan_lines(self.plan)),
            ("because", _reasons(self)),
            (f"alternatives, {_COSTS}", _aligned(_alternative_rows(self.plan), right=(1, 2))),
            ("source", [_origin(self)]),
        ]
        return "\n\n".join(_section(title, lines) for title, lines in sections if lines)

    def _repr_html_(self) -> str:
        alternatives = _alternative_rows(self.plan)
        parts = [
            *(
                f"<div style='font-weight:bold'><code>{escape(str(statement))}</code></div>"
                for statement in (*self.before, self.notation)
            ),
            _html_table(["", "format", "type", "shape", "stored"], self.tensors),
            _html_heading("Plan"),
            _html_code("\n".join(_plan_lines(self.plan))),
            _html_list(_reasons(self)),
            _html_heading(f"Alternatives, {_COSTS}") if alternatives else "",
            _html_table(["", "time", "ratio", "plan"], alternatives, bold=0, right=(1, 2)),
            _html_heading("Source"),
            f"<code>{escape(_origin(self))}</code>",
            f"<details><summary>show it</summary>{_html_code(self.source)}</details>",
        ]
        return "\n".join(part for part in parts if part)


@dataclass(frozen=True)
class Explanations:
    """Several statements, each with its explanation, in the order in which they run."""

    parts: tuple[Explanation, ...]

    @property
    def notation(self) -> tuple[Assign, ...]:
        """The statements as they are run."""
        return tuple(part.notation for part in self.parts)

    @property
    def plan(self) -> tuple[AnyPlan, ...]:
        """The plan of each statement."""
        return tuple(part.plan for part in self.parts)

    @property
    def statistics(self) -> tuple[dict[str, Statistics], ...]:
        """The statistics of each statement's operands."""
        return tuple(part.statistics for part in self.parts)

    @property
    def source(self) -> str:
        """The sources of all kernels, one after the other."""
        return "\n\n".join(part.source for part in self.parts)

    @property
    def path(self) -> tuple[Path | None, ...]:
        """The file of each kernel."""
        return tuple(part.path for part in self.parts)

    def __str__(self) -> str:
        count = len(self.parts)
        return "\n\n\n".join(f"[{number} of {count}] {part}" for number, part in enumerate(self.parts, 1))

    def _repr_html_(self) -> str:
        return "<hr>".join(part._repr_html_() for part in self.parts)


def _read(statements: tuple[Assign, ...]) -> tuple[str, ...]:
    """The tensors that statements read, in the order of their program's operands."""
    return canonical_run(statements)[1] if statements else ()


# --- what there is to say -----------------------------------------------------------------------------------


def _operand_row(name: str, storage: Storage, found: Statistics) -> Row:
    pattern = storage.pattern
    return name, _named(pattern.format), storage.dtype, _shape(pattern.shape), _structure(storage, found)


def _expected(plan: AnyPlan, operands: dict[str, Statistics]) -> float | None:
    """How many values a sparse result is expected to store; None for a dense one, and for one that is planned later."""
    if isinstance(plan, Plan):
        return plan.expected
    if isinstance(plan, Entrywise):
        shared = next(a for a in accesses(plan.statement.expr) if set(a.indices) == set(plan.statement.target.indices))
        return float(operands[shared.tensor].nnz)
    return None


def _result_row(
    plan: AnyPlan, operands: dict[str, Storage], expected: float | None = None, stored: int | None = None
) -> Row:
    extents: dict[str, int] = {}
    read = plan.kernel.accesses if isinstance(plan, Plan) else plan.statement.accesses
    for access in read:
        extents |= dict(zip(access.indices, operands[access.tensor].pattern.shape, strict=True))
    target = plan.statement.target
    shape = _shape(extents[index] for index in target.indices)
    match plan:
        case Plan(kernel=kernel, wanted=wanted):
            format, dtype = _named(wanted or kernel.result.format), kernel.result.dtype
        case Handover(dtype=dtype):
            format = "dense"
        case Entrywise(format=shared):
            format, dtype = _named(shared), dtypes.promote(*(storage.dtype for storage in operands.values()))
        case _:
            format, dtype = "chosen last", dtypes.promote(*(storage.dtype for storage in operands.values()))
    places = math.prod(extents[index] for index in target.indices)
    said = [f"about {_share(expected, places)} expected"] if expected is not None else []
    said += [f"{_share(stored, places)} stored"] if stored is not None else []
    return target.tensor, format, dtype, shape, ": ".join(["the result", *[", ".join(said)] * bool(said)])


def _share(count: float, places: int) -> str:
    """A number of stored values, and what share of all places that is."""
    return f"{count:,.0f}" + (f" ({100 * count / places:.2g} %)" if places else "")


def _named(format: Format) -> str:
    return str(format) if format.ndim else "scalar"


def _shape(extents: Iterable[int]) -> str:
    return " x ".join(f"{extent}" for extent in extents) or "()"


def _structure(storage: Storage, found: Statistics) -> str:
    """How much is stored and how it is spread, in words."""
    pattern = storage.pattern
    if pattern.format.is_dense:
        return ""
    text = f"{found.nnz:,} stored" + (f" ({100 * found.nnz / pattern.size:.2g} %)" if pattern.size else "")
    if pattern.format.ndim > 1 and "pos" in pattern.arrays[-1]:
        text += f"; a row: mean {found.row_mean:.3g}, most {found.row_max:,}, deviation {found.row_deviation:.3g}"
    if pattern.format.ndim > 2:
        text += f"; levels {' > '.join(f'{count:,}' for count in found.distinct)}"
    return text


def _how_often(format: Format) -> str:
    return "at each call" if format.is_dense else "once a pattern"


def _plan_lines(plan: AnyPlan) -> list[str]:
    """Conversions, partition, assembly, and the loops; or what is done instead."""
    match plan:
        case Split():
            return _split_lines(plan)
        case Handover(notation=notation, dtype=dtype):
            return [f"torch.einsum({notation!r}, ...) in {dtype}: everything is dense"]
        case Entrywise(over_values=statement, values=inner):
            return [f"one pattern, which the result shares: {statement} over the values", *_plan_lines(inner)]
    kernel = plan.kernel
    lines = [f"convert {name} to {format}, {_how_often(format)}" for name, format in plan.conversions]
    lines.append(f"result {kernel.assembly}")
    if plan.wanted is not None and plan.wanted != kernel.result.format:
        lines.append(f"result written as {kernel.result.format}, then made {plan.wanted}")
    return [*lines, str(plan.partition), "", *str(kernel).splitlines()]


def _split_lines(plan: Split) -> list[str]:
    """The two steps in the names of the whole; each step names its own operands from A on."""
    names = [access.tensor for access in accesses(plan.statement.expr)]
    between = operand_names(len(names) + 1)[-1]  # one that neither an operand nor the result has
    pair = [names[number] for number in plan.pair]
    others = [name for number, name in enumerate(names) if number not in plan.pair]
    first = _renamed(plan.first, [*pair, between])
    rest = _renamed(plan.rest, [between, *others, plan.statement.target.tensor])
    return [f"first {first}", f"then  {rest}, planned when {between} is there"]


def _renamed(statement: Assign, names: Sequence[str]) -> Assign:
    """The statement with other names for its operands, in order, and for its target."""
    new = iter(names)

    def expression(expr: Expr) -> Expr:
        match expr:
            case Access(_, indices):
                return Access(next(new), indices)
            case Apply(op, args):
                return Apply(op, tuple(expression(arg) for arg in args))
        return expr

    expr = expression(statement.expr)
    return replace(statement, expr=expr, target=Access(next(new), statement.target.indices))


def _reasons(explanation: Explanation) -> list[str]:
    """The schedule's reasons, less the statistics, which the table of tensors has."""
    if not isinstance(explanation.plan, Plan):
        return []
    told = tuple(f"{name}: {found}" for name, found in explanation.statistics.items())
    return [reason for reason in explanation.plan.reasons if reason not in told]


def _origin(explanation: Explanation) -> str:
    if explanation.path is not None:
        return str(explanation.path)
    if isinstance(explanation.plan, Split):
        return "each step has a kernel of its own"
    return "no kernel of its own"


def _alternative_rows(plan: AnyPlan) -> list[Row]:
    """A row for each plan that was priced: mark, time, ratio to the chosen one, description.

    The chosen one is first.
    """
    return _ranked(plan.alternatives) if plan.alternatives else []


def ranked(alternatives: Sequence[Alternative]) -> list[str]:
    """A line for each way that was priced, the chosen one, which is the first given, before the others by time.

    >>> print(*ranked([Alternative("rows", 20.0), Alternative("columns", 50.0)]), sep="\\n")
    ->  20.0 us  1.00 x  rows
        50.0 us  2.50 x  columns
    """
    return _aligned(_ranked(alternatives), right=(1, 2))


def _ranked(alternatives: Sequence[Alternative]) -> list[Row]:
    chosen, *others = alternatives
    rows: list[Row] = []
    for each in (chosen, *sorted(others, key=lambda a: a.cost)):
        ratio = f"{_three(each.cost / chosen.cost)} x" if chosen.cost > 0 else "-"
        text = each.description + (f" ({each.note})" if each.note else "")
        rows.append((_CHOSEN if each is chosen else _OTHER, _time(each.cost), ratio, text))
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


def _html_heading(text: str) -> str:
    return f"<div style='margin:0.8em 0 0.2em 0;font-weight:bold'>{escape(text)}</div>"


def _html_code(text: str) -> str:
    # Notebooks style <pre> as prose unless told otherwise.
    return f"<pre style='font-family:monospace;line-height:1.3'>{escape(text)}</pre>"


def _html_list(lines: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>" if lines else ""

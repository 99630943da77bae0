"""Tables as aligned text and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from .model import CaseResult, Family, Outcome
from .ratios import Summary, best_other, best_rival, ours, ratio

__all__ = ["aligned", "family_rows", "markdown", "number", "summary_rows"]

Rows = list[list[str]]

_SCALE = {"ms": 1e6, "us": 1e3, "MiB": 2.0**20}


def number(value: float | None, unit: str) -> str:
    """A value in nanoseconds (ms, us) or bytes (MiB) with three significant digits.

    >>> number(1_234_567, "ms"), number(None, "us"), number(3 * 2**20, "MiB")
    ('1.23', '-', '3.00')
    """
    if value is None:
        return "-"
    return three(value / _SCALE[unit])


def three(value: float) -> str:
    """Three significant digits, without an exponent for anything that occurs.

    >>> three(0.01234), three(12.345), three(1234.5)
    ('0.0123', '12.3', '1234')
    """
    if value == 0:
        return "0"
    if value >= 100:
        return f"{value:.0f}"
    if value >= 1:
        return f"{value:.3g}" if value >= 10 else f"{value:.2f}"
    return f"{value:.3g}" if value >= 1e-4 else f"{value:.1e}"


def family_rows(family: Family, results: Sequence[CaseResult]) -> Rows:
    """A header and a row a case: the time of each contender, the best rival, the ratio, peaks of memory, notes."""
    labels = list(dict.fromkeys(o.label for result in results for o in result.outcomes if _shown(results, o.label)))
    rows = [["case", "operands", *labels, "best rival", "ratio", "peak MiB", "rival's", "notes"]]
    for result in results:
        by_label = {outcome.label: outcome for outcome in result.outcomes}
        cells = [_cell(by_label.get(label), family.unit) for label in labels]
        rival, value = best_rival(result), ratio(result)
        name = " ".join(part for part in (result.matrix, result.variant) if part)
        rows.append(
            [
                name,
                result.size,
                *cells,
                rival.label if rival else "-",
                f"{value:.2f}" if value is not None else "-",
                *(_peak(outcome) for outcome in (ours(result), rival)),
                "; ".join([*result.notes, *_faster_other(result, family.unit)]),
            ]
        )
    return _without_empty_columns(rows)


def summary_rows(summaries: Sequence[Summary]) -> Rows:
    """A header and a row a summary."""
    rows = [["family", "cases", "geometric mean", "worst", "worst case", "without a ratio"]]
    for summary in summaries:
        rows.append(
            [
                summary.name,
                str(summary.cases),
                f"{summary.mean:.2f}" if summary.mean is not None else "-",
                f"{summary.worst:.2f}" if summary.worst is not None else "-",
                summary.worst_case or "-",
                str(summary.missing or ""),
            ]
        )
    return rows


def aligned(rows: Rows) -> str:
    """Rows as text in columns; columns of numbers are right-aligned.

    >>> print(aligned([["case", "ms"], ["a", "1.5"], ["bc", "10"]]))
    case   ms
    ----  ---
    a     1.5
    bc     10
    """
    if not rows:
        return ""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    right = [_numeric(rows, column) for column in range(len(rows[0]))]
    lines = [_line(row, widths, right) for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def markdown(rows: Rows) -> str:
    """Rows as a Markdown table.

    >>> print(markdown([["case", "ms"], ["a|b", "1.5"]]))
    | case | ms |
    |:---|---:|
    | a\\|b | 1.5 |
    """
    if not rows:
        return ""
    marks = ["---:" if _numeric(rows, column) else ":---" for column in range(len(rows[0]))]
    body = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    lines = ["| " + " | ".join(row) + " |" for row in body]
    lines.insert(1, "|" + "|".join(marks) + "|")
    return "\n".join(lines)


def _line(row: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    cells = (
        cell.rjust(width) if to_right else cell.ljust(width)
        for cell, width, to_right in zip(row, widths, right, strict=True)
    )
    return "  ".join(cells).rstrip()


def _numeric(rows: Rows, column: int) -> bool:
    cells = [row[column] for row in rows[1:] if row[column] not in {"-", ""}]
    return bool(cells) and all(cell.rstrip("~").replace(".", "").replace("e-", "").isdigit() for cell in cells)


def _shown(results: Sequence[CaseResult], label: str) -> bool:
    """A column where nobody ran is left out; why is in the list of failures."""
    mine = [o for result in results for o in result.outcomes if o.label == label]
    return any(o.value is not None or o.peer == "scorch" or o.wrong for o in mine)


def _peak(outcome: Outcome | None) -> str:
    return number(outcome.peak, "MiB") if outcome is not None and outcome.peak is not None else ""


def _cell(outcome: Outcome | None, unit: str) -> str:
    if outcome is None:
        return "-"
    if outcome.wrong:
        return "WRONG"
    return number(outcome.value, unit) + ("~" if outcome.unsorted and outcome.value is not None else "")


def _faster_other(result: CaseResult, unit: str) -> list[str]:
    """A rival that makes no ratio is worth a word when it is faster than those that do."""
    rival, other = best_rival(result), best_other(result)
    if rival is None or other is None or (other.value or 0) >= (rival.value or 0):
        return []
    return [f"{other.label} takes {number(other.value, unit)} {unit}"]


def _without_empty_columns(rows: Rows) -> Rows:
    keep = [column for column in range(len(rows[0])) if any(row[column] for row in rows[1:])]
    return [[row[column] for column in keep] for row in rows]

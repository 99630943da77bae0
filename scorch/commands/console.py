"""What commands print with: rich on a terminal if it is installed, plain aligned text otherwise."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Protocol, TextIO

__all__ = ["Advance", "Console", "seconds", "three_figures"]


class Advance(Protocol):
    """Tells the progress display what is done next."""

    def __call__(self, text: str) -> None: ...


class Console:
    """Text and tables go to `out`, progress to `err`, so that a pipe gets results only.

    >>> import io
    >>> out = io.StringIO()
    >>> Console(out, io.StringIO()).table("Times", ["work", "scorch"], [["SpMV", "1.0 ms"]])
    >>> print(out.getvalue().rstrip())
    Times
    work  scorch
    ------------
    SpMV  1.0 ms
    """

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None, fancy: bool | None = None) -> None:
        self.out = out or sys.stdout
        self.err = err or sys.stderr
        available = find_spec("rich") is not None
        self.fancy = available and (self.out.isatty() if fancy is None else fancy)
        self.lively = available and (self.err.isatty() if fancy is None else fancy)

    def say(self, text: str = "") -> None:
        """Print a line, or several."""
        print(text, file=self.out)

    def heading(self, text: str) -> None:
        """Print a line that opens a section."""
        if self.fancy:
            self._rich().print(f"\n[bold]{_escaped(text)}[/bold]")
        else:
            self.say(f"\n{text}")

    def table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table: the first column left-aligned, the others right-aligned."""
        if self.fancy:
            self._rich_table(title, header, rows)
            return
        widths = [max(len(row[c]) for row in (header, *rows)) for c in range(len(header))]
        lines = [_aligned(row, widths) for row in (header, *rows)]
        # No trailing blanks, so that a table can be compared and pasted.
        self.say("\n".join([title, lines[0], "-" * sum(widths, 2 * len(widths) - 2), *lines[1:]]))

    @contextmanager
    def progress(self, total: int) -> Iterator[Advance]:
        """Show `total` steps; each call of what this yields starts one."""
        if self.lively:
            with self._rich_progress(total) as advance:
                yield advance
            return
        done = 0

        def step(text: str) -> None:
            nonlocal done
            done += 1
            print(f"[{done}/{total}] {text}", file=self.err, flush=True)

        yield step

    def _rich(self) -> Any:
        from rich.console import Console as RichConsole

        return RichConsole(file=self.out, highlight=False, soft_wrap=True)

    def _rich_table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        from rich.box import SIMPLE_HEAD
        from rich.console import Console as RichConsole
        from rich.table import Table

        table = Table(title=_escaped(title), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        for number, name in enumerate(header):
            table.add_column(name, justify="right" if number else "left", overflow="fold")
        for row in rows:
            table.add_row(*(_escaped(cell) for cell in row))
        RichConsole(file=self.out, highlight=False).print(table)

    @contextmanager
    def _rich_progress(self, total: int) -> Iterator[Advance]:
        from rich.console import Console as RichConsole
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
        )

        columns = (
            SpinnerColumn(),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
        )
        with Progress(*columns, console=RichConsole(file=self.err), transient=True) as bar:
            task = bar.add_task("", total=total)
            started = False

            def step(text: str) -> None:
                nonlocal started
                bar.update(task, description=_escaped(text), advance=1 if started else 0)
                started = True

            yield step


def seconds(value: float) -> str:
    """A time with three figures and a unit.

    >>> seconds(0.00123), seconds(2.5), seconds(4.2e-06), seconds(float("nan"))
    ('1.23 ms', '2.50 s', '4.20 us', '-')
    """
    if value != value:
        return "-"
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{three_figures(value / size)} {unit}"
    return f"{three_figures(value / 1e-6)} us"


def three_figures(value: float) -> str:
    """A number from 0 on with three figures, two decimals at most.

    >>> three_figures(165.55), three_figures(0.123)
    ('166', '0.12')
    """
    decimals = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{decimals}f}"


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [
        cell.ljust(width) if n == 0 else cell.rjust(width)
        for n, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()

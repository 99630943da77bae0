"""A progress bar by rich on a terminal if it is installed, a line now and then otherwise."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TypeAlias

__all__ = ["Report", "bar", "silent"]

Report: TypeAlias = Callable[[int, int, str], None]


def silent(done: int, total: int, text: str) -> None:
    """Show nothing."""


@contextmanager
def bar(verbose: bool | int, title: str) -> Iterator[Report]:
    """Something to call with (done, total, text), which shows it on stderr if `verbose`.

    >>> with bar(False, "training") as show:
    ...     show(1, 2, "loss 0.5")
    """
    if not verbose:
        yield silent
    elif find_spec("rich") is not None and sys.stderr.isatty():
        with _rich_bar(title) as show:
            yield show
    else:
        yield lambda done, total, text: print(f"{title} {done}/{total}  {text}", file=sys.stderr, flush=True)


@contextmanager
def _rich_bar(title: str) -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn(title),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda done, total, text: progress.update(
            task, completed=done, total=total, description=text.replace("[", "\\[")
        )

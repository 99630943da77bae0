"""Progress on the standard error stream: a bar with rich, a line a case without."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["progress"]


@contextmanager
def progress(total: int) -> Iterator[Callable[[str, str], None]]:
    """A function to call with a case's id before it is measured, and with its outcome after."""
    try:
        from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    except ImportError:
        Progress = None  # type: ignore[assignment, misc]
    if Progress is None or not sys.stderr.isatty():
        yield _plain
        return
    from rich.console import Console

    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)

        def show(name: str, outcome: str) -> None:
            bar.update(task, description=name, advance=1 if outcome else 0)

        yield show


def _plain(name: str, outcome: str) -> None:
    if outcome:
        print(f"{name}: {outcome}", file=sys.stderr, flush=True)

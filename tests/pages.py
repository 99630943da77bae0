"""Pages of documentation whose Python snippets run, one after the other, as a reader would."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def read(page: str) -> str:
    """The text of a page of docs/."""
    return (DOCS / page).read_text(encoding="utf-8")


def run_snippets(
    page: str, shown: Callable[[str, dict[str, object]], None] | None = None
) -> tuple[dict[str, object], int]:
    """Run a page's snippets in one namespace: the names that they leave, and how many there are.

    `shown` is called for each block of text that the page shows, with the names of the snippets before it.
    """
    names: dict[str, object] = {}
    count = 0
    for kind, block in re.findall(r"```(python|text)\n(.*?)```", read(page), re.DOTALL):
        if kind == "python":
            exec(compile(block, page, "exec"), names)
            count += 1
        elif shown is not None:
            shown(block, names)
    return names, count

"""Pages of documentation whose Python snippets run, one after the other, as a reader would."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def read(page: str) -> str:
    """The text of a page of docs/."""
    return (DOCS / page).read_text(encoding="utf-8")


def run_snippets(page: str) -> tuple[dict[str, object], int]:
    """Run a page's snippets in one namespace: the names that they leave, and how many there are."""
    names: dict[str, object] = {}
    snippets = re.findall(r"```python\n(.*?)```", read(page), re.DOTALL)
    for snippet in snippets:
        exec(compile(snippet, page, "exec"), names)
    return names, len(snippets)

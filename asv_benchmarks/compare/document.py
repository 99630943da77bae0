"""Tables into a Markdown file: all of it, or what stands between two marks of a page that people write."""

from __future__ import annotations

from pathlib import Path

__all__ = ["BEGIN", "END", "placed", "write"]

BEGIN, END = "<!-- tables -->", "<!-- /tables -->"


def placed(page: str, tables: str) -> str:
    """The page with other tables between its marks; the tables alone where it has no marks.

    >>> placed("Read this.\\n<!-- tables -->\\nold\\n<!-- /tables -->\\nThe end.\\n", "new\\n")
    'Read this.\\n<!-- tables -->\\n\\nnew\\n\\n<!-- /tables -->\\nThe end.\\n'
    >>> placed("", "new\\n")
    'new\\n'
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    return f"{before}{begin}\n\n{tables.strip()}\n\n{end}{after}" if begin and end else tables


def write(path: Path, tables: str) -> None:
    """Write tables to a file, which keeps what it has around its marks."""
    page = path.read_text(encoding="utf-8") if path.is_file() else ""
    path.write_text(placed(page, tables), encoding="utf-8")

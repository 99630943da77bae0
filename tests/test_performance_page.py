"""The page on performance: its snippets run, and its tables have a place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from asv_benchmarks.compare.document import BEGIN, END
from asv_benchmarks.compare.options import DOCUMENT, parse

PAGE = Path(__file__).parents[1] / DOCUMENT


@pytest.mark.compiled
def test_snippets_run(capsys) -> None:
    scope: dict[str, object] = {}
    for snippet in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        exec(snippet, scope)
    assert "packed: pos2 in 16 bits" in capsys.readouterr().out
    assert tuple(scope["y"].shape) == (64, 32)  # type: ignore[attr-defined]


def test_commands_are_understood() -> None:
    found = re.findall(r"python -m asv_benchmarks\.compare ([^`\n]+)", PAGE.read_text(encoding="utf-8"))
    assert len(found) > 4
    for words in found:
        assert parse(words.split())


def test_tables_have_a_place() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.count(BEGIN) == text.count(END) == 1
    assert text.index(BEGIN) < text.index(END)

"""The page on performance: its snippets run, and its tables have a place."""

from __future__ import annotations

import re

import pytest

from asv_benchmarks.compare.document import BEGIN, END
from asv_benchmarks.compare.options import DOCUMENT, parse
from tests.pages import read, run_snippets


@pytest.mark.compiled
def test_snippets_run(capsys) -> None:
    names, _ = run_snippets(DOCUMENT.name)
    assert "packed: pos2 in 16 bits" in capsys.readouterr().out
    assert tuple(names["y"].shape) == (64, 32)  # type: ignore[attr-defined]


def test_commands_are_understood() -> None:
    written, _, _ = read(DOCUMENT.name).partition(BEGIN)  # tables tell what was run elsewhere
    found = re.findall(r"python -m asv_benchmarks\.compare ([^`\n]+)", written)
    assert len(found) > 4
    for words in found:
        assert parse(words.split())


def test_tables_have_a_place() -> None:
    text = read(DOCUMENT.name)
    assert text.count(BEGIN) == text.count(END) == 1
    assert text.index(BEGIN) < text.index(END)

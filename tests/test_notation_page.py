"""docs/notation.md: its snippets run in order, and what is generated for them stays readable."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import scorch
from tests.pages import run_snippets

LONGEST = 150  # lines of a function `body`


@pytest.fixture
def sources(tmp_path: Path) -> Iterator[Path]:
    with scorch.config.using(jit=False, cache_dir=tmp_path):
        yield tmp_path


def bodies(source: str) -> Iterator[int]:
    """The length of each function whose name says that it is a body."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and "body" in node.name:
            assert node.end_lineno is not None
            yield node.end_lineno - node.lineno + 1


def loops(text: str) -> list[str]:
    """The lines of the loops of a printed plan, whatever the width of the machine's vectors."""
    found = re.search(r"^  for .*?(?=\n\n|\Z)", text, re.DOTALL | re.MULTILINE)
    assert found is not None
    plain = re.sub(r"\d+ x \d+ lanes|\d+ stored positions|\d+ side by side", "lanes", found[0])
    return plain.rstrip().splitlines()


def is_as_printed(block: str, names: dict[str, object]) -> None:
    assert loops(block) == loops(str(names["e"]))


def test_snippets_run_print_what_is_shown_and_have_short_bodies(sources: Path) -> None:
    scorch.engine.kept.forget()
    run_snippets("notation.md", is_as_printed)
    lengths = {path.name: list(bodies(path.read_text(encoding="utf-8"))) for path in sources.rglob("*.py")}
    assert len(lengths) > 20
    assert all(lengths.values())
    assert max(max(found) for found in lengths.values()) < LONGEST, lengths

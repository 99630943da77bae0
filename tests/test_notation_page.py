"""docs/notation.md: its snippets run in order, and what is generated for them stays readable."""

from __future__ import annotations

import ast
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


def test_snippets_run_and_each_generated_body_is_short(sources: Path) -> None:
    scorch.engine.kept.programs.clear()
    run_snippets("notation.md")
    lengths = {path.name: list(bodies(path.read_text(encoding="utf-8"))) for path in sources.rglob("*.py")}
    assert len(lengths) > 20
    assert all(lengths.values())
    assert max(max(found) for found in lengths.values()) < LONGEST, lengths

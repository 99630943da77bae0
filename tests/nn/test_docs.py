from __future__ import annotations

import textwrap

import pytest

from scorch.schedule.machine import host
from tests.pages import read, run_snippets


def test_the_snippets_run_one_after_the_other() -> None:
    names, count = run_snippets("nn.md")
    assert count >= 4
    assert names["pairs"] == 778 + 82
    if host().bits != 256:
        pytest.skip("the loops on the page are those of vectors of 256 bits")
    page = read("nn.md")
    for name in ("layer_kernel", "attention_kernel"):
        assert _loops(names[name]) in page


def _loops(explained: object) -> str:
    text = str(explained.plan)  # type: ignore[attr-defined]
    return textwrap.dedent(text[text.index("loops\n") + 6 : text.index("because")]).rstrip()

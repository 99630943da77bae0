from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from scorch.schedule.machine import host

PAGE = Path(__file__).parents[2] / "docs" / "nn.md"


def test_the_snippets_run_one_after_the_other() -> None:
    snippets = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    for snippet in snippets:
        exec(compile(snippet, PAGE.name, "exec"), names)
    assert len(snippets) >= 4
    assert names["pairs"] == 778 + 82
    if host().bits != 256:
        pytest.skip("the loops on the page are those of vectors of 256 bits")
    page = PAGE.read_text(encoding="utf-8")
    for name in ("layer_kernel", "attention_kernel"):
        assert _loops(names[name]) in page


def _loops(explained: object) -> str:
    text = str(explained.plan)  # type: ignore[attr-defined]
    return textwrap.dedent(text[text.index("loops\n") + 6 : text.index("because")]).rstrip()

import io

import pytest

from scorch.commands.console import Console, seconds


def _plain():
    return Console(io.StringIO(), io.StringIO())


def test_a_plain_table_is_aligned_and_has_no_trailing_blanks():
    console = _plain()
    console.table("T", ["work", "a", "b"], [["SpMM", "1 ms", "x"], ["S", "10 ms", ""]])
    lines = console.out.getvalue().splitlines()
    assert lines == ["T", "work      a  b", "--------------", "SpMM   1 ms  x", "S     10 ms"]


def test_plain_progress_goes_to_stderr_line_by_line():
    console = _plain()
    with console.progress(2) as advance:
        advance("one")
        advance("two")
    assert console.err.getvalue() == "[1/2] one\n[2/2] two\n"
    assert console.out.getvalue() == ""


def test_a_heading_stands_apart():
    console = _plain()
    console.heading("Plan [x]")
    assert console.out.getvalue() == "\nPlan [x]\n"


def test_rich_prints_brackets_as_they_are():
    pytest.importorskip("rich", reason="rich is not installed (extra: cli)")
    console = Console(io.StringIO(), io.StringIO(), fancy=True)
    console.heading("C[i,j] [bold]")
    console.table("A[i]", ["", "x"], [["[red]", "1 ms"]])
    with console.progress(1) as advance:
        advance("[step]")
    out = console.out.getvalue()
    assert "C[i,j] [bold]" in out
    assert "[red]" in out


def test_without_rich_a_terminal_gets_plain_text(monkeypatch):
    monkeypatch.setattr("scorch.commands.console.find_spec", lambda name: None)
    console = Console(io.StringIO(), io.StringIO(), fancy=True)
    assert not console.fancy
    console.table("T", ["a"], [["b"]])
    assert console.out.getvalue() == "T\na\n-\nb\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [(12.345, "12.3 s"), (0.9999, "1000 ms"), (0.0999, "99.9 ms"), (1e-9, "0.00 us"), (2e-4, "200 us")],
)
def test_seconds(value, text):
    assert seconds(value) == text

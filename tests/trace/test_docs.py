from tests.pages import run_snippets


def test_the_snippets_run_one_after_the_other() -> None:
    names, count = run_snippets("compile.md")
    assert count == 4
    assert len(names["e"].parts) == 1  # type: ignore[attr-defined]

"""The command `python -m scorch.testing`: it finds what is wrong, makes it small, and says how to see it again."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
import torch

import scorch
from scorch.testing import Case, cases, random_case
from scorch.testing.__main__ import main
from scorch.testing.search import Search, outcome_of, run
from scorch.testing.shrink import shrunk


@pytest.fixture(autouse=True)
def kernels_here(tmp_path_factory: pytest.TempPathFactory) -> object:
    with scorch.config.using(cache_dir=tmp_path_factory.getbasetemp() / "kernels"):
        yield


def test_summary_of_cases_that_agree(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--cases", "4", "--seed", "3"]) == 0
    printed = capsys.readouterr().out
    assert "4 of 4 cases, 0 failed" in printed
    assert "4 random cases of seeds 3 to 6: 0 compiled" in printed
    assert "wrong                   0" in printed


def test_each_case_is_run_once_whatever_the_parts() -> None:
    seeds = [seed for part in Search(7, 120).chunks for seed in range(part.seed, part.seed + part.cases)]
    assert seeds == list(range(7, 127))


def test_the_compiled_share_is_the_same_in_every_run() -> None:
    search = Search(0, 1000, 0.1)
    chosen = [seed for seed in range(1000) if search.is_compiled(seed)]
    assert 50 < len(chosen) < 150
    assert not any(Search(0, 1000).is_compiled(seed) for seed in range(1000))


def falsified(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scorch that adds one to every result."""
    honest = cases.compute

    def compute(text: str, **given: object) -> object:
        result = honest(text, **given)  # type: ignore[arg-type]
        dense = result if isinstance(result, torch.Tensor) else result.to_dense()
        return dense + torch.ones((), dtype=dense.dtype)

    monkeypatch.setattr(cases, "compute", compute)


def test_wrong_results_are_found_made_small_and_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    falsified(monkeypatch)
    seed = next(s for s in range(50) if random_case(Random(s)).out_format is None)
    summary = run(Search(seed, 1))
    assert summary.kinds["wrong"] == 1
    (report,) = summary.failures
    assert f"again: python -m scorch.testing --seed {seed} --cases 1" in report
    assert main(["--cases", "1", "--seed", str(seed)]) == 1


def test_an_error_that_is_not_ours_is_internal(monkeypatch: pytest.MonkeyPatch) -> None:
    def compute(text: str, **given: object) -> object:
        raise KeyError("lost")

    monkeypatch.setattr(cases, "compute", compute)
    assert outcome_of(0).kind == "internal error"


def test_shrinking_keeps_what_fails_and_the_operands_that_are_read() -> None:
    def fails(case: Case) -> bool:
        return "exp" in case.text

    seed = next(s for s in range(200) if fails(random_case(Random(s))))
    small = shrunk(random_case(Random(seed)), fails)
    assert fails(small)
    assert len(small.statements) == 1
    assert all(f"{name}" in small.text for name, _ in small.operands)


def test_nothing_is_imported_that_is_not_needed(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = "import sys, scorch.testing; sys.exit('hypothesis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0

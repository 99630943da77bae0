import gzip
import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra: fairness)")
pytest.importorskip("fairlearn", reason="fairlearn is not installed (extra: fairness)")

from scorch.cli import main
from scorch.fairness import FairnessError, bench
from scorch.fairness.bench import adult, celeba, datasets, digits, mnist, spaces, summary
from scorch.fairness.bench.split import MissingDataError, Split
from scorch.fairness.methods import METHODS


def rows_of(part: Any) -> set[bytes]:
    return {row.tobytes() for row in np.ascontiguousarray(part.x)}


def assert_disjoint(split: Split) -> None:
    parts = [rows_of(p) for p in (split.train, split.exemplars, split.validation, split.test)]
    assert len(set.union(*parts)) == sum(map(len, parts))


def test_digits_splits_are_disjoint_seeded_and_share_the_test_part() -> None:
    first, second = digits.long_tailed(0), digits.long_tailed(1)
    assert_disjoint(first)
    assert rows_of(first.test) == rows_of(second.test)
    assert rows_of(first.train) != rows_of(second.train)
    assert np.array_equal(first.train.x, digits.long_tailed(0).train.x)
    sizes = np.bincount(first.train.y)
    assert sizes[0] > 8 * sizes[9]
    assert np.bincount(first.exemplars.y).tolist() == [10] * 10


def test_noise_is_in_the_training_labels_only() -> None:
    noisy = digits.noisy(0, share=0.4)
    clean = digits.noisy(0, share=0.0)
    assert 0.3 < np.mean(noisy.train.y != clean.train.y) < 0.42
    assert np.array_equal(noisy.exemplars.y, clean.exemplars.y)


def test_mnist(data_dir: Path) -> None:
    small = mnist.long_tailed(data_dir, 0, largest=100, shrink=2)
    assert small.train.x.shape[1:] == (1, 14, 14)
    split = mnist.long_tailed(data_dir, 0, largest=100)
    assert small.test.x.mean() == pytest.approx(split.test.x.mean(), rel=1e-4)
    assert split.train.x.shape[1:] == (1, 28, 28)
    assert np.bincount(split.train.y)[[0, 9]].tolist() == [100, 1]
    assert len(split.test) == 10_000


def test_adult(data_dir: Path) -> None:
    clean, dirty = adult.clean(data_dir, 0), adult.corrupted(data_dir, 0)
    assert np.array_equal(clean.train.x, dirty.train.x)
    assert np.array_equal(clean.exemplars.y, dirty.exemplars.y)
    wrong = clean.train.y != dirty.train.y
    women = (clean.train.y == 1) & (clean.train.s == "Female")
    assert not wrong[~women].any()
    assert 0.4 < wrong[women].mean() < 0.6
    assert len(adult.clean(data_dir, 0, limit=500).train) == 500
    assert len(np.unique(clean.exemplars.groups())) == 4
    shares = np.bincount(clean.exemplars.groups()) / len(clean.exemplars)
    assert shares == pytest.approx(np.bincount(clean.test.groups()) / len(clean.test), abs=0.01)
    even = adult.clean(data_dir, 0, exemplars=400, balanced=True)
    assert np.bincount(even.exemplars.groups()).tolist() == [100] * 4


def test_celeba(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    (tmp_path / "img_align_celeba").mkdir()
    lines = ["40", "Blond_Hair Male"]
    for number in range(40):
        picture = image.fromarray(np.full((8, 8, 3), number, dtype=np.uint8))
        picture.save(tmp_path / "img_align_celeba" / f"{number}.png")
        lines.append(f"{number}.png {1 if number % 2 else -1} {1 if number % 4 < 2 else -1}")
    (tmp_path / "list_attr_celeba.txt").write_text("\n".join(lines))
    split = celeba.split(tmp_path, 0, exemplars=1)
    assert split.train.x.shape[1:] == (3, 32, 32)
    assert_disjoint(split)
    with pytest.raises(FairnessError, match="no attribute 'Hat'"):
        celeba.load(tmp_path, target="Hat")
    with pytest.raises(MissingDataError, match="CelebA needs"):
        celeba.load(tmp_path / "nowhere")


def test_damaged_idx_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(b"\x00\x00\x08\x01\x00\x00\x00\x05ab"))
    with pytest.raises(FairnessError, match="cut short: 2 values of 5"):
        mnist.read_idx(path)
    path.write_bytes(gzip.compress(b"text"))
    with pytest.raises(FairnessError, match="not an IDX file"):
        mnist.read_idx(path)


@pytest.mark.parametrize("kind", spaces.FORML_SPACES)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_a_space_of_options_that_it_takes(method: str, kind: str) -> None:
    found = spaces.candidates(method, 4, kind)
    assert len(found) == 4
    assert len({json.dumps(options, sort_keys=True) for options in found}) == 4
    for options in found:
        own = {k: v for k, v in options.items() if k not in ("lr", "groups", "train_on_exemplars")}
        METHODS[method](**own)


def test_a_journal_survives_a_broken_line(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    journal = bench.Journal(path)
    journal.add({"a": 1}, {"x": 2.0})
    with path.open("a") as file:
        file.write('{"job": {"a": 2}, "res')
    again = bench.Journal(path)
    assert {"a": 1} in again
    assert {"a": 2} not in again
    again.add({"a": 2}, {"x": 3.0})
    assert bench.Journal(path)[{"a": 2}] == {"x": 3.0}


def row(method: str, seed: int, gap: float, dataset: str = "adult") -> dict[str, Any]:
    numbers = dict.fromkeys(("accuracy", "worst_group", "gap", "equalized_odds_difference"), 0.5)
    return {"dataset": dataset, "method": method, "seed": seed, "equal_opportunity_difference": gap, **numbers}


def test_paired_tests_and_the_claim() -> None:
    noise = [0.0, 0.01, -0.01, 0.005, 0.0]
    rows = [row("forml", s, 0.02 + e) for s, e in enumerate(noise)]
    rows += [row("l2rw", s, 0.08 + e + 0.001 * s) for s, e in enumerate(noise)]
    rows += [row("erm", s, 0.30 + 0.03 * s) for s in range(5)]
    rows += [row("group_balanced", s, 0.01) for s in range(5)]  # sees more than FORML, so it is no rival
    (claim,) = bench.claims(rows, {"adult": "attribute"})
    assert claim.rival == "l2rw"
    assert claim.gain == pytest.approx(6.2)
    assert claim.p < 0.001
    lines = {line.method: line for line in bench.lines(rows)}
    assert lines["forml"].p != lines["forml"].p
    assert lines["l2rw"].p < 0.001
    assert summary.holm({"a": 0.02, "b": 0.01, "c": float("nan")})["a"] == 0.02


@pytest.fixture
def short(monkeypatch: Any) -> None:
    """Training too short to tell methods apart, where only what is done with the numbers is tested."""
    monkeypatch.setattr(bench, "step_costs", partial(bench.step_costs, rounds=1))
    for name in ("digits_long_tail", "adult"):
        monkeypatch.setitem(datasets.DATASETS, name, replace(datasets.DATASETS[name], epochs=4))


@pytest.mark.usefixtures("short")
def test_the_command_end_to_end_and_again(tmp_path: Path, capsys: Any) -> None:
    args = "fairness bench --quick --datasets digits_long_tail --methods erm forml --seeds 2 --budget 1 --workers 1"
    command = [*args.split(), "--out", str(tmp_path), "--no-sparsity"]
    assert main(command) == 0
    first = capsys.readouterr().out
    assert "digits_long_tail, 2 seeds" in first
    assert "image: FORML" in first
    assert "x plain" in first
    table = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "chosen settings" in table
    assert (tmp_path / "page.png").stat().st_size > 10_000
    runs = (tmp_path / "quick.jsonl").read_text()
    assert len(runs.splitlines()) == 6
    assert main(command) == 0
    assert "6 runs are in" in capsys.readouterr().out
    assert (tmp_path / "quick.jsonl").read_text() == runs


@pytest.mark.usefixtures("short")
def test_fair_pruning_runs() -> None:
    from scorch.fairness.bench import sparsity

    found = sparsity.run(sparsity.job("erm", {"lr": 0.004}, 0, True), shares=(0.0, 0.9))["rows"]
    assert [row["sparsity"] for row in found] == [None, 0.0, 0.9]
    assert found[2]["zeros"] == pytest.approx(0.9, abs=0.01)
    assert set(found[1]) > {"accuracy", "worst_group", "gap", "excess_accuracy_gap"}


@pytest.mark.usefixtures("short")
def test_an_interrupted_benchmark_has_the_tables_of_what_is_done(tmp_path: Path) -> None:
    plan = bench.Plan(("digits_long_tail",), ("erm", "class_balanced"), seeds=2, budget=1, quick=True, workers=1)
    journal = bench.Journal(tmp_path / "runs.jsonl")
    only = bench.Plan(("digits_long_tail",), ("erm",), seeds=2, budget=1, quick=True, workers=1, sparsity=False)
    bench.execute(only, journal, lambda text: None)
    assert bench.tuned(plan, journal) == [("digits_long_tail", "erm")]
    assert {row["method"] for row in bench.rows(plan, journal)} == {"erm"}


def test_missing_data_is_left_out_and_unknown_names_are_errors(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.delenv("SCORCH_DATA", raising=False)
    there, missing = bench.available(bench.Plan(("adult", "celeba", "digits_noisy"), ("erm",)))
    assert there == ("digits_noisy",)
    assert "SCORCH_DATA" in missing["adult"]
    assert "--celeba" in missing["celeba"]
    assert main(["fairness", "bench", "--methods", "x"]) == 2
    assert "no method 'x'" in capsys.readouterr().err


def test_the_cost_of_a_step_is_measured() -> None:
    costs = bench.step_costs(rounds=1)
    assert {cost.method for cost in costs} == {"erm", "forml, jvp", "forml, jvp, any module", "forml, fd"}
    assert all(cost.seconds > 0 for cost in costs)

"""The side-by-side comparison: options, arithmetic, tables, checks, and a tiny case end to end. No times."""

from __future__ import annotations

import doctest
import importlib
import json
import math
import pkgutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import asv_benchmarks
import scorch
from asv_benchmarks.compare import (
    check,
    document,
    families,
    machine,
    peers,
    ratios,
    report,
    resident,
    roofline,
    table,
    timing,
)
from asv_benchmarks.compare.__main__ import main, run
from asv_benchmarks.compare.model import Case, CaseResult, Contender, LeftOut, Options, Outcome, Peer, Work
from asv_benchmarks.compare.options import DOCUMENT, parse
from asv_benchmarks.compare.reuse import distances
from asv_benchmarks.inputs import Matrix, load, matrices
from scorch.runtime import memory
from scorch.runtime.rates import Level, Rates

MODULES = [
    module.name
    for module in pkgutil.walk_packages(asv_benchmarks.__path__, "asv_benchmarks.")
    if not module.name.endswith("__main__")
]


@pytest.fixture(autouse=True)
def no_real_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCORCH_DATA", raising=False)


def outcome(label: str, value: float | None, peer: str = "torch.sparse", **more: Any) -> Outcome:
    return Outcome(label, peer, more.pop("counted", True), value, **more)


def result(*outcomes: Outcome, matrix: str = "m", real: bool = False) -> CaseResult:
    return CaseResult(f"spmm/{matrix}/K=16", "spmm", matrix, "K=16", real, "2x2 nnz 2", list(outcomes))


@pytest.mark.parametrize("name", MODULES)
def test_doctests(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_options_have_their_defaults() -> None:
    options = parse([])
    assert (options.rounds, options.budget, options.families, options.case) == (200, 2.0, (), "*")
    assert options.data is None
    assert parse(["--quick"]).rounds < options.rounds


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--family", "spmm,nonsense"], "no family 'nonsense'; there are spmm"),
        (["--family", ","], "no family"),
        (["--rounds", "0"], "0 is less than 1"),
        (["--threads", "-2"], "-2 is less than 1"),
        (["--budget", "nan"], "no number of seconds"),
        (["--data", "not/a/folder"], "not/a/folder is not there"),
    ],
)
def test_mistakes_on_the_command_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(words)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_data_folder_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SCORCH_DATA", str(tmp_path))
    assert parse([]).data == tmp_path.resolve()


def test_files_in_the_data_folder_become_cases(tmp_path: Path) -> None:
    (tmp_path / "matrices").mkdir()
    sparse.save_npz(tmp_path / "matrices" / "cora.npz", sparse.csr_matrix(np.eye(3, dtype=np.int8)))
    (found,) = [matrix for matrix in matrices(tmp_path, quick=True) if matrix.real]
    assert found.name == "cora"
    assert load(found).dtype == np.float32


def test_cases_have_unique_ids_and_can_be_found() -> None:
    ids = [case.id for _, case in families.select(Options())]
    assert len(ids) == len(set(ids))
    assert families.find("spmm/powerlaw-50k/K=32", Options()).variant == "K=32"
    with pytest.raises(KeyError):
        families.find("spmm/none/K=32", Options())


@pytest.mark.parametrize("pattern", ["powerlaw*", "spmm/powerlaw*/K=16"])
def test_case_pattern_matches_matrix_or_id(pattern: str) -> None:
    found = [case for _, case in families.select(Options(case=pattern, quick=True))]
    assert found
    assert all(case.matrix == "powerlaw-2k" for case in found)


def test_ratio_is_the_best_counted_rival_over_scorch() -> None:
    mine = outcome("scorch", 2.0, "scorch")
    case = result(mine, outcome("a", 6.0), outcome("b", 5.0), outcome("c", None), outcome("d", 1.0, counted=False))
    assert ratios.ratio(case) == 2.5
    assert ratios.best_rival(case).label == "b"  # type: ignore[union-attr]
    assert ratios.best_other(case).label == "d"  # type: ignore[union-attr]


def test_no_ratio_without_scorch_or_a_rival() -> None:
    assert ratios.ratio(result(outcome("a", 6.0))) is None
    assert ratios.ratio(result(outcome("scorch", None, "scorch"), outcome("a", 6.0))) is None
    assert ratios.ratio(result(outcome("scorch", 1.0, "scorch"), outcome("a", None))) is None


def test_summary_has_geometric_mean_and_worst() -> None:
    cases = [
        result(outcome("scorch", 1.0, "scorch"), outcome("a", value), matrix=name)
        for name, value in (("x", 8.0), ("y", 0.5), ("z", None))
    ]
    summary = ratios.summarise("spmm", cases)
    assert (summary.cases, summary.missing, summary.worst, summary.worst_case) == (2, 1, 0.5, "spmm/y/K=16")
    assert summary.mean == pytest.approx(2.0)
    assert ratios.summarise("none", []).mean is None


def test_table_shows_times_marks_and_notes() -> None:
    case = result(
        outcome("scorch", 2e6, "scorch"),
        outcome("torch csr32", 3e6, unsorted=True),
        outcome("torch bsr", None, error="left out: no block size is half full"),
        outcome("torch csc", None, wrong="differs by 1 at (0, 0)"),
        outcome("dense", 1e6, "torch dense", counted=False),
    )
    rows = table.family_rows(families.FAMILIES["spmm"], [case])
    row = dict(zip(*rows, strict=True))
    assert "torch bsr" not in row
    assert row == {
        "case": "m K=16",
        "operands": "2x2 nnz 2",
        "scorch": "2.00",
        "torch csr32": "3.00~",
        "torch csc": "WRONG",
        "dense": "1.00",
        "best rival": "torch csr32",
        "ratio": "1.50",
        "notes": "dense takes 1.00 ms",
    }
    assert len(set(map(len, table.markdown(rows).splitlines()))) > 1
    assert report.failures([case]) == [
        "spmm: torch bsr: left out: no block size is half full (spmm/m/K=16)",
        "spmm: torch csc: WRONG: differs by 1 at (0, 0) (spmm/m/K=16)",
    ]


@pytest.mark.parametrize(("layout", "wrong"), [("csr", 0.0), ("csc", 0.0), ("coo", 0.0), ("csr", 1.0), ("csr", np.nan)])
def test_check_of_sparse_results(layout: str, wrong: float) -> None:
    right = sparse.csr_array(np.array([[1.0, 0.0, 2.0], [0.0, 3.0, 0.0]], np.float32))
    dense = torch.from_numpy(right.toarray())
    dense[0, 0] += wrong
    found = dense.to_sparse(layout=getattr(torch, f"sparse_{layout}"))
    said = check.mistake(check.canonical(found), (right, abs(right)))
    assert said == ("" if wrong == 0 else "differs by more than 0.0001 of its terms at (0, 0)")


@pytest.mark.parametrize("bad", [1e-2, np.nan, np.inf])
def test_check_of_dense_results(bad: float) -> None:
    right = np.ones((5, 4), np.float32)
    found = right.copy()
    assert check.mistake(found, (right, right)) == ""
    found[3, 2] += bad
    assert check.mistake(found, (right, right)).endswith("at (3, 2)")
    assert check.mistake(found[:4], (right, right)) == "shape (4, 4), expected (5, 4)"


def test_unsorted_rows_are_noticed() -> None:
    matrix = sparse.csr_array((np.ones(2), np.array([1, 0]), np.array([0, 2])), shape=(1, 2))
    assert check.rows_unsorted(matrix)
    matrix.sort_indices()
    assert not check.rows_unsorted(matrix)


def test_checking_leaves_the_operands_alone() -> None:
    case = families.find("convert/powerlaw-2k/shuffled COO->CSR", Options(quick=True))
    (operand,) = case.load()
    before = [axis.copy() for axis in operand.coords]
    check.expect(case.reference, (operand,))
    assert all(np.array_equal(*pair) for pair in zip(before, operand.coords, strict=True))


def test_failing_and_wrong_contenders_are_outcomes(monkeypatch: pytest.MonkeyPatch) -> None:
    def declines() -> Any:
        raise LeftOut("too large")

    def fails() -> Any:
        raise RuntimeError("no kernel\nfor this")

    made = (
        Contender("right", lambda: lambda: np.ones(3, np.float32)),
        Contender("wrong", lambda: lambda: np.zeros(3, np.float32)),
        Contender("declines", declines),
        Contender("fails", lambda: fails),
    )
    peer = Peer("some", {"work": lambda _: made}, ())
    monkeypatch.setattr(peers, "available", lambda: (peer,))
    case = Case("spmm", "m", "", "work", lambda: (np.ones(3, np.float32),), abs)
    right, wrong, declined, failed = timing.measure(case, Options(rounds=4, budget=0)).outcomes
    assert right.rounds == 4
    assert right.value is not None
    assert wrong.value is None
    assert wrong.wrong == "differs by 1 at (0,)"
    assert declined.error == "left out: too large"
    assert failed.error == "not available: RuntimeError: no kernel"


def test_a_run_within_some_minutes_shares_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, budgets = [0.0], []

    def measured(case: Case, options: Options) -> CaseResult:
        budgets.append(round(options.budget, 3))
        clock[0] += 8.0  # whatever the budget is
        return result(matrix=case.matrix)

    family = replace(families.FAMILIES["spmv"], measure=measured)
    cases = [(family, case) for _, case in families.select(Options(quick=True, families=("spmv",)))]
    monkeypatch.setattr(families, "select", lambda _: iter(cases))
    monkeypatch.setattr("asv_benchmarks.compare.__main__.monotonic", lambda: clock[0])
    run(Options(within=0.4, budget=60))
    assert len(cases) == 4
    # half of 24 / 4; 16 / 3 less 5 seconds that the first case took beside its budget; then nothing: no case is lost
    assert budgets == [3.0, 0.333, 0.0, 0.0]
    assert parse(["--all"]).within == 40
    assert parse(["--quick"]).within is None


def test_a_peer_that_is_installed_but_broken_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = (Peer("a", {}, ("no_such_module",)), Peer("b", {}, ("math", "asv_benchmarks.no_such_module")))
    monkeypatch.setattr(peers, "_ALL", broken)
    assert peers.passed_over() == {"b": "not installed"}


def test_peak_memory_holds_the_result() -> None:
    peak, found = resident.peak(lambda: lambda: np.ones(4_000_000))
    assert found.nbytes <= peak + (1 << 20) < 2 * found.nbytes


def test_memory_of_earlier_results_does_not_hide_what_a_call_takes() -> None:
    memory.empty((2000, 1000), torch.float32).fill_(1)  # would be kept
    peak, _ = resident.peak(lambda: lambda: memory.empty((2000, 1000), torch.float32).fill_(1))
    assert peak >= 7 << 20


def test_every_layout_agrees_on_a_tiny_matrix() -> None:
    tiny = Matrix("tiny", "generated", lambda: sparse.csr_array(np.eye(6, dtype=np.float32)[::-1]))
    case = Case("spmm", "tiny", "", "spmm", lambda: (load(tiny), np.ones((6, 2), np.float32)), lambda a, b: a @ b)
    found = {o.label: o for o in timing.measure(case, Options(rounds=3, budget=0)).outcomes if o.peer != "scorch"}
    for label in ("torch coo", "torch csr32", "torch csr64", "torch csc", "scipy", "dense"):
        assert found[label].value is not None, found[label]


RATES = Rates(
    (
        Level("L2", 1e5, 40.0, 30.0, 20.0, ((4, 1.0), (256, 20.0))),
        Level("memory", math.inf, 10.0, 8.0, 9.0, ((4, 0.5), (256, 5.0))),
    ),
    80.0,
    2,
)


def test_work_moves_every_array_once() -> None:
    a = sparse.csr_array(np.array([[1, 0, 2], [0, 0, 3]], np.float32))
    b, c = np.ones((3, 4), np.float32), np.ones((2, 4), np.float32)
    work = roofline.work_of("spmm", (a, b), c, 1)
    assert work is not None
    used = 2 * 16  # the second row of b is named by no nonzero
    assert work.moved == 3 * (4 + 4) + 3 * 4 + used + 2 * 16
    assert (work.flops, work.picks, work.row, work.used) == (24, 3, 16, used)
    assert sum(work.reuse) == 3
    assert roofline.work_of("gcn", (a, b), c, 1) is None


def test_the_slower_of_memory_and_arithmetic_is_the_bound() -> None:
    near, far = Work(50_000, 1000), Work(1_000_000, 1000)
    assert roofline.bound_of(near, RATES).limit == "L2"
    assert roofline.bound_of(near, RATES).stream == 50_000 / 40
    assert roofline.bound_of(far, RATES).stream == 1_000_000 / 10
    assert roofline.bound_of(Work(100, 8_000_000), RATES) == roofline.Bound(100_000.0, "flops", 100_000.0)


def test_rows_come_from_the_nearest_cache_that_holds_them() -> None:
    """Of a thousand rows, those read again after 2^20 bytes come from memory, where an L2 of 10^5 has the others."""
    near, far = (tuple(1000 if k == power else 0 for k in range(30)) for power in (12, 20))
    works = [Work(50_000, 1000, picks=1000, row=256, used=40_000, reuse=reuse) for reuse in (near, far)]
    found = [roofline.bound_of(work, RATES).cache for work in works]
    assert found == [1000 * 256 / 20 + 10_000 / 40, 1000 * 256 / 5]
    within = replace(RATES, first_bytes=2.0 * (1 << 12))  # of two threads: nothing leaves the first cache
    bound = roofline.bound_of(works[0], within)
    assert bound.cache == bound.stream


@given(
    st.lists(st.integers(0, 9), max_size=60),
    st.lists(st.integers(64, 900), min_size=10, max_size=10),
    st.integers(1, 3),
)
def test_rows_come_back_after_the_others_that_were_read(rows: list[int], lengths: list[int], threads: int) -> None:
    expected = [0] * 48
    for share in np.array_split(np.array(rows, int), threads):
        twice = [*share.tolist()] * 2
        for at in range(share.size, 2 * share.size):
            before = max(k for k in range(at) if twice[k] == twice[at])
            between = {*twice[before + 1 : at], twice[at]}
            expected[math.ceil(math.log2(sum(lengths[row] for row in between)))] += 1
    assert distances(np.array(rows, int), np.array(lengths), threads) == tuple(expected)


def test_short_rows_share_a_line() -> None:
    assert distances(np.array([0, 15, 16, 31]), np.full(32, 4), 1)[6:8] == (2, 2)


def test_roofline_has_a_share_a_case_and_a_mean_a_family() -> None:
    cases = [result(outcome("scorch", value, "scorch"), matrix=name) for name, value in (("x", 2500.0), ("y", 5000.0))]
    cases += [result(outcome("scorch", None, "scorch"), matrix="z")]
    for case in cases:
        case.work = Work(50_000, 1000)
    header, *rows = roofline.roofline_rows(cases, RATES)
    shares = [dict(zip(header, row, strict=True))["share of it"] for row in rows]
    assert shares == ["0.50", "0.25", "0.35"]
    text = report.as_text({"cpu": "c"}, cases, RATES)
    assert "Roofline: the machine" in text
    assert "spmm/x/K=16" in text
    assert json.loads(report.as_json({}, cases, RATES))["rates"]["flops"] == 80.0


def test_a_part_of_the_work_is_a_bound_and_no_rival() -> None:
    part = outcome("products alone", 2.0, "parts", counted=False, rival=False)
    found = result(outcome("scorch", 5.0, "scorch"), outcome("a", 10.0), outcome("dense", 20.0, counted=False), part)
    assert ratios.ratio(found) == 2.0
    assert ratios.reach(found) == 5.0
    assert ratios.beside(found) == {"dense": 4.0}
    closing = families.FAMILIES["end-to-end"].closing
    assert closing is not None
    assert "their products alone: K=16 5.00." in closing([found])
    assert ratios.reach(result(outcome("scorch", 5.0, "scorch"), outcome("a", 10.0))) is None


@pytest.mark.compiled
@pytest.mark.parametrize("operation", list(peers.parts.PEER.operations))
def test_products_alone_are_those_of_the_model(operation: str) -> None:
    case = next(
        c for f, c in families.select(Options(quick=True)) if f.name == "end-to-end" and c.operation == operation
    )
    for contender in peers.parts.PEER.operations[operation](*case.load()):
        expected = {"gcn": 4, "sage": 6, "gat": 4, "autoencoder": 1, "sparse_input": 2}[operation]
        assert len(contender.build()()) == expected


def test_how_far_ahead_the_bounds_allow() -> None:
    """The rival takes 2 and 4 times the bound; a case that is generated, and one without a rival, say nothing."""
    mine, rivals = outcome("scorch", 2000.0, "scorch"), [outcome("a", value) for value in (2500.0, 5000.0, 9999.0)]
    cases = [result(mine, rival, real=rival.value != 9999.0) for rival in rivals] + [result(mine, real=True)]
    for case in cases:
        case.work = Work(50_000, 1000)
    assert roofline.ahead_rows(cases, RATES)[1:] == [["spmm K=16", "2", "1.77", "2.83", "2.83"]]
    assert roofline.ahead_rows(cases[2:], RATES) == []
    assert "Roofline: how far ahead" in report.as_text({"cpu": "c"}, cases, RATES)


def test_schedules_say_how_often_the_choice_was_right(monkeypatch: pytest.MonkeyPatch) -> None:
    schedules = families.FAMILIES["schedules"]
    cases = [result(outcome("chosen", 10.0, "scorch"), outcome("best other", value)) for value in (20.0, 9.5, 8.0)]
    assert schedules.closing is not None
    assert schedules.closing(cases) == "The chosen plan is the fastest or within 10 % of it in 2 of 3 cases."
    assert not schedules.usual
    assert "schedules" not in families.usual()


def test_every_plan_of_a_case_is_a_rival(monkeypatch: pytest.MonkeyPatch) -> None:
    options = Options(quick=True, rounds=1, budget=0.0)
    (case,) = [
        case
        for _, case in families.select(replace(options, families=("schedules",)))
        if case.id == "schedules/uniform-1000-1e-2/spmv"
    ]
    tiny = replace(case, load=lambda: (sparse.csr_array(np.eye(4, dtype=np.float32)), np.ones(4, np.float32)))
    with scorch.config.using(jit=False):
        found = families.FAMILIES["schedules"].measure(tiny, options)
    assert [(o.label, o.peer) for o in found.outcomes] == [("chosen", "scorch"), ("best other", "other plans")]
    assert all(o.value for o in found.outcomes)
    assert "plans run" in found.notes[0]


def test_tables_go_between_the_marks_of_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    document.write(page, "first")
    assert page.read_text() == "first"
    page.write_text(f"intro\n{document.BEGIN}{document.END}\nrest")
    document.write(page, "second")
    document.write(page, "third")
    assert page.read_text() == f"intro\n{document.BEGIN}\n\nthird\n\n{document.END}\nrest"


def test_everything_is_every_family_with_the_roofline() -> None:
    options = parse(["--all"])
    assert set(options.families) == set(families.FAMILIES)
    assert options.roofline
    assert options.markdown == DOCUMENT


def test_machine_is_described() -> None:
    described = machine.describe()
    assert {"cpu", "cores", "caches", "versions", "commit", "command"} <= set(described)
    assert torch.__version__ in described["versions"]


def test_no_case_is_status_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--case", "no-such-matrix", "--quick"]) == 2
    assert "no case matches" in capsys.readouterr().err


def test_list_names_the_cases(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list", "--quick", "--family", "spmv"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "spmv/uniform-1000-1e-2"


def test_whole_run_writes_its_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--quick", "--family", "spmv", "--case", "powerlaw-2k", "--rounds", "3", "--budget", "0"]
    status = main([*words, "--json", str(tmp_path / "r.json"), "--markdown", str(tmp_path / "r.md")])
    assert status == 0
    text = capsys.readouterr().out
    assert "SpMV: sparse x vector (us)" in text
    assert "Summary" in text
    document = json.loads((tmp_path / "r.json").read_text())
    assert len(document["results"]) == 1
    assert "| powerlaw-2k |" in (tmp_path / "r.md").read_text()


@pytest.mark.compiled
@pytest.mark.parametrize("family", ["spmm", "spmv", "spmspm", "sddmm", "convert", "overhead"])
def test_scorch_is_right_and_rated(family: str) -> None:
    case = {"sddmm": "*window-256*", "spmm": "*pruned*", "spmspm": "*uniform*"}.get(family, "*")
    found = run(Options(quick=True, rounds=3, budget=0, families=(family,), case=case))
    assert found
    for each in found:
        declined = any(o.peer == "scorch" and o.error.startswith("left out") for o in each.outcomes)
        assert declined or ratios.ratio(each) is not None, (each.case, each.outcomes)


@pytest.mark.compiled
def test_children_measure_scorch() -> None:
    for each in run(Options(quick=True, families=("latency", "memory"))):
        assert ratios.ours(each) is not None, (each.case, each.outcomes)

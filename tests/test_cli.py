import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp
import torch

import scorch
from scorch import cli
from scorch.commands import COMMANDS, bench, explain
from scorch.commands.common import FAMILIES, jobs
from scorch.config import config
from scorch.errors import FormatError, NotationError

ROOT = Path(__file__).resolve().parents[1]


def _process(*arguments, **options):
    """Run `scorch ...` in a process of its own."""
    path = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    command = [sys.executable, "-m", "scorch.cli", *arguments]
    return subprocess.run(command, env=path, capture_output=True, text=True, check=False, **options)


@pytest.fixture
def cache_dir(tmp_path):
    folder = tmp_path / "cache"
    with config.using(cache_dir=folder):
        yield folder


@pytest.fixture
def matrix_file(tmp_path):
    matrix = sp.random_array((60, 40), density=0.1, rng=np.random.default_rng(0))
    scipy.io.mmwrite(tmp_path / "small.mtx", matrix)
    return str(tmp_path / "small.mtx")


@pytest.fixture
def command(monkeypatch):
    """Replace what `scorch diagnose` does: `command.does = function`."""
    holder = SimpleNamespace(does=lambda args, console: 0)
    monkeypatch.setattr("scorch.commands.diagnose.run", lambda args, console: holder.does(args, console))
    return holder


def test_version_and_help(capsys):
    for option in ("--version", "--help"):
        with pytest.raises(SystemExit) as stop:
            cli.main([option])
        assert stop.value.code == 0
    out = capsys.readouterr().out
    assert "torch" in out.splitlines()[0]
    assert all(name in out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help(name, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([name, "--help"])
    assert stop.value.code == 0
    assert "--debug" in capsys.readouterr().out


@pytest.mark.parametrize(
    "argv", [[], ["nonsense"], ["diagnose", "--nonsense"], ["demo", "--k", "0"], ["demo", "--k", "x"]]
)
def test_wrong_arguments_end_with_2(argv, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(argv)
    assert stop.value.code == 2
    assert "error" in capsys.readouterr().err


def test_an_error_is_one_line_and_2(command, capsys):
    def fails(args, console):
        raise NotationError("index 'q' is unknown\nexpression: 'iq->i'\n  operands: none")

    command.does = fails
    assert cli.main(["diagnose"]) == 2
    line = "scorch: error: index 'q' is unknown; expression: 'iq->i'; operands: none\n"
    assert capsys.readouterr().err == line


@pytest.mark.parametrize("argv", [["--debug", "diagnose"], ["diagnose", "--debug"]])
def test_debug_shows_the_traceback(command, argv):
    def fails(args, console):
        raise NotationError("no")

    command.does = fails
    with pytest.raises(NotationError, match="no"):
        cli.main(argv)


def test_other_errors_are_mistakes_of_scorch_and_keep_their_traceback(command):
    def fails(args, console):
        raise ZeroDivisionError("bug")

    command.does = fails
    with pytest.raises(ZeroDivisionError, match="bug"):
        cli.main(["diagnose"])


def test_ctrl_c_ends_with_130(command, capsys):
    def stopped(args, console):
        raise KeyboardInterrupt

    command.does = stopped
    assert cli.main(["diagnose"]) == 130
    assert capsys.readouterr().err == "scorch: interrupted\n"


def test_a_broken_pipe_ends_silently():
    code = "import sys; from scorch import cli; from scorch.commands import diagnose as d\n"
    code += "d.run = lambda args, console: [console.say('x' * 1000) for _ in range(1000)] and 0\n"
    code += "sys.exit(cli.main(['diagnose']))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141


def test_diagnose_prints_and_its_code_tells_of_problems(cache_dir, capsys):
    assert cli.main(["diagnose"]) in (0, 1)
    assert "threading" in capsys.readouterr().out
    with config.using(jit=False):
        assert cli.main(["diagnose"]) == 1


def test_diagnose_in_a_process_of_its_own():
    done = _process("diagnose")
    assert done.returncode in (0, 1)
    assert "versions" in done.stdout
    assert done.stderr == ""


def test_cache_info_and_clear(cache_dir, capsys):
    assert cli.main(["cache", "info"]) == 0
    assert "not there yet" in capsys.readouterr().out
    kernels = cache_dir / "kernels"
    kernels.mkdir(parents=True)
    (kernels / "spmm_0123456789abcdef.py").write_text("import scorch\n")
    (kernels / "spmm_0123456789abcdef.body.0123456789abcdef.nbc").write_bytes(b"")
    assert cli.main(["cache", "info"]) == 0
    out = capsys.readouterr().out
    assert "1 generated, 1 compiled" in out
    assert "damaged" in out
    assert cli.main(["cache", "clear"]) == 0
    assert "Deleted 2 files" in capsys.readouterr().out
    assert list(cache_dir.iterdir()) == []


def test_cache_info_takes_no_files(capsys):
    assert cli.main(["cache", "clear", "precious.mtx"]) == 2
    assert "takes no files" in capsys.readouterr().out


def test_bench_runs_the_checkout_with_all_options(monkeypatch):
    called = {}

    def record(command, env, check):
        called.update(command=command, path=env["PYTHONPATH"])
        return SimpleNamespace(returncode=3)

    monkeypatch.setattr(bench, "checkout", lambda: ROOT)
    monkeypatch.setattr(bench.subprocess, "run", record)
    assert cli.main(["bench", "--family", "spmm", "--rounds", "3"]) == 3
    assert called["command"][1:] == ["-m", "asv_benchmarks.compare", "--family", "spmm", "--rounds", "3"]
    assert called["path"].split(os.pathsep)[0] == str(ROOT)
    assert cli.main(["bench", "--help-compare"]) == 3
    assert called["command"][-1] == "--help"


def test_bench_without_a_checkout_says_where_it_is(monkeypatch, capsys):
    monkeypatch.setattr(bench, "checkout", lambda: None)
    assert cli.main(["bench"]) == 2
    assert "asv_benchmarks.compare" in capsys.readouterr().out


def test_explain_makes_up_what_no_file_gives(monkeypatch):
    stored = SimpleNamespace(ndim=2, shape=(5, 7), dtype=torch.float64)
    read = []
    monkeypatch.setattr(scorch, "read", lambda path, format: read.append((path, format)) or stored)
    found = explain.operands("ij, id, jd -> ij", ["m.npz", "-"], 3)
    assert found[0] is stored
    assert [tuple(x.shape) for x in found[1:]] == [(5, 3), (7, 3)]
    # Mixed types would be another question than the one that was asked.
    assert {x.dtype for x in found[1:]} == {torch.float64}
    explain.operands("ij,jk->ik", ["m.npz", "n.npz"], 3, ["csr", "csc"])
    explain.operands("ij,jk->ik", ["m.npz", "n.npz"], 3, ["csr"])
    assert read == [("m.npz", None), *[("m.npz", "csr"), ("n.npz", "csc")], *[("m.npz", "csr"), ("n.npz", "csr")]]


def test_explain_wants_a_format_for_each_file():
    with pytest.raises(FormatError, match="2 formats are given for 1 files"):
        explain.operands("ij,jk->ik", ["m.npz"], 3, ["csr", "csr"])


@pytest.mark.parametrize(
    ("notation", "files", "message"),
    [
        ("ik->i", ["a", "b"], "takes 1 files at most"),
        ("...k,kj->...j", ["-", "-"], "ellipsis"),
        ("y[i] = A[i,k]", ["a"], "is a statement"),
    ],
)
def test_explain_refuses(notation, files, message):
    with pytest.raises(NotationError, match=message):
        explain.operands(notation, files, 4)


@pytest.mark.parametrize("name", ["missing.mtx", "missing.nonsense"])
def test_a_missing_file_is_one_line(name, tmp_path, capsys):
    assert cli.main(["demo", str(tmp_path / name)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("scorch: error: ")
    assert error.count("\n") == 1


@pytest.mark.compiled
def test_explain_prints_plan_and_source(matrix_file, cache_dir, capsys):
    assert cli.main(["explain", "ik,kj->ij", matrix_file, "--k", "8", "--source"]) == 0
    out = capsys.readouterr().out
    assert "ik,kj->ij" in out or "A[i,k]" in out
    assert "def body" in out


@pytest.mark.compiled
def test_explain_takes_the_files_in_another_format(matrix_file, cache_dir, capsys):
    assert cli.main(["explain", "ik,k->i", matrix_file, "--format", "csc"]) == 0
    assert " csc " in capsys.readouterr().out


def test_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "scorch", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0
    assert "demo" in done.stdout


@pytest.mark.compiled
def test_demo_on_a_file(matrix_file, cache_dir, capsys):
    assert cli.main(["demo", matrix_file, "--k", "8", "--rounds", "2", "--threads", "1"]) == 0
    done = capsys.readouterr()
    assert all(name in done.out for name in ("SpMM", "SpMV", "SpMSpM", "SDDMM", "All results agree."))
    assert str(cache_dir) in done.out
    assert "[4/4]" in done.err


@pytest.mark.compiled
def test_demo_on_a_tensor_of_order_three(tmp_path, cache_dir, capsys):
    rng = np.random.default_rng(0)
    rows = sorted({tuple(rng.integers(1, 9, 3)) for _ in range(60)})
    text = "\n".join(f"{i} {j} {k} {rng.random():.3f}" for i, j, k in rows)
    (tmp_path / "small.tns").write_text(text)
    assert cli.main(["demo", str(tmp_path / "small.tns"), "--k", "4", "--rounds", "2"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("TTV", "TTM", "MTTKRP", "All results agree."))


@pytest.mark.compiled
def test_cache_warm_fills_the_cache(matrix_file, cache_dir, capsys):
    assert cli.main(["cache", "warm", matrix_file, "--k", "8"]) == 0
    assert capsys.readouterr().out.count("small.mtx") == 4
    assert cli.main(["cache", "info"]) == 0
    assert "kernels    0 generated" not in capsys.readouterr().out


@pytest.mark.compiled
def test_cache_warm_compiles_families_ahead(cache_dir, capsys):
    assert cli.main(["cache", "warm", "--families", "spmv"]) == 0
    assert capsys.readouterr().out.count("spmv ") == 2
    assert cli.main(["cache", "info"]) == 0
    assert "kernels    0 generated" not in capsys.readouterr().out


def test_cache_warm_lists_what_it_would_compile(cache_dir, capsys):
    assert cli.main(["cache", "warm", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines} == set(FAMILIES)
    assert len(lines) == len(set(lines))


def test_every_common_kernel_runs():
    with scorch.config.using(jit=False):
        for job in jobs():
            if job.text.endswith("60 rows"):
                assert job.call() is not None


def test_cache_warm_knows_its_families(capsys):
    with pytest.raises(SystemExit):
        cli.main(["cache", "warm", "--families", "spmm,none"])
    assert "no family 'none'; there are spmm" in capsys.readouterr().err


def test_demo_says_which_result_is_wrong_and_ends_with_1(monkeypatch, capsys):
    from scorch import demo
    from scorch.demo.cases import Case, Contender
    from scorch.demo.subjects import power_law

    one = np.ones(3)
    contenders = (
        Contender("scorch", lambda: one),
        Contender("torch coo", lambda: 2 * one),
        Contender("scipy", lambda: one),
    )
    case = Case("Sum", "i->", (), contenders, lambda: (one, one))
    monkeypatch.setattr(demo, "built_in", lambda seed: [power_law(50)])
    monkeypatch.setattr(demo, "matrix_cases", lambda subject, k, seed: [case])
    monkeypatch.setattr(scorch, "explain", lambda *_, **__: SimpleNamespace(path="/a/kernel.py"), raising=False)
    assert cli.main(["demo"]) == 1
    out = capsys.readouterr().out
    assert "WRONG: Sum: torch coo is off by 1.0e+00" in out
    assert "Results DISAGREE." in out
    assert "/a/kernel.py" in out

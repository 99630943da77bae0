import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scorch.config import config
from scorch.runtime import diagnose as module
from scorch.runtime.diagnose import Diagnosis, Problem, diagnose, readable_bytes
from scorch.runtime.openmp import Layer, find_layer, loaded_openmp, provider

ROOT = Path(__file__).resolve().parents[2]


def _fresh(code, **environment):
    """Run code in a new process from the root of the checkout; its output."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def _problems(found):
    return "\n".join(map(str, found.problems))


@pytest.fixture
def cache_dir(tmp_path):
    with config.using(cache_dir=tmp_path):
        yield tmp_path


def test_tells_versions_cpu_threads_and_cache(cache_dir):
    found = diagnose()
    assert {"scorch", "python", "numba", "llvmlite", "numpy", "scipy", "torch"} <= set(found.versions)
    assert found.cpu
    assert found.cpu_features
    assert found.torch_threads >= 1
    assert found.numba_threads >= 1
    assert found.layer.name in ("tbb", "omp", "workqueue")
    assert found.cache.path == cache_dir / "kernels"
    assert found.settings["jit"] == str(config.jit)


def test_is_frozen_and_prints_itself_as_text_and_html():
    found = Diagnosis(cpu="<cpu>", problems=(Problem("Something is wrong", "Mend it"),))
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.cpu = "other"
    assert "Problems (1):\n  - Something is wrong.\n    Mend it." in str(found)
    assert "&lt;cpu&gt;" in found._repr_html_()
    assert "<li>Something is wrong.<br><i>Mend it.</i></li>" in found._repr_html_()
    assert "No problems found." in str(Diagnosis())
    assert "No problems found." in Diagnosis()._repr_html_()


def test_a_look_that_fails_is_a_problem_and_no_exception(monkeypatch):
    def broken():
        raise OSError("broken\ninstallation")

    for name in (
        "_versions",
        "_cpu",
        "_cpu_model",
        "_usable_cores",
        "_torch_threads",
        "find_layer",
        "_settings",
    ):
        monkeypatch.setattr(module, name, broken)
    monkeypatch.setattr(module, "survey", lambda folder: broken())
    found = diagnose()
    assert len(found.problems) == 8
    assert "the threading layer cannot be found out: OSError: broken installation" in _problems(found)
    assert str(found)
    assert found._repr_html_()


def test_a_check_that_fails_is_a_problem_and_no_exception(monkeypatch):
    def broken(found):
        raise RuntimeError("no")

    monkeypatch.setattr(module, "_cache_problems", broken)
    assert "whether all is well cannot be found out" in _problems(diagnose())


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (Layer("workqueue", False, "default", None, ()), "Install the OpenMP library"),
        (Layer("omp", True, "default", False, ("a", "b")), "Import torch or scorch before numba"),
        (Layer("", False, "tbb", None, ()), "cannot load the threading layer 'tbb'"),
    ],
)
def test_threading_layers_that_are_a_problem(monkeypatch, layer, expected):
    monkeypatch.setattr(module, "find_layer", lambda: layer)
    assert expected in _problems(diagnose())


def test_more_threads_than_cores_or_than_numba_allows(monkeypatch, cache_dir):
    monkeypatch.setattr(module, "_torch_threads", lambda: 64)
    monkeypatch.setattr(module, "_usable_cores", lambda: 2)
    monkeypatch.setattr(module, "_numba_threads", lambda: 2)
    text = _problems(diagnose())
    assert "torch uses 64 threads on 2 cores" in text
    assert "Set NUMBA_NUM_THREADS=64" in text


def test_settings_that_make_kernels_slow(monkeypatch, cache_dir):
    with config.using(jit=False, check=True):
        text = _problems(diagnose())
    assert "scorch.config.jit is off" in text
    assert "scorch.config.check is on" in text
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    assert "NUMBA_DISABLE_JIT is set" in _problems(diagnose())


def test_a_cache_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with config.using(cache_dir=tmp_path / "file" / "cache"):
        found = diagnose()
    assert not found.cache.writable
    assert "Set SCORCH_CACHE_DIR" in _problems(found)


def test_damaged_entries_are_named(cache_dir):
    (cache_dir / "kernels").mkdir()
    (cache_dir / "kernels" / "spmm_0123456789abcdef.body.0123456789abcdef.nbc").write_bytes(b"")
    text = _problems(diagnose())
    assert "damaged" in text
    assert "scorch cache clear" in text


def test_missing_package(monkeypatch):
    monkeypatch.setattr(module, "installed_version", lambda name: "" if name == "llvmlite" else "1.0")
    assert "pip install llvmlite" in _problems(diagnose())


def test_importing_it_does_not_import_numba():
    assert _fresh("import sys, scorch.runtime.diagnose; print('numba' in sys.modules)").strip() == "False"


def test_workqueue_is_seen_in_a_process_that_asks_for_it():
    code = "from scorch.runtime.diagnose import diagnose; print(diagnose().layer.name)"
    assert _fresh(code, NUMBA_THREADING_LAYER="workqueue").strip() == "workqueue"


def test_numba_and_torch_share_one_openmp_library():
    if not loaded_openmp() or find_layer().name != "omp":
        pytest.skip("no OpenMP layer here")
    assert find_layer().shared is not None
    code = "from scorch.runtime.openmp import find_layer; print(find_layer().shared)"
    assert _fresh(code).strip() == "True"


def test_two_openmp_libraries_are_told_apart(monkeypatch):
    from scorch.runtime import openmp

    find_layer()
    monkeypatch.setattr(openmp, "loaded_openmp", lambda: ("/torch/libgomp.so.1", "/usr/libgomp.so.1"))
    monkeypatch.setattr(openmp, "provider", lambda symbol: "/usr/libgomp.so.1")
    assert openmp._shares_with_torch() is False
    monkeypatch.setattr(openmp, "loaded_openmp", lambda: ())
    assert openmp._shares_with_torch() is None


def test_provider_finds_a_symbol_of_the_process():
    assert provider("PyLong_FromLong") or provider("malloc")


def test_bytes_are_readable():
    assert [readable_bytes(n) for n in (0, 2048, 5 * 2**30)] == ["0 B", "2.0 KiB", "5.0 GiB"]

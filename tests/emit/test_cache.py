"""The kernel cache: whatever is wrong with it, the result is right, and what was wrong is mended."""

import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
import torch

import scorch
from scorch.config import config
from scorch.emit import cache, jit, machine
from scorch.emit.entry import pack, unpack
from scorch.engine import kept
from scorch.errors import CacheError
from scorch.formats import Pattern, Storage, csr
from scorch.tensor import Tensor

ROOT = Path(__file__).resolve().parents[2]
DENSE = torch.tensor([[0.0, 2.0, 0.0], [1.0, 0.0, 4.0], [0.0, 0.0, 0.0]])
VECTOR = torch.tensor([1.0, 2.0, 3.0])

pytestmark = pytest.mark.compiled


def _forget():
    """Bring this process into the state of one that has not used Scorch yet."""
    jit._compile.cache_clear()
    kept.forget()
    for name in [name for name in sys.modules if name.startswith(f"{cache.PACKAGE}.")]:
        del sys.modules[name]


def _matrix():
    # A new tensor each time, because programs are kept by their operands' patterns.
    return scorch.tensor(DENSE.to_sparse_csr())


def _multiply(notation="ik,k->i"):
    """Multiply a matrix by a vector, check the result, and return the dispatcher of the kernel's body."""
    A = _matrix()
    kernel = scorch.kernel(notation, A, VECTOR)
    assert torch.equal(kernel(A, VECTOR), torch.einsum(notation, DENSE, VECTOR))
    return kernel.program.compiled.bodies[0]


def _misses(notation="ik,k->i"):
    """How often the product, made as in a new process, had to be compiled."""
    _forget()
    return sum(_multiply(notation).stats.cache_misses.values())


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A cache directory in which the product was compiled."""
    folder = tmp_path_factory.mktemp("filled")
    with config.using(cache_dir=folder, threads=1):
        _forget()
        _multiply()
    return folder


@pytest.fixture
def home(filled, tmp_path, monkeypatch):
    """A copy of the filled cache, in use."""
    for module in (cache, machine):
        monkeypatch.setattr(module, "_told", set())
    cache._temporary.cache_clear()
    folder = tmp_path / "home"
    shutil.copytree(filled, folder)
    with config.using(cache_dir=folder, threads=1):
        yield folder / "kernels"
    _forget()


def _one(home, suffix):
    (path,) = home.glob(f"*{suffix}")
    return path


def test_a_compiled_kernel_is_found_again(home):
    assert _misses() == 0


def _flipped(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :]


DAMAGES = {
    "empty": lambda data: b"",
    "half": lambda data: data[: len(data) // 2],
    "a bit of the code": _flipped,
    "longer": lambda data: data + b"\0",
    "text": lambda data: b"all work and no play\n" * 99,
    "Numba's own": lambda data: data[data.index(b"\n", 60) + 1 :],
    "another key": lambda data: pack("body of something else", unpack(data)[1]),
    "no machine code": lambda data: pack(unpack(data)[0], b"\x80\x04N."),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_damaged_machine_code_is_compiled_again_and_replaced(home, damage):
    path = _one(home, ".nbc")
    sound = path.read_bytes()
    path.write_bytes(damage(sound))
    assert _misses() == 1
    assert unpack(path.read_bytes())[0] == unpack(sound)[0]
    assert _misses() == 0


def test_a_source_with_another_text_is_replaced(home):
    path = _one(home, ".py")
    text = path.read_text()
    for wrong in ("", text[: len(text) // 2], text.replace("+", "-"), "raise SystemExit"):
        path.write_text(wrong)
        assert _misses() == 0
        assert path.read_text() == text


def test_a_foreign_file_is_left_alone(home):
    (home / "thesis.txt").write_text("mine")
    assert _misses() == 0
    assert (home / "thesis.txt").read_text() == "mine"


def test_a_folder_in_place_of_the_machine_code(home):
    path = _one(home, ".nbc")
    path.unlink()
    path.mkdir()
    with pytest.warns(RuntimeWarning, match="machine code cannot be kept"):
        assert _misses() == 1


def test_a_folder_in_place_of_the_source(home):
    path = _one(home, ".py")
    path.unlink()
    path.mkdir()
    with pytest.warns(RuntimeWarning, match="nothing can be written to the cache directory"):
        assert _misses() == 1


def test_a_directory_that_cannot_be_made_gives_one_warning(home, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with config.using(cache_dir=tmp_path / "file"):
        with pytest.warns(RuntimeWarning, match="SCORCH_CACHE_DIR") as caught:
            assert [_misses(), _misses("ki,k->i")] == [1, 1]
        assert len(caught) == 1
        assert str(tmp_path / "file") in str(caught[0].message)
        assert "scorch-" in str(_multiply().py_func.__code__.co_filename)
        assert Path(_multiply().py_func.__code__.co_filename).exists()


def test_no_place_at_all_is_an_error_that_names_both(home, tmp_path, monkeypatch):
    def refuse():
        raise OSError(30, "Read-only file system")

    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setattr(cache, "_temporary", refuse)
    with config.using(cache_dir=tmp_path / "file"):
        _forget()
        with pytest.raises(CacheError, match=r"(?s)Not a directory.*Read-only.*in einsum"):
            scorch.einsum("ik,k->i", _matrix(), VECTOR)


def test_a_full_disk_costs_the_machine_code_only(home, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    _one(home, ".nbc").unlink()
    monkeypatch.setattr(machine, "write_atomically", fail)
    with pytest.warns(RuntimeWarning, match="No space left") as caught:
        assert [_misses(), _misses()] == [1, 1]
    assert len(caught) == 1


def test_a_filled_cache_that_cannot_be_written_is_used(home, monkeypatch):
    def fail(*_):
        raise OSError(30, "Read-only file system")

    for module in (cache, machine):
        monkeypatch.setattr(module, "write_atomically", fail)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        assert _misses() == 0


def test_a_directory_that_vanishes_is_made_again(home):
    _forget()
    A = _matrix()
    kernel = scorch.kernel("ik,k->i", A, VECTOR)
    shutil.rmtree(home.parent)
    assert torch.equal(kernel(A, VECTOR), DENSE @ VECTOR)
    shutil.rmtree(home.parent, ignore_errors=True)
    assert _misses() == 1
    assert len(list(home.iterdir())) == 2


def test_the_directory_may_change_at_any_time(home, tmp_path):
    assert _misses() == 0
    with config.using(cache_dir=tmp_path / "other"):
        assert sum(_multiply().stats.cache_misses.values()) == 1
        assert len(list((tmp_path / "other" / "kernels").iterdir())) == 2
    assert sum(_multiply().stats.cache_misses.values()) == 0


def test_settings_are_followed_from_call_to_call(home):
    _forget()
    compiled = _multiply()
    with config.using(jit=False):
        assert not hasattr(_multiply(), "py_func")
    assert _multiply() is compiled
    with config.using(check=True):
        checked = _multiply()
        assert checked.targetoptions["boundscheck"]
        with config.using(jit=False):
            assert not hasattr(_multiply(), "py_func")
    assert _multiply() is compiled
    assert not compiled.targetoptions["boundscheck"]


def test_numba_switched_off_runs_plain_python(home, monkeypatch):
    monkeypatch.setattr(jit, "_disabled", lambda: True)
    _forget()
    assert not hasattr(_multiply(), "py_func")


def _corrupt(pos, crd):
    pattern = Pattern((3, 3), csr, [{}, {"pos": np.array(pos), "crd": np.array(crd)}], validate=False)
    return Tensor(Storage(pattern, torch.ones(pattern.nnz)))


@pytest.mark.parametrize("settings", [{"check": True}, {"jit": False}, {"check": True, "jit": False}], ids=str)
@pytest.mark.parametrize("notation", ["ik,k->i", "ik,kj->ij"])
def test_checked_and_plain_kernels_find_corrupt_arrays(home, settings, notation):
    other = VECTOR if notation == "ik,k->i" else torch.ones(3, 20)
    with config.using(**settings):
        for A in (_corrupt([0, 1, 2, 3], [0, 1, 70000]), _corrupt([0, 1, 90000, 3], [0, 1, 2])):
            with pytest.raises(IndexError):
                scorch.einsum(notation, A, other)


def test_read_only_operands_are_not_compiled_for_again(home):
    _forget()
    compiled = _multiply()
    A = scipy.sparse.csr_array(DENSE.numpy())
    vector = VECTOR.numpy().copy()
    for array in (A.data, A.indices, A.indptr, vector):
        array.flags.writeable = False
    kernel = scorch.kernel("ik,k->i", A, vector)
    assert kernel.program.compiled.bodies[0] is not compiled  # int32 positions: another module
    kernel(A, vector)
    for array in (A.data, A.indices, A.indptr):
        array.flags.writeable = True
    kernel(A, VECTOR)
    assert len(kernel.program.compiled.bodies[0].signatures) == 1


# -- processes of their own ----------------------------------------------------------------------------------

PROGRAM = """
import sys, torch, scorch
D = torch.rand(1000, 1000, generator=torch.Generator().manual_seed(0))
D[D < 0.95] = 0
A, B = scorch.tensor(D.to_sparse_csr()), torch.rand(1000, 64, generator=torch.Generator().manual_seed(1))
kernel = scorch.kernel("ik,kj->ij", A, B)
assert torch.allclose(kernel(A, B), D @ B, rtol=1e-4)
(parallel,) = kernel.program.compiled.kernels
print(sum(parallel.stats.cache_misses.values()), "scipy.linalg" in sys.modules)
"""


def _start(folder, cpu):
    settings = {"SCORCH_CACHE_DIR": str(folder), "SCORCH_THREADS": "2", "NUMBA_NUM_THREADS": "2"}
    settings |= {"PYTHONPATH": str(ROOT), "NUMBA_CPU_NAME": cpu}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM], env={**os.environ, **settings}, stdout=pipe, stderr=pipe, text=True
    )


def _answer(process):
    """How many kernels were compiled, and whether Numba's compiler was started."""
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    misses, started = out.split()
    return int(misses), started == "True"


def test_processes_that_compile_at_once_and_another_cpu(tmp_path):
    cpus = ("", "", "generic")
    assert [_answer(process) for process in [_start(tmp_path, cpu) for cpu in cpus]] == [(1, True)] * 3
    # Each CPU has code of its own, whoever wrote last, and loading it does not start the compiler.
    assert [_answer(process) for process in [_start(tmp_path, cpu) for cpu in cpus[1:]]] == [(0, False)] * 2
    assert len(list((tmp_path / "kernels").glob("*.kernel.*.nbc"))) == 2
    assert not list((tmp_path / "kernels").glob("*.tmp"))

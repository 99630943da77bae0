"""Thread counts, Python threads, forked and spawned children, and the layers of Numba."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numba
import pytest
import torch

import scorch
from scorch.config import config
from scorch.errors import UnsupportedError
from scorch.runtime import threads

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.compiled


@pytest.fixture(scope="module", autouse=True)
def cache_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    with config.using(cache_dir=folder, threads=2):
        yield folder


@pytest.fixture(scope="module")
def sparse():
    dense = torch.rand(1500, 1500, generator=torch.Generator().manual_seed(0))
    dense[dense < 0.95] = 0
    return dense


def _same(found, expected):
    return torch.allclose(found, expected, rtol=1e-4, atol=1e-3)


def test_the_number_follows_the_setting_then_torch():
    before = torch.get_num_threads()
    try:
        with config.using(threads=None):
            for number in (1, 3):
                torch.set_num_threads(number)
                assert threads.available() == number
            with config.using(threads=2):
                assert threads.available() == 2
    finally:
        torch.set_num_threads(before)


def test_more_threads_than_numba_has_are_fewer(sparse):
    B = torch.rand(1500, 24)
    with config.using(threads=1000):
        assert threads.workers() == numba.config.NUMBA_NUM_THREADS
        A = scorch.tensor(sparse.to_sparse_csr())
        assert _same(scorch.einsum("ik,kj->ij", A, B), sparse @ B)
        assert _same(scorch.einsum("ik,kj->ij", A, A).to_dense(), sparse @ sparse)


@pytest.mark.parametrize("mine", [1, numba.config.NUMBA_NUM_THREADS])
def test_the_number_of_other_numba_code_is_left(sparse, mine):
    A, B = scorch.tensor(sparse.to_sparse_csr()), torch.rand(1500, 24)
    kernel = scorch.kernel("ik,kj->ij", A, B)
    assert kernel.program.compiled.kernels[0] is not None
    numba.set_num_threads(mine)
    try:
        kernel(A, B)
        assert numba.get_num_threads() == mine
    finally:
        numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)


def test_the_kernel_gets_its_threads_and_an_error_restores_them():
    seen = []

    def fail(workers, *rest):
        seen.append((workers, numba.get_num_threads(), rest))
        raise ZeroDivisionError

    before = numba.get_num_threads()
    with pytest.raises(ZeroDivisionError):
        threads.run(fail, 1, "a", "b")
    assert seen == [(1, 1, ("a", "b"))]
    assert numba.get_num_threads() == before


def test_a_layer_that_is_not_there_is_one_clear_error(monkeypatch):
    def fail():
        raise ValueError("No threading layer could be loaded.\nHINT:\nIntel TBB is required")

    threads._counter.cache_clear()  # it is known once the layer has started
    monkeypatch.setattr(threads, "_count", None)
    monkeypatch.setattr(numba, "get_num_threads", fail)
    with pytest.raises(UnsupportedError, match=r"Intel TBB is required.*scorch.config.threads = 1"):
        threads.run(print, 2)


def test_python_threads_run_the_same_and_different_kernels_at_once(sparse, tmp_path):
    A = scorch.tensor(sparse.to_sparse_csr())
    factors = [torch.rand(1500, 20 + 4 * n) for n in range(4)]
    product = sparse @ sparse
    wrong = []

    def work(number):
        try:
            for _ in range(3):
                B = factors[number]
                own = scorch.einsum("ik,kj->ij", A, B)  # another extent, the same kernel or another
                common = scorch.einsum("ik,k->i", A, factors[0][:, 0].contiguous())
                square = scorch.einsum("ik,kj->ij", A, A)  # uses workspaces
                right = (_same(own, sparse @ B), _same(common, sparse @ factors[0][:, 0]))
                if right != (True, True) or not _same(square.to_dense(), product):
                    wrong.append(number)
        except BaseException as error:
            wrong.append(error)

    with config.using(cache_dir=tmp_path):  # so that the first calls, which compile, meet
        group = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in group:
            thread.start()
        for thread in group:
            thread.join(120)
    assert not any(thread.is_alive() for thread in group)
    assert wrong == []


# -- processes of their own ----------------------------------------------------------------------------------

HEAD = """
import multiprocessing, os, signal, sys, threading, torch, scorch
from scorch.runtime import threads

D = torch.rand(1500, 1500, generator=torch.Generator().manual_seed(0))
D[D < 0.95] = 0
B = torch.rand(1500, 24, generator=torch.Generator().manual_seed(1))
S = D @ B  # in torch's own threads, so that its pool exists
A = scorch.tensor(D.to_sparse_csr())

def work(_=None):
    "Several kernels, with a result large enough that torch would fill it in parallel; the number of threads."
    if threading.current_thread() is threading.main_thread():
        signal.alarm(100)  # a child that hangs ends
    right = torch.allclose(scorch.einsum("ik,kj->ij", A, B), S, rtol=1e-4, atol=1e-3)
    right &= torch.allclose(scorch.einsum("ik,kj->ij", A, A, out_format="dense"), D @ D, rtol=1e-4, atol=1e-3)
    right &= torch.equal(A.to("csc").to_dense(), D)
    return right, threads.available()

def fork(function=work):
    "What a forked child returns."
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, repr(function()).encode())
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    return eval(os.read(read, 999))
"""

FORKS = """
class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return 4
    def __getitem__(self, number):
        return work()

if __name__ == "__main__":
    assert "numba" not in sys.modules
    assert fork() == (True, 1), "the child is the first to use Numba"
    assert work() == (True, 2)
    assert fork() == (True, 1), "the parent has run in parallel"
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(work, range(2)) == [(True, 1)] * 2
    for right, number in torch.utils.data.DataLoader(Rows(), batch_size=2, num_workers=2):
        assert right.all() and (number == 1).all()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(work, range(1)) == [(True, 2)]
    assert work() == (True, 2), "the parent is as it was"
    print(torch.get_num_threads())
"""

FORK_WHILE_LOCKED = """
import time
from numba.core.compiler_lock import global_compiler_lock
from scorch.emit import cache
from scorch.formats import Format

taken = threading.Event()

def compile_slowly():
    "Hold what a thread holds that plans and compiles."
    for member in vars(Format).values():
        if hasattr(member, "lock"):  # a cached property of Python 3.11
            member.lock.acquire()
    with cache.lock, global_compiler_lock:
        taken.set()
        time.sleep(0.5)

if __name__ == "__main__":
    work()
    thread = threading.Thread(target=compile_slowly)
    thread.start()
    taken.wait()
    assert fork(lambda: scorch.einsum("ki,k->i", A, S[:, 0].contiguous()).shape[0]) == 1500
    thread.join()
    print(torch.get_num_threads())
"""

AT_ONCE = """
if __name__ == "__main__":
    wrong = []
    def repeat():
        try:
            assert all(work() == (True, 2) for _ in range(2))
        except BaseException as error:
            wrong.append(error)
    group = [threading.Thread(target=repeat) for _ in range(3)]
    [thread.start() for thread in group]
    [thread.join() for thread in group]
    import numba
    assert numba.threading_layer() == "workqueue"
    assert not wrong, wrong
    print(torch.get_num_threads())
"""


def _run(tmp_path, cache, text, **settings):
    """Run a program in a file, because spawned children import it."""
    program = tmp_path / "program.py"
    program.write_text(HEAD + text)
    fixed = {"PYTHONPATH": str(ROOT), "SCORCH_CACHE_DIR": str(cache), "SCORCH_THREADS": "2"}
    fixed |= {"NUMBA_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, str(program)],
        env={**os.environ, **fixed, **settings},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split() == ["2"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_forked_children_run_serially_and_spawned_ones_in_parallel(tmp_path, cache_dir):
    _run(tmp_path, cache_dir, FORKS)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_during_a_compilation_does_not_hang_the_child(tmp_path, cache_dir):
    _run(tmp_path, cache_dir, FORK_WHILE_LOCKED)


def test_python_threads_take_turns_in_the_workqueue_layer(tmp_path, cache_dir):
    _run(tmp_path, cache_dir, AT_ONCE, NUMBA_THREADING_LAYER="workqueue")

"""The vocabulary in whole processes: without Numba, on other CPUs, under prange, from the disk cache."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from scorch.emit.vocabulary import fingerprint
from scorch.schedule.machine import host

KERNEL = """
import numpy as np
from numba import njit, prange
from scorch.emit.vocabulary import *

@njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")
def body(lo, hi, a, idx, out):
    for i in range(lo, hi):
        m = i & 15
        acc = vfma(a[i], vload(a, i, 16), vfull(np.float32(0), 16))
        acc = vadd(acc, vgather_part(a, vload(idx, 0, 16), m))
        acc = vmax(acc, vload_part(a, i, 16, m))
        wide = vcast(acc, np.float64)
        acc = vselect(vlt(viota32(16), np.int32(m)), vsqrt(vabs(acc)), vcast(wide, np.float32))
        prefetch(a, i + 100000)
        vstore_part(out, 16 * i, acc, m)
        out[16 * i + 15] = vsum(acc)

@njit(nogil=True, cache=True, parallel=True)
def kernel(threads, chunks, cursor, total, a, idx, out):
    for t in prange(threads):
        c = fetch_add(cursor, 0, 1)
        while c < chunks:
            body(c * 8, c * 8 + 8, a, idx, out)
            atomic_add(total, 0, a[c])
            c = fetch_add(cursor, 0, 1)
"""

MAIN = """
import sys
import numpy as np
from scorch.emit import vocabulary
vocabulary.register()
import kernels

a = np.linspace(-1, 1, 100, dtype=np.float32)
idx = np.arange(16, dtype=np.int32)[::-1].copy()
plain, serial, parallel = (np.zeros(16 * 64, np.float32) for _ in range(3))
kernels.body.py_func(0, 64, a, idx, plain)
kernels.body(0, 64, a, idx, serial)
cursor, total = np.zeros(1, np.int64), np.zeros(1, np.float32)
kernels.kernel(2, 8, cursor, total, a, idx, parallel)
np.testing.assert_allclose(serial, plain, rtol=1e-5, atol=1e-6)
np.testing.assert_array_equal(serial, parallel)
np.testing.assert_allclose(total[0], a[:8].sum(), rtol=1e-5)
assert cursor[0] == 8 + 2
print(sum(kernels.body.stats.cache_hits.values()), sum(kernels.kernel.stats.cache_hits.values()))
"""


def run(code, folder, **environment):
    """Run code in a new process in a folder; return what it prints."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    environment = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{folder}", **environment}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_leaves_numba_alone(tmp_path):
    code = """
    import sys, numpy as np
    from scorch.emit import vocabulary
    from scorch.emit.vocabulary import checked
    vocabulary.fingerprint(), vocabulary.vsum(checked.vload(np.ones(4), 0, 4))
    print('numba' in sys.modules, 'llvmlite' in sys.modules)
    """
    assert run(code, tmp_path) == "False False"


@pytest.mark.parametrize("cpu", ["", "generic", "haswell"])
def test_other_cpus_and_the_disk_cache(tmp_path, cpu):
    pytest.importorskip("numba")
    (tmp_path / "kernels.py").write_text(KERNEL)
    features = {"generic": "", "haswell": "+avx2,+fma,+bmi,+bmi2,+popcnt,+lzcnt"}
    environment = {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": features[cpu]} if cpu else {}
    if cpu == "haswell" and not has_avx2():
        pytest.skip("this CPU does not run haswell code")
    environment["NUMBA_NUM_THREADS"] = "2"
    assert run(MAIN, tmp_path, **environment) == "0 0"
    assert run(MAIN, tmp_path, **environment) == "1 1"


def has_avx2():
    """Tell whether the machine runs AVX2 and FMA instructions."""
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features()
    return bool(features.get("avx2") and features.get("fma"))


def test_fetch_add_hands_out_each_number_once(tmp_path):
    numba = pytest.importorskip("numba")
    from scorch.emit import vocabulary
    from scorch.emit.vocabulary import atomic_add, fetch_add

    vocabulary.register()

    @numba.njit(parallel=True)
    def draw(cursor, seen, total):
        for _ in numba.prange(10000):
            seen[fetch_add(cursor, 0, 1)] += 1
            atomic_add(total, 0, 1.0)

    cursor, seen, total = np.zeros(1, np.int64), np.zeros(10000, np.int64), np.zeros(1)
    draw(cursor, seen, total)
    assert cursor[0] == total[0] == 10000
    assert (seen == 1).all()


def test_fused_multiply_add_is_one_instruction():
    numba = pytest.importorskip("numba")
    from scorch.emit import vocabulary
    from scorch.emit.vocabulary import vfma, vfull, vload, vstore

    if not has_avx2() or host().bits < 256:
        pytest.skip("Numba compiles for a CPU without an FMA instruction")
    vocabulary.register()

    @numba.njit
    def axpy(a, out):
        vstore(out, 0, vfma(a[0], vload(a, 0, 8), vload(out, 0, 8)))
        vstore(out, 8, vfull(a[1], 8))

    axpy(np.ones(8, np.float32), np.ones(16, np.float32))
    assembly = next(iter(axpy.inspect_asm().values()))
    assert "vfmadd" in assembly
    assert "fmaf" not in assembly


def test_fingerprint_follows_the_compiler(monkeypatch):
    before = fingerprint.__wrapped__()
    monkeypatch.setattr("scorch.emit.vocabulary.version", lambda name: "0")
    assert fingerprint.__wrapped__() != before

"""Which machine plans are made for: the host, or the CPU that Numba is told to compile for."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from scorch.schedule.machine import AVX2, AVX512, SSE, Machine, host, machine_of

HASWELL = "+avx2,+fma,+f16c,+bmi,+bmi2,+lzcnt,+popcnt"


@pytest.mark.parametrize(
    ("features", "machine"),
    [
        (set(), SSE),
        ({"avx"}, SSE),
        ({"avx", "avx2", "fma"}, AVX2),
        ({"avx2", "avx512f"}, AVX2),
        ({"avx2", "avx512f", "avx512vl"}, AVX512),
    ],
)
def test_features_make_a_machine(features: set[str], machine: Machine) -> None:
    assert machine_of(frozenset(features)) == machine


def described(**settings: str) -> str:
    """What a new process finds under these settings."""
    code = "from scorch.schedule.machine import host; m = host(); print(m.bits, m.gathers)"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_")} | settings
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.skipif(host().registers == 32 and host().bits == 128, reason="not an x86 machine")
def test_numba_s_settings_are_followed() -> None:
    assert described(NUMBA_CPU_NAME="generic") == "128 False"
    assert described(NUMBA_CPU_NAME="haswell", NUMBA_CPU_FEATURES=HASWELL) == "256 False"
    assert described(NUMBA_CPU_NAME="haswell") == described()  # a name alone keeps the host's features
    assert described(NUMBA_ENABLE_AVX="0") == "128 False"


def test_caches_are_plausible() -> None:
    assert 1 << 14 < host().near_bytes <= host().far_bytes < 1 << 33

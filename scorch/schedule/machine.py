"""The machine that plans are made for: what its vector registers hold, what its memory instructions cost, its caches.

Numba compiles for the host unless NUMBA_CPU_NAME and NUMBA_CPU_FEATURES name another CPU; plans follow the same rules.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

__all__ = ["AVX2", "AVX512", "SSE", "Machine", "cache_bytes", "host", "machine_of"]

CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


@dataclass(frozen=True)
class Machine:
    """`bits` of a vector register, how many `registers` there are, the bytes of the second and of the last cache.

    `masks`: partial loads and stores cost as much as full ones. `gathers`: a gather of a whole register is no slower
    than the steps of a scalar loop. `microcoded`: it is slower than loading its lanes one by one, all the same.
    """

    bits: int
    registers: int
    masks: bool = False
    gathers: bool = False
    microcoded: bool = False
    near_bytes: int = 1 << 20
    far_bytes: int = 32 << 20

    def __str__(self) -> str:
        known = [f"{self.registers} vector registers of {self.bits} bits"]
        known += ["masks"] if self.masks else []
        known += ["microcoded gathers" if self.microcoded else "gathers"] if self.gathers else []
        return ", ".join([*known, f"caches of {self.near_bytes >> 10} KiB and {self.far_bytes >> 10} KiB"])


AVX512 = Machine(512, 32, masks=True, gathers=True)
AVX2 = Machine(256, 16)
SSE = Machine(128, 16)
NEON = Machine(128, 32)


@cache
def host() -> Machine:
    """The machine that Numba compiles for in this process."""
    near, far = cache_bytes(2, AVX2.near_bytes), cache_bytes(3, AVX2.far_bytes)
    found = NEON if platform.machine() in ("aarch64", "arm64") else machine_of(_features())
    return replace(
        found, microcoded=found.gathers and _name().startswith("znver"), near_bytes=near, far_bytes=max(near, far)
    )


def machine_of(features: frozenset[str]) -> Machine:
    """An x86 machine with these features, under LLVM's names.

    Gathers of AVX2 are microcoded on much of what has them, and its masked stores too.

    >>> machine_of(frozenset({"sse2", "avx2", "fma"})).bits
    256
    """
    if {"avx512f", "avx512vl"} <= features:
        return AVX512
    return AVX2 if "avx2" in features else SSE


def _name() -> str:
    """The CPU that Numba compiles for, by LLVM's name: that asked for, else the host's."""
    asked = os.environ.get("NUMBA_CPU_NAME")
    if asked:
        return asked.lower()
    from llvmlite import binding

    return str(binding.get_host_cpu_name())


def _features() -> frozenset[str]:
    """Features that Numba compiles with: those asked for, none for the generic CPU, else the host's."""
    asked = os.environ.get("NUMBA_CPU_FEATURES")
    if asked is None and os.environ.get("NUMBA_CPU_NAME", "").lower() == "generic":
        asked = ""
    if asked is None:
        from llvmlite import binding

        found = {name for name, has in dict(binding.get_host_cpu_features()).items() if has}
    else:
        found = {name[1:] for name in asked.split(",") if name.startswith("+")}
    if os.environ.get("NUMBA_ENABLE_AVX") == "0":
        found = {name for name in found if not name.startswith("avx")}
    return frozenset(found)


def cache_bytes(level: int, otherwise: int) -> int:
    """The size of the first core's data cache of a level, as Linux tells it.

    >>> cache_bytes(9, 123)
    123
    """
    for folder in CACHES.glob("index*"):
        try:
            kind, here = (folder / "type").read_text().strip(), int((folder / "level").read_text())
            if here == level and kind != "Instruction":
                return int((folder / "size").read_text().strip().removesuffix("K")) << 10
        except (OSError, ValueError):
            continue
    return otherwise

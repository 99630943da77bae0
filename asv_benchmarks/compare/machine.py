"""The machine, the versions and the load: what a reader needs to judge the times."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import torch

from . import peers

__all__ = ["Load", "busy_warning", "describe", "watch"]

_ROOT = Path(__file__).resolve().parents[2]
# Work of others, in cores: above, medians of interleaved rounds still compare, but absolute times do not.
_BUSY_CORES = 0.15


@dataclass(frozen=True, slots=True)
class Load:
    """A moment: the load average, and the CPU seconds that the machine and this process have used."""

    average: float
    clock: float
    machine: float
    own: float

    @staticmethod
    def now() -> Load:
        return Load(os.getloadavg()[0], monotonic(), _machine_seconds(), _own_seconds())

    def others(self, later: Load) -> float:
        """Cores that other processes used on average from here to `later`."""
        passed = max(later.clock - self.clock, 1e-9)
        return max(0.0, (later.machine - self.machine) - (later.own - self.own)) / passed


def watch(seconds: float = 0.5) -> tuple[Load, float]:
    """Look at the machine for a moment: the load now, and the cores that others use meanwhile."""
    before = Load.now()
    sleep(seconds)
    after = Load.now()
    return after, before.others(after)


def busy_warning(others: float) -> str:
    """A warning when other processes use the machine, else an empty string.

    >>> busy_warning(0.02), busy_warning(1.5)[:20]
    ('', 'WARNING: the machine')
    """
    if others <= _BUSY_CORES:
        return ""
    return (
        f"WARNING: the machine is busy: other processes use {others:.1f} of its {_cores()} cores. "
        "Absolute times are not to be trusted; measure again on a quiet machine."
    )


def describe() -> dict[str, str]:
    """CPU, cores, caches, threads, versions and commit, each as text."""
    versions = {"python": platform.python_version(), **peers.versions()}
    for module in ("numba", "llvmlite"):
        versions.setdefault(module, peers.version(module))
    return {
        "cpu": _cpu(),
        "cores": f"{_cores()}, torch threads {torch.get_num_threads()}",
        "caches": ", ".join(_caches()) or "unknown",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "commit": _commit(),
        "command": " ".join(("python -m asv_benchmarks.compare", *map(_short, sys.argv[1:]))),
    }


def _short(word: str) -> str:
    """A word of the command without the folders of this machine."""
    name, equals, value = word.rpartition("=")
    return f"{name}{equals}{Path(value).name}" if os.path.isabs(value) else word


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    fields = {
        key.strip(): value.strip()
        for key, _, value in (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    }
    name = fields.get("model name", platform.machine())
    widest = next((w for w in ("avx512f", "avx2", "avx", "asimd") if w in fields.get("flags", "").split()), "")
    family = f" (family {fields['cpu family']}, model {fields['model']})" if "cpu family" in fields else ""
    return f"{name}{family}{' ' + widest if widest else ''}"


def _caches() -> list[str]:
    found = []
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, kind, size = ((folder / part).read_text().strip() for part in ("level", "type", "size"))
        except OSError:
            continue
        found.append(f"L{level}{'i' if kind == 'Instruction' else 'd' if kind == 'Data' else ''} {size}")
    return found


def _commit() -> str:
    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=_ROOT, capture_output=True, text=True, timeout=20).stdout.strip()

    try:
        name = git("rev-parse", "--short", "--verify", "--quiet", "HEAD")
        changed = bool(git("status", "--porcelain"))
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return f"{name or 'none'}{' with changes' if changed else ''}"


def _machine_seconds() -> float:
    """CPU seconds of work since the machine started, 0.0 where that can't be told."""
    try:
        fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    except OSError:
        return 0.0
    user, nice, system, _idle, _wait, irq, soft_irq = map(int, fields[:7])
    return (user + nice + system + irq + soft_irq) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, who))

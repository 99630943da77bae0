"""`scorch.diagnose()`: what Scorch finds on this machine, what is wrong, and how to mend it."""

from __future__ import annotations

import html
import importlib
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import TypeVar

from scorch.config import config
from scorch.emit.cache import directory
from scorch.runtime.inventory import Inventory, survey
from scorch.runtime.openmp import Layer, find_layer

__all__ = ["Diagnosis", "Problem", "diagnose", "installed_version", "readable_bytes"]

T = TypeVar("T")

_PACKAGES = ("numba", "llvmlite", "numpy", "scipy", "torch")
_OPTIONAL = ("rich", "scikit-learn")
_PREFIXES = ("SCORCH_", "NUMBA_", "OMP_", "GOMP_", "KMP_", "MKL_")
# What decides which instructions the kernels consist of, out of the hundred that LLVM lists.
_TELLING = (
    "sse4.2",
    "avx",
    "avx2",
    "fma",
    "f16c",
    "avx512f",
    "avx512bw",
    "avx512vl",
    "avx512bf16",
    "avx512vnni",
    "neon",
    "sve",
)
_LITTLE_SPACE = 200 * 2**20


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong, or slower than it need be, and the way out."""

    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.what}. {self.mend}."


@dataclass(frozen=True)
class Diagnosis:
    """The result of `diagnose`; `str()` gives lines to read or to paste into a bug report.

    `layer` and `cache` are None where looking at them failed; `problems` tells why.
    """

    versions: dict[str, str] = field(default_factory=dict)
    system: str = ""
    cpu: str = ""
    cpu_model: str = ""
    cpu_features: tuple[str, ...] = ()
    cores: int = 0
    usable_cores: int = 0
    torch_threads: int = 0
    numba_threads: int = 0
    layer: Layer | None = None
    cache: Inventory | None = None
    settings: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def rows(self) -> Iterator[tuple[str, str]]:
        """The diagnosis as (name, text) pairs, without the problems."""
        yield "versions", ", ".join(f"{name} {number}" for name, number in self.versions.items())
        yield "system", self.system
        yield "CPU", f"{self.cpu_model} (LLVM: {self.cpu})" if self.cpu_model else self.cpu
        yield "features", " ".join(name for name in _TELLING if name in self.cpu_features)
        yield "cores", f"{self.cores}, of which {self.usable_cores} may be used"
        yield "threads", f"torch {self.torch_threads}, Numba at most {self.numba_threads}"
        if self.layer:
            yield "threading", _describe_layer(self.layer)
            yield "OpenMP", ", ".join(self.layer.libraries) or "none loaded"
        if self.cache:
            yield "cache", _describe_cache(self.cache)
        yield "settings", ", ".join(f"{name}={value}" for name, value in self.settings.items())
        yield (
            "environment",
            ", ".join(f"{name}={value}" for name, value in self.environment.items()) or "nothing set",
        )

    def __str__(self) -> str:
        rows = list(self.rows())
        width = max(len(name) for name, _ in rows)
        lines = [f"{name:<{width}}  {text}" for name, text in rows]
        lines += ["", "No problems found." if not self.problems else f"Problems ({len(self.problems)}):"]
        for problem in self.problems:
            lines += [f"  - {problem.what}.", f"    {problem.mend}."]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        body = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
            f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
            for name, text in self.rows()
        )
        items = "".join(
            f"<li>{html.escape(problem.what)}.<br><i>{html.escape(problem.mend)}.</i></li>" for problem in self.problems
        )
        return f"<table>{body}</table>" + (f"<ul>{items}</ul>" if items else "<p>No problems found.</p>")


def diagnose() -> Diagnosis:
    """Look at versions, CPU, threads, threading layer, cache and settings. Never raises; starts no threads.

    Imports torch and Numba, so the first call takes about a second.

    >>> found = diagnose()
    >>> found.usable_cores >= 1
    True
    >>> "threading" in dict(found.rows())
    True
    """
    problems: list[Problem] = []

    def look(what: str, at: Callable[[], T], otherwise: T) -> T:
        try:
            return at()
        except Exception as error:  # a broken installation is what this function is there to report
            problems.append(
                Problem(
                    f"{what} cannot be found out: {type(error).__name__}: {_one_line(error)}",
                    "Install the packages anew, in the versions that Scorch's constraints.txt names",
                )
            )
            return otherwise

    nothing: tuple[str, tuple[str, ...]] = ("unknown", ())
    cpu, features = look("the CPU", _cpu, nothing)
    found = Diagnosis(
        versions=look("the versions", _versions, {}),
        system=look("the system", _system, "unknown"),
        cpu=cpu,
        cpu_model=look("the CPU's model", _cpu_model, ""),
        cpu_features=features,
        cores=os.cpu_count() or 1,
        usable_cores=look("the cores", _usable_cores, 1),
        torch_threads=look("torch's threads", _torch_threads, 0),
        numba_threads=look("Numba's threads", _numba_threads, 0),
        layer=look("the threading layer", find_layer, None),
        cache=look("the cache", lambda: survey(directory()), None),
        settings=look("the settings", _settings, {}),
        environment={name: value for name, value in sorted(os.environ.items()) if name.startswith(_PREFIXES)},
    )
    for check in (_layer_problems, _thread_problems, _cache_problems, _setting_problems):
        problems += look("whether all is well", lambda check=check: list(check(found)), [])  # type: ignore[misc]
    return Diagnosis(**{**vars(found), "problems": tuple(problems)})


def installed_version(package: str) -> str:
    """The version of an installed package, "" if there is none.

    >>> installed_version("no-such-package")
    ''
    """
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def readable_bytes(number: float) -> str:
    """A number of bytes as people read it.

    >>> readable_bytes(512), readable_bytes(3 * 2**20)
    ('512 B', '3.0 MiB')
    """
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.0f} B" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} GiB"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _versions() -> dict[str, str]:
    found = {"scorch": installed_version("scorch") or "not installed, running from source"}
    found["python"] = platform.python_version()
    found |= {name: installed_version(name) or "missing" for name in _PACKAGES}
    return found | {name: number for name in _OPTIONAL if (number := installed_version(name))}


def _system() -> str:
    return f"{platform.system()} {platform.release()}, {platform.machine()}"


def _cpu() -> tuple[str, tuple[str, ...]]:
    binding = importlib.import_module("llvmlite.binding")
    features = binding.get_host_cpu_features()
    return str(binding.get_host_cpu_name()), tuple(sorted(name for name, has in features.items() if has))


def _cpu_model() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    except OSError:
        return platform.processor()


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _torch_threads() -> int:
    return int(importlib.import_module("torch").get_num_threads())


def _numba_threads() -> int:
    # numba.get_num_threads() would start the threads.
    return int(importlib.import_module("numba").config.NUMBA_NUM_THREADS)


def _settings() -> dict[str, str]:
    return {name: str(getattr(config, name)) for name in ("threads", "cache_dir", "jit", "check", "autotune")}


def _describe_layer(layer: Layer) -> str:
    if not layer.name:
        return f"none: Numba was asked for {layer.asked!r}"
    state = "in use" if layer.started else "not started yet"
    pool = {True: ", one pool of threads with torch", False: ", a pool of its own beside torch's", None: ""}[
        layer.shared
    ]
    return f"{layer.name} ({state}){pool}"


def _describe_cache(cache: Inventory) -> str:
    state = "writable" if cache.writable else "NOT writable"
    if not cache.exists:
        return f"{cache.path} (not there yet, {state})"
    size = readable_bytes(cache.bytes)
    text = f"{cache.path} ({state}): {cache.kernels} kernels, {cache.compiled} compiled, {size}"
    useless = {"stale": len(cache.stale), "damaged": len(cache.damaged)}
    return ", ".join([text, *(f"{count} {name}" for name, count in useless.items() if count)])


def _layer_problems(found: Diagnosis) -> Iterator[Problem]:
    layer = found.layer
    if layer is None:
        return
    if not layer.name:
        yield Problem(
            f"Numba cannot load the threading layer {layer.asked!r}, so parallel kernels fail",
            "Unset NUMBA_THREADING_LAYER, or install what it names",
        )
    if layer.name == "workqueue":
        yield Problem(
            "Numba uses its threading layer 'workqueue', which ends the process when two Python threads run"
            " kernels at once; Scorch takes a lock, so such kernels wait for each other",
            "Install the OpenMP library (Debian and Ubuntu: apt install libgomp1) and unset NUMBA_THREADING_LAYER",
        )
    if layer.shared is False:
        yield Problem(
            "Numba and torch use two OpenMP libraries, so two pools of threads compete for the cores",
            "Import torch or scorch before numba, in a fresh process",
        )


def _thread_problems(found: Diagnosis) -> Iterator[Problem]:
    if found.torch_threads > found.usable_cores:
        yield Problem(
            f"torch uses {found.torch_threads} threads on {found.usable_cores} cores",
            f"Call torch.set_num_threads({found.usable_cores}), or set OMP_NUM_THREADS",
        )
    wanted = config.threads or found.torch_threads
    if 0 < found.numba_threads < wanted:
        yield Problem(
            f"Kernels get {found.numba_threads} threads at most, {wanted} were asked for",
            f"Set NUMBA_NUM_THREADS={wanted} before Python starts, or unset it",
        )


def _cache_problems(found: Diagnosis) -> Iterator[Problem]:
    cache = found.cache
    if cache is None:
        return
    if not cache.writable:
        yield Problem(
            f"The cache directory {cache.path} cannot be written to, so every process compiles anew",
            "Set SCORCH_CACHE_DIR to a directory that can",
        )
    elif (free := _free_bytes(cache)) < _LITTLE_SPACE:
        yield Problem(
            f"Only {readable_bytes(free)} are free where the cache is, {cache.path}",
            "Make room, or set SCORCH_CACHE_DIR to another disk",
        )
    for name, entries in (("damaged", cache.damaged), ("stale", cache.stale)):
        if entries:
            more = f" and {len(entries) - 1} more" if len(entries) > 1 else ""
            yield Problem(
                f"The cache holds {name} entries, which are compiled anew when needed: {entries[0]}{more}",
                "Run 'scorch cache clear' to be rid of them",
            )


def _free_bytes(cache: Inventory) -> int:
    return shutil.disk_usage(next(path for path in (cache.path, *cache.path.parents) if path.exists())).free


def _setting_problems(found: Diagnosis) -> Iterator[Problem]:
    if not config.jit:
        yield Problem(
            "scorch.config.jit is off: kernels run as plain Python, slowly",
            "Set it to True, unset SCORCH_JIT",
        )
    elif found.environment.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        yield Problem("NUMBA_DISABLE_JIT is set: kernels run as plain Python, slowly", "Unset it")
    if config.check:
        yield Problem(
            "scorch.config.check is on: kernels check bounds and run on one thread, slowly",
            "Set it to False, unset SCORCH_CHECK",
        )
    missing = [name for name in _PACKAGES if found.versions.get(name) == "missing"]
    if missing:
        yield Problem(f"Not installed: {', '.join(missing)}", f"pip install {' '.join(missing)}")

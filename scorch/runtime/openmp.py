"""Which threading layer Numba uses here, and whether its OpenMP threads are torch's.

Numba's OpenMP layer and torch each call `GOMP_*` functions. When both calls end in the same library there is
one pool of threads; with two pools, each holds its own threads and they compete for the cores.
"""

from __future__ import annotations

import ctypes
import importlib
import sys
from dataclasses import dataclass

__all__ = ["Layer", "find_layer", "loaded_openmp", "provider"]

_MODULES = {
    "tbb": "numba.np.ufunc.tbbpool",
    "omp": "numba.np.ufunc.omppool",
    "workqueue": "numba.np.ufunc.workqueue",
}
_CHOICES = {
    "default": ("tbb", "omp", "workqueue"),
    "safe": ("tbb",),
    "threadsafe": ("tbb", "omp"),
    "forksafe": ("tbb", "workqueue"),
}


@dataclass(frozen=True, slots=True)
class Layer:
    """Numba's threading layer.

    `name` is tbb, omp, workqueue, or "" when none of those that were asked for can be loaded. `started` tells
    whether Numba has chosen already (else it is what Numba would choose now). `shared` is None where the
    question has no answer.
    """

    name: str
    started: bool
    asked: str
    shared: bool | None
    libraries: tuple[str, ...]


def find_layer() -> Layer:
    """Find the layer without starting its threads. Imports torch, then Numba and the layer's library.

    >>> find_layer().name in ("tbb", "omp", "workqueue", "")
    True
    """
    importlib.import_module("torch")  # before Numba's OpenMP layer: its symbols then bind to torch's library
    numba = importlib.import_module("numba")
    asked = str(numba.config.THREADING_LAYER).lower()
    started = True
    try:
        name = str(numba.threading_layer())
    except ValueError:  # no parallel kernel has run yet
        name, started = _would_be(asked, list(numba.config.THREADING_LAYER_PRIORITY)), False
    shared = _shares_with_torch() if name == "omp" else None
    return Layer(name, started, asked, shared, loaded_openmp())


def _would_be(asked: str, priority: list[str]) -> str:
    """The first layer that loads, in Numba's own order."""
    allowed = _CHOICES.get(asked, (asked,))
    return next((name for name in priority if name in allowed and _loads(name)), "")


def _loads(name: str) -> bool:
    try:
        if name == "tbb":
            importlib.import_module("numba.np.ufunc.parallel")._check_tbb_version_compatible()
        importlib.import_module(_MODULES[name])
    except (ImportError, OSError, AttributeError):
        return False
    return True


def _shares_with_torch() -> bool | None:
    """Whether a `GOMP_parallel` called from Numba's layer ends in torch's library; None if unknown."""
    libraries = loaded_openmp()
    if len(libraries) <= 1:
        return True if libraries else None
    modules = list(sys.modules)
    torch_first = modules.index("torch") < modules.index(_MODULES["omp"])
    bound_to = provider("GOMP_parallel")
    # Torch puts its library into the global scope, which comes before a library's own dependencies.
    return torch_first and bound_to is not None and "torch" in bound_to


def loaded_openmp() -> tuple[str, ...]:
    """The OpenMP libraries that this process has mapped, by path; empty where the system does not tell."""
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
            paths = {line.split(maxsplit=5)[5].strip() for line in maps if "/" in line}
    except OSError:
        return ()
    names = ("libgomp", "libomp", "libiomp")
    return tuple(sorted(path for path in paths if path.rsplit("/", 1)[-1].startswith(names)))


class _DlInfo(ctypes.Structure):
    """What dladdr(3) fills in."""

    _fields_ = (
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("symbol", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    )


def provider(symbol: str) -> str | None:
    """The library that `symbol` comes from in the global scope of this process, None if it isn't there.

    >>> provider("no_such_symbol") is None
    True
    """
    try:
        everything = ctypes.CDLL(None)
        address = ctypes.cast(getattr(everything, symbol), ctypes.c_void_p)
        found = _DlInfo()
        if not everything.dladdr(address, ctypes.byref(found)) or found.file is None:
            return None
    except (AttributeError, OSError, TypeError):
        return None
    return str(found.file.decode(errors="replace"))

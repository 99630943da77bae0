"""Compiling a module with Numba, or taking its functions as the plain Python that they are."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from scorch.config import config
from scorch.emit import cache as disk
from scorch.emit import vocabulary
from scorch.emit.module import Module, Phase, emit
from scorch.ir.plan import Kernel

__all__ = ["Compiled", "compile_kernel"]

# Not all of fastmath: NaN and infinity must survive. Reassociation lets a reduction use several accumulators.
FASTMATH = {"reassoc", "contract", "nsz"}

_compiling = threading.RLock()


@dataclass(frozen=True)
class Compiled:
    """A kernel that can be called. `bodies[p]` takes a range of units, `kernels[p]` runs chunks on threads (None: serial)."""

    module: Module
    path: Path
    bodies: tuple[Callable[..., None], ...]
    kernels: tuple[Callable[..., None] | None, ...]

    @property
    def phases(self) -> tuple[Phase, ...]:
        return self.module.phases


def compile_kernel(kernel: Kernel) -> Compiled:
    """The compiled form of a kernel under today's settings; machine code comes at the first call, or from the disk."""
    return _compile(kernel, config.jit, config.check, str(config.cache_dir))


@lru_cache(maxsize=4096)
def _compile(kernel: Kernel, jit: bool, checked: bool, home: str) -> Compiled:
    del home  # part of the key only
    module = emit(kernel, checked and jit)
    loaded = disk.load(module, checked and jit)
    path = Path(str(loaded.__file__))
    with _compiling:
        if jit:
            bodies = tuple(_function(loaded, phase.body, path, checked) for phase in module.phases)
        else:
            bodies = tuple(_plain(loaded.__dict__[phase.body]) for phase in module.phases)
        parallel = jit and not checked and kernel.unit != "serial"
        kernels = tuple(_parallel(loaded, phase, path) if parallel else None for phase in module.phases)
    return Compiled(module, path, bodies, kernels)


def _plain(function: Callable[..., None]) -> Callable[..., None]:
    """The uncompiled function, silent where compiled arithmetic is silent too (integers wrap, 1 / 0 is inf)."""

    def run(*args: Any) -> None:
        with np.errstate(all="ignore"):
            function(*args)

    run.__wrapped__ = function  # type: ignore[attr-defined]
    return run


@cache
def _numba() -> Any:
    """Numba, with the vocabulary registered. torch is imported before it, so that both share one OpenMP pool."""
    import torch  # noqa: F401

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import numba
    vocabulary.register()
    return numba


def _function(loaded: Any, name: str, path: Path, checked: bool) -> Callable[..., None]:
    """The jitted body, put in its module's namespace so that the kernel calls it compiled."""
    found = loaded.__dict__[name]
    if not hasattr(found, "py_func"):
        found = _jit(found, path, boundscheck=checked)
        loaded.__dict__[name] = found
    return found  # type: ignore[no-any-return]


def _parallel(loaded: Any, phase: Phase, path: Path) -> Callable[..., None]:
    found = loaded.__dict__[phase.kernel]
    if not hasattr(found, "py_func"):
        found = loaded.__dict__[phase.kernel] = _jit(found, path, parallel=True)
    return found  # type: ignore[no-any-return]


def _jit(function: Callable[..., None], path: Path, **options: bool) -> Any:
    return _numba().njit(nogil=True, fastmath=FASTMATH, error_model="numpy", cache=True, **options)(function)

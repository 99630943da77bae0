"""Compiling a module with Numba, or taking its functions as the plain Python that they are."""

from __future__ import annotations

import os
import sys
import warnings
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from scorch.config import config
from scorch.emit import cache as disk
from scorch.emit.module import Module, Phase, emit
from scorch.ir.plan import Kernel

__all__ = ["Compiled", "compile_kernel", "entry_point"]

# Not all of fastmath: NaN and infinity must survive. Reassociation lets a reduction use several accumulators.
FASTMATH = {"reassoc", "contract", "nsz"}

_entries: weakref.WeakKeyDictionary[Callable[..., Any], dict[Any, Callable[..., None]]] = weakref.WeakKeyDictionary()
_held_for_fork: list[Any] = []


@dataclass(frozen=True)
class Compiled:
    """A kernel that can be called.

    `bodies[p]` takes a range of units of phase p, `kernels[p]` runs chunks on threads (None: serial only). Only those
    that are `addressable` have entry points.
    """

    module: Module
    path: Path
    bodies: tuple[Callable[..., None], ...]
    kernels: tuple[Callable[..., None] | None, ...]
    addressable: bool

    @property
    def phases(self) -> tuple[Phase, ...]:
        return self.module.phases


def entry_point(function: Any, arguments: Sequence[Any], addresses: dict[int, str]) -> Callable[..., None]:
    """A compiled function for arguments like these, without the search for their types at each call.

    At the places of `addresses` it takes the address of an array of that number type.
    """
    known = _entries.setdefault(function, {})
    key = tuple(addresses.items()), tuple(map(_kind, arguments))
    found = known.get(key)
    if found is None:
        with disk.lock:  # for what is imported: see `_before_fork`
            from scorch.emit.address import typed

        found = known[key] = function.compile(typed(arguments, addresses))
    return found


def _kind(argument: Any) -> object:
    """What of an argument decides on its type, in less time than Numba takes to say it."""
    if not isinstance(argument, np.ndarray):
        return type(argument)
    flags = argument.flags
    return argument.dtype, argument.ndim, flags.c_contiguous, flags.writeable, flags.aligned


def compile_kernel(kernel: Kernel) -> Compiled:
    """The compiled form of a kernel under today's settings; machine code follows with the first call."""
    return _compile(kernel, config.jit and not _disabled(), config.check, disk.directory())


@lru_cache(maxsize=4096)
def _compile(kernel: Kernel, jit: bool, checked: bool, home: Path) -> Compiled:
    del home  # part of the key only
    module = emit(kernel, checked and jit)
    with disk.lock:
        loaded = disk.load(module, checked and jit)
        path = Path(str(loaded.__file__))
        if jit:
            bodies = tuple(_jitted(loaded, phase.body, path, boundscheck=checked) for phase in module.phases)
        else:
            bodies = tuple(_plain(loaded, phase.body) for phase in module.phases)
        parallel = jit and not checked and kernel.unit != "serial"
        kernels = tuple(
            _jitted(loaded, phase.kernel, path, parallel=True) if parallel else None for phase in module.phases
        )
    return Compiled(module, path, bodies, kernels, jit and not checked)


def _plain(loaded: ModuleType, name: str) -> Callable[..., None]:
    """The uncompiled function, silent where compiled arithmetic is silent (integers wrap, 1 / 0 is inf)."""
    found = loaded.__dict__[name]
    function = getattr(found, "py_func", found)  # it may have been compiled before under other settings

    def run(*args: Any) -> None:
        with np.errstate(all="ignore"):
            function(*args)

    run.__wrapped__ = function  # type: ignore[attr-defined]
    return run


def _jitted(loaded: ModuleType, name: str, path: Path, **options: bool) -> Callable[..., None]:
    """The function as Numba's dispatcher, put in its module's namespace so that kernels call it compiled."""
    found = loaded.__dict__[name]
    if not hasattr(found, "py_func"):
        from scorch.emit.machine import MachineCode

        found = _numba().njit(nogil=True, fastmath=FASTMATH, error_model="numpy", **options)(found)
        found._cache = MachineCode(found, path)  # in the place where njit(cache=True) puts Numba's own
        loaded.__dict__[name] = found
    return found  # type: ignore[no-any-return]


@cache
def _numba() -> Any:
    """Numba. torch is imported before it, so that both share one OpenMP pool."""
    with disk.lock, warnings.catch_warnings():
        import torch  # noqa: F401

        warnings.simplefilter("ignore")
        import numba

        # Imports numpy.ma, which a call would do otherwise, outside the locks that `_before_fork` waits for.
        numba.typeof(np.empty(0))
    return numba


def _disabled() -> bool:
    """Whether NUMBA_DISABLE_JIT turns all of Numba off."""
    return bool(_numba().config.DISABLE_JIT)


def _before_fork() -> None:
    """Let other threads' compilations end: a child would find locks taken by threads that it lacks."""
    locks = [disk.lock]
    lock_module = sys.modules.get("numba.core.compiler_lock")
    if lock_module is not None:
        locks.append(lock_module.global_compiler_lock)
    for lock in locks:  # in the order in which compilations take them
        lock.acquire()
    _held_for_fork.extend(locks)


def _after_fork() -> None:
    while _held_for_fork:
        _held_for_fork.pop().release()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)

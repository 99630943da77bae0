"""Threads: how many a kernel may use, entering Numba's pool, and forked children, which must not enter it."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from functools import cache, cached_property
from typing import Any

import torch

from scorch.config import config
from scorch.errors import UnsupportedError

__all__ = ["available", "is_forked", "ready", "run", "workers"]

_torch_threads = torch.get_num_threads
_forked = False
_torch_is_serial = False
_entered = False  # whether a parallel kernel has run and so started the OpenMP pool, which torch shares
_guard = threading.Lock()
_count: Callable[[], int] | None = None  # threads that this Python thread's kernels use; once any may enter the pool


def _after_fork() -> None:
    global _forked
    _forked = True
    if sys.version_info < (3, 12):
        _renew_property_locks()
    if _entered:
        _serialize_torch()


def _renew_property_locks() -> None:
    """Replace the locks of `functools.cached_property`, which one of the parent's other threads may have held.

    Before Python 3.12 a cached property has one lock for all instances.
    """
    for name, module in list(sys.modules.items()):
        if name.startswith("scorch."):
            for kind in [value for value in vars(module).values() if isinstance(value, type)]:
                for member in vars(kind).values():
                    if isinstance(member, cached_property):
                        member.lock = threading.RLock()  # type: ignore[attr-defined]


os.register_at_fork(after_in_child=_after_fork)


def available() -> int:
    """Threads that plans are made for: the setting or torch's number; 1 in a forked child.

    A fork copies only the thread that forks: the child's OpenMP pool would wait for its other threads for
    ever, and Numba ends such a process. Children that are spawned, or come from a fork server, have a pool of
    their own.
    """
    if _forked:
        _serialize_torch()
        return 1
    return config.threads or _torch_threads()


def is_forked() -> bool:
    """Whether this process is a forked child of one that had loaded Scorch."""
    return _forked


def _serialize_torch() -> None:
    """Keep torch, which allocates results and gathers values, out of the pool too, as DataLoader does in workers.

    Without this a child's first large torch.zeros would hang.
    """
    global _torch_is_serial
    if not _torch_is_serial:
        _torch_is_serial = True
        torch.set_num_threads(1)


def workers() -> int:
    """Threads that a parallel kernel launched now would have: `available`, but no more than Numba can have.

    Numba's limit is NUMBA_NUM_THREADS, by default the number of cores.
    """
    return min(available(), _limit())


@cache
def _numba() -> Any:
    import numba

    return numba


@cache
def _limit() -> int:
    return max(1, int(_numba().config.NUMBA_NUM_THREADS))


@cache
def _counter() -> Callable[[], int]:
    """Start the threads of Numba's layer; what tells how many of them this Python thread would use.

    Numba's own function asks first whether the threads have started, which takes 2 us.
    """
    numba = _numba()
    try:
        numba.get_num_threads()
    except ValueError as error:
        raise UnsupportedError(
            f"Numba cannot start its threading layer {numba.config.THREADING_LAYER!r} "
            f"({' '.join(str(error).split())}); unset NUMBA_THREADING_LAYER, or set scorch.config.threads = 1"
        ) from None
    layer = sys.modules["numba.np.ufunc.parallel"]
    return getattr(layer, "_get_num_threads", numba.get_num_threads)  # type: ignore[no-any-return]


def run(kernel: Callable[..., None], workers: int, *arguments: object) -> None:
    """Call a parallel kernel as `kernel(workers, *arguments)`, on that many threads of Numba's pool.

    The number of threads that this Python thread's other Numba code uses is left as it was. UnsupportedError
    if the threading layer that NUMBA_THREADING_LAYER asks for is not there.
    """
    global _entered, _count
    if _is_ready(workers):
        kernel(workers, *arguments)
        return
    _entered = True
    before = _counter()()
    if not _one_at_a_time():
        _count = _counter()
    _numba().set_num_threads(workers)
    try:
        with _guard if _one_at_a_time() else nullcontext():
            kernel(workers, *arguments)
    finally:
        _numba().set_num_threads(before)


def ready() -> int:
    """`workers()`, if a parallel kernel may be called without `run`: the pool has that many threads for this Python
    thread, and others may be in it too. Else 0."""
    if _count is None or _forked:
        return 0
    count = _count()
    return count if count == (config.threads or _torch_threads()) else 0


def _is_ready(workers: int) -> bool:
    return _count is not None and _count() == workers


@cache
def _one_at_a_time() -> bool:
    """Whether the layer, started by now, is `workqueue`: it ends a process that has two Python threads in it."""
    return bool(_numba().threading_layer() == "workqueue")

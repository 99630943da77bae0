"""Threads: how many a kernel may use, and forked children, which must not enter a parallel region."""

from __future__ import annotations

import os
import threading
from functools import cache

import torch

from scorch.config import config

__all__ = ["available", "enter", "lock_if_needed"]

_forked = False


def _after_fork() -> None:
    global _forked
    _forked = True


os.register_at_fork(after_in_child=_after_fork)


def available() -> int:
    """Threads for the next kernel: the setting or torch's number; 1 in a forked child, whose OpenMP pool is gone."""
    if _forked:
        return 1
    return config.threads or torch.get_num_threads()


@cache
def _most() -> int:
    import numba

    return int(numba.config.NUMBA_NUM_THREADS)


def enter(threads: int) -> int:
    """Tell Numba how many threads the next parallel region has; the number it will have, at most NUMBA_NUM_THREADS."""
    import numba

    number = max(1, min(threads, _most()))
    numba.set_num_threads(number)
    return number


_guard = threading.Lock()


@cache
def lock_if_needed() -> threading.Lock | None:
    """A lock around parallel regions where Numba's layer is `workqueue`, which aborts the process if two threads enter it."""
    import numba

    try:
        return _guard if numba.threading_layer() == "workqueue" else None
    except ValueError:
        return None

"""Parallel execution: chunks of work units, handed to threads as they come free."""

from collections.abc import Callable
from typing import Any

import numpy as np

from scorch.emit.vocabulary.lanes import Lanes, check_range


def run_chunks(
    threads: int, chunks: int, bounds: Lanes, body: Callable[..., Any], args: tuple[Any, ...]
) -> None:
    """Call body(bounds[c], bounds[c + 1], *args) for each chunk c of 0 .. chunks, in any order.

    Compiled, `threads` threads of Numba's pool, at least 1 and at most NUMBA_NUM_THREADS, each take the
    next chunk until none is left; run plain, the calls come one after the other. bounds holds int64
    units; args is a tuple, literally written. The body is compiled by Numba, returns nothing, and must
    not raise: an error inside is lost.

    >>> def body(lo, hi, out):
    ...     out[lo:hi] += 1
    >>> out = np.zeros(6)
    >>> run_chunks(2, 2, np.array([0, 3, 5]), body, (out,)); out
    array([1., 1., 1., 1., 1., 0.])
    """
    _check(chunks, bounds)
    for c in range(chunks):
        body(bounds[c], bounds[c + 1], *args)


def run_numbered_chunks(
    threads: int, chunks: int, bounds: Lanes, body: Callable[..., Any], args: tuple[Any, ...]
) -> None:
    """As `run_chunks`, for body(lo, hi, thread, *args): a number of 0 .. threads for its workspace.

    No two calls that run at the same time have the same number.

    >>> def body(lo, hi, thread, out):
    ...     out[thread] += hi - lo
    >>> out = np.zeros(2)
    >>> run_numbered_chunks(2, 2, np.array([0, 3, 5]), body, (out,)); out.sum()
    np.float64(5.0)
    """
    _check(chunks, bounds)
    for c in range(chunks):
        body(bounds[c], bounds[c + 1], np.int64(0), *args)


def _check(chunks: int, bounds: Lanes) -> None:
    """Raise TypeError or IndexError unless bounds holds chunks + 1 int64 numbers."""
    if bounds.dtype != np.int64:
        raise TypeError(f"run_chunks: bounds are int64, not {bounds.dtype}")
    check_range("run_chunks", bounds, 0, chunks + 1)

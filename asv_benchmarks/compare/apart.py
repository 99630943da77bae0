"""A measurement in a process of its own: what it leaves in memory ends with it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from . import peers
from .model import Case, CaseResult, Options

__all__ = ["apart"]


def apart(measure: Callable[[Case, Options], CaseResult], case: Case, options: Options) -> CaseResult:
    """What `measure(case, options)` gives in a new process; RuntimeError where that process dies (of memory, say)."""
    # A copy of this process would have locks of torch's threads that nobody opens: the new one starts from nothing.
    with ProcessPoolExecutor(1, get_context("spawn"), _settle, (options.threads,)) as process:
        return process.submit(measure, case, options).result()


def _settle(threads: int | None) -> None:
    warnings.filterwarnings("ignore", message="Sparse .* tensor support is in beta state")
    if threads:
        peers.set_threads(threads)

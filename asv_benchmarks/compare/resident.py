"""Peak memory of a call: by how much what is resident rises while it runs."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from pathlib import Path
from time import sleep
from typing import Any

from scorch.config import config

__all__ = ["peak"]


def peak(make: Callable[[], Callable[[], Any]]) -> tuple[int, Any]:
    """Bytes by which resident memory rises at most during the call that `make` gives, and the call's result.

    Another call runs before, so that compilation and what is kept for later calls are not counted; memory of results
    is not kept, or none would be taken. Where the system
    lets a process reset its peak (`/proc/self/clear_refs`), the figure is exact to some pages; elsewhere memory is
    sampled from a second thread. Raises OSError or AttributeError where the system tells nothing.
    """
    with config.using(kept_memory=0):
        return _peak(make)


def _peak(make: Callable[[], Callable[[], Any]]) -> tuple[int, Any]:
    make()()
    call = make()
    # What the C library keeps of freed memory would hide what the next call takes.
    ctypes.CDLL(None).malloc_trim(0)
    before = _status("VmRSS")
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        highest, result = _sampled(call)
    else:
        result = call()
        highest = _status("VmHWM")
    return max(0, highest - before), result


def _status(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {key}")


def _sampled(call: Callable[[], Any]) -> tuple[int, Any]:
    highest, done = 0, threading.Event()

    def watch() -> None:
        nonlocal highest
        while not done.is_set():
            highest = max(highest, _status("VmRSS"))
            sleep(0.0002)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        result = call()
    finally:
        done.set()
        watcher.join()
    return max(highest, _status("VmRSS")), result

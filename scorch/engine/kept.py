"""Programs that are kept for operands that come again, and plans for operands that are like others."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from scorch.config import config
from scorch.formats import Storage
from scorch.runtime import threads

__all__ = ["find", "forget", "plans", "programs", "remember", "settings"]

KEPT = 2048  # programs; the oldest goes first
programs: OrderedDict[Any, Any] = OrderedDict()
plans: OrderedDict[Any, Any] = OrderedDict()  # see `scorch.engine.alike`
_lock = threading.RLock()


def settings() -> tuple[int, int]:
    """What a program depends on beside its statement and operands."""
    return config.state, threads.available()


def forget() -> None:
    """Plan everything anew from now on."""
    programs.clear()
    plans.clear()


def find(key: object) -> Any:
    """The program kept under a key, if there is one."""
    try:
        return programs.get(key)
    except TypeError:  # no key at all, with a list for a format, say: whoever makes the program will refuse it
        return None


def remember(key: object, program: object, operands: Sequence[Storage]) -> None:
    """Keep a program under a key for as long as its operands' patterns live."""
    with _lock:
        programs[key] = program
        while len(programs) > KEPT:
            programs.popitem(last=False)
    for storage in operands:
        if not storage.pattern.format.is_dense:
            weakref.finalize(storage.pattern, programs.pop, key, None)  # a program holds the pattern's arrays

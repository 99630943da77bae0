"""What memory a tensor would take, asked before it is allocated.

Systems hand out more memory than they have and end the process when it is used: a request beyond what the machine has
must be refused here.
"""

from __future__ import annotations

import math
import os
from functools import cache
from pathlib import Path

from scorch.errors import ShapeError

__all__ = ["bytes_text", "check_memory", "machine_memory"]

SMALL = 1 << 28  # bytes, for which nobody asks how much there is
_CONTROL_GROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def bytes_text(count: int) -> str:
    """A number of bytes in the unit that keeps it short.

    >>> bytes_text(900), bytes_text(2_500_000)
    ('900 B', '2.4 MiB')
    """
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


@cache
def machine_memory() -> float:
    """Bytes of memory that this process may use: the machine's, or its container's; infinite if nobody says."""
    try:
        found = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        found = math.inf
    for name in _CONTROL_GROUPS:
        try:
            limit = Path(name).read_text().strip()
        except OSError:
            continue
        if limit.isdigit():
            found = min(found, float(limit))
    return found


def check_memory(count: int, what: str) -> None:
    """ShapeError if so many bytes are more than there can be; `what` says for what they are wanted."""
    if count > SMALL and count > machine_memory():
        raise ShapeError(
            f"{what} would take {bytes_text(count)}, and there are {bytes_text(int(machine_memory()))}; ask for a "
            "format that stores only what is there, such as out_format='coo' or 'dcsr', or compute the result in parts"
        )

"""What other processes did meanwhile: times of a busy machine are not to be trusted."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

__all__ = ["Bystanders"]

_BUSY = 0.2  # cores


@dataclass(frozen=True, slots=True)
class Bystanders:
    """A moment, from which on the work of other processes is told.

    >>> Bystanders.from_now().warning(cores=0.1)
    ''
    """

    clock: float
    machine: float
    own: float

    @classmethod
    def from_now(cls) -> Bystanders:
        """Begin to watch."""
        return cls(monotonic(), _machine_seconds(), _own_seconds())

    def cores(self) -> float:
        """How many cores other processes have used since then, on average; 0 where that can't be told."""
        now = Bystanders.from_now()
        elapsed = now.clock - self.clock
        others = (now.machine - self.machine) - (now.own - self.own)
        return max(0.0, others / elapsed) if elapsed > 0 and now.machine else 0.0

    def warning(self, cores: float | None = None) -> str:
        """A sentence for the reader of the times, empty if the machine was quiet."""
        used = self.cores() if cores is None else cores
        if used < _BUSY:
            return ""
        return (
            f"Other processes used {used:.1f} of {os.cpu_count()} cores meanwhile: "
            "measure again on a quiet machine before you trust these times."
        )


def _machine_seconds() -> float:
    """CPU seconds of work since the machine started, 0 where that can't be told."""
    try:
        fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
        user, nice, system, _idle, _wait, irq, soft_irq = map(int, fields[:7])
    except (OSError, ValueError, IndexError):
        return 0.0
    return (user + nice + system + irq + soft_irq) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime

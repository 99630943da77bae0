"""What the steps of a kernel cost: built-in prices, or those that were measured on this machine and kept."""

from __future__ import annotations

import json
import math
import os
import platform
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from scorch.config import config
from scorch.schedule.machine import host

__all__ = ["BUILT_IN", "Prices", "forget", "identity", "in_force", "kept_at", "read", "written"]


@dataclass(frozen=True)
class Prices:
    """Nanoseconds; `origin` says where they come from."""

    loop: float = 0.6  # one more iteration of a plain loop
    sparse: float = 0.7  # fetch a coordinate and a value
    enter: float = 3.0  # begin a loop over stored coordinates, whose end is mispredicted
    merge: float = 2.5  # one step of a merge, mispredicted branch included
    foretold: float = 0.25  # one step of a merge whose branches are foretold
    wrong: float = 3.0  # a branch that was foretold wrongly
    blend: float = 1.2  # one step of a merge without branches
    search: float = 2.5  # halve or double a range, mispredicted branch included
    scalar: float = 0.4  # a multiply and an add
    vector: float = 0.45  # the same on a SIMD register, data in cache
    fma: float = 0.26  # the same where all but the sum is in registers already
    across: float = 4.0  # the sum of a register's lanes
    next: float = 0.2  # read the value after the last one
    cached: float = 0.5  # random access within the first cache
    near: float = 1.5  # random access within the second cache
    far: float = 8.0  # random access beyond it
    walk: float = 2.5  # a vector from a page whose address is not at hand
    line: float = 1.6  # stream one cache line from beyond the second cache
    scatter: float = 2.0  # add to a sparse row accumulator
    sort: float = 3.5  # times log2 of the row length, an entry
    word: float = 0.6  # test one word of a bitmap
    visit: float = 4.0  # read the bits of a word that has some, mispredicted end included
    append: float = 1.5  # write one coordinate and value of a sparse result
    move: float = 0.5  # one coordinate and value of a result, from the room where they were made
    place: float = 4.0  # count an entry, and write it to a place that jumps
    convert: float = 12.0  # reorder one nonzero, its share of counting and prefix sums included
    reorder: float = 20_000.0  # begin to reorder an operand
    gather: float = 1.5  # take one value through a permutation
    copy: float = 12_000.0  # begin to copy a dense operand in another order of its dimensions
    turn: float = 1.1  # move one of its values
    turned: float = 0.3  # one value of a block that is turned in registers
    launch: float = 3_000.0  # enter a parallel region
    origin: str = "built-in prices"


BUILT_IN = Prices()  # of a current x86 core, measured on kernels of this compiler: to rank plans, not to predict


def in_force() -> Prices:
    """The prices of plans made now: those kept for this machine if `scorch.config.calibrate` is on, else built in."""
    if not config.calibrate:
        return BUILT_IN
    return _kept(kept_at()) or BUILT_IN


def kept_at() -> Path:
    """The file of this machine's prices; it need not exist."""
    digest = sha256(identity().encode()).hexdigest()[:16]
    return config.cache_dir / "kernels" / f"calibration_{digest}.json"


def identity() -> str:
    """What prices depend on: the CPU, what Numba compiles for, and Numba's version."""
    asked = [os.environ.get(name, "") for name in ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES")]
    return "; ".join([_cpu(), str(host()), *asked, f"numba {version('numba')}"])


@lru_cache(maxsize=1)
def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    told = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "model\t", "stepping"))]
    return " ".join([platform.machine(), *told[:3]])


def written(prices: Prices) -> bytes:
    """Prices as a file holds them."""
    return (json.dumps({"machine": identity(), **asdict(prices)}, indent=1) + "\n").encode()


def read(path: Path) -> Prices | None:
    """The prices in a file; None where it is not there or holds anything but positive numbers for all of them."""
    try:
        found = json.loads(path.read_bytes())
        values = {field.name: found[field.name] for field in fields(Prices)}
    except (OSError, ValueError, LookupError, TypeError):
        return None
    numbers = [value for name, value in values.items() if name != "origin"]
    sound = all(isinstance(value, (int, float)) and math.isfinite(value) and value > 0 for value in numbers)
    return Prices(**values) if sound and isinstance(values["origin"], str) else None


_kept = lru_cache(maxsize=8)(read)


def forget() -> None:
    """Read the file again when prices are asked for next: it was written or deleted."""
    _kept.cache_clear()

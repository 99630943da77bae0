"""The vocabulary with bounds checks in compiled code too, for kernels built with SCORCH_CHECK=1.

The intrinsics write past Numba's own bounds check. A checked kernel imports its names from here
instead; those that touch memory raise IndexError from a serial compiled body. Each function below
runs as it stands and is also what Numba compiles. All other names are the plain vocabulary's.
"""

from typing import Any

import numpy as np

from scorch.emit.vocabulary import memory, scalar
from scorch.emit.vocabulary.arithmetic import (
    vabs,
    vadd,
    vcast,
    vdiv,
    veq,
    vfma,
    vge,
    vgt,
    vle,
    vlt,
    vmax,
    vmin,
    vmul,
    vne,
    vneg,
    vselect,
    vsqrt,
    vsub,
)
from scorch.emit.vocabulary.exponential import verf, vexp, vexpm1, vkeep, vsigmoid, vtanh
from scorch.emit.vocabulary.halves import from_bfloat16, from_float16, to_bfloat16, to_float16
from scorch.emit.vocabulary.lanes import Lanes
from scorch.emit.vocabulary.memory import fence, prefetch, vfull, viota, viota32
from scorch.emit.vocabulary.reduce import vhmax, vhmin, vprod, vsum, vsums4, vsums8
from scorch.emit.vocabulary.scalar import bit, ctz, follow, popcount

__all__ = [
    "atomic_add",
    "bit",
    "ctz",
    "fence",
    "fetch_add",
    "follow",
    "from_bfloat16",
    "from_float16",
    "gallop",
    "lower_bound",
    "popcount",
    "prefetch",
    "sort_range",
    "to_bfloat16",
    "to_float16",
    "vabs",
    "vadd",
    "vcast",
    "vdiv",
    "veq",
    "verf",
    "vexp",
    "vexpm1",
    "vfma",
    "vfull",
    "vgather",
    "vgather_at",
    "vgather_part",
    "vge",
    "vgt",
    "vhmax",
    "vhmin",
    "viota",
    "viota32",
    "vkeep",
    "vle",
    "vload",
    "vload_part",
    "vlt",
    "vmax",
    "vmin",
    "vmul",
    "vne",
    "vneg",
    "vprod",
    "vselect",
    "vsigmoid",
    "vsqrt",
    "vstore",
    "vstore_part",
    "vstream",
    "vsub",
    "vsum",
    "vsums4",
    "vsums8",
    "vtanh",
    "vturn",
]

# The unchecked functions under other names, as the checked ones take theirs.
_vload, _vload_part, _vturn = memory.vload, memory.vload_part, memory.vturn
_vstore, _vstore_part, _vstream = memory.vstore, memory.vstore_part, memory.vstream
_vgather, _vgather_part, _first_lanes = memory.vgather, memory.vgather_part, memory.first_lanes
_fetch_add, _atomic_add, _lower_bound = scalar.fetch_add, scalar.atomic_add, scalar.lower_bound
_gallop = scalar.gallop
_sort_range = scalar.sort_range


def vload(a: Lanes, i: int, n: int) -> Lanes:
    """As `memory.vload`; IndexError unless i .. i + n lies in a."""
    if i < 0 or i + n > len(a):
        raise IndexError("vload: lanes outside the array")
    return _vload(a, i, n)


def vturn(a: Lanes, i: int, step: int, n: int) -> tuple[Lanes, ...]:
    """As `memory.vturn`; IndexError unless all rows lie in a."""
    last = i + step * (n - 1)
    if min(i, last) < 0 or max(i, last) + n > len(a):
        raise IndexError("vturn: rows outside the array")
    turned: tuple[Lanes, ...] = _vturn(a, i, step, n)
    return turned


def vload_part(a: Lanes, i: int, n: int, m: int) -> Lanes:
    """As `memory.vload_part`; IndexError unless 0 <= m <= n and i .. i + m lies in a."""
    if m < 0 or m > n or i < 0 or i + m > len(a):
        raise IndexError("vload_part: lanes outside the array")
    return _vload_part(a, i, n, m)


def vstore(a: Lanes, i: int, v: Lanes) -> None:
    """As `memory.vstore`; IndexError unless all lanes lie in a."""
    if i < 0 or i + len(v) > len(a):
        raise IndexError("vstore: lanes outside the array")
    _vstore(a, i, v)


def vstream(a: Lanes, i: int, v: Lanes) -> None:
    """As `memory.vstream`; IndexError unless all lanes lie in a."""
    if i < 0 or i + len(v) > len(a):
        raise IndexError("vstream: lanes outside the array")
    _vstream(a, i, v)


def vstore_part(a: Lanes, i: int, v: Lanes, m: int) -> None:
    """As `memory.vstore_part`; IndexError unless 0 <= m <= n and i .. i + m lies in a."""
    if m < 0 or m > len(v) or i < 0 or i + m > len(a):
        raise IndexError("vstore_part: lanes outside the array")
    _vstore_part(a, i, v, m)


def vgather(a: Lanes, idx: Lanes) -> Lanes:
    """As `memory.vgather`; IndexError unless all indices lie in a."""
    if vhmin(idx) < 0 or vhmax(idx) >= len(a):
        raise IndexError("vgather: an index outside the array")
    return _vgather(a, idx)


def vgather_at(a: Lanes, crd: Lanes, i: int, n: int) -> Lanes:
    """As `memory.vgather_at`; IndexError unless i .. i + n lies in crd, and what is there in a."""
    return vgather(a, vcast(vload(crd, i, n), np.int64))


def vgather_part(a: Lanes, idx: Lanes, m: int) -> Lanes:
    """As `memory.vgather_part`; IndexError unless 0 <= m <= n and the first m indices lie in a."""
    if m < 0 or m > len(idx):
        raise IndexError("vgather_part: more lanes than the vector has")
    used = _first_lanes(idx, m)
    wide = vcast(idx, np.int64)
    if vhmin(vselect(used, wide, 0)) < 0 or vhmax(vselect(used, wide, -1)) >= len(a):
        raise IndexError("vgather_part: an index outside the array")
    return _vgather_part(a, idx, m)


def fetch_add(a: Lanes, i: int, x: Any) -> Any:
    """As `scalar.fetch_add`; IndexError unless i lies in a."""
    if i < 0 or i >= len(a):
        raise IndexError("fetch_add: outside the array")
    return _fetch_add(a, i, x)


def atomic_add(a: Lanes, i: int, x: Any) -> None:
    """As `scalar.atomic_add`; IndexError unless i lies in a."""
    if i < 0 or i >= len(a):
        raise IndexError("atomic_add: outside the array")
    _atomic_add(a, i, x)


def lower_bound(a: Lanes, lo: int, hi: int, x: Any) -> Any:
    """As `scalar.lower_bound`; IndexError unless lo .. hi lies in a."""
    if lo < hi and (lo < 0 or hi > len(a)):
        raise IndexError("lower_bound: a range outside the array")
    return _lower_bound(a, lo, hi, x)


def gallop(a: Lanes, lo: int, hi: int, x: Any) -> Any:
    """As `scalar.gallop`; IndexError unless lo .. hi lies in a."""
    if lo < hi and (lo < 0 or hi > len(a)):
        raise IndexError("gallop: a range outside the array")
    return _gallop(a, lo, hi, x)


def sort_range(a: Lanes, lo: int, hi: int) -> None:
    """As `scalar.sort_range`; IndexError unless lo .. hi lies in a."""
    if lo < hi and (lo < 0 or hi > len(a)):
        raise IndexError("sort_range: a range outside the array")
    _sort_range(a, lo, hi)

"""The SIMD vocabulary: the names that generated kernels are written in.

Every name is a plain Python function over 1-d arrays, so that a kernel runs uncompiled, and has a
twin that Numba lowers to LLVM vector instructions once `register` was called. Importing this package
does not import Numba. A vector of n lanes is a numpy array of length n when a kernel runs plain and a
`Vec(dtype, n)` when it is compiled; n is an integer literal and a power of two.
"""

import functools
import hashlib
import importlib
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable

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
from scorch.emit.vocabulary.memory import (
    fence,
    prefetch,
    vfull,
    vgather,
    vgather_at,
    vgather_part,
    viota,
    viota32,
    vload,
    vload_part,
    vstore,
    vstore_part,
    vstream,
    vturn,
)
from scorch.emit.vocabulary.reduce import vhmax, vhmin, vprod, vsum, vsums4, vsums8
from scorch.emit.vocabulary.scalar import (
    atomic_add,
    bit,
    ctz,
    fetch_add,
    follow,
    gallop,
    lower_bound,
    popcount,
    sort_range,
)

__all__ = [
    "atomic_add",
    "bit",
    "ctz",
    "fence",
    "fetch_add",
    "fingerprint",
    "follow",
    "from_bfloat16",
    "from_float16",
    "gallop",
    "lower_bound",
    "popcount",
    "prefetch",
    "register",
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


def register() -> None:
    """Teach Numba the vocabulary; calling it again does nothing. Imports Numba.

    >>> import numba, numpy as np
    >>> register()
    >>> total = numba.njit(lambda a: vsum(vload(a, 1, 4)))
    >>> float(total(np.arange(6, dtype=np.float32)))
    10.0
    """
    importlib.import_module("scorch.emit.vocabulary.compiled")


@functools.cache
def fingerprint(checked: bool = False) -> str:
    """Return 16 hexadecimal digits that change with the vocabulary's code or its compiler.

    Numba keys a cached kernel by the kernel's own file only, so this goes into the kernel's name.
    `checked` tells kernels that use `scorch.emit.vocabulary.checked` from the others.

    >>> fingerprint() == fingerprint(), fingerprint() == fingerprint(checked=True), len(fingerprint())
    (True, False, 16)
    """
    digest = hashlib.sha256()
    for name, text in sorted(_sources(files(__name__))):
        digest.update(name.encode() + b"\0" + text + b"\0")
    digest.update(f"numba {version('numba')} llvmlite {version('llvmlite')} checked {checked}".encode())
    return digest.hexdigest()[:16]


def _sources(folder: Traversable, prefix: str = "") -> list[tuple[str, bytes]]:
    """List (relative name, bytes) of the Python files below a folder."""
    found = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _sources(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".py"):
            found.append((prefix + entry.name, entry.read_bytes()))
    return found

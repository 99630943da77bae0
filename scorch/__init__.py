"""Scorch: sparse tensor algebra on CPUs, compiled from index notation by Python and Numba.

>>> import scorch, torch
>>> A = scorch.tensor(torch.eye(3).to_sparse_csr())
>>> scorch.einsum("ik,kj->ij", A, torch.ones(3, 2)).shape
torch.Size([3, 2])
"""

from importlib import import_module
from types import ModuleType

from scorch import formats, pytree
from scorch.api import compute, einsum, kernel
from scorch.config import config
from scorch.dynamo import mend_when_imported
from scorch.errors import (
    CacheError,
    DtypeError,
    FormatError,
    NotationError,
    ScheduleError,
    ScorchError,
    ShapeError,
    UnsupportedError,
)
from scorch.formats import Format
from scorch.functions.creation import empty_like, eye, full_like, ones_like, rand, zeros, zeros_like
from scorch.indexing import absent, indices, result, stored, where
from scorch.io import read, write
from scorch.runtime.diagnose import diagnose
from scorch.tensor import Tensor, from_coo, tensor
from scorch.trace import compile, explain

mend_when_imported()
pytree.register()

_ON_DEMAND = ("array_api", "fairness", "nn", "testing")


def __getattr__(name: str) -> ModuleType:
    """`scorch.nn` and the like without an import of their own: they load when first named, since few need them all."""
    if name in _ON_DEMAND:
        return import_module(f"scorch.{name}")
    raise AttributeError(f"module 'scorch' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_ON_DEMAND})


__version__ = "0.1.0"

__all__ = [
    "CacheError",
    "DtypeError",
    "Format",
    "FormatError",
    "NotationError",
    "ScheduleError",
    "ScorchError",
    "ShapeError",
    "Tensor",
    "UnsupportedError",
    "absent",
    "compile",
    "compute",
    "config",
    "diagnose",
    "einsum",
    "empty_like",
    "explain",
    "eye",
    "formats",
    "from_coo",
    "full_like",
    "indices",
    "kernel",
    "ones_like",
    "rand",
    "read",
    "result",
    "stored",
    "tensor",
    "where",
    "write",
    "zeros",
    "zeros_like",
]

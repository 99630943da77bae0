"""Number types: their names in Scorch, in numpy and in torch, and torch's promotion between them.

Inside Scorch a number type is its name, a plain string: it hashes, prints and travels into generated source as it is.
"""

from __future__ import annotations

from functools import cache, reduce

import numpy as np
import torch

from scorch.errors import DtypeError

__all__ = ["NAMES", "is_float", "itemsize", "name_of", "promote", "to_numpy", "to_torch"]

NAMES: tuple[str, ...] = (
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "float32",
    "float64",
    "complex64",
    "complex128",
)

_TORCH: dict[str, torch.dtype] = {name: getattr(torch, name) for name in NAMES}
_NAME: dict[torch.dtype, str] = {dtype: name for name, dtype in _TORCH.items()}


def name_of(dtype: object) -> str:
    """The name of a torch dtype, a numpy dtype, a Python number type or a name.

    Raises DtypeError for a type that Scorch doesn't compute with.

    >>> name_of(torch.float32), name_of(np.int64), name_of("bool"), name_of(float)
    ('float32', 'int64', 'bool', 'float64')
    """
    if isinstance(dtype, torch.dtype):
        name = _NAME.get(dtype)
    elif isinstance(dtype, str) and dtype in _TORCH:
        name = dtype
    else:
        try:
            name = np.dtype(dtype).name  # type: ignore[call-overload]
        except TypeError:
            name = None
    if name not in _TORCH:
        raise DtypeError(f"number type {dtype} is not supported; Scorch computes with {', '.join(NAMES)}")
    return name


def to_numpy(name: str) -> np.dtype[np.generic]:
    """The numpy dtype of a named number type."""
    return np.dtype(name)


def to_torch(name: str) -> torch.dtype:
    """The torch dtype of a named number type."""
    return _TORCH[name]


@cache
def promote(*names: str) -> str:
    """The number type that torch gives an operation on tensors of these types.

    >>> promote("int64", "float32"), promote("uint8", "int32"), promote("bool", "bool")
    ('float32', 'int32', 'bool')
    """
    return name_of(reduce(torch.promote_types, (_TORCH[name] for name in names)))


def itemsize(name: str) -> int:
    """Bytes of one value."""
    return to_numpy(name).itemsize


def is_float(name: str) -> bool:
    """Whether the type is a real floating-point type.

    >>> is_float("float32"), is_float("complex64"), is_float("int8")
    (True, False, False)
    """
    return name.startswith("float")

"""Number types: their names in Scorch, in numpy and in torch, and torch's promotion between them.

Inside Scorch a number type is its name, a plain string: it hashes, prints and travels into generated source as it is.
Neither numpy nor Numba computes with the half types on CPUs: kernels take their arrays as the uint16 bits that they
are, and compute in float32.
"""

from __future__ import annotations

from functools import cache, reduce
from typing import Any

import numpy as np
import torch

from scorch.errors import DtypeError

__all__ = [
    "HALVES",
    "NAMES",
    "array_of",
    "computed",
    "is_float",
    "itemsize",
    "name_of",
    "promote",
    "tensor_of",
    "to_numpy",
    "to_torch",
    "wrapped",
]

NAMES: tuple[str, ...] = (
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "complex64",
    "complex128",
)

HALVES = frozenset({"float16", "bfloat16"})
_INTEGERS = frozenset({"uint8", "int8", "int16", "int32", "int64"})

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
    """The numpy dtype of the arrays in which kernels find values of a named number type.

    >>> to_numpy("float32"), to_numpy("bfloat16")
    (dtype('float32'), dtype('uint16'))
    """
    return np.dtype("uint16" if name in HALVES else name)


def to_torch(name: str) -> torch.dtype:
    """The torch dtype of a named number type."""
    return _TORCH[name]


def wrapped(value: Any, name: str) -> Any:
    """A whole number as an integer type holds it, modulo its range as in torch; any other value as it is.

    >>> wrapped(-1, "uint8"), wrapped(200, "int8"), wrapped(200, "float32"), wrapped(2**63 + 5, "int64")
    (255, -56, 200, -9223372036854775803)
    """
    if not isinstance(value, int) or isinstance(value, bool) or name not in _INTEGERS:
        return value
    limits = np.iinfo(name)
    return (value - limits.min) % (1 << limits.bits) + limits.min


def computed(name: str) -> str:
    """The number type in which kernels compute with values of this one.

    >>> computed("bfloat16"), computed("int8")
    ('float32', 'int8')
    """
    return "float32" if name in HALVES else name


def array_of(values: torch.Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    """The numpy array on a tensor's memory, as kernels take it.

    >>> array_of(torch.tensor([1.0], dtype=torch.bfloat16))
    array([16256], dtype=uint16)
    """
    array: np.ndarray[tuple[int, ...], np.dtype[np.generic]] = (
        values.view(torch.uint16) if _NAME.get(values.dtype) in HALVES else values
    ).numpy()
    return array


def tensor_of(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]], name: str) -> torch.Tensor:
    """The torch tensor on an array's memory, whose values are of a named number type.

    >>> tensor_of(np.array([16256], dtype=np.uint16), "bfloat16")
    tensor([1.], dtype=torch.bfloat16)
    """
    tensor = torch.from_numpy(array)
    return tensor.view(_TORCH[name]) if name in HALVES else tensor


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

    >>> is_float("bfloat16"), is_float("complex64"), is_float("int8")
    (True, False, False)
    """
    return name.startswith(("float", "bfloat"))

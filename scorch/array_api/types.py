"""Number types: promotion, limits, kinds, and what the namespace can do."""

from __future__ import annotations

import builtins
from dataclasses import dataclass
from typing import Any

import torch

from scorch.array_api import constants
from scorch.array_api.array import Array
from scorch.functions.queries import sample

__all__ = ["__array_namespace_info__", "can_cast", "finfo", "iinfo", "isdtype", "result_type"]

_KINDS = {
    "bool": ("bool",),
    "signed integer": ("int8", "int16", "int32", "int64"),
    "unsigned integer": ("uint8",),
    "real floating": ("float32", "float64"),
    "complex floating": ("complex64", "complex128"),
}
_KINDS["integral"] = _KINDS["signed integer"] + _KINDS["unsigned integer"]
_KINDS["numeric"] = _KINDS["integral"] + _KINDS["real floating"] + _KINDS["complex floating"]


@dataclass(frozen=True)
class Limits:
    """The limits of a number type; those of the others are 0."""

    bits: int
    max: Any
    min: Any
    dtype: torch.dtype
    eps: float = 0.0
    smallest_normal: float = 0.0


def finfo(type: Any, /) -> Limits:
    """The limits of a floating-point type."""
    dtype = type.dtype if isinstance(type, Array) else type
    found = torch.finfo(dtype)
    real = dtype.to_real() if dtype.is_complex else dtype
    return Limits(found.bits, found.max, found.min, real, found.eps, found.smallest_normal)


def iinfo(type: Any, /) -> Limits:
    """The limits of an integer type."""
    dtype = type.dtype if isinstance(type, Array) else type
    found = torch.iinfo(dtype)
    return Limits(found.bits, found.max, found.min, dtype)


def isdtype(dtype: torch.dtype, kind: Any) -> builtins.bool:
    """Whether a number type is of a kind: one, its name, or one of several."""
    if isinstance(kind, tuple):
        return builtins.any(isdtype(dtype, part) for part in kind)
    if isinstance(kind, str):
        if kind not in _KINDS:
            raise ValueError(f"unknown kind {kind!r}; there are {', '.join(_KINDS)}")
        return builtins.any(dtype is getattr(constants, name) for name in _KINDS[kind])
    return dtype is kind


def can_cast(from_: Any, to: torch.dtype, /) -> builtins.bool:
    """Whether a number type can be converted to another by the rules of promotion."""
    dtype = from_.dtype if isinstance(from_, Array) else from_
    return torch.promote_types(dtype, to) is to


def result_type(*arrays_and_dtypes: Any) -> torch.dtype:
    """The number type of arithmetic on arrays, number types and numbers."""
    given = [getattr(x, "dtype", x) for x in arrays_and_dtypes]
    kinds = [kind for kind in given if isinstance(kind, torch.dtype)]
    if not kinds:
        raise ValueError("result_type needs an array or a number type at least")
    found = kinds[0]
    for kind in kinds[1:]:
        found = torch.promote_types(found, kind)
    for number in (x for x in arrays_and_dtypes if isinstance(x, builtins.bool | int | float | complex)):
        found = torch.result_type(torch.ones(1, dtype=found), sample(number))
    return found


class Info:
    """What the namespace can do."""

    def capabilities(self) -> dict[str, Any]:
        """Masks as indices and results of data-dependent shape are available."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": None}

    def default_device(self) -> str:
        """The CPU."""
        return "cpu"

    def devices(self) -> list[str]:
        """The CPU alone."""
        return ["cpu"]

    def default_dtypes(self, *, device: Any = None) -> dict[str, torch.dtype]:
        """torch's default types."""
        real = torch.get_default_dtype()
        return {
            "real floating": real,
            "complex floating": torch.complex128 if real is torch.float64 else torch.complex64,
            "integral": torch.int64,
            "indexing": torch.int64,
        }

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, torch.dtype]:
        """The number types, or those of a kind."""
        names = [name for group in ("bool", "numeric") for name in _KINDS[group]]
        found = {name: getattr(constants, name) for name in names}
        return found if kind is None else {name: dtype for name, dtype in found.items() if isdtype(dtype, kind)}


def __array_namespace_info__() -> Info:
    """What the namespace can do."""
    return Info()

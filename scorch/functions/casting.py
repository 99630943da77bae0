"""The same tensor with other values or number type: clone, detach, to, float ..., and what leaves it as it is."""

from __future__ import annotations

from typing import Any

import torch

from scorch.errors import UnsupportedError
from scorch.functions.registry import implements
from scorch.tensor import Tensor, is_device

__all__ = ["clone", "to"]


@implements("clone", takes_repeated=True)
def clone(x: Tensor, *, memory_format: Any = None) -> Tensor:
    """The same pattern with a copy of the values."""
    return x.clone()


@implements("detach", takes_repeated=True)
def detach(x: Tensor) -> Tensor:
    """The same values without their history of operations."""
    return x.detach()


@implements("Tensor.to", takes_repeated=True)
def to(x: Tensor, *targets: Any, dtype: Any = None, device: Any = None, copy: bool = False, **_: Any) -> Tensor:
    """Another number type or format, or those of another tensor; the device can be the CPU only."""
    for target in (*targets, dtype, device):
        if hasattr(target, "dtype"):
            x = x.to(target.dtype)
        elif is_device(target):
            if torch.device(target).type != "cpu":
                raise UnsupportedError(f"Scorch runs on CPU; the device {target} is not available")
        elif target is not None and not isinstance(target, bool):
            x = x.to(target)
    return x.clone() if copy else x


def _cast(name: str, dtype: torch.dtype) -> None:
    @implements(f"Tensor.{name}", takes_repeated=True)
    def cast(x: Tensor, **_: Any) -> Tensor:
        return x.to(dtype)


for _name, _dtype in (
    ("float", torch.float32), ("double", torch.float64), ("half", torch.float16), ("bfloat16", torch.bfloat16),
    ("int", torch.int32), ("long", torch.int64), ("short", torch.int16), ("char", torch.int8), ("byte", torch.uint8),
    ("bool", torch.bool),
):  # fmt: skip
    _cast(_name, _dtype)


@implements("Tensor.type_as", takes_repeated=True)
def type_as(x: Tensor, other: Any) -> Tensor:
    """The number type of another tensor."""
    return x.to(other.dtype)


@implements("Tensor.contiguous", "Tensor.coalesce")
def contiguous(x: Tensor, *, memory_format: Any = None) -> Tensor:
    """The tensor itself; entries of equal coordinates are summed by then."""
    return x


@implements("Tensor.to_dense", takes_repeated=True)
def to_dense(x: Tensor, dtype: Any = None, **_: Any) -> torch.Tensor:
    """A dense torch tensor."""
    return x.to_dense() if dtype is None else x.to(dtype).to_dense()


@implements("Tensor.tolist")
def tolist(x: Tensor) -> Any:
    """Nested lists of the dense tensor."""
    return x.to_dense().tolist()

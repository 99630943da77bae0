"""What stands for the result of a call that is put off: it behaves as the tensor, which is computed when it is looked
at."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch

from scorch.formats import Storage
from scorch.functions import registry
from scorch.operand import Stored, as_storage
from scorch.tensor import Tensor
from scorch.trace.node import Node

__all__ = ["Deferred", "DenseValue", "SparseValue", "resolved"]


class Deferred:
    """Holds a node, and knows who computes it."""

    _node: Node
    _compute: Callable[[Node], None]

    def __init__(self, node: Node, compute: Callable[[Node], None]) -> None:
        self._node = node
        self._compute = compute

    def _force(self) -> Any:
        """The tensor."""
        if not self._node.is_done:
            self._compute(self._node)
        return self._node.value

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        return func(*resolved(args), **resolved(kwargs or {}))

    def __repr__(self) -> str:
        return repr(self._force())

    def __copy__(self) -> Any:
        return self._force()

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self._force().__deepcopy__(memo)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self._force().__reduce_ex__(protocol)

    @property
    def shape(self) -> torch.Size:
        """Known before the values are."""
        return torch.Size(self._node.shape)

    @property
    def dtype(self) -> torch.dtype:
        """Known before the values are."""
        return self._node.dtype

    @property
    def ndim(self) -> int:
        """Known before the values are."""
        return len(self._node.shape)

    @property
    def requires_grad(self) -> bool:
        """Known before the values are."""
        return self._node.requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self._force().requires_grad_(value)

    @property
    def device(self) -> torch.device:
        """Scorch computes on CPUs."""
        return torch.device("cpu")

    def __len__(self) -> int:
        return self._node.shape[0]


def resolved(value: Any) -> Any:
    """Arguments, nested in lists, tuples and mappings, with tensors in place of what stands for them."""
    if isinstance(value, Deferred):
        return value._force()
    if type(value) is dict:
        return {key: resolved(part) for key, part in value.items()}
    if type(value) in (list, tuple):
        return type(value)(resolved(part) for part in value)
    return value


class SparseValue(Deferred, Tensor):
    """In place of a scorch.Tensor."""

    @property
    def _storage(self) -> Storage:  # type: ignore[override]
        return as_storage(self._force())

    @property
    def values(self) -> torch.Tensor:
        """The stored values."""
        found: torch.Tensor = self._force().values
        return found


class DenseValue(Deferred, Stored):
    """In place of a torch.Tensor, whose methods it has; `isinstance` says so too."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return torch.Tensor

    @property
    def _storage(self) -> Storage:  # type: ignore[override]
        return as_storage(self._force())

    @property
    def layout(self) -> torch.layout:
        """Its result is dense."""
        return torch.strided

    def size(self, dim: int | None = None) -> Any:
        """torch.Tensor.size."""
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        """torch.Tensor.dim."""
        return self.ndim

    def numel(self) -> int:
        """torch.Tensor.numel."""
        return self.shape.numel()


def _call(name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The function, by whoever records the calls of this thread, or as it is."""
    taker = registry.taker()
    if taker is None:
        return function(*resolved(args), **resolved(kwargs))
    return taker(name, function, args, kwargs)


def _method(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return _call(name, function, self, *args, **kwargs)

    method.__name__ = name
    return method


def _attribute(name: str) -> property:
    def get(self: Any) -> Any:
        return getattr(self._force(), name)

    def put(self: Any, value: Any) -> None:
        setattr(self._force(), name, resolved(value))

    return property(get, put)


_KEPT = {"__class__", "__doc__", "__module__", "__dict__", "__weakref__", "__slots__", "__torch_dispatch__"} | {
    name
    for name in dir(object)
    if name not in ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__hash__", "__format__")
}


def _take_methods() -> None:
    """Give DenseValue what torch.Tensor has and it lacks."""
    own = {name for kind in DenseValue.__mro__[:-1] for name in vars(kind)}
    for name in dir(torch.Tensor):
        if (
            name in own - {"__eq__"}
            or name in _KEPT
            or isinstance(inspect.getattr_static(torch.Tensor, name), classmethod | staticmethod)
        ):
            continue
        found = getattr(torch.Tensor, name)
        setattr(DenseValue, name, _method(name, found) if callable(found) else _attribute(name))
    DenseValue.__hash__ = object.__hash__  # type: ignore[method-assign]


_take_methods()

"""What stands for the result of a call that is put off: it behaves as the tensor, which is computed when it is looked
at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from scorch.errors import UnsupportedError
from scorch.formats import Storage
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

    def size(self, dim: int | None = None) -> Any:
        """torch.Tensor.size."""
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        """torch.Tensor.dim."""
        return self.ndim

    def numel(self) -> int:
        """torch.Tensor.numel."""
        return self.shape.numel()

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


class DenseValue(Deferred, Stored, torch.Tensor):  # type: ignore[misc, override]
    """In place of a torch.Tensor: a tensor without memory, whose every use comes to `__torch_function__`."""

    @staticmethod
    def __new__(cls, node: Node, compute: Callable[[Node], None]) -> DenseValue:
        made: DenseValue = torch.Tensor._make_wrapper_subclass(cls, node.shape, dtype=node.dtype)
        return made

    @property
    def _storage(self) -> Storage:  # type: ignore[override]
        return as_storage(self._force())

    @property
    def layout(self) -> torch.layout:  # type: ignore[override]
        """Its result is dense."""
        return torch.strided

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Whoever comes here has passed by `__torch_function__`, so that gradients would be lost."""
        raise UnsupportedError(f"{func} reached a value that is put off; pass x.clone()")

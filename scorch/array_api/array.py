"""Array: a scorch.Tensor whose operators and attributes are those of the Array API standard, dense or sparse."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch

from scorch.array_api.keys import plain_key, reverses, selected
from scorch.errors import DtypeError, ShapeError, UnsupportedError
from scorch.formats import Storage, dtypes
from scorch.functions import registry
from scorch.operand import as_storage
from scorch.tensor import Tensor

__all__ = ["Array", "alike", "as_array", "call"]


def as_array(x: Any) -> Any:
    """A result as an Array, or each of several; what is no tensor as it is."""
    if isinstance(x, Array):
        return x
    if isinstance(x, Tensor):
        return Array(x._storage)
    if isinstance(x, torch.Tensor):
        dtypes.name_of(x.dtype)
        return Array(Storage.from_dense(x.resolve_conj().resolve_neg()))
    if isinstance(x, tuple | list):
        return type(x)(as_array(part) for part in x) if type(x) in (tuple, list) else tuple(map(as_array, x))
    return x


def call(name: str, *args: Any, **kwargs: Any) -> Any:
    """The function of that name in the table of torch functions; absent entries become what it makes of them."""
    with registry.fills_allowed():
        return as_array(registry.call(name, *args, **kwargs))


def alike(first: Any, second: Any) -> tuple[Any, Any]:
    """Two operands in their common number type, to which arrays without dimensions count as much as any other."""
    if not (isinstance(first, Array) and isinstance(second, Array)) or first.dtype == second.dtype:
        return first, second
    if (first.ndim == 0) == (second.ndim == 0):
        return first, second  # torch promotes them so itself
    common = torch.promote_types(first.dtype, second.dtype)
    return as_array(first.to(common)), as_array(second.to(common))


class Array(Tensor):
    """An array of the namespace: in a dense format if made by `asarray`, sparse if made of a sparse tensor.

    A function whose value at 0 is not 0 gives a sparse array with another fill.

    >>> import scorch
    >>> A = as_array(scorch.tensor([[0.0, 2.0], [0.0, 0.0]], "csr"))
    >>> (A + 1).fill, (A + 1).nnz, type(A @ A).__name__
    (1.0, 1, 'Array')
    """

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        import scorch.array_api

        if api_version not in (None, "2021.12", "2022.12", "2023.12", "2024.12"):
            raise UnsupportedError(f"version {api_version} of the Array API is not available; 2024.12 is")
        return scorch.array_api

    @property
    def size(self) -> int:  # type: ignore[override]
        """The number of places."""
        return self._storage.pattern.size

    @property
    def T(self) -> Array:
        """A matrix with its dimensions swapped."""
        if self.ndim != 2:
            raise ShapeError(f"T is for matrices; this array has {self.ndim} dimensions, use mT or permute_dims")
        return Array(Tensor.permute(self, 1, 0)._storage)

    @property
    def device(self) -> str:  # type: ignore[override]
        """Always the CPU."""
        return "cpu"

    def to_device(self, device: Any, /, *, stream: Any = None) -> Array:
        """The array itself: there is one device."""
        if str(device) != "cpu":
            raise UnsupportedError(f"Scorch runs on CPU; the device {device} is not available")
        return self

    def __getitem__(self, key: Any) -> Any:
        key = plain_key(key)
        if self.format.is_dense and reverses(key):
            return as_array(selected(Tensor.to_dense(self), key))
        return as_array(super().__getitem__(key))

    def __setitem__(self, key: Any, value: Any) -> None:
        if not self.format.is_dense:
            super().__setitem__(key, value)
        key, dense = plain_key(key), Tensor.to_dense(self)
        value = Tensor.to_dense(value) if isinstance(value, Tensor) else value
        if reverses(key):
            places = selected(torch.arange(dense.numel()).reshape(dense.shape), key)
            dense.put_(places, torch.as_tensor(value, dtype=dense.dtype).expand(places.shape))
        else:
            dense[key] = value

    def __len__(self) -> int:
        return super().__len__()

    def __int__(self) -> int:
        return int(self._only_value().real if isinstance(self._only_value(), complex) else self._only_value())  # type: ignore[arg-type]

    def __float__(self) -> float:
        return float(self._only_value())  # type: ignore[arg-type]

    def __complex__(self) -> complex:
        return complex(self._only_value())

    def __index__(self) -> int:
        value = self._only_value()
        if isinstance(value, bool) or not isinstance(value, int):
            raise DtypeError("only an array of one integer can be an index")
        return value

    def _only_value(self) -> bool | int | float | complex:
        return self.item()


def _returning_arrays(name: str) -> Callable[..., Any]:
    inherited = getattr(Tensor, name)

    def method(self: Array, *args: Any) -> Any:
        with registry.fills_allowed():
            return as_array(inherited(*alike(self, *args)) if args else inherited(self))

    method.__name__ = name
    method.__doc__ = inherited.__doc__
    return method


def _in_place(name: str) -> Callable[..., Any]:
    function = getattr(operator, name.strip("_").removeprefix("i") + ("_" if name in ("__iand__", "__ior__") else ""))

    def method(self: Array, other: Any) -> Any:
        return function(self, other)

    return method


_UNARY = ("__neg__", "__abs__", "__invert__", "__pos__")
_BINARY = (
    "add sub mul truediv floordiv mod pow and or xor lshift rshift matmul eq ne lt le gt ge radd rsub rmul rtruediv "
    "rfloordiv rmod rpow rand ror rxor rlshift rrshift rmatmul"
)
for _name in (*_UNARY, *(f"__{part}__" for part in _BINARY.split(" "))):
    setattr(Array, _name, _returning_arrays(_name))
Array.mT = property(lambda self: as_array(Tensor.mT.__get__(self)))  # type: ignore[assignment]


def stored(x: Any) -> Storage:
    """The Storage of anything that holds numbers."""
    return as_storage(x)

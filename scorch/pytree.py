"""scorch.Tensor as a node of torch's trees: its values are the leaf, its pattern belongs to the structure.

So torch.export, torch.func and whatever maps over nested tensors reach the values, and a tree of tensors with the same
patterns has the same structure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from torch.utils import _pytree as pytree

from scorch.formats import Pattern, Storage
from scorch.tensor import Tensor

__all__ = ["register"]

Context: TypeAlias = "tuple[Pattern, Any]"


def register() -> None:
    """Make Tensor known to torch.utils._pytree, once.

    >>> import scorch, torch
    >>> A = scorch.tensor(torch.eye(2), "csr")
    >>> pytree.tree_map(lambda x: x * 3, {"A": A})["A"].to_dense()
    tensor([[3., 0.],
            [0., 3.]])
    """
    if Tensor not in pytree.SUPPORTED_NODES:
        pytree.register_pytree_node(Tensor, _flatten, _unflatten, flatten_with_keys_fn=_flatten_with_keys)


def _flatten(x: Tensor) -> tuple[list[Any], Context]:
    storage = x._storage
    return [storage.values], (storage.pattern, storage.fill)


def _flatten_with_keys(x: Tensor) -> tuple[list[tuple[pytree.KeyEntry, Any]], Context]:
    values, context = _flatten(x)
    return [(pytree.GetAttrKey("values"), values[0])], context


def _unflatten(values: Iterable[Any], context: Context) -> Tensor:
    """The tensor; while only structure is mapped, anything may stand in place of its values."""
    (held,) = values
    pattern, fill = context
    return Tensor(Storage(pattern, held, fill))

"""What was made of a tensor, kept for as long as the tensor lives and its values do not change."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from functools import partial, wraps
from typing import Any, TypeVar

import torch

import scorch

__all__ = ["remembered"]

Made = TypeVar("Made")


class _Memory:
    """Results by argument, for one tensor at one version."""

    def __init__(self, x: Any, forget: Callable[[Any], None]) -> None:
        self.ref = weakref.ref(x, forget)
        self.version = _version(x)
        self.results: dict[Hashable, Any] = {}

    def fits(self, x: Any) -> bool:
        return self.ref() is x and self.version == _version(x)


def remembered(function: Callable[..., Made]) -> Callable[..., Made]:
    """The function of a tensor and hashable options, computed once for each tensor object and each version of it.

    Nothing is kept for tensors that require a gradient (the result has a history), nor for objects whose changes
    cannot be seen, such as scipy matrices.

    >>> @remembered
    ... def doubled(x, times=2): return x * times
    >>> x = torch.ones(2)
    >>> doubled(x) is doubled(x), doubled(x.add_(1))
    (True, tensor([4., 4.]))
    """
    memories: dict[int, _Memory] = {}

    @wraps(function)
    def wrapper(x: Any, *options: Hashable) -> Made:
        if torch.compiler.is_compiling() or not isinstance(x, torch.Tensor | scorch.Tensor) or x.requires_grad:
            return function(x, *options)
        key = id(x)
        memory = memories.get(key)
        if memory is None or not memory.fits(x):
            # `_forget` is held: modules may be cleared before the last tensors when the interpreter ends.
            memory = memories[key] = _Memory(x, partial(_forget, memories, key))
        found: Made | None = memory.results.get(options)
        if found is None:
            with torch.inference_mode(False):  # whose tensors could not be saved for a backward pass later
                found = function(x, *options)
            if found is not x:  # keeping it would keep itself alive
                memory.results[options] = found
        return found

    return wrapper


def _forget(memories: dict[int, _Memory], key: int, ref: Any) -> None:
    known = memories.get(key)
    if known is not None and known.ref is ref:
        del memories[key]


def _version(x: Any) -> int:
    values = x._storage.values if isinstance(x, scorch.Tensor) else x
    # Tensors made in inference mode have no counter; they do not change outside it.
    return -1 if values.is_inference() else int(values._version)

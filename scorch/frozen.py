"""Tensors that promise not to change: their structure is packed, and a change of their values is an error."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch

from scorch.errors import ScorchError
from scorch.formats import Pattern, Storage
from scorch.formats.storage import Array
from scorch.schedule.packing import Packing, choose_packing

__all__ = ["Frozen", "freeze"]


_HELD: Any = vars(Storage)["values"]  # the slot, which the property of the same name hides


class Frozen(Storage):
    """A Storage whose values must not change: whoever reads them is told if torch changed them."""

    __slots__ = ("version",)

    def __init__(self, pattern: Pattern, values: torch.Tensor, fill: bool | int | float | complex = 0) -> None:
        self.version = values._version
        super().__init__(pattern, values, fill)

    @property
    def values(self) -> torch.Tensor:
        """The values. ScorchError if they were changed in place since they were frozen."""
        held = self.held
        if held._version != self.version:
            raise ScorchError(
                "the values of a frozen tensor were changed in place; if that was meant, call A.freeze() again"
            )
        return held

    @values.setter
    def values(self, values: torch.Tensor) -> None:
        _HELD.__set__(self, values)

    @property
    def held(self) -> torch.Tensor:
        """The values as they are, changed or not."""
        found: torch.Tensor = _HELD.__get__(self)
        return found

    @property
    def vals(self) -> Array:
        """The values in stored order, flat. ScorchError if they were changed in place since they were frozen."""
        _ = self.values  # looks for a change
        return super().vals


def freeze(storage: Storage) -> Frozen:
    """The same tensor, frozen, on the same values without their history, with a packed copy of its structure.

    Where there is no memory for the copy, a RuntimeWarning, and the structure as it is.
    """
    if isinstance(storage, Frozen):
        return Frozen(storage.pattern, storage.held, storage.fill)  # packed before; its values are as they are now
    return Frozen(_with_packing(storage.pattern), storage.values.detach(), storage.fill)


def _with_packing(found: Pattern) -> Pattern:
    """A pattern on the same arrays that keeps narrower ones for kernels; itself where there is nothing to gain."""
    packing = None if found.format.is_dense else choose_packing(found)
    if packing is None:
        return found
    pattern = Pattern(found.shape, found.format, found.arrays, validate=False)
    pattern.cache.update(found.cache)
    try:
        pattern.narrowed = _packed(pattern, packing)
    except MemoryError:
        warnings.warn(
            f"scorch: no memory for {packing.after:,} bytes of packed indices; the frozen tensor keeps those it has",
            RuntimeWarning,
            stacklevel=4,
        )
        return found
    pattern.packing = str(packing)
    return pattern


def _packed(pattern: Pattern, packing: Packing) -> Pattern:
    arrays = [
        {part: array.astype(np.dtype(f"int{widths[part]}")) for part, array in level.items()}
        for level, widths in zip(pattern.arrays, packing.bits, strict=True)
    ]
    return Pattern(pattern.shape, pattern.format, arrays, validate=False)

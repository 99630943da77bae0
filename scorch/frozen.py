"""Tensors that promise not to change: structure is packed, copies are kept, and a change of values is an error."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch

from scorch.errors import ScorchError
from scorch.formats import Format, Pattern, Storage
from scorch.formats.storage import Array
from scorch.schedule.packing import Packing, choose_packing

__all__ = ["Frozen", "freeze"]


_HELD: Any = vars(Storage)["values"]  # the slot, which the property of the same name hides


class Frozen(Storage):
    """A Storage whose values must not change: whoever reads them is told if torch changed them."""

    __slots__ = ("copies", "has_room", "version")

    def __init__(self, pattern: Pattern, values: torch.Tensor, fill: bool | int | float | complex = 0) -> None:
        self.version = _version(values)
        self.copies: dict[Format, Storage] = {}  # in other formats, values included, as programs asked for them
        self.has_room = True  # for copies, as far as is known
        super().__init__(pattern, values, fill)
        if not pattern.format.is_dense:
            self.key = (*self.key, "frozen")  # the pattern is its own: a program for it may keep values

    @property
    def is_frozen(self) -> bool:
        return self.has_room and not self.pattern.format.is_dense

    @property
    def values(self) -> torch.Tensor:
        """The values. ScorchError if they were changed in place since they were frozen."""
        held = self.held
        if _version(held) != self.version:
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


def _version(values: torch.Tensor) -> int:
    """How often torch changed a tensor; it does not count for those of inference mode."""
    return 0 if values.is_inference() else values._version


def freeze(storage: Storage) -> Frozen:
    """The same tensor, frozen, on the same values without their history, with a packed copy of its structure.

    Where there is no memory for the copy, a RuntimeWarning, and the structure as it is.
    """
    values = storage.held if isinstance(storage, Frozen) else storage.values.detach()
    return Frozen(_with_packing(storage.pattern), values, storage.fill)


def _with_packing(found: Pattern) -> Pattern:
    """A pattern of its own on the same arrays, which keeps narrower ones for kernels where that gains something."""
    if found.format.is_dense:
        return found
    pattern = Pattern(found.shape, found.format, found.arrays, validate=False)
    pattern.cache.update(found.cache)
    if found.narrowed is not None:  # packed before
        pattern.narrowed, pattern.packing = found.narrowed, found.packing
        return pattern
    packing = choose_packing(found)
    if packing is None:
        return pattern
    try:
        pattern.narrowed = _packed(pattern, packing)
    except MemoryError:
        warnings.warn(
            f"scorch: no memory for {packing.after:,} bytes of packed indices; the frozen tensor keeps those it has",
            RuntimeWarning,
            stacklevel=4,
        )
        return pattern
    pattern.packing = str(packing)
    return pattern


def _packed(pattern: Pattern, packing: Packing) -> Pattern:
    arrays = [
        {part: array.astype(np.dtype(f"int{widths[part]}")) for part, array in level.items()}
        for level, widths in zip(pattern.arrays, packing.bits, strict=True)
    ]
    return Pattern(pattern.shape, pattern.format, arrays, validate=False)

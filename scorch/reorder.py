"""One format to another: kernels of the copy `B[i,j] = A[i,j]`, and a sort where the dimension order changes.

What depends on the structure alone is kept on the Pattern, so that a later conversion only moves values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import torch

from scorch import (  # mutual: a conversion is an expression, and an expression may need its operands converted
    blocked,
    engine,
)
from scorch.counting import passes, place
from scorch.formats import Compressed, Format, Pattern, Storage, coo, dense
from scorch.formats.coordinates import Packing, coordinates, pack
from scorch.formats.levels import index_bits
from scorch.formats.storage import dense_pattern
from scorch.grouping import grouped
from scorch.schedule.assembly import unsorted_coo

__all__ = ["Reordering", "is_plain", "reformat", "reorder"]

LARGE = 1 << 12  # values, for which a kernel of our own starts in less time than it gains

Fill: TypeAlias = "float | int | bool | complex"


@dataclass(frozen=True)
class Reordering:
    """A pattern in another format, and how its values follow: sorted and summed by `gather`, then taken from `places`.

    None: as they are. `places` are counted from 1; 0 is a place that the old pattern did not store, as dense levels
    have.
    """

    pattern: Pattern
    gather: Callable[[torch.Tensor], torch.Tensor] | None = None
    places: torch.Tensor | None = None

    @property
    def is_direct(self) -> bool:
        """Whether the values are stored as they were."""
        return self.gather is None and self.places is None

    def values(self, stored: torch.Tensor, fill: Fill = 0) -> torch.Tensor:
        """The values in the new stored order, given those in the old one; differentiable."""
        if self.gather is not None:
            stored = self.gather(stored)
        return stored if self.places is None else _placed(stored, self.places, fill)


def _placed(stored: torch.Tensor, places: torch.Tensor, fill: Fill) -> torch.Tensor:
    return torch.cat([stored.new_full((1,), fill), stored])[places]


def reformat(storage: Storage, format: Format, evaluate: Callable[..., Any] | None = None) -> Storage:
    """The tensor in another format; duplicates are summed and order established where the format asks for it.

    `evaluate`, given where torch records what is done with values, copies from and to dense formats in place of
    `engine.evaluate`.
    """
    if storage.pattern.format == format:
        return storage
    if storage.pattern.format.is_dense and not is_plain(format):
        return reformat(reformat(storage, coo(format.ndim), evaluate), format, evaluate)
    if format.is_dense or storage.pattern.format.is_dense:
        if storage.fill != 0 and format.is_dense != storage.pattern.format.is_dense:
            return _reformat_around(storage, format, evaluate)
        result = (evaluate or engine.evaluate)(engine.copy_of(format.ndim), [storage], format)
        if isinstance(result, torch.Tensor):
            return Storage(dense_pattern(tuple(result.shape), format.order), result, storage.fill)
        return Storage(result.pattern, result.values, storage.fill)
    if evaluate is None and type(storage.values) in (torch.Tensor, torch.nn.Parameter):
        made = _placed_once(storage, format)
        if made is not None:
            return made
    reordering = reorder(storage.pattern, format)
    return Storage(reordering.pattern, reordering.values(storage.values.reshape(-1), storage.fill), storage.fill)


def _placed_once(storage: Storage, format: Format) -> Storage | None:
    """A tensor in another format by moving values along with coordinates; None where another way leads to the format,
    or the pattern was brought into it before.

    The first time that is all that is wanted; to find out where each value goes takes longer, and pays from the second.
    """
    pattern, once = storage.pattern, ("placed", format)
    if (
        once in pattern.cache
        or ("reorder", format) in pattern.cache
        or not (is_plain(pattern.format) and is_plain(format))
    ):
        return None
    targets = None if _keeps_order(pattern.format, format) else passes(pattern, format)
    if targets is None:
        return None
    placed = place(Storage(pattern, storage.values.reshape(-1)), targets)
    final = reorder(placed.pattern, format)
    pattern.cache[once] = final.pattern
    return Storage(final.pattern, final.values(placed.values, storage.fill), storage.fill)


def _reformat_around(storage: Storage, format: Format, evaluate: Callable[..., Any] | None) -> Storage:
    """From or to a dense format where absent coordinates have a value: kernels copy place numbers, 0 for the fill."""
    if not storage.pattern.format.is_unique:
        storage = reformat(storage, storage.pattern.format.sorted, evaluate)
    stored = _in_stored_order(storage)
    numbers = torch.arange(1, len(stored) + 1)
    if storage.pattern.format.is_dense:
        plain = stored.detach()
        numbers[plain.isnan() if storage.fill != storage.fill else plain == storage.fill] = 0
    made = engine.evaluate(engine.copy_of(format.ndim), [Storage(storage.pattern, numbers)], format)
    if isinstance(made, torch.Tensor):
        places, pattern = made.permute(format.order).reshape(-1), dense_pattern(tuple(made.shape), format.order)
    else:
        places, pattern = made.values, made.pattern
    return Storage(pattern, _placed(stored, places, storage.fill), storage.fill)


def _in_stored_order(storage: Storage) -> torch.Tensor:
    format, values = storage.pattern.format, storage.values
    whole = format.is_dense and values.ndim == format.ndim
    return (values.permute(format.order) if whole else values).reshape(-1)


def reorder(pattern: Pattern, format: Format) -> Reordering:
    """A sparse pattern in another sparse format, kept on the pattern: only values are gathered at each use."""
    if pattern.format == format:
        return Reordering(pattern)  # not kept: a pattern that kept itself would live until the collector looks
    if format.is_grouped:
        return _grouped(pattern, format)  # not kept: the copy is, with its values
    key = ("reorder", format)
    found = pattern.cache.get(key)
    if found is None:
        make = _reorder if is_plain(pattern.format) and is_plain(format) else blocked.reorder_through
        found = make(pattern, format)
        known = pattern.cache.pop(("placed", format), None)
        found = pattern.cache[key] = found if known is None else replace(found, pattern=known)
    return found


def _grouped(pattern: Pattern, format: Format) -> Reordering:
    """The entries row after row first, then in groups."""
    rows = reorder(pattern, Format((format.levels[0], Compressed()), format.order))
    made, order = grouped(rows.pattern, format)
    taken = torch.from_numpy(order)
    return replace(rows, pattern=made, places=taken + 1 if rows.places is None else rows.places[taken])


def is_plain(format: Format) -> bool:
    """Whether kernels read and write a format."""
    return not format.blocks and format.plain == format


def _reorder(pattern: Pattern, format: Format) -> Reordering:
    if pattern.format.is_dense and format.is_dense:
        return _turned(pattern, format)
    if _keeps_order(pattern.format, format):
        return _rewritten(pattern, format)
    targets = passes(pattern, format)
    return _sorted(pattern, format) if targets is None else _counted(pattern, format, targets)


def _keeps_order(old: Format, new: Format) -> bool:
    """Whether entries stay in their order from one format to another."""
    kept = (old.is_ordered and old.is_unique) or new == unsorted_coo(new.order)
    return kept and old.order == new.order


def _counted(pattern: Pattern, format: Format, targets: Sequence[Format]) -> Reordering:
    """Numbers sent through the formats of counting sorts tell where each value goes."""
    placed = place(Storage(pattern, torch.arange(pattern.nnz)), targets)
    final = reorder(placed.pattern, format)
    return replace(final, gather=Packing(placed.pattern, placed.entries, placed.groups).gather)


def _turned(pattern: Pattern, format: Format) -> Reordering:
    """A dense tensor stored in another order of its dimensions."""
    old, new = pattern.format.order, format.order
    extents = tuple(pattern.shape[d] for d in old)
    return Reordering(dense_pattern(pattern.shape, new), _Turned(extents, tuple(old.index(d) for d in new)))


@dataclass(frozen=True)
class _Turned:
    """The values of a dense tensor of these extents, its dimensions in another order."""

    extents: tuple[int, ...]
    order: tuple[int, ...]

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        turned = values.reshape(self.extents).permute(self.order)
        if values.requires_grad or values.numel() < LARGE:
            return turned.reshape(-1)
        made = engine.evaluate(engine.copy_of(turned.ndim), [Storage.from_dense(turned)], dense(turned.ndim))
        assert isinstance(made, torch.Tensor)
        return made.view(-1)


def _rewritten(pattern: Pattern, format: Format) -> Reordering:
    """The same coordinates under other levels. Values stay in their order if that is the only one the levels allow."""
    pads = any(level.full and not above.full for above, level in pairwise(format.levels))
    if format.is_ordered and not pads:
        return Reordering(engine.relevel(pattern, format))
    result = engine.copy(Storage(pattern, torch.arange(1, pattern.nnz + 1)), format)
    assert isinstance(result, Storage)
    return Reordering(result.pattern, places=result.values)


def _sorted(pattern: Pattern, format: Format) -> Reordering:
    """List the coordinates, sort them in the new order, and build its levels from the sorted list."""
    order = format.order
    listed = coordinates(pattern)
    rows = torch.from_numpy(np.stack([listed[d] for d in order]) if order else listed)
    packing = pack(rows, [pattern.shape[d] for d in order])
    arrays = [_narrowed(level, pattern.shape[d]) for level, d in zip(packing.pattern.arrays, order, strict=True)]
    sorted_coo = Pattern(pattern.shape, coo(format.ndim, order), arrays, validate=False)
    final = reorder(sorted_coo, format)
    return replace(final, gather=None if packing.is_direct else packing.gather)


def _narrowed(level: dict[str, Any], extent: int) -> dict[str, Any]:
    """Level arrays as a kernel would have written them: coordinates in 32 bits where the extent allows."""
    index = np.dtype(f"int{index_bits(extent)}")
    return {name: array.astype(index if name == "crd" else np.int64, copy=False) for name, array in level.items()}

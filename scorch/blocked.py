"""Formats that kernels don't read as they are: levels that encode others, and blocks.

An encoded level is decoded, its values stay where they are. A tensor in blocks is one of more dimensions: a statement
over it is rewritten to the coordinates of blocks and those inside them where all that it meets is dense, so that the
plan tiles the blocks like any other dense loop; elsewhere the blocks are taken apart first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch

from scorch import engine, reorder  # mutual: conversions and programs are made of one another
from scorch.formats import Format, Pattern, Storage, coo, csr, dense, dtypes
from scorch.formats.blocks import divided, joined, split, stored_shape
from scorch.formats.coordinates import coordinates, pack
from scorch.formats.levels import index_bits
from scorch.formats.storage import Values, as_tensor, dense_pattern
from scorch.ir.einsum import operand_names
from scorch.ir.notation import Access, Apply, Assign, Expr, accesses, check_extents
from scorch.ir.plan import Entrywise, Handover, Plan, Split
from scorch.schedule.result import is_sparse_result

__all__ = ["Recast", "prepared", "readable", "reorder_through"]

Result: TypeAlias = "Storage | torch.Tensor"
MOST_INDICES = 7  # loop orders of more are not all looked at


# --- conversions ------------------------------------------------------------------------------------------------------


def reorder_through(pattern: Pattern, format: Format) -> reorder.Reordering:
    """A reordering from or to a format that kernels don't read, step by step through ones that they do."""
    if pattern.plain is not pattern:
        return reorder.reorder(pattern.plain, format)
    if format.plain != format:
        made = reorder.reorder(pattern, format.plain)
        return replace(made, pattern=made.pattern.encoded(format))
    first = _taken_apart(pattern) if pattern.format.blocks else reorder.Reordering(pattern)
    if not format.blocks:
        return _after(first, reorder.reorder(first.pattern, format))
    return _after(first, _in_blocks(first.pattern, format))


def _after(first: reorder.Reordering, second: reorder.Reordering) -> reorder.Reordering:
    """Both, one after the other; the first stores no places that were not stored before."""
    if first.is_direct:
        return second
    return replace(second, gather=_Both(first, second.gather))


@dataclass(frozen=True)
class _Both:
    first: reorder.Reordering
    then: Callable[[torch.Tensor], torch.Tensor] | None

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        values = self.first.values(values)
        return values if self.then is None else self.then(values)


def _taken_apart(pattern: Pattern) -> reorder.Reordering:
    """Every place of every block as an entry of a coordinate list.

    In the order block row, row in it, block column, column in it: that is the order of rows and columns.
    """
    blocks, ndim = pattern.format.blocks, pattern.format.ndim
    inside = {d: ndim + n for n, d in enumerate(divided(blocks))}
    order = tuple(x for d in range(ndim) for x in ((d, inside[d]) if d in inside else (d,)))
    stored = reorder.reorder(pattern.stored, coo(len(order), order))
    rows = joined(coordinates(stored.pattern), blocks)
    return replace(stored, pattern=_list(pattern.shape, coo(ndim), rows))


def _list(shape: tuple[int, ...], format: Format, rows: np.ndarray[Any, Any]) -> Pattern:
    """The coordinate list of sorted coordinates, a row for each dimension."""
    arrays = [{"crd": row.astype(f"int{index_bits(size)}")} for row, size in zip(rows, shape, strict=True)]
    arrays[0]["pos"] = np.array([0, rows.shape[1]], dtype=np.int64)
    ordered = [arrays[d] for d in format.order]
    if "pos" not in ordered[0]:
        ordered[0]["pos"] = arrays[0].pop("pos")
    return Pattern(shape, format, ordered, validate=False)


def _in_blocks(pattern: Pattern, format: Format) -> reorder.Reordering:
    """Entries sorted by the blocks in which they are, then blocks filled up."""
    shape, order = stored_shape(pattern.shape, format.blocks), format.order
    rows = split(coordinates(pattern), format.blocks)
    packing = pack(torch.from_numpy(rows[list(order)]), [shape[d] for d in order])
    listed = np.empty(packing.pattern.nnz * len(order), dtype=np.int64).reshape(len(order), -1)
    listed[list(order)] = coordinates(packing.pattern)
    sorted_list = _list(shape, coo(len(order), order), listed)
    made = reorder.reorder(sorted_list, format.stored)
    pattern = Pattern(pattern.shape, format, made.pattern.arrays, validate=False)
    return replace(made, pattern=pattern, gather=None if packing.is_direct else packing.gather)


# --- programs ---------------------------------------------------------------------------------------------------------


class Recast:
    """A program over operands that are seen, or converted, as others; its result may be converted in turn.

    `see` gives the inner program's operands, whose values are those of the outer ones unless one of `conversions` is
    for them.
    """

    def __init__(
        self,
        inner: engine.AnyProgram,
        see: Callable[[Sequence[Storage]], list[Storage]],
        recast: Callable[[Result], Result],
        conversions: Sequence[_Conversion] = (),
    ) -> None:
        self.inner = inner
        self.see = see
        self.recast = recast
        self.conversions = [made for made in conversions if not made.reordering.is_direct]
        self.plan: Plan | Split | Handover | Entrywise = inner.plan
        self.source: str = inner.source
        self.path: Path | None = inner.path

    def __call__(self, vals: list[Values]) -> Result:
        for made in self.conversions:
            vals[made.operand] = dtypes.array_of(made.values(as_tensor(vals[made.operand], made.dtype)))
        return self.recast(self.inner(vals))


@dataclass(frozen=True)
class _Conversion:
    """How an operand is made readable."""

    operand: int
    reordering: reorder.Reordering
    dtype: str
    fill: Any

    def values(self, stored: torch.Tensor) -> torch.Tensor:
        return self.reordering.values(stored, self.fill)


def prepared(
    statement: Assign, operands: Sequence[Storage], wanted: Format | None, dtype: str | None
) -> engine.AnyProgram | None:
    """The program of a statement where an operand or the wanted result has a format that kernels don't read, else
    None."""
    formats = [storage.pattern.format for storage in operands]
    if all(map(reorder.is_plain, formats)) and (wanted is None or reorder.is_plain(wanted)):
        return None
    whole = _over_blocks(statement, operands, wanted, dtype)
    if whole is not None:
        return whole
    plain = list(map(readable, operands))
    conversions = [
        _Conversion(n, _apart(storage.pattern), storage.dtype, storage.fill)
        for n, storage in enumerate(operands)
        if storage.pattern.format.blocks
    ]
    written = None if wanted is None else coo(wanted.ndim) if wanted.blocks else wanted.plain
    inner = engine.prepare(statement, plain, written, dtype)
    return Recast(inner, lambda given: list(map(readable, given)), partial(_reformatted, wanted), conversions)


def _reformatted(wanted: Format | None, result: Result) -> Result:
    return reorder.reformat(result, wanted) if wanted is not None and isinstance(result, Storage) else result


def _apart(pattern: Pattern) -> reorder.Reordering:
    ndim = pattern.format.ndim
    return reorder.reorder(pattern, csr if ndim == 2 else coo(ndim))


def readable(storage: Storage) -> Storage:
    """The operand with its levels decoded, or its blocks taken apart."""
    pattern, values = storage.pattern, storage.values
    if pattern.format.blocks:
        made = _apart(pattern)
        return Storage(made.pattern, made.values(values.reshape(-1), storage.fill), storage.fill)
    return storage if pattern.plain is pattern else Storage(pattern.plain, values.reshape(-1), storage.fill)


@dataclass(frozen=True)
class _Division:
    """The indices that blocks divide, each with the length of its blocks and the name of the index inside them."""

    sizes: dict[str, int]
    inside: dict[str, str]

    def in_place(self, indices: tuple[str, ...]) -> tuple[str, ...]:
        """Each divided index followed by the one inside: how a dense tensor is read, or written, without a copy."""
        return tuple(x for v in indices for x in ((v, self.inside[v]) if v in self.inside else (v,)))

    def behind(self, indices: tuple[str, ...]) -> tuple[str, ...]:
        """The indices inside blocks behind all others: how a tensor in blocks is stored."""
        return (*indices, *(self.inside[v] for v in indices if v in self.inside))

    def blocks(self, indices: tuple[str, ...]) -> tuple[int, ...]:
        return tuple(self.sizes.get(v, 1) for v in indices)


def _division(statement: Assign, operands: dict[str, Storage]) -> _Division | None:
    """How blocks divide the indices of a statement; None if several ways meet, or other sparse levels."""
    read = list(accesses(statement.expr))
    sizes: dict[str, int] = {}
    for access in read:
        blocks = operands[access.tensor].pattern.format.blocks
        sizes.update({v: size for v, size in zip(access.indices, blocks, strict=False) if size > 1})
    for access in read:
        format = operands[access.tensor].pattern.format
        blocks = format.blocks or tuple(1 for _ in access.indices)
        agrees = all(size == sizes.get(v, 1) for v, size in zip(access.indices, blocks, strict=True))
        if not (agrees or format.is_dense):
            return None
    names = set(statement.indices)
    return _Division(sizes, {v: _fresh(f"{v}_in", names) for v in sizes}) if sizes else None


def _fresh(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def _over_blocks(
    statement: Assign, operands: Sequence[Storage], wanted: Format | None, dtype: str | None
) -> engine.AnyProgram | None:
    """The program over coordinates of blocks and inside them; None where the statement meets more than dense operands,
    or has a sparse result that is not in the blocks of its operand."""
    if (wanted is not None and not wanted.is_dense) or statement.equal:
        return None
    if any(storage.pattern.strides is not None for storage in operands):
        return None  # the memory of a view is not that of its blocks
    names = operand_names(len(operands))
    named = dict(zip(names, operands, strict=False))
    division = _division(statement, named)
    if division is None or len(statement.indices) + len(division.sizes) > MOST_INDICES:
        return None
    extents = check_extents(statement, {name: storage.pattern.shape for name, storage in named.items()})
    ways = {access.tensor: division.blocks(access.indices) for access in accesses(statement.expr)}
    if any(division.blocks(access.indices) != ways[access.tensor] for access in accesses(statement.expr)):
        return None  # a dense operand is read along a divided index, and along another one
    see = partial(_seen, [ways[name] for name in names[: len(operands)]])
    expr = _rewritten(statement.expr, named, division)
    shape = tuple(extents[v] for v in statement.target.indices)
    target = statement.target
    whole = replace(statement, target=Access(target.tensor, division.behind(target.indices)), expr=expr)
    storages = see(operands)
    if wanted is None and is_sparse_result(engine.problem_of(whole, storages, None, dtype)):
        return _in_same_blocks(whole, storages, see, shape, division.blocks(target.indices), dtype)
    dense_target = Access(target.tensor, division.in_place(target.indices))
    inner = engine.prepare(replace(whole, target=dense_target), storages, dense(len(dense_target.indices)), dtype)
    order = None if wanted is None else wanted.order

    def joined_up(result: Result) -> Result:
        assert isinstance(result, torch.Tensor)
        return ordered(result.reshape(shape), order)

    return Recast(inner, see, joined_up)


def ordered(tensor: torch.Tensor, order: tuple[int, ...] | None) -> torch.Tensor:
    """The tensor with its memory in a dimension order."""
    if order is None or order == tuple(range(tensor.ndim)):
        return tensor
    return tensor.permute(order).contiguous().permute(tuple(np.argsort(order).tolist()))


def _in_same_blocks(
    whole: Assign,
    operands: list[Storage],
    see: Callable[[Sequence[Storage]], list[Storage]],
    shape: tuple[int, ...],
    blocks: tuple[int, ...],
    dtype: str | None,
) -> engine.AnyProgram | None:
    """The program whose result has the blocks of the one operand that has the result's indices."""
    named = dict(zip(operand_names(len(operands)), operands, strict=False))
    for access in accesses(whole.expr):
        format = named[access.tensor].pattern.format
        if not format.is_dense and set(access.indices) == set(whole.target.indices):
            order = tuple(whole.target.indices.index(access.indices[d]) for d in format.order)
            inner = engine.prepare(whole, operands, Format(format.levels, order), dtype)
            return Recast(inner, see, partial(_in_blocks_again, shape, Format(format.levels, order, blocks)))
    return None


def _in_blocks_again(shape: tuple[int, ...], format: Format, result: Result) -> Result:
    """A tensor of more dimensions as the one in blocks that it stores; one pattern for each of its patterns."""
    assert isinstance(result, Storage)
    made = result.pattern.cache.get(("in blocks", format))
    if made is None:
        made = Pattern(shape, format, result.pattern.arrays, validate=False)
        result.pattern.cache["in blocks", format] = made
    return Storage(made, result.values, result.fill)


def _seen(ways: Sequence[tuple[int, ...]], operands: Sequence[Storage]) -> list[Storage]:
    """The operands as tensors of more dimensions, on the same memory, each divided in its way."""
    return [_stored(storage, blocks) for storage, blocks in zip(operands, ways, strict=True)]


def _stored(storage: Storage, blocks: tuple[int, ...]) -> Storage:
    """An operand with a dimension for the coordinates of blocks, and one for those inside."""
    pattern = storage.pattern.plain
    values = dtypes.tensor_of(storage.vals, storage.dtype)
    if not pattern.format.is_dense:
        return Storage(pattern.stored, values, storage.fill)
    shape: list[int] = []
    places: list[tuple[int, ...]] = []
    for extent, size in zip(pattern.shape, blocks, strict=True):
        places.append(tuple(range(len(shape), len(shape) + 1 + (size > 1))))
        shape += [extent // size, size] if size > 1 else [extent]
    order = [place for d in pattern.format.order for place in places[d]]
    return Storage(dense_pattern(tuple(shape), tuple(order)), values, storage.fill)


def _rewritten(expr: Expr, operands: dict[str, Storage], division: _Division) -> Expr:
    if isinstance(expr, Access):
        is_dense = operands[expr.tensor].pattern.format.is_dense
        return Access(expr.tensor, (division.in_place if is_dense else division.behind)(expr.indices))
    return (
        Apply(expr.op, tuple(_rewritten(arg, operands, division) for arg in expr.args))
        if isinstance(expr, Apply)
        else expr
    )

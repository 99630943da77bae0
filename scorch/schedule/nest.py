"""From a loop order to a loop tree: where accumulators go, which factors leave a reduction, which loop becomes a
tile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from scorch.ir.absence import absent_value, guarded
from scorch.ir.notation import REDUCED, Access, Apply, Assign, Expr, Literal, accesses, substitute
from scorch.ir.plan import Classes, Compute, Loop, Stmt, Tile, Where, Workspace
from scorch.ir.statement import ABSENT
from scorch.schedule.panels import Panel

__all__ = ["Nest", "build_nest"]


@dataclass(frozen=True)
class Nest:
    """What a loop tree is built from.

    `order`: every index but the tiled one, outermost first. `tile`: the tiled index with its shape. `scatter`: the
    index over which a sparse row accumulator of kind `accumulator` collects, or None; rows of at most `few` products
    are sorted instead.
    """

    statement: Assign
    order: tuple[str, ...]
    dtype: str
    tile: tuple[str, Tile] | None = None
    scatter: str | None = None
    accumulator: str = "bitmap"
    few: int = 0
    split: int = 0  # how many outermost loops stand outside the sparse row accumulator
    repeats: bool = False  # an operand may store a coordinate twice
    spread: bool = False  # tiles outermost
    unroll: int = 1  # the innermost reduction, under a tile
    past: bool = False  # what a row leaves over of its groups is taken into the rows behind it
    beside: int = 1  # positions of the innermost result loop that share the reduction over a tile
    rows: int = 1  # coordinates of the innermost result loop that share the reduction inside a tile
    packed: Panel | None = None  # what such a tile reads, copied beforehand to lie side by side
    turned: tuple[Access, ...] = ()  # read in blocks that are turned in registers, by the innermost loop in a tile
    ahead: int = 0  # positions by which what the innermost reduction walks is fetched before it is needed
    along: Tile | None = None  # lanes of the innermost reduction, taken over stored positions
    register: str = "acc"  # the name of the accumulator
    fills: Mapping[str, Any] = field(default_factory=dict)  # of the sparse operands
    may_be_empty: frozenset[str] = frozenset()  # reductions that may visit nothing


def build_nest(nest: Nest) -> Stmt:
    """The loop tree of a nest."""
    if nest.scatter is not None:
        return _scattered(nest)
    target = nest.statement.target
    outer, inner = _split(nest)
    tiled = nest.tile[0] if nest.tile else None
    kept = tiled in target.indices
    if not inner and (tiled is None or kept):
        reduce = nest.statement.reduce if _revisits(nest) else None
        whole = _loops(nest, outer, Compute(target, reduce, nest.statement.expr), tile_last=not nest.spread)
        return Loop(nest.tile[0], whole, nest.tile[1]) if nest.tile and nest.spread else whole
    if nest.rows > 1 and nest.tile:
        return _block(nest, outer, inner)
    body = _reduced(nest, inner, target, _revisits(nest))
    if nest.spread and nest.tile and kept:
        return Loop(nest.tile[0], _loops(nest, outer, body, tile_last=False), nest.tile[1])
    return _loops(nest, outer, body, tile_last=kept)


def _block(nest: Nest, outer: tuple[str, ...], inner: tuple[str, ...]) -> Stmt:
    """Several rows at a time inside a tile, what they share of an operand perhaps packed into a panel."""
    assert nest.tile is not None
    tiled, tile = nest.tile
    *outer_rows, row = outer
    packed, statement = nest.packed, nest.statement
    if packed is not None:
        panel = Access(f"{packed.access.tensor}_panel", (inner[-1], tiled))
        statement = replace(statement, expr=substitute(statement.expr, {packed.access: panel}))
    body = _reduced(replace(nest, statement=statement), inner, statement.target, _revisits(nest))
    block: Stmt = Loop(row, body, unroll=nest.rows)
    if packed is not None:
        width = tile.vectors * tile.lanes + (tile.lanes if tile.overlaps else 0)
        workspace = Workspace(panel.tensor, panel.indices, "row", nest.dtype, panel=width)
        turned = (packed.access,) if packed.turned else ()
        fill = Loop(inner[-1], Compute(panel, None, packed.access), unroll=tile.lanes if turned else 1, turned=turned)
        if nest.spread:
            return Loop(tiled, Where(workspace, fill, _loops(nest, tuple(outer_rows), block, tile_last=False)), tile)
        block = Where(workspace, fill, block)
    return _loops(nest, tuple(outer_rows), Loop(tiled, block, tile), tile_last=False)


def _split(nest: Nest) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The loops up to the innermost result index, and the reductions inside it."""
    target = nest.statement.target.indices
    last = max((n for n, v in enumerate(nest.order) if v in target), default=-1)
    return nest.order[: last + 1], nest.order[last + 1 :]


def _revisits(nest: Nest) -> bool:
    """Whether results are updated more than once: a reduction stands outside a result index, or coordinates repeat."""
    outer, _ = _split(nest)
    return nest.repeats or any(v not in nest.statement.target.indices for v in outer)


def _equals(nest: Nest, index: str) -> str | None:
    return dict(nest.statement.equal).get(index)


def _loops(nest: Nest, order: tuple[str, ...], body: Stmt, tile_last: bool) -> Stmt:
    """Loops around a body; a tiled result index goes innermost of them."""
    if nest.tile and tile_last:
        body = Loop(nest.tile[0], body, nest.tile[1])
    for index in reversed(order):
        innermost = index == order[-1]
        turned = nest.turned if innermost else ()
        unroll = nest.tile[1].lanes if turned and nest.tile else nest.beside if innermost else 1
        body = Loop(index, body, equals=_equals(nest, index), unroll=unroll, turned=turned)
    return body


def _reduced(nest: Nest, inner: tuple[str, ...], target: Access, revisits: bool) -> Stmt:
    """A register accumulator around the inner reductions, and the store of what it collected."""
    tile = nest.tile
    along = (tile[0],) if tile and tile[0] in target.indices else ()
    order = inner if tile is None or along else (*inner, tile[0])
    reduce = nest.statement.reduce
    constant, varying = _factor(nest, nest.statement.expr, order, reduce)
    register = Workspace(nest.register, along, "register", nest.dtype, reduce)
    made = Access(nest.register, along)
    producer = _producer(nest, order, varying, register, 0)
    value = _times(constant, made)
    if nest.statement.finish is not None:
        value = substitute(nest.statement.finish, {REDUCED: value})
    consumer = Compute(target, reduce if revisits else None, value)
    return Where(register, producer, consumer)


def _producer(nest: Nest, order: tuple[str, ...], expr: Expr, register: Workspace, depth: int) -> Stmt:
    """Loops over `order` that add `expr` to the register; factors that only an outer loop changes are multiplied
    there."""
    made = Access(register.name, register.indices)
    index, rest = order[0], order[1:]
    tile = nest.tile[1] if nest.tile and nest.tile[0] == index else None
    if nest.along and not rest:
        tile = nest.along
    constant, varying = _factor(nest, expr, rest, register.reduce) if rest else ((), expr)
    heavy = [factor for factor in constant if _is_work(factor, index, nest)]
    if rest and heavy:
        inner = Workspace(f"{register.name}_{rest[0]}", register.indices, "register", register.dtype, register.reduce)
        total = Compute(made, register.reduce, _times(constant, Access(inner.name, inner.indices)))
        body: Stmt = Where(inner, _producer(nest, rest, varying, inner, depth + 1), total)
    elif rest:
        body = _producer(nest, rest, expr, register, depth + 1)
    else:
        body = Compute(made, register.reduce, expr)
    if rest:
        return Loop(index, body, tile, equals=_equals(nest, index))
    equals = _equals(nest, index)
    return Loop(index, body, tile, equals=equals, unroll=nest.unroll, ahead=nest.ahead, past=nest.past)


def _is_work(factor: Expr, index: str, nest: Nest) -> bool:
    """Whether a factor that `index` changes is worth taking out of the loops inside: a vector load and multiply."""
    tiled = nest.tile[0] if nest.tile else None
    return any(index in a.indices and (tiled is None or tiled in a.indices) for a in accesses(factor))


def _factor(nest: Nest, expr: Expr, inside: Sequence[str], reduce: str | None) -> tuple[tuple[Expr, ...], Expr]:
    """Factors without an index of the loops `inside`, and the rest, where the product distributes over the reduction.

    Loops visit what is left only where it has entries, so that it has to be 0 where it has none. A sum that may be
    empty keeps its factors unless they are whole numbers: it is 0, and infinity times 0 is not.

    A product behind a condition that loops over entries settle is a product: where it has no value, it has none.
    """
    match expr:
        case Apply("where", (condition, value, no)) if no == ABSENT and guarded(expr)[0] is None:
            factors, left = _factor(nest, value, inside, reduce)
            if any(access.tensor in nest.fills for part in (*factors, left) for access in accesses(part)):
                # The condition keeps places where a term is absent. Outside of it, an absent factor would leave them
                # out; and what is left, absent, decides a product that an infinity in a factor would make a NaN.
                return (), expr
            return factors, Apply("where", (condition, left, no))
    if reduce != "add" or not isinstance(expr, Apply) or expr.op != "mul":
        return (), expr
    may_be_empty = nest.may_be_empty.union(*nest.statement.equal)  # which ask for one coordinate
    if nest.dtype.startswith(("float", "complex")) and not may_be_empty.isdisjoint(inside):
        return (), expr
    constant = tuple(f for f in expr.args if not any(set(inside) & set(a.indices) for a in accesses(f)))
    varying = tuple(f for f in expr.args if f not in constant)
    if not varying:
        return (), expr
    left = varying[0] if len(varying) == 1 else Apply("mul", varying)
    return (constant, left) if absent_value(left, nest.fills) in (None, ABSENT, Literal(0)) else ((), expr)


def _times(constant: tuple[Expr, ...], value: Expr) -> Expr:
    return Apply("mul", (*constant, value)) if constant else value


def _collected(nest: Nest, row: Workspace) -> Where:
    """A row accumulator filled by the loops inside it, and read."""
    made = Access(row.name, row.indices)
    producer: Stmt = Compute(made, nest.statement.reduce, nest.statement.expr)
    for index in reversed(nest.order[nest.split :]):
        producer = Loop(index, producer, equals=_equals(nest, index))
    return Where(row, producer, Loop(row.indices[0], Compute(nest.statement.target, None, made)))


def _scattered(nest: Nest) -> Stmt:
    """Outer loops, then a sparse row accumulator filled by the inner loops and read in order."""
    assert nest.scatter is not None
    along, dtype, reduce = (nest.scatter,), nest.dtype, nest.statement.reduce
    many = _collected(nest, Workspace("w", along, nest.accumulator, dtype, reduce))  # type: ignore[arg-type]
    body: Stmt = many
    if nest.few:
        body = Classes(_collected(nest, Workspace("few", along, "sorted", dtype, reduce, most=nest.few)), many)
    for index in reversed(nest.order[: nest.split]):
        body = Loop(index, body, equals=_equals(nest, index))
    return body

"""Writing the result: located in a dense one, at a shared pattern's positions, or appended level by level."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

from scorch.emit.builder import Param
from scorch.emit.positions import TensorArrays
from scorch.emit.tiles import Lanes
from scorch.emit.values import as_dtype, combine
from scorch.errors import ScheduleError
from scorch.formats import Level
from scorch.ir import loops as ir
from scorch.ir.graph import level_indices

if TYPE_CHECKING:
    from scorch.emit.lower import Lowering

__all__ = ["Result", "result_writer"]


class Result(ABC):
    """How one kernel writes its result. `before` and `after` stand around the body of the loop over an index.

    `again`: coordinates that are listed several times may be visited each time, what is written last being right.
    """

    again = False

    def __init__(self, lowering: Lowering) -> None:
        self.low = lowering
        self.b = lowering.b
        self.spec = lowering.kernel.result
        self.arrays = TensorArrays(self.b, self.spec)
        self.target = lowering.kernel.statement.target
        self.path = level_indices(self.target, self.spec.format)

    def prologue(self) -> None:
        """Emit what stands before the outermost loop."""

    def epilogue(self) -> None:
        """Emit what stands behind the outermost loop."""

    def before(self, index: str) -> None:
        """Emit what stands at the start of a loop's body."""

    def after(self, index: str) -> None:
        """Emit what stands at the end of a loop's body."""

    def reserve(self, entries: ir.Expr) -> None:
        """Emit: make room for so many entries of the last level."""
        raise ScheduleError(f"a {self.low.kernel.assembly.kind} result reserves no room")

    def counts(self, index: str) -> bool:
        """Whether what a loop over the index has inside matters to a phase that only counts."""
        return True

    def count_entries(self) -> ir.Var | None:
        """The cursor to which a count phase may add a whole row's number of entries at once; None where it may not."""
        return None

    def store_all(self, position: ir.Expr, reduce: str | None, value: Callable[[int | None], ir.Expr]) -> None:
        """Emit the store of the tile's vectors from a position on, or of a scalar where the result is not in a tile."""
        lanes = self.low.lanes
        if lanes is None or lanes.index not in self.path:
            self.store(position, reduce, value(None))
            return
        position = self.b.let(f"{self.spec.name}_p", position)
        for t in range(lanes.vectors):
            self._store_vector(lanes, t, position, reduce, value(t))

    def _store_vector(self, lanes: Lanes, t: int, position: ir.Expr, reduce: str | None, value: ir.Expr) -> None:
        vals, place = self.arrays.vals, lanes.place(position, t)
        if reduce is not None:
            value = combine(reduce, lanes.load(vals, place, t), value, self.spec.dtype)
        streamed = self.low.kernel.assembly.streamed and reduce is None
        self.b.emit(lanes.store(vals, place, as_dtype(value, self.spec.dtype), t, streamed))

    def _store_all(self, depth: int, stores: tuple[tuple[str, ir.Expr, ir.Expr], ...]) -> None:
        """Emit the stores into index arrays that a level asks for."""
        for part, place, value in stores:
            array = self.arrays.index(depth, part)
            self.b.emit(ir.Store(array, place, ir.cast(value, array.dtype.removesuffix("[]"))))

    @abstractmethod
    def write(self, reduce: str | None, value: Callable[[int | None], ir.Expr]) -> None:
        """Emit the store of a value; `value(t)` is vector t of the tile, `value(None)` the scalar."""

    def write_where(self, condition: ir.Expr, reduce: str | None, value: Callable[[int | None], ir.Expr]) -> None:
        """Emit the store of a value where a condition holds."""
        with self.b.block() as body:
            self.write(reduce, value)
        self.b.emit(ir.If(condition, tuple(body)))

    def store(self, position: ir.Expr, reduce: str | None, value: ir.Expr) -> None:
        """Emit vals[position] (reduce)= value for a scalar."""
        vals = self.arrays.vals
        if reduce is not None:
            value = combine(reduce, ir.Load(vals, position), value, self.spec.dtype)
        self.b.emit(ir.Store(vals, position, as_dtype(value, self.spec.dtype)))


class _Located(Result):
    """Every place of the result exists; the position follows from the bound indices."""

    def epilogue(self) -> None:
        if self.low.kernel.assembly.streamed:
            self.b.emit(ir.Effect(ir.Call("fence", (), "none")))

    def position(self) -> ir.Expr:
        # private copies lie one after the other, so that the chunk is one more coordinate, outside all others
        position: ir.Expr = self.low.chunk if self.low.kernel.private else ir.Const(0)
        for depth, index in enumerate(self.path):
            at = self.arrays.at(depth, self.low.extent(index))
            divided = self.low.divided
            coordinate = divided.row if divided is not None and divided.index == index else self.low.env[index]
            position = self.spec.format.levels[depth].locate(at, position, coordinate)
        return position

    def write(self, reduce: str | None, value: Callable[[int | None], ir.Expr]) -> None:
        self.store_all(self.position(), reduce, value)


class _Shared(Result):
    """The result's positions are those of one operand, or lie in dense levels below them."""

    def position(self) -> ir.Expr:
        source = self.low.kernel.assembly.source
        assert source is not None
        position, depth = self.low.cursors[source].first, self.low.kernel.assembly.depth
        for level in range(len(self.path) if depth is None else depth, len(self.path)):
            at = self.arrays.at(level, self.low.extent(self.path[level]))
            position = self.spec.format.levels[level].locate(at, position, self.low.env[self.path[level]])
        return position

    def write(self, reduce: str | None, value: Callable[[int | None], ir.Expr]) -> None:
        position, lanes = self.position(), self.low.lanes
        if lanes is None or lanes.index not in self.path:
            self.store(position, reduce, value(None))
            return
        for t in range(lanes.vectors):
            self._store_vector(lanes, t, position, reduce, value(t))


class _Relevelled(Result):
    """The entries of one operand, at their positions, under other levels, some of which are written.

    Only one level has ends of positions, the `first` that is not full; what lies below it are lists of coordinates.
    """

    again = True

    def __init__(self, lowering: Lowering) -> None:
        super().__init__(lowering)
        assert lowering.kernel.assembly.source is not None
        self.source = lowering.kernel.assembly.source
        self.first = next(n for n, level in enumerate(self.spec.format.levels) if not level.full)
        self.written = lowering.kernel.assembly.depth or 0

    def counts(self, index: str) -> bool:
        return index != self.path[-1] or self.first < self.written

    def after(self, index: str) -> None:
        if self.first == 0 or index != self.path[self.first - 1]:
            return
        place: ir.Expr = ir.Const(0)
        for depth in range(self.first):
            at = self.arrays.at(depth, self.low.extent(self.path[depth]))
            place = self.spec.format.levels[depth].locate(at, place, self.low.env[self.path[depth]])
        self._store_all(self.first, self.spec.format.levels[self.first].store_end(place, self._end()))

    def _end(self) -> ir.Expr:
        """Where the entries below the node end that the loops are in."""
        cursor = self.low.cursors[self.source]
        first, last = cursor.first, cursor.last
        for depth in range(cursor.depth, len(cursor.path)):
            at = cursor.arrays.at(depth, self.low.extent(cursor.path[depth]))
            first, last = cursor.arrays.spec.format.levels[depth].bounds(at, first, last)
        return last

    def write(self, reduce: str | None, value: Callable[[int | None], ir.Expr]) -> None:
        position = self.low.cursors[self.source].first
        for depth in range(self.first, self.written):
            stores = self.spec.format.levels[depth].store_coordinate(position, self.low.env[self.path[depth]])
            self._store_all(depth, stores)


class _Group:
    """A level that gets positions by appending, with the branchless levels below it, which share those positions."""

    def __init__(self, first: int, last: int, cursor: ir.Var) -> None:
        self.first = first
        self.last = last
        self.cursor = cursor


class _Appended(Result):
    """Coordinates come in the result's order: each group of levels has a cursor, the position of the next node."""

    def __init__(self, lowering: Lowering) -> None:
        super().__init__(lowering)
        levels = self.spec.format.levels
        self.groups: list[_Group] = []
        for depth, level in enumerate(levels):
            if level.branchless:
                self.groups[-1].last = depth
            elif not level.full:
                self.groups.append(_Group(depth, depth, self.b.fresh(f"{self.spec.name}_q{depth}")))
        self.starts: dict[int, ir.Var] = {}

    @property
    def counting(self) -> bool:
        return not self.low.values

    def _slot(self, number: int) -> ir.Expr:
        return ir.add(ir.mul(self.low.chunk, len(self.groups)), number)

    def prologue(self) -> None:
        begin = self.b.param(Param(f"{self.spec.name}_begin", "begin", self.spec.name))
        for number, group in enumerate(self.groups):
            self.b.emit(ir.Let(group.cursor, ir.Load(begin, self._slot(number))))

    def epilogue(self) -> None:
        if self.counting or self.low.kernel.assembly.bounded:
            count = self.b.param(Param(f"{self.spec.name}_count", "count", self.spec.name))
            for number, group in enumerate(self.groups):
                self.b.emit(ir.Store(count, self._slot(number), group.cursor))

    def reserve(self, entries: ir.Expr) -> None:
        self.b.emit(ir.Let(self.groups[-1].cursor, entries, "+"))

    def _level(self, depth: int) -> Level:
        return self.spec.format.levels[depth]

    def _position(self, depth: int) -> ir.Expr:
        """Position of the node at level `depth` that the loops are in."""
        if depth < 0:
            return ir.Const(0)
        for group in self.groups:
            if group.first <= depth <= group.last:
                return group.cursor
        at = self.arrays.at(depth, self.low.extent(self.path[depth]))
        return self._level(depth).locate(at, self._position(depth - 1), self.low.env[self.path[depth]])  # type: ignore[no-any-return]

    def before(self, index: str) -> None:
        depth = self.path.index(index) if index in self.path else None
        group = next((g for g in self.groups if g.last == depth), None)
        inner = next((g for g in self.groups if group and g.first == group.last + 1), None)
        if group and inner:
            self.starts[group.last] = self.b.fresh(f"{self.spec.name}_s{group.last}")
            self.b.emit(ir.Let(self.starts[group.last], inner.cursor))

    def after(self, index: str) -> None:
        if index not in self.path:
            return
        depth = self.path.index(index)
        inner = next((g for g in self.groups if g.first == depth + 1), None)
        mine = next((g for g in self.groups if g.last == depth), None)
        if mine is None or depth == len(self.path) - 1:  # the last level is committed where its value is stored
            self._close(inner)
            return
        with self.b.block() as body:
            self._close(inner)
            self._commit(mine)
        if inner is None:
            self.b.emit(*body)  # dense levels below: their places are taken already
        else:
            self.b.emit(ir.If(ir.Binary(">", inner.cursor, self.starts[depth]), tuple(body)))

    def _close(self, group: _Group | None) -> None:
        """The node above a group has all its positions: say where they end."""
        if group is not None and not self.counting:
            stores = self._level(group.first).store_end(self._position(group.first - 1), group.cursor)
            self._store_all(group.first, stores)

    def _commit(self, group: _Group, by: ir.Expr = ir.Const(1)) -> None:
        """Store the node's coordinates and move the cursor on."""
        if not self.counting:
            for depth in range(group.first, group.last + 1):
                self._store_all(
                    depth, self._level(depth).store_coordinate(group.cursor, self.low.env[self.path[depth]])
                )
        self.b.emit(ir.Let(group.cursor, by, "+"))

    def write_where(self, condition: ir.Expr, reduce: str | None, value: Callable[[int | None], ir.Expr]) -> None:
        """Emit the store of a value where a condition holds.

        Without a branch where there is room for every step of a loop: what does not count is overwritten by the next.
        """
        group = self.groups[-1]
        filtered = self.low.kernel.assembly.filtered
        if group.last < len(self.path) - 1 or not (self.counting or self.low.kernel.assembly.bounded):
            super().write_where(condition, reduce, value)
            return
        kept = value(None) if filtered or not self.counting else None
        if kept is not None and filtered:
            kept = self.b.let("value", kept)
            condition = ir.Binary("&", condition, ir.Binary("!=", kept, ir.Const(self.spec.fill, kept.dtype)))
        if kept is not None and not self.counting:
            self.store(group.cursor, None, kept)
        self._commit(group, ir.cast(condition, "int64"))

    def write(self, reduce: str | None, value: Callable[[int | None], ir.Expr]) -> None:
        last = len(self.path) - 1
        group = next((g for g in self.groups if g.last == last), None)
        if group is None:  # dense levels at the end: values are located below the last appended node
            if not self.counting:
                self.store_all(self._position(last), reduce, value)
            return
        kept: ir.Expr | None = None
        condition: ir.Expr | None = self.low.met
        if self.low.kernel.assembly.filtered:
            kept = self.b.let("value", value(None))
            condition = ir.Binary("!=", kept, ir.Const(self.spec.fill, kept.dtype))
        with self.b.block() as body:
            if not self.counting:
                self.store(group.cursor, None, value(None) if kept is None else kept)
            self._commit(group)
        if condition is None:
            self.b.emit(*body)
        else:
            self.b.emit(ir.If(condition, tuple(body)))

    def counts(self, index: str) -> bool:
        return index not in self.path or self.path.index(index) <= self.groups[-1].last

    def count_entries(self) -> ir.Var | None:
        """The cursor to which a count phase may add a whole row's number of entries, if nothing else hangs on it."""
        group = self.groups[-1]
        plain = group.first == group.last == len(self.path) - 1 and not self.low.kernel.assembly.filtered
        return group.cursor if plain and self.counting else None


class _Bucketed(Result):
    """Each entry goes to the next free place of its outermost coordinate; `begin` has one a chunk and coordinate."""

    def prologue(self) -> None:
        """The first place of each coordinate of this chunk: behind all smaller ones, and what chunks before it have."""
        if not self.low.values:
            return
        count = self.b.param(Param(f"{self.spec.name}_count", "count", self.spec.name))
        begin = self.b.param(Param(f"{self.spec.name}_begin", "begin", self.spec.name))
        chunks = self.b.param(Param(f"{self.spec.name}_chunks", "chunks", self.spec.name))
        extent, last = self.low.extent(self.path[0]), self.b.fresh("last")
        key, other = self.b.fresh(self.path[0]), self.b.fresh("other")
        self.b.emit(ir.Let(last, ir.Const(0)))
        with self.b.block() as body:
            first = self.b.fresh("first")
            self.b.emit(ir.Let(first, last))
            with self.b.block() as each:
                counted = self.b.let("counted", ir.Load(count, ir.add(ir.mul(other, extent), key)))
                earlier = ir.cast(ir.Binary("<", other, self.low.chunk), "int64")
                self.b.emit(ir.Let(first, ir.Binary("*", counted, earlier), "+"), ir.Let(last, counted, "+"))
            self.b.emit(ir.For(other, ir.Const(0), chunks, tuple(each)))
            self.b.emit(ir.Store(begin, ir.add(ir.mul(self.low.chunk, extent), key), first))
            if self.spec.format.levels[0].full:
                with self.b.block() as ends:
                    self._store_all(1, self.spec.format.levels[1].store_end(key, last))
                self.b.emit(ir.If(ir.Binary("==", self.low.chunk, ir.Const(0)), tuple(ends)))
        self.b.emit(ir.For(key, ir.Const(0), extent, tuple(body)))

    def write(self, reduce: str | None, value: Callable[[int | None], ir.Expr]) -> None:
        outermost = self.path[0]
        slot = self.b.let("slot", ir.add(ir.mul(self.low.chunk, self.low.extent(outermost)), self.low.env[outermost]))
        if not self.low.values:
            count = self.b.param(Param(f"{self.spec.name}_count", "count", self.spec.name))
            self.b.emit(ir.Store(count, slot, ir.Const(1), "+"))
            return
        begin = self.b.param(Param(f"{self.spec.name}_begin", "begin", self.spec.name))
        place = self.b.let(f"{self.spec.name}_q", ir.Load(begin, slot))
        for depth, level in enumerate(self.spec.format.levels):
            self._store_all(depth, level.store_coordinate(place, self.low.env[self.path[depth]]))
        self.store(place, None, value(None))
        self.b.emit(ir.Store(begin, slot, ir.add(place, 1)))


_WRITERS: dict[str, type[Result]] = {
    "locate": _Located,
    "share": _Shared,
    "relevel": _Relevelled,
    "append": _Appended,
    "bucket": _Bucketed,
}


def result_writer(lowering: Lowering) -> Result:
    """The writer for a kernel's assembly."""
    return _WRITERS[lowering.kernel.assembly.kind](lowering)

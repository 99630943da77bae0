"""Loops that walk one access, or none: dense coordinates, stored positions, runs of equal ones, vectors of positions.

Which of them a loop becomes follows from its lattice and from the plan; several sparse accesses are merged
(`scorch.emit.merge`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from scorch.emit.beside import is_beside
from scorch.emit.block import Block
from scorch.emit.builder import Param
from scorch.emit.merge import Merge
from scorch.emit.positions import Cursor
from scorch.emit.prefetch import Prefetch
from scorch.emit.space import iteration_space
from scorch.emit.tiles import Lanes
from scorch.emit.turning import Turning
from scorch.emit.values import as_dtype
from scorch.errors import ScheduleError
from scorch.ir import loops as ir
from scorch.ir.lattice import build_lattice
from scorch.ir.notation import Access, accesses, substitute
from scorch.ir.plan import Compute, Loop, Tile, walk

if TYPE_CHECKING:
    from scorch.emit.lower import Lowering

__all__ = ["Divided", "Loops"]

CHUNK = ir.Var("chunk")
LO, HI = ir.Var("lo"), ir.Var("hi")


@dataclass(frozen=True)
class Divided:
    """A merge path inside its chunk: the row in hand goes to place `row`, and has positions first ... last - 1 of
    `access`."""

    index: str
    row: ir.Var
    access: Access
    first: ir.Var
    last: ir.Var


class Loops:
    """Emits a loop and, through the lowering, what is inside it."""

    def __init__(self, lowering: Lowering) -> None:
        self.low = lowering
        self.b = lowering.b
        self.merge = Merge(lowering)
        self.prefetch = Prefetch(lowering)
        self.turning = Turning(lowering)
        self.outermost = True

    def loop(self, node: Loop) -> None:
        outermost, self.outermost = self.outermost, False
        if not self.low.computes and not self.low.result.counts(node.index):
            return
        if node.tile is not None and not node.tile.positions:
            self.low.tiling.loop(node, node.tile, outermost)
            return
        reader = self._workspace_reader(node)
        if reader is not None:
            self.low.entries(node, reader)
            return
        space = substitute(iteration_space(node.body), self.low.rows.spaces)
        lattice = build_lattice(space, node.index, lambda a: self._walks(a, node.index), self.low.fills)
        access = lattice.only()
        if lattice.is_dense:
            self.dense(node, outermost)
        elif access is not None and self._in_blocks(access):
            assert isinstance(self.low.group, Block)
            self.low.group.groups(node, access)
        elif access is not None:
            self.positions(node, access, outermost)
        else:
            self.merge.loop(node, lattice, outermost)

    def _walks(self, access: Access, index: str) -> bool:
        return access in self.low.cursors and self.low.cursors[access].iterates(index)

    def _in_blocks(self, access: Access) -> bool:
        """Whether rows of an access are stored together, so that only blocks of rows can be read."""
        return any(level.block > 1 for level in self.low.cursors[access].arrays.spec.format.levels)

    def _workspace_reader(self, node: Loop) -> Access | None:
        for inner in walk(node.body):
            if isinstance(inner, Compute):
                for access in accesses(inner.expr):
                    if access.tensor in self.low.accumulators and node.index in access.indices:
                        return access
        return None

    def bounds(self, index: str, outermost: bool) -> tuple[ir.Expr, ir.Expr]:
        """The coordinates that a dense loop takes: the chunk's if it is the partitioned one."""
        if outermost and self.low.kernel.unit == "coordinates":
            return LO, HI
        return ir.Const(0), self.low.extent(index)

    def dense(self, node: Loop, outermost: bool) -> None:
        """All coordinates, or the one that an equal index has."""
        if node.equals is not None:
            self.low.body(node.index, self.low.env[node.equals], node.body)
            return
        if outermost and self.low.kernel.unit == "merge-path":
            self._merge_path(node)
            return
        var = ir.Var(node.index)
        lo, hi = self.bounds(node.index, outermost)
        if node.turned:
            self.turning.loop(node, lo, hi)
            return
        if is_beside(node):
            lo = self._blocks(node, var, lo, hi)
            if any(map(self._in_blocks, self.low.cursors)):
                return  # chunks are whole blocks, and so are all rows
        elif node.unroll > 1 and self.low.values:
            whole = self.b.let("whole_groups", ir.Binary("-", hi, ir.Binary("%", hi, ir.Const(node.unroll))))
            group = [
                step for number in range(node.unroll) for step in self._coordinate(node, ir.add(var, number), number)
            ]
            self.b.emit(ir.For(var, lo, whole, tuple(group), ir.Const(node.unroll)))
            lo = whole
        self.b.emit(ir.For(var, lo, hi, tuple(self._coordinate(node, var, 0))))

    def _blocks(self, node: Loop, var: ir.Var, lo: ir.Expr, hi: ir.Expr) -> ir.Expr:
        """As many coordinates at a time as the loop says; where those that are left over begin."""
        count = ir.Const(node.unroll)
        whole = self.b.let("whole_blocks", ir.Binary("-", hi, ir.Binary("%", ir.Binary("-", hi, lo), count)))
        with self.b.block() as block:
            Block(self.low, node).emit(var)
        self.b.emit(ir.For(var, lo, whole, tuple(block), count))
        return whole

    def _coordinate(self, node: Loop, coordinate: ir.Expr, number: int) -> list[ir.Stmt]:
        """One coordinate of a dense loop, whose sums go to accumulator set `number`."""
        with self.low.scope() as body:
            for access, sets in self.low.sets.items():
                self.low.loaded[access] = sets[number]
            self.low.body(node.index, coordinate, node.body)
        return body

    def _merge_path(self, node: Loop) -> None:
        """Rows and their nonzeros in equal shares: a chunk may begin and end inside a row.

        The rows that end in the chunk are written; what it has of the row after them goes to the chunk's own place
        behind the last row, and is added when all chunks are done (Merrill and Garland, *Merge-based SpMV*, SC 2016).
        """
        rows = self.b.param(Param("rows", "rows", node.index))
        row, last_row = self.b.fresh("row"), self.b.fresh("last_row")
        first, last, stop = self.b.fresh("first"), self.b.fresh("last"), self.b.fresh("stop")
        var, extent = ir.Var(node.index), self.low.extent(node.index)
        begin = ir.Load(rows, CHUNK)
        self.b.emit(ir.Let(last_row, ir.Load(rows, ir.add(CHUNK, 1))))
        self.b.emit(ir.Let(first, ir.Binary("-", LO, begin)), ir.Let(stop, ir.Binary("-", HI, last_row)))
        access = self._weight()
        self.low.divided = Divided(node.index, row, access, first, last)
        with self.low.scope() as body:
            end = self.low.cursors[access].located(var, extent).bounds(extent)[1]
            self.b.emit(ir.Let(last, ir.Call("min", (end, stop), "int64")), ir.Let(row, var))
            behind = ir.Let(row, ir.add(extent, CHUNK))
            self.b.emit(ir.If(ir.Binary("==", var, last_row), (behind,)))
            self.low.body(node.index, var, node.body)
            self.b.emit(ir.Let(first, last))
        self.low.divided = None
        self.b.emit(ir.For(var, begin, ir.Call("min", (ir.add(last_row, 1), extent), "int64"), tuple(body)))

    def _weight(self) -> Access:
        """The access whose nonzeros a merge path divides."""
        divided = self.low.kernel.divided
        assert divided is not None
        return divided

    def positions(self, node: Loop, access: Access, outermost: bool) -> None:
        """The stored coordinates of one access, every other one being located."""
        cursor = self.ready(access, node.index)
        lo, hi = self.low.rows.bounds.get(access) or cursor.bounds(self.low.extent(node.index))
        if outermost and self.low.kernel.unit == "positions":
            lo, hi = LO, HI
        if self.low.divided is not None and access == self.low.divided.access and cursor.depth == 1:
            lo, hi = self.low.divided.first, self.low.divided.last
        leaf = cursor.depth == len(cursor.path) - 1
        if node.ahead and self.low.values:
            lo, hi = self.prefetch.own(cursor, lo, hi, node.ahead)
        if self.low.products is not None and isinstance(node.body, Compute):
            self.b.emit(ir.Let(self.low.products, ir.Binary("-", hi, lo), "+"))
        elif node.tile is not None:
            masked = self._gathered_masked if node.tile.masked else self._gathered
            gathered = self._gathered_past if node.tile.past else masked
            gathered(node, node.tile, cursor, lo, hi)
        elif cursor.level.unique or leaf or self.low.result.again:
            self._each(node, cursor, lo, hi)
        else:
            self._segments(node, cursor, lo, hi)

    def ready(self, access: Access, index: str) -> Cursor:
        cursor = self.low.cursors[access]
        if cursor.index != index:
            raise ScheduleError(
                f"the loop over {index} comes before that over {cursor.index}, which {access} needs first"
            )
        return cursor

    def position_var(self, cursor: Cursor) -> ir.Var:
        """The variable that walks the positions of an access's next level."""
        return self.b.fresh(f"{cursor.access.tensor}_p{cursor.depth}")

    def _each(self, node: Loop, cursor: Cursor, lo: ir.Expr, hi: ir.Expr) -> None:
        """Every position once; unrolled, in groups with an accumulator set each, and what is left over singly, or as a
        part of a group."""
        p = self.position_var(cursor)
        if node.unroll == 1 or not self.low.values:
            self.b.emit(self._singly(node, cursor, p, lo, hi))
            return
        first = self.b.let(f"{cursor.access.tensor}_lo", lo)
        last = self.b.let(f"{cursor.access.tensor}_hi", hi)
        count = ir.Const(node.unroll)
        whole = self.b.let("whole_groups", ir.Binary("-", last, ir.Binary("%", ir.Binary("-", last, first), count)))
        with self.b.block() as group:
            if is_beside(node):
                self.low.beside.group(node, cursor, p)
            else:
                for number in range(node.unroll):
                    self._position(node, cursor, ir.add(p, number), number)
        self.b.emit(ir.For(p, first, whole, tuple(group), count))
        rest = self._singly(node, cursor, p, whole, last)
        self.b.emit(self._past(node, cursor, whole, last, rest) if node.past else rest)

    def _singly(self, node: Loop, cursor: Cursor, p: ir.Var, lo: ir.Expr, hi: ir.Expr) -> ir.Stmt:
        """The positions lo ... hi - 1, one after the other."""
        with self.b.block() as single:
            self._position(node, cursor, p, 0)
        return ir.For(p, lo, hi, tuple(single))

    def _past(self, node: Loop, cursor: Cursor, whole: ir.Var, last: ir.Var, singly: ir.Stmt) -> ir.Stmt:
        """The positions whole ... last - 1, fewer than a group, as if they were one less than a group: sums of what is
        behind them are dropped. Singly where the arrays end before that."""
        assert self.low.lanes is not None
        lanes, final = ir.Const(self.low.lanes.lanes), node.unroll - 1
        mask = f"boolx{self.low.lanes.lanes}"
        with self.b.block() as group:
            live = ir.Call("vfull", (ir.cast(ir.Binary("-", last, whole), "int32"), lanes), f"int32x{lanes.value}")
            left = self.b.let("left", live)
            for number in range(final):
                self.low.live = ir.Call("vlt", (ir.Const(number, "int32"), left), mask)
                self._position(node, cursor, ir.add(whole, number), number)
            self.low.live = None
        stored = ir.Call("len", (cursor.arrays.index(cursor.depth, "crd"),), "int64")
        return ir.If(ir.Binary("<=", ir.add(whole, final), stored), tuple(group), (singly,))

    def _position(self, node: Loop, cursor: Cursor, p: ir.Expr, number: int) -> None:
        """One position of a loop, whose sums go to accumulator set `number`."""
        var = ir.Var(node.index)
        with self.low.scope() as body:
            for access, sets in self.low.sets.items():
                self.low.loaded[access] = sets[number]
            self.b.emit(ir.Let(var, cursor.coordinate(p, self.low.extent(node.index))))
            self.prefetch.rows(node, cursor, p)
            self.low.cursors[cursor.access] = cursor.at(p, ir.add(p, 1))
            if node.equals is not None:
                with self.low.scope() as kept:
                    self.low.body(node.index, var, node.body)
                self.b.emit(ir.If(ir.Binary("==", var, self.low.env[node.equals]), tuple(kept)))
            else:
                self.low.body(node.index, var, node.body)
        self.b.emit(*body)

    def _gathered(self, node: Loop, tile: Tile, cursor: Cursor, lo: ir.Expr, hi: ir.Expr) -> None:
        """Stored positions by vectors, other operands gathered at their coordinates; the last vector is masked."""
        p = self.position_var(cursor)
        width = ir.Const(tile.lanes)
        first = self.b.let(f"{cursor.access.tensor}_lo", lo)
        last = self.b.let(f"{cursor.access.tensor}_hi", hi)
        first = self._vectors(node, tile, cursor, p, first, last)
        rest = self.b.let("live", ir.Binary("%", ir.Binary("-", last, first), width))
        whole = self.b.let("whole_vectors", ir.Binary("-", last, rest))
        with self.b.block() as full:
            self._vector(node, cursor, Lanes(node.index, p, 1, tile.lanes))
        self.b.emit(ir.For(p, first, whole, tuple(full), width))
        with self.b.block() as part:
            self._vector(node, cursor, Lanes(node.index, whole, 1, tile.lanes, rest))
        self.b.emit(ir.If(ir.Binary(">", rest, ir.Const(0)), tuple(part)))

    def _gathered_masked(self, node: Loop, tile: Tile, cursor: Cursor, lo: ir.Expr, hi: ir.Expr) -> None:
        """Stored positions by vectors, each under a mask: one loop, whose number of iterations is all that the branch
        predictor has to guess."""
        p = self.position_var(cursor)
        width = ir.Const(tile.lanes)
        first = self.b.let(f"{cursor.access.tensor}_lo", lo)
        last = self.b.let(f"{cursor.access.tensor}_hi", hi)
        with self.b.block() as vector:
            live = self.b.let("live", ir.Call("min", (ir.Binary("-", last, p), width), "int64"))
            self._vector(node, cursor, Lanes(node.index, p, 1, tile.lanes, live))
        self.b.emit(ir.For(p, first, last, tuple(vector), width))

    def _gathered_past(self, node: Loop, tile: Tile, cursor: Cursor, lo: ir.Expr, hi: ir.Expr) -> None:
        """Stored positions by whole vectors, the last of a row reaching into the next one; only at the end of the array
        are vectors masked. One loop, as under a mask.
        """
        p = self.position_var(cursor)
        width = ir.Const(tile.lanes)
        name = cursor.access.tensor
        array = cursor.arrays.index(cursor.depth, "crd") if self._asked(node, cursor) else cursor.arrays.vals
        first, last = self.b.let(f"{name}_lo", lo), self.b.let(f"{name}_hi", hi)
        first = self._vectors(node, tile, cursor, p, first, last)
        final = self.b.let("last_whole", ir.Binary("-", ir.Call("len", (array,), "int64"), width))
        left = ir.Binary("-", last, p)
        with self.b.block() as whole:
            self._vector(node, cursor, Lanes(node.index, p, 1, tile.lanes, left, past=True))
        with self.b.block() as part:
            live = self.b.let("live", ir.Call("min", (left, width), "int64"))
            self._vector(node, cursor, Lanes(node.index, p, 1, tile.lanes, live))
        self.b.emit(ir.For(p, first, last, (ir.If(ir.Binary("<=", p, final), tuple(whole), tuple(part)),), width))

    def _vectors(self, node: Loop, tile: Tile, cursor: Cursor, p: ir.Var, first: ir.Var, last: ir.Var) -> ir.Var:
        """Several whole vectors at a time, with an accumulator set each; where those that are left over begin."""
        if node.unroll == 1 or not self.low.values:
            return first
        width = ir.Const(node.unroll * tile.lanes)
        groups = self.b.let("whole_groups", ir.Binary("-", last, ir.Binary("%", ir.Binary("-", last, first), width)))
        with self.b.block() as group:
            for number in range(node.unroll):
                with self.low.scope() as body:
                    for access, sets in self.low.sets.items():
                        self.low.loaded[access] = sets[number]
                    place = ir.add(p, number * tile.lanes)
                    self._vector(node, cursor, Lanes(node.index, place, 1, tile.lanes, past=tile.past))
                self.b.emit(*body)
        self.b.emit(ir.For(p, first, groups, tuple(group), width))
        return groups

    def _asked(self, node: Loop, cursor: Cursor) -> bool:
        """Whether anything inside a loop over stored positions depends on where they are."""
        read = set(accesses(iteration_space(node.body))) - {cursor.access}
        held = [access for access, row in self.low.rows.held.items() if row.workspace.source is None]
        return any(node.index in access.indices for access in (*self.low.cursors, *held) if access in read)

    def _vector(self, node: Loop, cursor: Cursor, lanes: Lanes) -> None:
        """One vector of stored positions."""
        with self.low.scope() as body:
            coordinates: ir.Expr = lanes.base
            if self._asked(node, cursor):
                array = cursor.arrays.index(cursor.depth, "crd")
                coordinates = lanes.coordinates(array)
                if lanes.past:
                    lanes = replace(lanes, listed=array)
                else:
                    coordinates = self.b.let(f"{node.index}s", _as_indices(coordinates))
            self.low.lanes = lanes
            self.low.cursors[cursor.access] = cursor.at(lanes.base, ir.add(lanes.base, 1))
            self.low.body(node.index, coordinates, node.body)
        self.b.emit(*body)

    def _segments(self, node: Loop, cursor: Cursor, lo: ir.Expr, hi: ir.Expr) -> None:
        """Runs of equal coordinates of a level that repeats them, each run once."""
        p, end = self.position_var(cursor), self.b.fresh(f"{cursor.access.tensor}_e{cursor.depth}")
        last = self.b.let(f"{cursor.access.tensor}_hi", hi)
        var = ir.Var(node.index)
        self.b.emit(ir.Let(p, lo))
        with self.low.scope() as body:
            self.b.emit(ir.Let(var, cursor.coordinate(p, self.low.extent(node.index))))
            self.segment_end(cursor, p, end, last, var)
            with self.low.scope() as inner:
                self.low.cursors[cursor.access] = cursor.at(p, end)
                self.low.body(node.index, var, node.body)
            if node.equals is not None:
                self.b.emit(ir.If(ir.Binary("==", var, self.low.env[node.equals]), tuple(inner)))
            else:
                self.b.emit(*inner)
            self.b.emit(ir.Let(p, end))
        self.b.emit(ir.While(ir.Binary("<", p, last), tuple(body)))

    def segment_end(self, cursor: Cursor, p: ir.Var, end: ir.Var, last: ir.Expr, coordinate: ir.Expr) -> None:
        """end = the first position after p, before last, with another coordinate."""
        self.b.emit(ir.Let(end, ir.add(p, 1)))
        same = ir.Binary("==", cursor.coordinate(end, self.low.extent(str(cursor.index))), coordinate)
        self.b.emit(ir.While(ir.Binary("and", ir.Binary("<", end, last), same), (ir.Let(end, ir.Const(1), "+"),)))


def _as_indices(coordinates: ir.Expr) -> ir.Expr:
    """A vector of coordinates in a type that gathers take: packed ones may be narrower."""
    wide = coordinates.dtype.startswith(("int32", "int64"))
    return coordinates if wide else as_dtype(coordinates, "int32")

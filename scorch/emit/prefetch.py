"""Prefetching: asking for the rows that later nonzeros select, while those of this one are used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scorch.emit.beside import is_beside
from scorch.emit.positions import Cursor
from scorch.emit.space import iteration_space
from scorch.formats import dtypes
from scorch.ir import loops as ir
from scorch.ir.notation import accesses
from scorch.ir.plan import Loop, Tile, walk

if TYPE_CHECKING:
    from scorch.emit.lower import Lowering

__all__ = ["Prefetch"]

LINE = 64  # bytes that one prefetch brings


class Prefetch:
    """Emits prefetches where the plan's tiles want them."""

    def __init__(self, lowering: Lowering) -> None:
        self.low = lowering
        self.b = lowering.b

    def rows(self, node: Loop, cursor: Cursor, p: ir.Expr) -> None:
        """What stands at position p of a loop over stored positions."""
        if not self.low.values:
            return
        if is_beside(node):
            self._whole(node, cursor, p)
        elif self.low.lanes is not None and self.low.tile is not None and self.low.tile.prefetch:
            self._in_tile(node, cursor, p, self.low.tile.prefetch)

    def own(self, cursor: Cursor, lo: ir.Expr, hi: ir.Expr, ahead: int) -> tuple[ir.Expr, ir.Expr]:
        """Coordinates and values of an access, as many as positions lo ... hi - 1 are, so many ahead of them;
        those positions, as variables."""
        arrays = cursor.arrays.index(cursor.depth, "crd"), cursor.arrays.vals
        widths = [dtypes.itemsize(array.dtype.removesuffix("[]")) for array in arrays]
        lo, hi = self.b.let(f"{cursor.access.tensor}_lo", lo), self.b.let(f"{cursor.access.tensor}_hi", hi)
        line = self.b.fresh("line")
        with self.b.block() as body:
            for array in arrays:
                self.b.emit(ir.Effect(ir.Call("prefetch", (array, ir.add(line, ahead)), "none")))
        self.b.emit(ir.For(line, lo, hi, tuple(body), ir.Const(LINE // max(widths))))
        return lo, hi

    def _whole(self, node: Loop, cursor: Cursor, p: ir.Expr) -> None:
        """All lines of rows that are reduced over a tile inside this loop."""
        inner = next(s for s in walk(node.body) if isinstance(s, Loop) and s.tile is not None)
        if inner.tile is None or not inner.tile.prefetch:
            return
        extent = self.low.extent(inner.index)
        for other in self._picked(node, cursor):
            row = self._ahead(node, cursor, other, p, inner.tile.prefetch)
            if row.path[row.depth :] != (inner.index,):
                continue
            step = LINE // dtypes.itemsize(other.arrays.vals.dtype.removesuffix("[]"))
            if inner.tile.count is not None:  # all of the row is one tile, of so many lines
                start = self.b.let("ahead", row.located(ir.Const(0), extent).first)
                for first in range(0, _width(inner.tile), step):
                    self._line(other, ir.add(start, first))
                continue
            line = self.b.fresh("line")
            with self.low.scope() as body:
                self._line(other, row.located(line, extent).first)
            self.b.emit(ir.For(line, ir.Const(0), extent, tuple(body), ir.Const(step)))

    def _line(self, other: Cursor, place: ir.Expr) -> None:
        self.b.emit(ir.Effect(ir.Call("prefetch", (other.arrays.vals, place), "none")))

    def _in_tile(self, node: Loop, cursor: Cursor, p: ir.Expr, distance: int) -> None:
        """The lines of rows that are in the tile around this loop."""
        lanes = self.low.lanes
        assert lanes is not None
        for other in self._picked(node, cursor):
            if lanes.index not in other.path:
                continue
            place = self._ahead(node, cursor, other, p, distance)
            while not place.resolved:
                index = str(place.index)
                place = place.located(self.low.env[index], self.low.extent(index))
            start = self.b.let("ahead", place.first)
            for t in range(lanes.vectors):
                self._line(other, lanes.place(start, t))

    def _picked(self, node: Loop, cursor: Cursor) -> list[Cursor]:
        """The operands of which this loop's positions pick rows."""
        inside = {a: self.low.cursors[a] for a in accesses(iteration_space(node.body)) if a in self.low.cursors}
        return [other for other in inside.values() if other.index == node.index and other.access != cursor.access]

    def _ahead(self, node: Loop, cursor: Cursor, other: Cursor, p: ir.Expr, distance: int) -> Cursor:
        """Where another operand will stand at a later position."""
        array, extent = cursor.arrays.index(cursor.depth, "crd"), self.low.extent(node.index)
        final = ir.Binary("-", ir.Call("len", (array,), "int64"), ir.Const(1))
        ahead = ir.Call("min", (ir.add(p, distance), final), "int64")
        return other.located(cursor.coordinate(ahead, extent), extent)


def _width(tile: Tile) -> int:
    """Values of a tile that all of its loop fits in."""
    return tile.lanes * (tile.rest + tile.vectors * (tile.count or 0))

"""Coordinates side by side: a register block of several rows by the vectors of a tile.

The rows' reductions share their loops, and with them every vector that all rows read: it is loaded once for as many
multiply-adds as there are rows, as in the inner kernel of a dense product (Goto and van de Geijn, *Anatomy of
High-Performance Matrix Multiplication*, 2008). Of rows that are sparse, those that have a coordinate share what is read
for it, where they are stored by that (`scorch.formats.levels.grouped`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from scorch.emit.positions import Cursor
from scorch.formats.levels import Grouped
from scorch.ir import loops as ir
from scorch.ir.notation import Access
from scorch.ir.plan import Compute, Loop, Where

if TYPE_CHECKING:
    from scorch.emit.lower import Lowering

__all__ = ["Block"]


@dataclass(frozen=True)
class _Row:
    """One coordinate of the block: its accumulators, and where the accesses that have its index stand."""

    coordinate: ir.Expr
    registers: list[ir.Expr]
    cursors: dict[Access, Cursor]
    loaded: dict[Access, ir.Expr | list[ir.Expr]]


class Block:
    """Emits a group of coordinates of the loop `node` and, through the lowering, the reduction that they share."""

    def __init__(self, lowering: Lowering, node: Loop) -> None:
        assert isinstance(node.body, Where)
        self.low = lowering
        self.b = lowering.b
        self.node = node
        self.where = node.body
        self.access = Access(node.body.workspace.name, node.body.workspace.indices)
        self._rows: list[_Row] = []
        self._reached: list[_Row] = []  # that the innermost loop is for

    def emit(self, first: ir.Var) -> None:
        """The coordinates from `first` on: accumulators, the shared reduction, and what each row does with its sums."""
        self.low.registers.add(self.access)
        sets = self.low.register_workspaces.tiled_sets(self.where.workspace, self.node.unroll)
        self._rows = [self._row(ir.add(first, number), registers) for number, registers in enumerate(sets)]
        self._reached = self._rows
        self.low.group = self
        self.low.loaded[self.access] = sets[0]
        self.low.stmt(self.where.producer)
        self.low.group = None
        for row in self._rows:
            with self._in(row):
                self.low.stmt(self.where.consumer)
        del self.low.loaded[self.access]

    def _row(self, coordinate: ir.Expr, registers: list[ir.Expr]) -> _Row:
        """Everything that depends on the coordinate alone, loaded; the rest as far as it can be located."""
        before = set(self.low.loaded)
        with self.low.binding():
            self.low.env[self.node.index] = coordinate
            self.low.enter(self.where)
            for access, cursor in self._mine():
                if cursor.depth > 0 and not cursor.resolved:
                    place = self.b.let(f"{access.tensor}_{self.node.index}", cursor.first)
                    self.low.cursors[access] = replace(cursor, first=place)
            loaded = {access: held for access, held in self.low.loaded.items() if access not in before}
            return _Row(coordinate, registers, dict(self._mine()), loaded)

    def _mine(self) -> list[tuple[Access, Cursor]]:
        return [(a, cursor) for a, cursor in self.low.cursors.items() if self.node.index in a.indices]

    def accumulate(self, node: Compute) -> None:
        """What the innermost loop of the shared reduction does, once for each row."""
        self.low.group = None
        for row in self._reached:
            with self._in(row):
                self.low.enter(node)
                self.low.compute(node)
        self.low.group = self

    def groups(self, node: Loop, access: Access) -> None:
        """The loops over coordinates that the rows have in common: one for each set of rows that some are for."""
        cursor = self._rows[0].cursors[access]
        level, at = cursor.level, cursor.arrays.at(cursor.depth, self.low.extent(node.index))
        assert isinstance(level, Grouped)
        block = self.b.let("block", ir.Binary("//", cursor.first, ir.Const(level.rows)))
        value = self.b.fresh(f"{access.tensor}_v")
        self.b.emit(ir.Let(value, at.first[block]))
        for members in range(1, 1 << level.rows):
            rows = [row for number, row in enumerate(self._rows) if members >> number & 1]
            self._reached = [
                replace(row, cursors=row.cursors | {access: cursor.at(place, ir.add(place, 1))})
                for row, place in ((row, ir.add(value, number)) for number, row in enumerate(rows))
            ]
            lo, hi = level.group(at, block, members)
            p = self.low.loops.position_var(cursor)
            with self.low.scope() as body:
                coordinate = ir.Var(node.index)
                self.b.emit(ir.Let(coordinate, level.coordinate(at, p)))
                self.low.body(node.index, coordinate, node.body)
                self.b.emit(ir.Let(value, ir.Const(len(rows)), "+"))
            self.b.emit(ir.For(p, lo, hi, tuple(body)))
        self._reached = self._rows

    @contextmanager
    def _in(self, row: _Row) -> Iterator[None]:
        """The statements of one row."""
        with self.low.scope() as body:
            self.low.env[self.node.index] = row.coordinate
            self.low.cursors.update(row.cursors)
            self.low.loaded.update(row.loaded)
            self.low.loaded[self.access] = row.registers
            yield
        self.b.emit(*body)

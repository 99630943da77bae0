"""Square blocks of dense operands, turned in registers: a vector for each of the rows that a loop takes at a time.

What is stored along the rows' index is read in whole vectors of it, each cache line once, and shuffled into vectors of
the tiled index.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scorch.emit.positions import begin
from scorch.emit.values import as_dtype
from scorch.formats import dtypes
from scorch.ir import loops as ir
from scorch.ir.notation import Access
from scorch.ir.plan import Loop

if TYPE_CHECKING:
    from scorch.emit.lower import Lowering

__all__ = ["Turning"]


class Turning:
    """Emits a loop over rows inside a tile, so many at a time as the tile has lanes."""

    def __init__(self, lowering: Lowering) -> None:
        self.low = lowering
        self.b = lowering.b

    def loop(self, node: Loop, lo: ir.Expr, hi: ir.Expr) -> None:
        """Blocks of rows; the last one begins so early that it ends with the loop, and computes some values twice."""
        count, row = ir.Const(node.unroll), ir.Var(node.index)
        block = self.b.fresh(f"{node.index}_block")
        with self.low.scope() as body:
            last = ir.Binary("-", hi, count)
            self.b.emit(ir.Let(row, ir.Call("min", (block, last), "int64")))
            tile = self.low.lanes
            assert tile is not None
            for t in range(tile.vectors):  # one after the other: a block's vectors fill most registers
                self.low.lanes = tile.only(t)
                turned = {access: self._turned(access, node.index, row) for access in node.turned}
                for number in range(node.unroll):
                    self._row(node, ir.add(row, number), {a: vectors[number] for a, vectors in turned.items()})
        self.b.emit(ir.For(block, lo, hi, tuple(body), count))

    def _row(self, node: Loop, coordinate: ir.Expr, vectors: dict[Access, ir.Expr]) -> None:
        with self.low.scope() as body:
            for access, vector in vectors.items():
                self.low.loaded[access] = [as_dtype(vector, dtypes.computed(self.low.types[access.tensor].dtype))]
            self.low.body(node.index, coordinate, node.body)
        self.b.emit(*body)

    def _turned(self, access: Access, index: str, row: ir.Expr) -> list[ir.Expr]:
        """The vectors of a block, one for each row."""
        lanes = self.low.lanes
        assert lanes is not None
        first = lanes.place(lanes.base, 0)
        place = self.b.let(f"{access.tensor}_p", self._position(access, {index: row, lanes.index: first}))
        below = self._position(access, {index: row, lanes.index: ir.add(first, 1)})
        array = self.low.cursors[access].arrays.vals
        dtype = f"{array.dtype.removesuffix('[]')}x{lanes.lanes}"
        step, width = ir.Binary("-", below, place), ir.Const(lanes.lanes)
        made = self.b.let(access.tensor.lower(), ir.Call("vturn", (array, place, step, width), f"{dtype} each"))
        return [ir.Formula(f"{{0}}[{number}]", (made,), dtype) for number in range(lanes.lanes)]

    def _position(self, access: Access, at: dict[str, ir.Expr]) -> ir.Expr:
        """The position of a coordinate of each index of an access, all of whose levels locate."""
        known = {**self.low.env, **at}
        cursor = begin(access, self.low.cursors[access].arrays)
        while not cursor.resolved:
            assert cursor.index is not None
            cursor = cursor.located(known[cursor.index], self.low.extent(cursor.index))
        return cursor.first

"""Loops over SIMD tiles of a dense index: the full tiles, then the rest of fewer vectors, the last perhaps masked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scorch.emit.tiles import Lanes
from scorch.ir import loops as ir
from scorch.ir.plan import Loop, Tile

if TYPE_CHECKING:
    from scorch.emit.lower import Lowering

__all__ = ["Tiling"]

LO, HI = ir.Var("lo"), ir.Var("hi")


class Tiling:
    """Emits the tiles of an index and, through the lowering, what is inside them."""

    def __init__(self, lowering: Lowering) -> None:
        self.low = lowering
        self.b = lowering.b

    def loop(self, node: Loop, tile: Tile, outermost: bool) -> None:
        """Full tiles in a loop (or one, without), then the rest of fewer vectors."""
        width = tile.vectors * tile.lanes
        extent = self.low.extent(node.index)
        shared = outermost and self.low.kernel.unit == "tiles"
        above = outermost and not shared  # then the loop inside is the one whose coordinates are shared
        whole: ir.Expr = ir.Const(0)
        if tile.count == 1:
            self._tile_body(node, tile, Lanes(node.index, ir.Const(0), tile.vectors, tile.lanes), above)
            whole = ir.Const(width)
        elif tile.count is None:
            whole = self.b.let("whole", ir.Binary("-", extent, ir.Binary("%", extent, ir.Const(width))))
            var = ir.Var(node.index)
            lo, hi = (
                (ir.mul(LO, width), ir.Call("min", (ir.mul(HI, width), whole), "int64"))
                if shared
                else (ir.Const(0), whole)
            )
            with self.b.block() as loop:
                self._tile_body(node, tile, Lanes(node.index, var, tile.vectors, tile.lanes), above)
            self.b.emit(ir.For(var, lo, hi, tuple(loop), ir.Const(width)))
        if not tile.rest:
            return
        with self.b.block() as rest:
            self._rest(node, tile, whole, extent, above)
        if shared:
            self.b.emit(ir.If(ir.Binary(">", ir.mul(HI, width), whole), tuple(rest)))
        else:
            self.b.emit(*rest)

    def _rest(self, node: Loop, tile: Tile, whole: ir.Expr, extent: ir.Expr, above: bool) -> None:
        live: ir.Expr | None = None
        if tile.masked:
            before = ir.add(whole, (tile.rest - 1) * tile.lanes)
            live = self.b.let("live", ir.Binary("-", extent, before) if before != ir.Const(0) else extent)
        last = None
        if tile.overlaps:
            last = self.b.let("last", ir.Binary("-", extent, ir.add(whole, tile.lanes)))
        self._tile_body(node, tile, Lanes(node.index, whole, tile.rest, tile.lanes, live, last), above)

    def _tile_body(self, node: Loop, tile: Tile, lanes: Lanes, above: bool) -> None:
        outer_tile, self.low.tile = self.low.tile, tile
        self.low.loops.outermost = above
        with self.low.scope() as body:
            self.low.lanes = lanes
            self.low.body(node.index, lanes.base, node.body)
        self.b.emit(*body)
        self.low.tile = outer_tile

"""Register workspaces: a scalar, the vectors of a tile, or vectors whose lanes are summed at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scorch.emit.values import combine, identity
from scorch.errors import ScheduleError
from scorch.ir import loops as ir
from scorch.ir.notation import Access
from scorch.ir.operators import operator
from scorch.ir.plan import Loop, Stmt, Tile, Where, Workspace

if TYPE_CHECKING:
    from scorch.emit.lower import Lowering

__all__ = ["Registers"]


class Registers:
    """Emits the accumulation into registers and, through the lowering, what is accumulated."""

    def __init__(self, lowering: Lowering) -> None:
        self.low = lowering
        self.b = lowering.b

    def where(self, node: Where) -> None:
        """Accumulate in a scalar, in the tile's vectors, or (a reduction over lanes) in vectors that are summed after
        it."""
        access = Access(node.workspace.name, node.workspace.indices)
        guards = self.low.kernel.assembly.guarded and self.low.met is None
        if guards:
            self.low.met = self.b.fresh("met", "bool")
            self.b.emit(ir.Let(self.low.met, ir.Const(False, "bool")))
        self.low.registers.add(access)
        if self.low.computes:
            self._reduce(node, access)
        else:  # a count needs coordinates only
            if self.low.met is not None:
                self.low.stmt(node.producer)
            self.low.stmt(node.consumer)
        if guards:
            self.low.met = None

    def _reduce(self, node: Where, access: Access) -> None:
        """The producer's values in registers, and what is done with them."""
        reduce, dtype = node.workspace.reduce, node.workspace.dtype
        inner = _reduced_tile(node)
        tile = _shape(inner) if inner else None
        if inner is None and self.low.lanes is not None and self.low.lanes.index in node.workspace.indices:
            tile = (self.low.lanes.lanes, self.low.lanes.vectors)
        unroll = _unrolled(node.producer)
        sets = [self._registers(node.workspace, tile, number) for number in range(unroll)]
        held: dict[Access, list[ir.Expr | list[ir.Expr]]] = {}
        if unroll > 1:
            held[access] = [registers if tile else registers[0] for registers in sets]
        outer, self.low.sets = self.low.sets, held
        self.low.loaded[access] = sets[0] if tile else sets[0][0]
        self.low.stmt(node.producer)
        self.low.sets = outer
        for more in sets[1:]:
            for register, other in zip(sets[0], more, strict=True):
                self.b.emit(ir.Let(register, combine(reduce, register, other, dtype)))  # type: ignore[arg-type]
        if inner is not None:
            self.low.loaded[access] = self._across_lanes(node.workspace, sets[0])
        self.low.stmt(node.consumer)
        del self.low.loaded[access]

    def sets(self, node: Where, count: int) -> list[list[ir.Expr]]:
        """Accumulators for `count` reductions over one tile, one for all vectors of each: what has to wait for the
        vector before is the work of one reduction alone, and nothing is left to be summed but lanes."""
        inner = _reduced_tile(node)
        assert inner is not None
        lanes, vectors = _shape(inner)
        return [self._registers(node.workspace, (lanes, 1), number) * vectors for number in range(count)]

    def tiled_sets(self, workspace: Workspace, count: int) -> list[list[ir.Expr]]:
        """Accumulators of the tile in hand for `count` rows."""
        lanes = self.low.lanes
        assert lanes is not None
        return [self._registers(workspace, (lanes.lanes, lanes.vectors), number) for number in range(count)]

    def _registers(self, workspace: Workspace, tile: tuple[int, int] | None, number: int) -> list[ir.Expr]:
        """One set of accumulators, started at the identity: a vector for each of the tile's, or a scalar."""
        start: ir.Expr = identity(workspace.reduce, workspace.dtype)
        if tile:
            start = ir.Call("vfull", (start, ir.Const(tile[0])), f"{workspace.dtype}x{tile[0]}")
        letter = chr(ord("a") + number) if number else ""
        registers: list[ir.Expr] = []
        for t in range(tile[1] if tile else 1):
            registers.append(self.b.fresh(f"{workspace.name}{t if tile else ''}{letter}", start.dtype))
            self.b.emit(ir.Let(registers[-1], start))  # type: ignore[arg-type]
        return registers

    def _joined(self, workspace: Workspace, registers: list[ir.Expr]) -> ir.Expr:
        """Vectors summed pairwise to one."""
        while len(registers) > 1:
            pairs = zip(registers[::2], registers[1::2], strict=False)
            joined = [combine(workspace.reduce, a, b, workspace.dtype) for a, b in pairs]
            registers = joined + registers[len(joined) * 2 :]
        return registers[0]

    def _across_lanes(self, workspace: Workspace, registers: list[ir.Expr]) -> ir.Var:
        """Vectors summed pairwise, then their lanes."""
        across = operator(workspace.reduce).reduces_with
        if across is None:
            raise ScheduleError(f"operator {workspace.reduce} has no reduction over SIMD lanes")
        return self.b.let(workspace.name, ir.Call(across, (self._joined(workspace, registers),), workspace.dtype))


def _shape(tile: Tile) -> tuple[int, int]:
    """Lanes and vectors of a tile's accumulators."""
    return tile.lanes, max(tile.rest, tile.vectors if tile.count != 0 else 0)


def _unrolled(producer: Stmt) -> int:
    """How many iterations of its loops are in flight; those inside another workspace are that one's."""
    most = 1
    while isinstance(producer, Loop):
        most, producer = max(most, producer.unroll), producer.body
    return most


def _reduced_tile(node: Where) -> Tile | None:
    """The tile of a loop in the producer over an index that the workspace lacks: a reduction over lanes.

    One inside another workspace is that one's: it hands on a scalar.
    """
    stmt = node.producer
    while isinstance(stmt, Loop):
        if stmt.tile is not None and stmt.index not in node.workspace.indices:
            return stmt.tile
        stmt = stmt.body
    return None

"""Stored positions side by side: their reductions over a SIMD tile share its loop, and their sums become one vector.

A horizontal sum for each position would take longer than its multiply-adds. Here the accumulators of several positions
are transposed while they are summed, and what is computed from the sums is computed and stored by the vector.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scorch.emit.positions import Cursor
from scorch.emit.tiles import Lanes
from scorch.ir import loops as ir
from scorch.ir.notation import Access
from scorch.ir.plan import Compute, Loop, Where

if TYPE_CHECKING:
    from scorch.emit.lower import Lowering

__all__ = ["Beside", "Group", "is_beside"]


@dataclass(frozen=True)
class Group:
    """The positions in hand: the coordinate, the place of `walker` and the accumulators of each."""

    beside: Beside
    index: str
    coordinates: list[ir.Var]
    places: list[ir.Expr]
    walker: Cursor
    access: Access
    registers: list[list[ir.Expr]]

    def accumulate(self, node: Compute) -> None:
        """What the innermost loop of the shared reduction does, once for each position."""
        self.beside.accumulate(self, node)


class Beside:
    """Emits a group of positions and, through the lowering, the reduction that they share."""

    def __init__(self, lowering: Lowering) -> None:
        self.low = lowering
        self.b = lowering.b

    def group(self, node: Loop, cursor: Cursor, p: ir.Var) -> None:
        """The positions p ... p + unroll - 1 of a loop: their sums, then the consumer of all of them at once."""
        where = node.body
        assert isinstance(where, Where)
        assert isinstance(where.consumer, Compute)
        workspace, consumer = where.workspace, where.consumer
        access = Access(workspace.name, workspace.indices)
        places = [ir.add(p, number) for number in range(node.unroll)]
        extent = self.low.extent(node.index)
        coordinates = [self.b.let(node.index, cursor.coordinate(place, extent)) for place in places]
        for place in places:
            self.low.loops.prefetch.rows(node, cursor, place)
        registers = self.low.register_workspaces
        sets = registers.sets(where, node.unroll)
        self.low.registers.add(access)
        self.low.group = Group(self, node.index, coordinates, places, cursor, access, sets)
        self.low.loaded[access] = sets[0]
        self.low.stmt(where.producer)
        self.low.group = None
        accumulators = tuple(vectors[0] for vectors in sets)
        total = ir.Call(f"vsums{node.unroll}", accumulators, f"{workspace.dtype}x{node.unroll}")
        sums = self.b.let(f"{workspace.name}s", total)
        with self.low.scope() as body:
            self.low.lanes = Lanes(node.index, p, 1, node.unroll)
            self.low.cursors[cursor.access] = cursor.at(p, ir.add(p, 1))
            self.low.loaded[access] = [sums]
            self.low.compute(consumer)
        self.b.emit(*body)
        del self.low.loaded[access]

    def accumulate(self, group: Group, node: Compute) -> None:
        """Each position's part of an iteration of the shared loop."""
        self.low.group = None
        for coordinate, place, registers in zip(group.coordinates, group.places, group.registers, strict=True):
            with self.low.scope() as body:
                self.low.env[group.index] = coordinate
                self.low.cursors[group.walker.access] = group.walker.at(place, ir.add(place, 1))
                self.low.loaded[group.access] = registers
                self.low.enter(node)
                self.low.compute(node)
            self.b.emit(*body)
        self.low.group = group


def is_beside(node: Loop) -> bool:
    """Whether the iterations that a loop takes together share a reduction."""
    return node.unroll > 1 and isinstance(node.body, Where)

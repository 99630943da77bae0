"""Row workspaces: the values of a temporary in one row, by position within the row of a sparse operand, or by
coordinate; at each place as many as the dense indices behind that one have coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scorch.emit.builder import Param
from scorch.emit.values import is_vector
from scorch.ir import loops as ir
from scorch.ir.notation import Access, Apply, Expr, Literal
from scorch.ir.plan import Compute, Where, Workspace

if TYPE_CHECKING:
    from scorch.emit.lower import Lowering

__all__ = ["Rows"]


@dataclass(frozen=True)
class _Row:
    """A row workspace in use; `first` is the position where the row of its source begins."""

    workspace: Workspace
    array: ir.Var
    first: ir.Expr

    @property
    def indices(self) -> tuple[str, ...]:
        return self.workspace.indices


class Rows:
    """The row workspaces in use, what is stored in them and read back.

    `spaces`: where each of them has values, for the loops that read it. `bounds`: the positions of the rows of their
    sources.
    """

    def __init__(self, lowering: Lowering) -> None:
        self.low = lowering
        self.b = lowering.b
        self.held: dict[Access, _Row] = {}
        self.spaces: dict[Access, Expr] = {}
        self.bounds: dict[Access, tuple[ir.Expr, ir.Expr]] = {}

    def where(self, node: Where) -> None:
        """Fill the workspace, then run what reads it."""
        workspace = node.workspace
        access = Access(workspace.name, workspace.indices)
        first: ir.Expr = ir.Const(0)
        saved = dict(self.bounds)
        if workspace.source is not None:
            first, _ = self._row(workspace.source, workspace.indices[0])
            stored = Apply("stored", (workspace.source,))
            self.spaces[access] = Apply("where", (stored, workspace.source, Literal(workspace.fill)))
        array = self.b.param(Param(f"{workspace.name}_row", "workspace", workspace.name, 0, "vals", workspace.dtype))
        self.held[access] = _Row(workspace, array, first)
        # A panel is filled outside the loop whose coordinates the chunks share.
        outermost, self.low.loops.outermost = self.low.loops.outermost, False
        self.low.stmt(node.producer)
        self.low.loops.outermost = outermost
        self.low.stmt(node.consumer)
        del self.held[access]
        self.spaces.pop(access, None)
        self.bounds = saved

    def _row(self, source: Access, index: str) -> tuple[ir.Expr, ir.Expr]:
        if source not in self.bounds:
            first, last = self.low.cursors[source].bounds(self.low.extent(index))
            name = source.tensor
            self.bounds[source] = self.b.let(f"{name}_lo", first), self.b.let(f"{name}_hi", last)
        return self.bounds[source]

    def is_along(self, access: Access) -> bool:
        """Whether the lanes in hand are successive places of a row workspace."""
        return self.low.lanes is not None and self.low.lanes.index == self.held[access].indices[-1]

    def picks(self, access: Access) -> bool:
        """Whether the lanes in hand are stored positions of another tensor, whose coordinates are the places."""
        row = self.held[access]
        return row.workspace.source is None and is_vector(self.low.env[row.indices[-1]])

    def _place(self, row: _Row) -> ir.Expr:
        along, *across = row.indices
        source = row.workspace.source
        if source is None:
            place = self.low.env[along]
        else:
            place = ir.Binary("-", self.low.cursors[source].first, row.first)
        if row.workspace.panel:
            tile = self.low.tile
            assert tile is not None
            before = tile.lanes if tile.overlaps else 0  # where a last vector that starts early may lie
            return ir.add(ir.mul(place, row.workspace.panel), before)
        for index in across:
            place = ir.add(ir.mul(place, self.low.extent(index)), self.low.env[index])
        return place

    def read(self, access: Access, t: int | None) -> ir.Expr:
        """The value at the place that the loops are at, or vector t of the lanes there."""
        row = self.held[access]
        if self.low.lanes is not None and t is not None and self.is_along(access):
            if self.picks(access):
                return self.low.lanes.gather(row.array, self._place(row))
            return self.low.lanes.load(row.array, self.low.lanes.place(self._place(row), t), t)
        return ir.Load(row.array, self._place(row))

    def write(self, node: Compute) -> None:
        """The store of a value, or of the vectors of the lanes in hand."""
        row, lanes = self.held[node.target], self.low.lanes
        if lanes is None or not self.is_along(node.target):
            self.b.emit(ir.Store(row.array, self._place(row), self.low.value(node, None)))
            return
        for t in range(lanes.vectors):
            self.b.emit(lanes.store(row.array, lanes.place(self._place(row), t), self.low.value(node, t), t))

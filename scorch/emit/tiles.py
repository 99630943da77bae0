"""The SIMD tile that a loop is in: vectors of lanes over one dense index, the last one perhaps only partly used."""

from __future__ import annotations

from dataclasses import dataclass, replace

from scorch.ir import loops as ir

__all__ = ["Lanes"]


@dataclass(frozen=True)
class Lanes:
    """`vectors` vectors of `lanes` values of `index`, from coordinate `base` on.

    `live`: lanes used in the last, None: all; with `past` the others are loaded too. `last`: where the last one starts,
    counted from the base, if not right behind the one before it. `listed`: the array that has the coordinates of the
    lanes at their positions, where they are no vector yet.
    """

    index: str
    base: ir.Expr
    vectors: int
    lanes: int
    live: ir.Expr | None = None
    last: ir.Expr | None = None
    past: bool = False
    listed: ir.Var | None = None

    def place(self, position: ir.Expr, t: int) -> ir.Expr:
        """Position of vector t, given that of the tile."""
        if self.last is not None and t == self.vectors - 1:
            return ir.add(position, self.last)
        return ir.add(position, t * self.lanes)

    def only(self, t: int) -> Lanes:
        """Vector t by itself, at the place that it has in the tile."""
        last = self.place(ir.Const(0), t)
        partly = self.live if self.is_partial(t) else None
        return replace(self, vectors=1, live=partly, last=None if last == ir.Const(0) else last)

    def is_partial(self, t: int) -> bool:
        """Whether only some lanes of vector t are used."""
        return self.live is not None and t == self.vectors - 1

    def load(self, array: ir.Var, place: ir.Expr, t: int) -> ir.Expr:
        """Vector t of an array."""
        dtype = f"{array.dtype.removesuffix('[]')}x{self.lanes}"
        lanes = ir.Const(self.lanes)
        if self.is_partial(t) and not self.past:
            assert self.live is not None
            return ir.Call("vload_part", (array, place, lanes, self.live), dtype)
        return ir.Call("vload", (array, place, lanes), dtype)

    def gather(self, array: ir.Var, places: ir.Expr) -> ir.Expr:
        """The array's values at a vector of positions."""
        dtype = f"{array.dtype.removesuffix('[]')}x{self.lanes}"
        if self.listed is not None and places == self.coordinates(self.listed):
            return ir.Call("vgather_at", (array, self.listed, self.base, ir.Const(self.lanes)), dtype)
        if self.live is None or self.past:
            return ir.Call("vgather", (array, places), dtype)
        return ir.Call("vgather_part", (array, places, self.live), dtype)

    def coordinates(self, array: ir.Var) -> ir.Expr:
        """What a level's array lists for the lanes."""
        return self.load(array, self.base, 0)

    def keep(self, value: ir.Expr, other: ir.Expr) -> ir.Expr:
        """The last vector, with another value in the lanes that are not used."""
        assert self.live is not None
        return ir.Call("vkeep", (value, self.live, other), value.dtype)

    def store(self, array: ir.Var, place: ir.Expr, value: ir.Expr, t: int, streamed: bool = False) -> ir.Stmt:
        """The store of vector t to an array, a whole one perhaps past the caches."""
        if self.is_partial(t):
            assert self.live is not None
            return ir.Effect(ir.Call("vstore_part", (array, place, value, self.live), "none"))
        return ir.Effect(ir.Call("vstream" if streamed else "vstore", (array, place, value), "none"))

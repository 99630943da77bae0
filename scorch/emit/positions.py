"""Where each access stands in its level tree while the loops bind one index after the other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

from scorch.emit.builder import Builder, Param
from scorch.formats import Level
from scorch.ir import loops as ir
from scorch.ir.graph import level_indices
from scorch.ir.notation import Access
from scorch.ir.plan import TensorSpec

__all__ = ["Cursor", "TensorArrays", "begin"]


class _IndexArray:
    """An integer array whose elements read as int64, so that level types can index it like a numpy array."""

    def __init__(self, var: ir.Var) -> None:
        self.var = var

    def __getitem__(self, index: ir.Expr | int) -> ir.Expr:
        return ir.cast(ir.Load(self.var, ir.const(index)), "int64")


class TensorArrays:
    """The arrays of one tensor as parameters, declared when first used."""

    def __init__(self, builder: Builder, spec: TensorSpec) -> None:
        self.builder = builder
        self.spec = spec

    def index(self, depth: int, part: str) -> ir.Var:
        bits = dict(zip(self.spec.format.levels[depth].arrays, self.spec.index_bits[depth], strict=True))
        name = f"{self.spec.name}_{part}{depth}"
        return self.builder.param(Param(name, "level", self.spec.name, depth, part, f"int{bits[part]}"))

    def number(self, depth: int, part: str) -> ir.Var:
        name = f"{self.spec.name}_{part}{depth}"
        return self.builder.param(Param(name, "number", self.spec.name, depth, part))

    @property
    def vals(self) -> ir.Var:
        return self.builder.param(Param(f"{self.spec.name}_vals", "vals", self.spec.name, 0, "", self.spec.dtype))

    def at(self, depth: int, extent: ir.Expr) -> SimpleNamespace:
        """What a level's methods index: its arrays and the extent of its dimension."""
        return _LevelView(self, depth, extent)


class _LevelView(SimpleNamespace):
    def __init__(self, arrays: TensorArrays, depth: int, extent: ir.Expr) -> None:
        super().__init__(size=extent)
        self._arrays = arrays
        self._depth = depth

    def __getattr__(self, part: str) -> Any:
        level = self._arrays.spec.format.levels[self._depth]
        if part in level.arrays:
            return _IndexArray(self._arrays.index(self._depth, part))
        if part in level.numbers:
            return self._arrays.number(self._depth, part)
        raise AttributeError(f"a {level} level has no {part}")


@dataclass(frozen=True)
class Cursor:
    """The levels of an access that are resolved: `depth` of them, down to the positions first ... last - 1.

    There is one such position, but below a level whose coordinates repeat there may be several.
    """

    access: Access
    arrays: TensorArrays
    path: tuple[str, ...]
    depth: int = 0
    first: ir.Expr = ir.Const(0)
    last: ir.Expr = ir.Const(1)

    @property
    def resolved(self) -> bool:
        return self.depth == len(self.path)

    @property
    def index(self) -> str | None:
        """The index of the next level."""
        return None if self.resolved else self.path[self.depth]

    @property
    def level(self) -> Level:
        return self.arrays.spec.format.levels[self.depth]

    def iterates(self, index: str) -> bool:
        """Whether a loop over the index must walk this access (rather than locate in it)."""
        return index in self.path and not self.arrays.spec.format.levels[self.path.index(index)].locates

    def bounds(self, extent: ir.Expr) -> tuple[ir.Expr, ir.Expr]:
        return self.level.bounds(self.arrays.at(self.depth, extent), self.first, self.last)

    def coordinate(self, position: ir.Expr, extent: ir.Expr) -> ir.Expr:
        return self.level.coordinate(self.arrays.at(self.depth, extent), position)  # type: ignore[no-any-return]

    def at(self, first: ir.Expr, last: ir.Expr) -> Cursor:
        """One level further down, at these positions."""
        return replace(self, depth=self.depth + 1, first=first, last=last)

    def located(self, coordinate: ir.Expr, extent: ir.Expr) -> Cursor:
        """One level further down, at the position of a coordinate."""
        position = self.level.locate(self.arrays.at(self.depth, extent), self.first, coordinate)
        return self.at(position, ir.add(position, 1))


def begin(access: Access, arrays: TensorArrays) -> Cursor:
    """An access before any index is bound."""
    return Cursor(access, arrays, level_indices(access, arrays.spec.format))

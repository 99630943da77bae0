"""What the schedule is asked: a statement, its operands' structure, and how the result is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from scorch.formats import Format, Pattern, dtypes
from scorch.ir.absence import absent_value, annihilates, guarded
from scorch.ir.graph import level_indices, walks
from scorch.ir.lattice import Lattice, build_lattice
from scorch.ir.notation import Access, Apply, Assign, Expr, Literal, accesses
from scorch.ir.operators import identity
from scorch.ir.plan import TensorSpec
from scorch.ir.statement import ABSENT
from scorch.schedule.machine import Machine, host
from scorch.schedule.prices import Prices, in_force
from scorch.schedule.sampling import Sample
from scorch.schedule.statistics import Statistics, expected_distinct, product, statistics

__all__ = ["Operand", "Problem"]


@dataclass(frozen=True)
class Operand:
    """An operand's name, structure and number type; `statistics` are measured, or estimated for one that is not
    computed yet."""

    name: str
    format: Format
    dtype: str
    statistics: Statistics
    bits: tuple[tuple[int, ...], ...]
    shape: tuple[int, ...]
    converted: frozenset[Format] = frozenset()  # formats into which the pattern was reordered before
    fill: Any = 0
    packing: str = ""  # how its index arrays were packed, if they were
    frozen: bool = False  # whether copies are kept with their values

    @classmethod
    def of(cls, name: str, pattern: Pattern, dtype: str, fill: Any = 0, frozen: bool = False) -> Operand:
        """An operand that is there."""
        levels = zip(pattern.format.levels, pattern.packed.arrays, strict=True)
        bits = tuple(tuple(arrays[part].itemsize * 8 for part in level.arrays) for level, arrays in levels)
        converted = frozenset(key[1] for key in list(pattern.cache) if key[0] == "reorder")
        found = statistics(pattern)
        return cls(
            name,
            pattern.format,
            dtype,
            found,
            bits,
            pattern.shape,
            converted,
            fill,
            pattern.packing,
            frozen,
        )

    def spec(self, format: Format | None = None) -> TensorSpec:
        """The operand as a kernel sees it, as it is or converted to another format."""
        if format is None or format == self.format:
            return TensorSpec(self.name, self.format, self.dtype, self.bits, self.fill)
        return TensorSpec(self.name, format, self.dtype, appended_bits(format, self.shape), self.fill)


def appended_bits(format: Format, shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Bits of the index arrays of a tensor that is made anew."""
    levels = zip(format.levels, format.order, strict=True)
    return tuple(tuple(level.bits(part, shape[dimension]) for part in level.arrays) for level, dimension in levels)


@dataclass(frozen=True)
class Problem:
    """One statement over operands, with the extents of its indices; `wanted` is the result's format, None: choose.

    `dtype` is the number type of all arithmetic, `rounded` that of the result if it is another: a half type.
    `onto` names an operand whose very pattern the result takes, zeros included where other operands have nothing.
    `structure`: a copy of which only the levels are wanted, since values stay in their order.
    `choice` asks for the plan that an alternative describes, whatever it is expected to cost. `sample`: what was
    measured on some rows of a product of sparse matrices; `surprise`: how often the next step of a merge is foretold
    wrongly, where that was looked at.
    """

    statement: Assign
    operands: tuple[Operand, ...]
    extents: dict[str, int]
    dtype: str
    threads: int
    wanted: Format | None = None
    convert: bool = True  # whether operands may be converted and the result sorted
    rounded: str | None = None
    onto: str | None = None
    structure: bool = False
    machine: Machine = field(default_factory=host)
    prices: Prices = field(default_factory=in_force)
    choice: str | None = None
    sample: Sample | None = None
    surprise: float | None = None
    by_name: dict[str, Operand] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {operand.name: operand for operand in self.operands})

    @cached_property
    def accesses(self) -> tuple[Access, ...]:
        return self.statement.accesses

    @cached_property
    def sparse(self) -> tuple[Access, ...]:
        """The accesses to operands that are not dense."""
        return tuple(a for a in self.accesses if not self.by_name[a.tensor].format.is_dense)

    @cached_property
    def fills(self) -> dict[str, Any]:
        """The fill of each operand that may lack entries."""
        return {operand.name: operand.fill for operand in self.operands if not operand.format.is_dense}

    @cached_property
    def absent(self) -> Literal | None:
        """The value of the expression where no sparse operand has an entry; None if dense operands decide it."""
        return absent_value(self.statement.whole, self.fills)

    @property
    def fill(self) -> Any:
        """The value of the result where nothing is stored: of a reduction that met nothing, its identity."""
        if self.absent is None:
            return 0
        if self.statement.reduced:
            return identity(self.statement.reduce, self.dtype)
        return 0 if self.absent == ABSENT else dtypes.wrapped(self.absent.value, self.result_dtype)

    def lattice(self, index: str, formats: Mapping[str, Format]) -> Lattice:
        """What a loop over the index visits, the operands being in these formats."""
        walked = tuple(a for a in self.accesses if walks(a, index, formats[a.tensor]))
        known = self._lattices.get((index, walked))
        if known is None:
            # What finishes a sum is read after its loops.
            is_result = index in self.statement.target.indices
            space = self.statement.whole if is_result else self.statement.expr
            known = build_lattice(space, index, lambda a: a in walked, self.fills)
            self._lattices[index, walked] = known
        return known

    @cached_property
    def _lattices(self) -> dict[tuple[str, tuple[Access, ...]], Lattice]:
        """What `lattice` has built: few of the plans that are priced differ in what a loop walks."""
        return {}

    @cached_property
    def is_linear(self) -> bool:
        """Whether an operand's values may come in parts: a sum of products in which each access stands once."""
        read = list(accesses(self.statement.expr))
        return self.statement.reduce == "add" and len(read) == len(set(read)) and _is_product(self.statement.expr)

    @cached_property
    def filters(self) -> bool:
        """Whether a condition on values decides what the result has."""
        return guarded(self.statement.expr)[0] is not None

    @property
    def result_dtype(self) -> str:
        """The number type of the result's values."""
        return self.rounded or self.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the result."""
        return tuple(self.extents[v] for v in self.statement.target.indices)

    def format(self, access: Access) -> Format:
        return self.by_name[access.tensor].format

    def distinct(self, access: Access, indices: frozenset[str]) -> float:
        """Estimated number of different coordinates of an access, projected on some of its indices."""
        known = self._distinct.get((access, indices))
        if known is None:
            known = self._distinct[access, indices] = self._estimated(access, indices)
        return known

    @cached_property
    def _distinct(self) -> dict[tuple[Access, frozenset[str]], float]:
        return {}

    def _estimated(self, access: Access, indices: frozenset[str]) -> float:
        operand = self.by_name[access.tensor]
        mine = [v for v in access.indices if v in indices]
        places = product(self.extents[v] for v in mine)
        if not mine or operand.format.is_dense:
            return places
        path = level_indices(access, operand.format)
        known = operand.statistics.distinct
        if set(path[: len(mine)]) == set(mine):
            return float(known[len(mine) - 1])
        return expected_distinct(float(known[-1]), places)

    def visits(self, indices: tuple[str, ...]) -> float:
        """Estimated number of coordinate tuples of these indices at which the expression has a value of its own."""
        if self.sample is not None and len(indices) == len(self.statement.indices):
            return self.sample.products
        known = self._visits.get(indices)
        if known is None:
            places = product(self.extents[v] for v in indices)
            known = self._visits[indices] = places * self._presence(self.statement.expr, frozenset(indices))
        return known

    @cached_property
    def _visits(self) -> dict[tuple[str, ...], float]:
        """What `visits` has found: every plan that is priced asks for the same."""
        return {}

    def _presence(self, expr: Expr, bound: frozenset[str], stored: Access | None = None) -> float:
        """The share of the places of some indices at which an expression is not just its absent value; `stored`: an
        access that has an entry there."""
        if isinstance(expr, Access):
            return 1.0 if expr == stored else self._density(expr, bound)
        if isinstance(expr, Literal):
            return 1.0
        if expr.op == "where":
            match expr.args[0]:
                case Apply("stored", (Access() as asked,)):
                    stored = asked
            condition, yes, no = (
                self._presence(expr.args[0], bound),
                *(self._presence(a, bound, stored) for a in expr.args[1:]),
            )
            chosen = absent_value(expr.args[0], self.fills)
            return condition * yes if chosen is not None else max(yes, no)
        needed, other = 1.0, 1.0
        for place, arg in enumerate(expr.args):
            here, value = self._presence(arg, bound, stored), absent_value(arg, self.fills)
            if value is not None and annihilates(expr.op, place, value.value):
                needed *= here
            elif not isinstance(arg, Literal):
                other *= 1.0 - here
        return needed if needed < 1.0 or other == 1.0 else 1.0 - other

    def _density(self, access: Access, bound: frozenset[str]) -> float:
        """The share of the places of an access, projected on some of its indices, that hold something."""
        if access not in self.sparse:
            return 1.0
        mine = bound & set(access.indices)
        places = product(self.extents[v] for v in mine)
        return min(1.0, self.distinct(access, mine) / places) if places else 1.0

    @cached_property
    def products(self) -> float:
        """Estimated number of terms: coordinate tuples of all indices at which every operand has a value."""
        return self.visits(self.statement.indices)

    def entries(self, indices: tuple[str, ...]) -> float:
        """Estimated number of different coordinates of the result, projected on some of its indices."""
        if self.sample is not None and len(indices) == len(self.statement.target.indices):
            return self.sample.entries
        places = product(self.extents[v] for v in indices) * (self.reach if len(indices) > 1 else 1.0)
        return min(self.visits(indices), expected_distinct(self.products, places))

    @cached_property
    def reach(self) -> float:
        """The share of a row's places that a banded product can reach: its band is as wide as its operands'
        together."""
        if len(self.sparse) < 2:
            return 1.0
        return min(1.0, sum(self.by_name[access.tensor].statistics.spread for access in self.sparse))


def _is_product(expr: Expr) -> bool:
    return isinstance(expr, Access) or (
        isinstance(expr, Apply) and expr.op == "mul" and all(map(_is_product, expr.args))
    )

"""Index notation: WHAT is computed, with no word on how. Four node kinds and a statement.

    C[i,j] += A[i,k] * B[k,j]

An index on the right that is not on the left is summed (or reduced by the statement's operator).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from scorch.errors import NotationError, ShapeError
from scorch.ir.operators import operator

__all__ = [
    "REDUCED",
    "Access",
    "Apply",
    "Assign",
    "Expr",
    "Literal",
    "accesses",
    "check_extents",
    "has_vector_form",
    "substitute",
]


@dataclass(frozen=True, slots=True)
class Access:
    """A tensor indexed by one index variable a dimension. A `View` has the text of what it reads for a name."""

    tensor: str
    indices: tuple[str, ...]

    def __str__(self) -> str:
        if self.tensor.endswith("]"):
            return self.tensor
        return f"{self.tensor}[{','.join(self.indices)}]" if self.indices else self.tensor


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant. 2 and 2.0 are different ones: they make different number types of an integer.

    >>> Literal(2) == Literal(2), Literal(2) == Literal(2.0), Literal(1) == Literal(True)
    (True, False, False)
    """

    value: Any
    kind: type = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", type(self.value))

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True, slots=True)
class Apply:
    """A scalar operator, by name, applied to expressions."""

    op: str
    args: tuple[Expr, ...]

    def __str__(self) -> str:
        symbol = operator(self.op).symbol
        if symbol.isalnum():
            return f"{symbol}({', '.join(map(str, self.args))})"
        chains = operator(self.op).associative
        parts = [
            f"({a})" if isinstance(a, Apply) and a.is_infix and not (chains and a.op == self.op) else str(a)
            for a in self.args
        ]
        return f" {symbol} ".join(parts)

    @property
    def is_infix(self) -> bool:
        """Whether it is written with a sign between its arguments."""
        return not operator(self.op).symbol.isalnum()


Expr: TypeAlias = Access | Literal | Apply

REDUCED = Access("acc", ())
"""The reduced value, in the `finish` of a statement."""


@dataclass(frozen=True, slots=True)
class Assign:
    """One statement: target (op)= expr. `reduce` names the operator over the indices that the target lacks.

    `equal` pairs an index with the one that it must equal: A[i,i] reads A[i,i2] with i2 equal to i, so that every level
    of an access has an index of its own. `finish` is what becomes of the reduced value, REDUCED in it, before it is
    written; it has indices of the target only.

    >>> s = Assign(Access("C", ("i",)), Apply("mul", (Access("A", ("i", "k")), Access("x", ("k",)))), "add")
    >>> print(s, "| reduced:", *s.reduced)
    C[i] += A[i,k] * x[k] | reduced: k
    """

    target: Access
    expr: Expr
    reduce: str = "add"
    equal: tuple[tuple[str, str], ...] = field(default=())
    finish: Expr | None = None

    @property
    def accesses(self) -> tuple[Access, ...]:
        """Every different access that is read, in order of appearance."""
        finish = () if self.finish is None else (a for a in accesses(self.finish) if a != REDUCED)
        return tuple(dict.fromkeys((*accesses(self.expr), *finish)))

    @property
    def whole(self) -> Expr:
        """The finished expression of one term: it tells where there is something to compute, and of which type."""
        return self.expr if self.finish is None else substitute(self.finish, {REDUCED: self.expr})

    @property
    def indices(self) -> tuple[str, ...]:
        """Every index in order of appearance, the target's first."""
        seen = dict.fromkeys(self.target.indices)
        for access in self.accesses:
            seen.update(dict.fromkeys(access.indices))
        return tuple(seen)

    @property
    def reduced(self) -> tuple[str, ...]:
        """The indices that are reduced (a copy that must equal another index takes one value, and isn't)."""
        copies = {first for first, _ in self.equal}
        return tuple(v for v in self.indices if v not in self.target.indices and v not in copies)

    def __str__(self) -> str:
        symbol = operator(self.reduce).symbol if self.reduced else ""
        rule = "".join(f", {a} == {b}" for a, b in self.equal)
        finish = "" if self.finish is None else f", then {self.finish}"
        return f"{self.target} {symbol}= {self.expr}{rule}{finish}"


def accesses(expr: Expr) -> Iterator[Access]:
    """The tensor accesses of an expression, left to right."""
    if isinstance(expr, Access):
        yield expr
    elif isinstance(expr, Apply):
        for arg in expr.args:
            yield from accesses(arg)


def substitute(expr: Expr, by: Mapping[Access, Expr]) -> Expr:
    """The expression with other expressions in place of some accesses.

    >>> a = Access("A", ("i",))
    >>> print(substitute(Apply("mul", (a, Literal(2))), {a: Access("B", ("i",))}))
    B[i] * 2
    """
    if isinstance(expr, Access):
        return by.get(expr, expr)
    return Apply(expr.op, tuple(substitute(arg, by) for arg in expr.args)) if isinstance(expr, Apply) else expr


def has_vector_form(expr: Expr) -> bool:
    """Whether every operator of an expression works on SIMD lanes.

    >>> a = Access("A", ("i",))
    >>> has_vector_form(Apply("mul", (a, Literal(2)))), has_vector_form(Apply("log", (a,)))
    (True, False)
    """
    if not isinstance(expr, Apply):
        return True
    rule, args = operator(expr.op), expr.args
    if expr.op == "number" or expr.op.startswith("as_"):
        return isinstance(args[0], Access)  # lanes are converted as they are loaded
    if expr.op == "where" and isinstance(args[0], Apply) and operator(args[0].op).gives_bool:
        args = (*args[0].args, *args[1:])  # lanes of truth values are only selected by
    return rule.vector is not None and not rule.gives_bool and all(map(has_vector_form, args))


def check_extents(statement: Assign, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """The extent of each index; ShapeError names the two operands that disagree, NotationError an unbound result
    index."""
    extents: dict[str, int] = {}
    owner: dict[str, str] = {}
    for access in statement.accesses:
        shape = shapes[access.tensor]
        if len(shape) != len(access.indices):
            raise ShapeError(
                f"operand {access.tensor} has {len(shape)} dimensions, "
                f"but the notation gives it {len(access.indices)}: {access}"
            )
        for index, extent in zip(access.indices, shape, strict=True):
            if extents.setdefault(index, extent) != extent:
                raise ShapeError(f"index {index} is {extents[index]} in {owner[index]} but {extent} in {access}")
            owner.setdefault(index, str(access))
    for first, second in statement.equal:
        if extents[first] != extents[second]:
            raise ShapeError(
                f"the repeated index {second} needs equal extents; they are {extents[second]} and {extents[first]}"
            )
    for index in statement.target.indices:
        if index not in extents:
            raise NotationError(f"index {index} of the result {statement.target} is in no operand")
    return extents

"""The operator table: what the compiler knows of each scalar operator.

Iteration spaces follow from the algebra: where an absent operand is an operator's *annihilator*, the result is absent
too and only common coordinates are visited (intersection); otherwise coordinates of either operand are (union).
Reductions start from the operator's *identity*.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scorch.errors import NotationError

__all__ = ["OPERATORS", "Operator", "operator"]


@dataclass(frozen=True)
class Operator:
    """One scalar operator.

    `scalar` is its Python text with {0}, {1} for the arguments; `vector` the name of its twin over SIMD lanes.
    `identity` e has op(e, x) = x, `annihilator` a has op(a, x) = a for each argument that it names; None where there is
    none.
    """

    name: str
    arity: int
    symbol: str
    scalar: str
    vector: str | None = None
    identity: Any = None
    annihilator: Any = None
    commutative: bool = False
    associative: bool = False
    idempotent: bool = False
    gives_bool: bool = False
    reduces_with: str | None = None  # horizontal reduction over SIMD lanes

    def __str__(self) -> str:
        return self.symbol


OPERATORS: dict[str, Operator] = {
    op.name: op
    for op in (
        Operator("add", 2, "+", "{0} + {1}", "vadd", 0, None, True, True, reduces_with="vsum"),
        Operator("sub", 2, "-", "{0} - {1}", "vsub"),
        Operator("mul", 2, "*", "{0} * {1}", "vmul", 1, 0, True, True),
        Operator("max", 2, "max", "max({0}, {1})", None, float("-inf"), None, True, True, True),
        Operator("min", 2, "min", "min({0}, {1})", None, float("inf"), None, True, True, True),
        Operator("or", 2, "|", "{0} | {1}", None, False, True, True, True, True),
        Operator("and", 2, "&", "{0} & {1}", None, True, False, True, True, True),
    )
}


def operator(name: str) -> Operator:
    """The operator of that name; NotationError if there is none.

    >>> operator("mul").annihilator
    0
    """
    try:
        return OPERATORS[name]
    except KeyError:
        raise NotationError(f"unknown operator {name!r}; there are {', '.join(OPERATORS)}") from None

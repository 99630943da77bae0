"""Reductions over what is not stored: kernels visit entries only, so that absent ones are added by their number.

`C[i] max= A[i,k]` counts the absent entries of A as its fill v. Kernels reduce what they visit, and count it:

    C.met[i] max= A[i,k]                          over entries only
    C.count[i] += where(stored(A[i,k]), 1, 0)
    C[i] = where(C.count[i] < n, max(C.met[i], v), C.met[i])
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Mapping
from dataclasses import replace
from functools import reduce
from typing import Any

from scorch.ir.absence import absent_value
from scorch.ir.notation import Access, Apply, Assign, Expr, Literal, accesses
from scorch.ir.operators import operator
from scorch.ir.statement import ABSENT, is_masked

__all__ = ["onto_mask", "with_absent_entries"]


def with_absent_entries(statement: Assign, fills: Mapping[str, Any], extents: Mapping[str, int]) -> tuple[Assign, ...]:
    """The statement as statements whose reductions run over visited entries only; itself where that is the same.

    `fills` has the fill of each sparse operand. The last statement gives the result, in the number type of the first.

    >>> a = Access("A", ("i", "k"))
    >>> for s in with_absent_entries(Assign(Access("C", ("i",)), a, "max"), {"A": 0}, {"i": 2, "k": 5}):
    ...     print(s)
    C.met[i] max= A[i,k]
    C.count[i] += where(stored(A[i,k]), 1, 0)
    C[i] = where(C.count[i] < 5, max(C.met[i], 0), C.met[i])
    """
    if not (statement.reduced or statement.equal):  # a diagonal has one place of a dimension, stored or not
        return (statement,)
    value = absent_value(statement.expr, fills)
    if value == ABSENT:
        return (_over_mask(statement, fills),)
    if value is None or _adds_nothing(statement.reduce, statement.expr, value):
        return (statement,)
    target, name = statement.target, statement.target.tensor
    met, count = Access(f"{name}.met", target.indices), Access(f"{name}.count", target.indices)
    places = math.prod(extents[v] for v in statement.reduced)
    entry = Apply("stored", (statement.expr,))
    counted = Apply("where", (entry, Literal(1), Literal(0)))
    visited = statement.expr if statement.reduced else Apply("where", (entry, statement.expr, ABSENT))
    return (
        Assign(met, visited, statement.reduce, statement.equal),
        Assign(count, counted, "add", statement.equal),
        Assign(target, _completed(statement.reduce, met, count, value, places)),
    )


def onto_mask(statement: Assign, fills: Mapping[str, Any]) -> tuple[Assign, Access] | None:
    """A sum under one mask of its target's places as a sum over the entries of its terms alone, with that mask, whose
    pattern the result is to have; None for any other statement, or one whose terms are not 0 where nothing is stored.

    >>> m, a, b = Access("M", ("i", "j")), Access("A", ("i", "k")), Access("B", ("k", "j"))
    >>> product = Apply("where", (Apply("stored", (m,)), Apply("mul", (a, b)), ABSENT))
    >>> print(*onto_mask(Assign(Access("C", ("i", "j")), product), {"M": 0, "A": 0, "B": 0}), sep="; ")
    C[i,j] += where(stored(M[i,j]), A[i,k] * B[k,j], 0); M[i,j]
    """
    if not statement.reduced or statement.equal or statement.finish is not None or statement.reduce != "add":
        return None
    match statement.expr:
        case Apply("where", (Apply("stored", (Access() as mask,)) as there, terms, no)) if no == ABSENT:
            own = sorted(mask.indices) == sorted(statement.target.indices) and mask not in accesses(terms)
            value = absent_value(terms, fills) if own and mask.tensor in fills else None
            if value is not None and value.value == 0:
                return replace(statement, expr=Apply("where", (there, terms, Literal(0)))), mask
    return None


def _over_mask(statement: Assign, fills: Mapping[str, Any]) -> Assign:
    """The statement such that loops come to every place where its masked operands have a value, if it is not the
    identity there where the others have no entry."""
    conditions: tuple[Expr, ...] = ()
    terms = statement.expr
    if is_masked(statement):
        assert isinstance(statement.expr, Apply)
        conditions, terms = statement.expr.args[:1], statement.expr.args[1]
    masked = [a for a in accesses(terms) if a.tensor in fills and fills[a.tensor] == ABSENT.value]
    others = {name: fill for name, fill in fills.items() if fill != ABSENT.value}
    value = absent_value(terms, others) if masked else None
    if value is None or value == ABSENT or _adds_nothing(statement.reduce, terms, value):
        return statement
    conditions += tuple(Apply("stored", (access,)) for access in dict.fromkeys(masked))
    there = reduce(lambda left, right: Apply("and", (left, right)), conditions)
    return replace(statement, expr=Apply("where", (there, terms, ABSENT)))


def _adds_nothing(reduce: str, expr: Expr, value: Literal) -> bool:
    """Whether a value of an expression may be reduced in any number of times; 1 among integers is not what True is."""
    if reduce == "and" and not (isinstance(expr, Apply) and operator(expr.op).gives_bool):
        return False
    return bool(value.value == operator(reduce).identity)


def _completed(reduce: str, met: Access, count: Access, value: Literal, places: int) -> Expr:
    """What was met, with the value of every other place reduced into it."""
    left = Apply("sub", (Literal(places), count))
    all_of_them: Expr
    if reduce == "add":
        all_of_them = Apply("add", (met, Apply("mul", (left, value))))
        if cmath.isfinite(value.value):
            return all_of_them
    elif reduce == "mul":
        all_of_them = Apply("mul", (met, Apply("pow", (value, left))))
    else:
        all_of_them = Apply(reduce, (met, value))
    return Apply("where", (Apply("lt", (count, Literal(places))), all_of_them, met))

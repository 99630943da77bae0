"""Statements over operands of one pattern as statements over their values, one after the other."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from scorch.ir.absence import absent_value, guarded
from scorch.ir.notation import Access, Apply, Assign, Expr, accesses

__all__ = ["over_values"]


def over_values(statement: Assign, aligned: Collection[str], fills: Mapping[str, Any]) -> Assign | None:
    """The statement over positions `p` of the operands in `aligned`, which share a pattern; None if that won't do.

    Every other operand has to be a scalar. `fills` has the fills of the sparse ones.

    >>> a, b = Access("A", ("i", "j")), Access("B", ("i", "j"))
    >>> made = over_values(Assign(Access("C", ("i", "j")), Apply("add", (a, b))), {"A", "B"}, {"A": 0, "B": 0})
    >>> print(made)
    C[p] = A[p] + B[p]
    """
    read = set(accesses(statement.expr))
    if statement.reduced or statement.equal or not statement.target.indices:
        return None
    if any(a.indices != (statement.target.indices if a.tensor in aligned else ()) for a in read):
        return None
    if guarded(statement.expr)[0] is not None or absent_value(statement.expr, fills) is None:
        return None
    return Assign(Access(statement.target.tensor, ("p",)), _at_positions(statement.expr))


def _at_positions(expr: Expr) -> Expr:
    if isinstance(expr, Access):
        return Access(expr.tensor, ("p",)) if expr.indices else expr
    return Apply(expr.op, tuple(map(_at_positions, expr.args))) if isinstance(expr, Apply) else expr

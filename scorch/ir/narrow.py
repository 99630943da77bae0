"""Wide unions in parts: a sum of many sparse operands is a merge of as many, whose loops double with each of them.

C[i,j] = A[i,j] + B[i,j] + D[i,j] + E[i,j]     ->     C.part0[i,j] = A[i,j] + B[i,j]
                                                      C[i,j] = C.part0[i,j] + D[i,j] + E[i,j]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

from scorch.ir.absence import absent_value, annihilates, points_of
from scorch.ir.notation import Access, Apply, Assign, Expr, Literal, accesses
from scorch.ir.operators import operator
from scorch.ir.statement import ABSENT

__all__ = ["narrowed"]

WIDEST = 8  # sets of operands that a kernel tells apart: a union of three has seven
DEEPEST = 3  # the same where loops are three deep or more, as each of them tells the cases apart


def narrowed(statement: Assign, fills: Mapping[str, Any]) -> tuple[Assign, ...]:
    """The statement, after parts of it that become temporaries where one kernel had too many cases.

    `fills` has the fill of each sparse operand. A part stores what its operands store, so that nothing changes its
    meaning.

    >>> a, b, d, e = (Access(name, ("i",)) for name in "ABDE")
    >>> wide = Assign(Access("C", ("i",)), Apply("add", (a, b, d, e)))
    >>> for part in narrowed(wide, {name: 0 for name in "ABDE"}):
    ...     print(part)
    C.part0[i] = A[i] + B[i]
    C[i] = C.part0[i] + D[i] + E[i]
    """
    parts = _Parts(statement, dict(fills))
    expr = parts.narrow(statement.expr)
    if not parts.made:
        return (statement,)
    return (*parts.made, Assign(statement.target, expr, statement.reduce, _kept(statement, expr)))


def _kept(statement: Assign, expr: Expr) -> tuple[tuple[str, str], ...]:
    read = {v for access in accesses(expr) for v in access.indices}
    return tuple(pair for pair in statement.equal if pair[0] in read)


class _Parts:
    """The temporaries that one statement has been given."""

    def __init__(self, statement: Assign, fills: dict[str, Any]) -> None:
        self.statement = statement
        self.fills = fills
        self.made: list[Assign] = []
        self.names: Iterator[str] = (f"{statement.target.tensor}.part{n}" for n in count())

    def narrow(self, expr: Expr) -> Expr:
        """The expression with few cases: `WIDEST`, or `DEEPEST` in deep loops; its arguments narrowed first."""
        if not isinstance(expr, Apply):
            return expr
        made = Apply(expr.op, tuple(map(self.narrow, expr.args)))
        limit = WIDEST if len(self.statement.indices) < 3 else DEEPEST
        while self.cases(made) > limit:
            smaller = self.without_one(made)
            if smaller == made:
                break
            made = smaller
        return made

    def without_one(self, expr: Apply) -> Apply:
        """The expression with its widest argument, or its first two, as a temporary."""
        widths = [self.cases(arg) if self.may_be_made(arg) else 0 for arg in expr.args]
        widest = widths.index(max(widths))
        if widths[widest] > 1:
            args = list(expr.args)
            args[widest] = self.temporary(args[widest])
            return Apply(expr.op, tuple(args))
        first = Apply(expr.op, expr.args[:2])
        if not operator(expr.op).associative or len(expr.args) < 3 or not self.may_be_made(first):
            return expr
        return Apply(expr.op, (self.temporary(first), *expr.args[2:]))

    def may_be_made(self, expr: Expr) -> bool:
        """Whether an argument may be a tensor of its own: it is an operator's value, and has one everywhere."""
        if isinstance(expr, Apply) and expr.op == "number":
            return self.may_be_made(expr.args[0])
        if not isinstance(expr, Apply) or expr.op == "stored" or _has_absent(expr):
            return False
        return not any(self.fills.get(access.tensor) == ABSENT.value for access in accesses(expr))

    def temporary(self, expr: Expr) -> Expr:
        """The expression as a tensor over all its indices, sparse where it is a constant without its operands."""
        if isinstance(expr, Apply) and expr.op == "number":  # of a type that depends on what it meets
            return Apply("number", (self.temporary(expr.args[0]),))
        read = dict.fromkeys(v for access in accesses(expr) for v in access.indices)
        equal = tuple(pair for pair in self.statement.equal if pair[0] in read)
        copies = {first for first, _ in equal}
        access = Access(next(self.names), tuple(v for v in read if v not in copies))
        self.made.append(Assign(access, expr, "add", equal))
        value = absent_value(expr, self.fills)
        if value is not None:
            self.fills[access.tensor] = value.value
        return access

    def cases(self, expr: Expr) -> int:
        """The sets of sparse operands whose presence an expression tells apart; an estimate where there are many."""
        bound = self.bound(expr)
        if bound <= WIDEST or bound > 256:
            return bound
        walkers = list(dict.fromkeys(a for a in accesses(expr) if a.tensor in self.fills))
        return len(points_of(expr, walkers, self.fills))

    def bound(self, expr: Expr) -> int:
        """A number of cases that is never too small."""
        if not isinstance(expr, Apply):
            return 1
        total = 1
        for place, arg in enumerate(expr.args):
            value = absent_value(arg, self.fills)
            needed = value is not None and expr.op != "where" and annihilates(expr.op, place, value.value)
            constant = isinstance(arg, Literal) or not any(a.tensor in self.fills for a in accesses(arg))
            total *= self.bound(arg) + (not needed and not constant)
        return total


def _has_absent(expr: Expr) -> bool:
    return expr == ABSENT or (isinstance(expr, Apply) and any(map(_has_absent, expr.args)))

"""The iteration space of a statement tree as one expression, and the tree that is left where some accesses are
absent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from scorch.ir.absence import without
from scorch.ir.notation import Access, Apply, Expr, Literal, substitute
from scorch.ir.operators import operator
from scorch.ir.plan import Block, Classes, Compute, Loop, Stmt, Where

__all__ = ["iteration_space", "restrict"]


def iteration_space(stmt: Stmt) -> Expr:
    """The expression whose lattice tells where the statement has something to do.

    A workspace stands for the expression that it is computed from; statements in sequence need the union of their
    spaces.
    """
    match stmt:
        case Compute(_, _, expr):
            return expr
        case Loop(_, body):
            return iteration_space(body)
        case Where(workspace, producer, consumer):
            made = Access(workspace.name, workspace.indices)
            return substitute(iteration_space(consumer), {made: iteration_space(producer)})
        case Block(stmts):
            spaces = tuple(map(iteration_space, stmts))
            return spaces[0] if len(spaces) == 1 else Apply("add", spaces)
        case Classes(_, many):
            return iteration_space(many)


def restrict(stmt: Stmt, gone: Mapping[Access, Literal]) -> Stmt | None:
    """The statement where these accesses have no entry, but these values; None where it has nothing left to do.

    A workspace that nothing is reduced into keeps the identity of its reduction.

    >>> a, b, c = (Access(n, ("i",)) for n in "ABC")
    >>> print(restrict(Compute(c, None, Apply("add", (a, b))), {b: Literal(0)}))
    C[i] = A[i]
    """
    if not gone:
        return stmt
    match stmt:
        case Compute(target, reduce, expr):
            left, constant = without(expr, gone)
            return None if constant else Compute(target, reduce, left)
        case Loop(_, body):
            inner = restrict(body, gone)
            return None if inner is None else replace(stmt, body=inner)
        case Where(workspace, producer, consumer):
            made = restrict(producer, gone)
            if made is None:
                empty = Literal(operator(workspace.reduce).identity)
                return restrict(consumer, {**gone, Access(workspace.name, workspace.indices): empty})
            used = restrict(consumer, gone)
            return None if used is None else Where(workspace, made, used)
        case Block(stmts):
            kept = tuple(inner for s in stmts if (inner := restrict(s, gone)) is not None)
            return Block(kept) if kept else None
        case Classes(few, many):
            one, other = restrict(few, gone), restrict(many, gone)
            return Classes(one, other) if isinstance(one, Where) and isinstance(other, Where) else other

"""The iteration space of a statement tree as one expression, and the tree that is left where some accesses are
absent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from scorch.ir.notation import Access, Apply, Expr, Literal
from scorch.ir.operators import operator
from scorch.ir.plan import Block, Compute, Loop, Stmt, Where

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
            return _substitute(iteration_space(consumer), {made: iteration_space(producer)})
        case Block(stmts):
            spaces = tuple(map(iteration_space, stmts))
            return spaces[0] if len(spaces) == 1 else Apply("add", spaces)


def _substitute(expr: Expr, by: Mapping[Expr, Expr]) -> Expr:
    if expr in by:
        return by[expr]
    if isinstance(expr, Apply):
        return Apply(expr.op, tuple(_substitute(arg, by) for arg in expr.args))
    return expr


def restrict(stmt: Stmt, absent: frozenset[Access]) -> Stmt | None:
    """The statement where these accesses have no stored value; None where it has nothing left to do.

    >>> a, b, c = (Access(n, ("i",)) for n in "ABC")
    >>> print(restrict(Compute(c, None, Apply("add", (a, b))), frozenset({b})))
    C[i] = A[i]
    """
    if not absent:
        return stmt
    match stmt:
        case Compute(target, reduce, expr):
            left = _without(expr, absent)
            return None if left is None else Compute(target, reduce, left)
        case Loop(_, body):
            inner = restrict(body, absent)
            return None if inner is None else replace(stmt, body=inner)
        case Where(workspace, producer, consumer):
            made = restrict(producer, absent)
            if made is None:
                return restrict(consumer, absent | {Access(workspace.name, workspace.indices)})
            used = restrict(consumer, absent)
            return None if used is None else Where(workspace, made, used)
        case Block(stmts):
            kept = tuple(inner for s in stmts if (inner := restrict(s, absent)) is not None)
            return Block(kept) if kept else None


def _without(expr: Expr, absent: frozenset[Access]) -> Expr | None:
    """The expression with absent accesses at their fill, 0; None if all of it is 0 then."""
    if isinstance(expr, Access):
        return None if expr in absent else expr
    if isinstance(expr, Literal):
        return expr
    args = [_without(arg, absent) for arg in expr.args]
    if all(arg is None for arg in args):
        return None
    rule = operator(expr.op)
    if rule.annihilator == 0 and None in args:
        return None
    if rule.identity == 0:
        present = tuple(arg for arg in args if arg is not None)
        return present[0] if len(present) == 1 else Apply(expr.op, present)
    if expr.op == "sub" and args[1] is None:
        return args[0]
    return Apply(expr.op, tuple(Literal(0) if arg is None else arg for arg in args))

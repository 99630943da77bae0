"""Statements as they are written to statements that reduce their whole right-hand side.

Under `=` an index that the target lacks is summed over the smallest part of the right-hand side that holds all its
occurrences, where the parts of a sum or product are any of its terms or factors. A sum inside other operators becomes a
temporary:

    C[i,j] = A[i,k] * B[k,j] + D[i,j]     ->     _t0[i,j] += A[i,k] * B[k,j]
                                                 C[i,j] = _t0[i,j] + D[i,j]

Sums move outward through products and signs, as they may in any ring, so that `s * (A[i,k] * B[k,j])` needs none. Under
`op=` the whole right-hand side is reduced, as written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count
from typing import TypeAlias

from scorch.ir.check import check_statements
from scorch.ir.constants import fold
from scorch.ir.notation import Access, Apply, Assign, Expr, Literal, accesses
from scorch.ir.statement import ABSENT, Raw, apply

__all__ = ["normalise"]

Indices: TypeAlias = frozenset[str]
Placed: TypeAlias = tuple[Expr, Indices]
"""An expression, and its indices over which it is still to be summed."""

NONE: Indices = frozenset()


def normalise(statements: Sequence[Raw]) -> tuple[Assign, ...]:
    """Statements as the schedule takes them, temporaries before what reads them; the last has the result.

    Repeated indices become copies that must be equal, as in `parse_einsum`; constants are folded, and one that a scalar
    temporary holds is put where it is read. Raises NotationError as `check_statements` does.

    >>> from scorch.ir.parse import parse_statements
    >>> for statement in normalise(parse_statements("C[i,j] = A[i,k] * B[k,j] + D[i,j]; t = C[i,i]")):
    ...     print(statement)
    _t0[i,j] += A[i,k] * B[k,j]
    C[i,j] = _t0[i,j] + D[i,j]
    t += C[i,i2], i2 == i
    """
    check_statements(statements)
    fresh = _fresh_names(statements)
    constants: dict[Access, Literal] = {}
    made: list[Assign] = []
    for n, raw in enumerate(statements):
        expr = fold(raw.expr, constants)
        if isinstance(expr, Literal) and not raw.target.indices and n < len(statements) - 1:
            constants[raw.target] = expr
            continue
        sums = _Sums(raw.target, fresh)
        if raw.reduce is None:
            expr, _ = sums.place(expr, frozenset(raw.target.indices))
        made += [*sums.temporaries, _assign(raw.target, _guarded_whole(expr), raw.reduce or "add")]
    return tuple(made)


class _Sums:
    """The sums inside one statement, and the temporaries that they become."""

    def __init__(self, target: Access, fresh: Iterator[str]) -> None:
        self.target = target
        self.fresh = fresh
        self.temporaries: list[Assign] = []

    def place(self, expr: Expr, bound: Indices) -> Placed:
        """The expression with temporaries for the sums that must be inside it, and the indices of those that needn't.

        `bound` are the indices that something outside the expression has, so that they can't be summed here.
        """
        if isinstance(expr, Literal):
            return expr, NONE
        if isinstance(expr, Access) or expr.op == "stored":
            return expr, _indices(expr) - bound
        if expr.op in ("add", "sub"):
            return self.chain(expr, bound)
        shared = _shared(expr.args) - bound
        pending = shared
        args = []
        for n, arg in enumerate(expr.args):
            placed, own = self.place(arg, bound | shared)
            if n in _linear(expr):
                pending |= own
            else:
                placed, own = self.temporary(placed, own), NONE
            args.append(placed)
        return apply(expr.op, *args), pending

    def chain(self, expr: Apply, bound: Indices) -> Placed:
        """Terms joined by + and -. Those that are summed over the same indices stay together."""
        terms = list(_terms(expr))
        shared = _shared([term for _, term in terms]) - bound
        placed: list[tuple[int, Expr, Indices]] = []
        for sign, term in terms:
            inner, own = self.place(term, bound | shared)
            placed.append((sign, inner, own | (_indices(term) & shared)))
        needs = dict.fromkeys(need for _, _, need in placed)
        if len(needs) == 1:
            return _rebuild(expr, iter([inner for _, inner, _ in placed])), placed[0][2]
        parts: list[tuple[int, Expr]] = []
        for need in needs:
            group = [(sign, inner) for sign, inner, other in placed if other == need]
            if need:
                lead = group[0][0]
                whole = _signed_sum([(sign * lead, inner) for sign, inner in group])
                group = [(lead, self.temporary(whole, need))]
            parts += group
        return _signed_sum(parts), NONE

    def temporary(self, expr: Expr, summed: Indices) -> Expr:
        """The expression summed over these indices as a temporary; itself if there are none."""
        if not summed:
            return expr
        free = dict.fromkeys(v for access in accesses(expr) for v in access.indices)
        order = dict.fromkeys((*(v for v in self.target.indices if v in free), *free))
        access = Access(next(self.fresh), tuple(v for v in order if v not in summed))
        self.temporaries.append(_assign(access, expr, "add"))
        return access


def _guarded_whole(expr: Expr) -> Expr:
    """The expression with conditions under which an argument has no value around the whole of it: then it has none.

    >>> from scorch.ir.parse import parse_expression
    >>> print(_guarded_whole(parse_expression("x[i] + where(A[i] > 1, A[i], absent)")))
    where(A[i] > 1, x[i] + A[i], absent)
    """
    if not isinstance(expr, Apply) or expr.op == "stored":
        return expr
    args = [_guarded_whole(arg) for arg in expr.args]
    conditions: list[Expr] = []
    for n, arg in enumerate(args[:1] if expr.op == "where" else args):  # a branch has its condition already
        match arg:
            case Apply("where", (condition, value, no)) if no == ABSENT:
                conditions.append(condition)
                args[n] = value
            case Apply("where", (condition, yes, value)) if yes == ABSENT:
                conditions.append(Apply("not", (condition,)))
                args[n] = value
    whole: Expr = Apply(expr.op, tuple(args))
    for condition in reversed(conditions):
        whole = Apply("where", (condition, whole, ABSENT))
    return whole


def _linear(expr: Apply) -> tuple[int, ...]:
    """The arguments through which a sum may move outward: op(sum(a), b) = sum(op(a, b))."""
    nothing = (ABSENT, Literal(0))
    match expr.op, expr.args:
        case (("mul" | "neg"), _):
            return tuple(range(len(expr.args)))
        case "where", (_, _, other) if other in nothing:
            return (1,)
        case "where", (_, other, _) if other in nothing:
            return (2,)
    return ()


def _indices(expr: Expr) -> Indices:
    return frozenset(v for access in accesses(expr) for v in access.indices)


def _shared(exprs: Sequence[Expr]) -> Indices:
    """The indices that more than one of the expressions have."""
    return frozenset(v for v, times in Counter(v for expr in exprs for v in _indices(expr)).items() if times > 1)


def _terms(expr: Expr, sign: int = 1) -> Iterator[tuple[int, Expr]]:
    """The terms of nested sums and differences with their signs, left to right."""
    if isinstance(expr, Apply) and expr.op in ("add", "sub"):
        for n, arg in enumerate(expr.args):
            yield from _terms(arg, -sign if expr.op == "sub" and n else sign)
    else:
        yield sign, expr


def _rebuild(expr: Expr, terms: Iterator[Expr]) -> Expr:
    """The sums and differences as they were, over other terms."""
    if isinstance(expr, Apply) and expr.op in ("add", "sub"):
        return apply(expr.op, *[_rebuild(arg, terms) for arg in expr.args])
    return next(terms)


def _signed_sum(parts: Sequence[tuple[int, Expr]]) -> Expr:
    sign, total = parts[0]
    if sign < 0:
        total = Apply("neg", (total,))
    for sign, part in parts[1:]:
        total = apply("add" if sign > 0 else "sub", total, part)
    return total


def _assign(target: Access, expr: Expr, reduce: str) -> Assign:
    """The statement in which each level of an access has an index of its own: A[i,i] reads A[i,i2] with i2 == i."""
    taken = set(_indices(expr))
    equal: list[tuple[str, str]] = []
    copies: dict[Access, Access] = {}
    for access in accesses(expr):
        if access in copies:
            continue
        distinct: list[str] = []
        for v in access.indices:
            own = v
            if v in distinct:
                own = next(name for n in count(2) if (name := f"{v}{n}") not in taken)
                taken.add(own)
                equal.append((own, v))
            distinct.append(own)
        copies[access] = Access(access.tensor, tuple(distinct))
    return Assign(target, _replaced(expr, copies), reduce, tuple(equal))


def _replaced(expr: Expr, by: dict[Access, Access]) -> Expr:
    if isinstance(expr, Access):
        return by[expr]
    return expr if isinstance(expr, Literal) else Apply(expr.op, tuple(_replaced(arg, by) for arg in expr.args))


def _fresh_names(statements: Sequence[Raw]) -> Iterator[str]:
    """Names of temporaries that no statement uses."""
    read = [access for raw in statements for access in (raw.target, *accesses(raw.expr))]
    used = {name for access in read for name in (access.tensor, *access.indices)}
    return (name for n in count() if (name := f"_t{n}") not in used)

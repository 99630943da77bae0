"""What an expression is worth where operands have no entry: fills, annihilators and `stored` meet here.

An absent entry has its operand's fill. A fill that is an operator's annihilator decides the result whatever the other
arguments are: 0 times an infinity outside the pattern is 0, as sparse libraries and GraphBLAS have it, while a stored 0
follows the arithmetic of its number type.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any

from scorch.ir.notation import Access, Apply, Expr, Literal, accesses
from scorch.ir.operators import evaluate, operator
from scorch.ir.statement import ABSENT

__all__ = ["absent_value", "annihilates", "contradiction", "guarded", "is_same", "points_of", "without"]

INF = float("inf")
_BOUNDS: dict[str, tuple[float, ...]] = {"add": (INF, -INF), "sub": (INF, -INF), "max": (INF,), "min": (-INF,)}


def annihilates(op: str, place: int, value: Any) -> bool:
    """Whether an absent argument of this value decides the result of an operator.

    >>> annihilates("mul", 1, 0), annihilates("add", 0, float("inf")), annihilates("div", 1, 0)
    (True, True, False)
    """
    if value == ABSENT.value:
        return True
    rule = operator(op)
    if rule.zero_left:
        return place == 0 and value == 0
    if value in _BOUNDS.get(op, ()):
        return True
    if op == "or":  # True beside integers is 1, which decides one bit only
        return False
    return rule.annihilator is not None and bool(value == rule.annihilator)


def without(expr: Expr, gone: Mapping[Access, Literal]) -> tuple[Expr, bool]:
    """The expression where these accesses have no entry, and whether that makes it a constant.

    Arguments that are the identity of their operator are left out.

    >>> a, b = Access("A", ("i",)), Access("B", ("i",))
    >>> for op in ("mul", "add"):
    ...     left, constant = without(Apply(op, (a, b)), {a: Literal(0)})
    ...     print(left, constant)
    0 True
    B[i] False
    """
    if isinstance(expr, Access):
        return (gone[expr], True) if expr in gone else (expr, False)
    if isinstance(expr, Literal):
        return expr, False
    args = [without(arg, gone) for arg in expr.args]
    if expr.op == "stored":
        (arg, constant), *_ = args
        return (Literal(False), True) if constant else (Apply("stored", (arg,)), False)
    if expr.op == "where":
        return _choice(args)
    return _applied(expr.op, args)


def _choice(args: list[tuple[Expr, bool]]) -> tuple[Expr, bool]:
    """where(condition, yes, no): the branch of a known condition, or the value that both branches have."""
    (condition, known), yes, no = args
    if known and isinstance(condition, Literal):
        chosen = yes if condition.value else no
        return chosen[0], chosen[1] or isinstance(chosen[0], Literal)
    constants = isinstance(yes[0], Literal) and isinstance(no[0], Literal)
    if constants and (yes[1] or no[1]) and is_same(yes[0], no[0]):
        return yes[0], True  # also where the notation gives one of them: where(c, A[i], 0) without A[i]
    return Apply("where", (condition, yes[0], no[0])), False


def _applied(op: str, args: list[tuple[Expr, bool]]) -> tuple[Expr, bool]:
    if any(constant and arg == ABSENT for arg, constant in args):
        return ABSENT, True  # no value, whatever the others are
    for place, (arg, constant) in enumerate(args):
        if constant and isinstance(arg, Literal) and annihilates(op, place, arg.value):
            negated = op == "sub" and place == 1 and arg != ABSENT
            return (Literal(-arg.value) if negated else arg), True
    values = [arg.value for arg, _ in args if isinstance(arg, Literal)]
    if len(values) == len(args) and any(constant for _, constant in args):
        return Literal(evaluate(op, *values)), True
    kept = [arg for place, (arg, constant) in enumerate(args) if not (constant and _is_identity(op, place, arg))]
    if len(kept) == 1 and len(args) > 1:
        return kept[0], False
    return Apply(op, tuple(kept) if operator(op).associative else tuple(arg for arg, _ in args)), False


def _is_identity(op: str, place: int, arg: Expr) -> bool:
    rule = operator(op)
    if not isinstance(arg, Literal):
        return False
    if op == "sub":
        return place == 1 and bool(arg.value == 0)
    return rule.associative and op != "and" and bool(arg.value == rule.identity)  # True is none of integers


def is_same(left: Expr, right: Expr) -> bool:
    """Whether two constants are the same value, NaN included.

    >>> is_same(Literal(float("nan")), Literal(float("nan"))), is_same(Literal(0), Literal(0.0))
    (True, True)
    """
    if not (isinstance(left, Literal) and isinstance(right, Literal)):
        return left == right
    return bool(left.value == right.value) or (left.value != left.value and right.value != right.value)


def absent_value(expr: Expr, fills: Mapping[str, Any]) -> Literal | None:
    """The value of an expression wherever no sparse operand has an entry; None if dense operands decide it.

    `fills` has the fill of each sparse operand.

    >>> a, x = Access("A", ("i", "j")), Access("x", ("j",))
    >>> absent_value(Apply("exp", (a,)), {"A": 0}), absent_value(Apply("add", (a, x)), {"A": 0})
    (Literal(value=1.0), None)
    """
    gone = {a: Literal(fills[a.tensor]) for a in accesses(expr) if a.tensor in fills}
    value, constant = without(expr, gone)
    return value if constant and isinstance(value, Literal) else None


def contradiction(expr: Expr, fills: Mapping[str, Any]) -> Expr | None:
    """A sum or difference that absent entries of one argument make infinite, and those of another minus infinite.

    >>> a, b = Access("A", ("i",)), Access("B", ("i",))
    >>> print(contradiction(Apply("sub", (a, b)), {"A": INF, "B": INF}))
    A[i] - B[i]
    >>> contradiction(Apply("add", (a, b)), {"A": INF, "B": INF}) is None
    True
    """
    if not isinstance(expr, Apply):
        return None
    if expr.op in ("add", "sub"):
        values = [absent_value(arg, fills) for arg in expr.args]
        signs = [-1 if expr.op == "sub" and place else 1 for place in range(len(values))]
        decided = {sign * v.value for sign, v in zip(signs, values, strict=True) if v and v.value in (INF, -INF)}
        if len(decided) > 1:
            return expr
    return next((found for arg in expr.args if (found := contradiction(arg, fills)) is not None), None)


def points_of(expr: Expr, walkers: Iterable[Access], fills: Mapping[str, Any]) -> list[tuple[frozenset[Access], Expr]]:
    """The sets of walked accesses whose presence gives the expression a value of its own, with what it then is.

    An empty set among them means that it has one at every coordinate.
    """
    gone = {a: Literal(fills.get(a.tensor, 0)) for a in walkers}
    found = []
    for present in dict.fromkeys(_candidates(expr, gone)):
        left, constant = without(expr, {a: fill for a, fill in gone.items() if a not in present})
        if not constant:
            found.append((present, left))
    return found


def _candidates(expr: Expr, gone: Mapping[Access, Literal]) -> list[frozenset[Access]]:
    """Sets of accesses that may be present together where the expression has a value of its own.

    Where an absent argument annihilates, only sets with it are made, so that a product of many has one.
    """
    if isinstance(expr, Access):
        return [frozenset({expr})] if expr in gone else [frozenset()]
    if isinstance(expr, Literal):
        return [frozenset()]
    options: list[list[frozenset[Access]]] = []
    for place, arg in enumerate(expr.args):
        sets = _candidates(arg, gone)
        value, constant = without(arg, gone)
        needed = (
            constant and isinstance(value, Literal) and expr.op != "where" and annihilates(expr.op, place, value.value)
        )
        options.append(sets if needed else list(dict.fromkeys([*sets, frozenset[Access]()])))
    return [frozenset[Access]().union(*sets) for sets in product(*options)]


def guarded(expr: Expr) -> tuple[Expr | None, Expr]:
    """The condition under which an expression has a value at all, and that value.

    None if its value never depends on a condition that loops over entries do not settle.

    >>> from scorch.ir.parse import parse_expression
    >>> for text in ("where(A[i] > 1, A[i], absent)", "where(stored(M[i]), x[i], absent)"):
    ...     print(*guarded(parse_expression(text)), sep="; ")
    A[i] > 1; A[i]
    None; x[i]
    """
    condition, value = _split(expr)
    return (None if _is_settled(condition) else condition), (Literal(0) if value is None else value)


def _split(expr: Expr) -> tuple[Expr, Expr | None]:
    if expr == ABSENT:
        return Literal(False), None
    if not (isinstance(expr, Apply) and expr.op == "where"):
        return Literal(True), expr
    condition, (if_yes, yes), (if_no, no) = expr.args[0], _split(expr.args[1]), _split(expr.args[2])
    if if_yes == if_no == Literal(True):
        return Literal(True), expr
    if no is None:
        return _both(condition, if_yes), yes
    if yes is None:
        return _both(Apply("not", (condition,)), if_no), no
    return Apply("where", (condition, if_yes, if_no)), Apply("where", (condition, yes, no))


def _both(left: Expr, right: Expr) -> Expr:
    return left if right == Literal(True) else Apply("and", (left, right))


def _is_settled(condition: Expr) -> bool:
    """Whether a condition only asks what is stored, which holds wherever loops over entries come to it."""
    if isinstance(condition, Apply):
        return condition.op == "stored" or (condition.op in ("and", "or") and all(map(_is_settled, condition.args)))
    return condition == Literal(True)

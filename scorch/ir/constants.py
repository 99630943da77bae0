"""Constant folding: what has a value before any operand is known."""

from __future__ import annotations

from collections.abc import Mapping

from scorch.ir.notation import Access, Apply, Expr, Literal
from scorch.ir.operators import evaluate
from scorch.ir.statement import ABSENT, apply

__all__ = ["fold"]


def fold(expr: Expr, known: Mapping[Access, Literal] | None = None) -> Expr:
    """The expression with its constant parts computed, and the accesses in `known` replaced by their values.

    The constants of a sum or product are taken together, in the place of the first. Nothing is left out, not even a
    factor 1, which may decide the number type.

    >>> from scorch.ir.parse import parse_expression
    >>> print(fold(parse_expression("2 * A[i] * 3 - exp(0)")).args[0])
    6 * A[i]
    """
    if isinstance(expr, Access):
        return (known or {}).get(expr, expr)
    if isinstance(expr, Literal):
        return expr
    folded = apply(expr.op, *(fold(arg, known) for arg in expr.args))
    assert isinstance(folded, Apply)
    args = _collected(folded) if folded.op in ("add", "mul") else folded.args
    if len(args) == 1 and len(folded.args) > 1:
        return args[0]
    return _value(folded.op, args) or Apply(folded.op, args)


def _collected(expr: Apply) -> tuple[Expr, ...]:
    """The arguments of a sum or product, its constants as one."""
    numbers = [arg for arg in expr.args if isinstance(arg, Literal)]
    total = _value(expr.op, tuple(numbers)) if len(numbers) > 1 else None
    if total is None:
        return expr.args
    first = expr.args.index(numbers[0])
    return tuple(
        total if n == first else arg for n, arg in enumerate(expr.args) if n == first or not isinstance(arg, Literal)
    )


def _value(op: str, args: tuple[Expr, ...]) -> Literal | None:
    """The value of an operator on constants; None if an argument is none, or the operator has no answer for them."""
    values = [arg.value for arg in args if isinstance(arg, Literal) and arg != ABSENT]
    if len(values) < len(args) or op == "stored":
        return None
    try:
        return Literal(evaluate(op, *values))
    except TypeError:
        return None

"""Derivatives as notation: the gradient of a statement is statements, which are compiled as any other.

    C[i,j] += A[i,k] * B[k,j]     ->     dB[k,j] += dC[i,j] * A[i,k]

Reverse mode, one statement at a time: each adds the gradient of its result, times the partial derivative of its
right-hand side, to the gradient of each access, summed over the indices that the access lacks.
"""

from __future__ import annotations

from functools import cache, reduce

from scorch.errors import UnsupportedError
from scorch.ir.notation import Access, Apply, Assign, Expr, Literal, accesses
from scorch.ir.operators import operator
from scorch.ir.parse import parse_expression
from scorch.ir.statement import ABSENT, apply

__all__ = ["adjoint", "is_product", "masked", "partial"]

ZERO, ONE = Literal(0), Literal(1)


def is_product(expr: Expr) -> bool:
    """Whether an expression is a product of accesses, each of another tensor: linear in each of them.

    >>> is_product(parse_expression("A[i,k] * B[k,j]")), is_product(parse_expression("A[i] * A[i]"))
    (True, False)
    """
    factors = expr.args if isinstance(expr, Apply) and expr.op == "mul" else (expr,)
    names = [factor.tensor for factor in factors if isinstance(factor, Access)]
    return len(names) == len(factors) == len(set(names))


def adjoint(
    statement: Assign, access: Access, grad: Access, out: Access, names: tuple[str, str] = ("n", "p")
) -> tuple[tuple[Assign, ...], Expr]:
    """The gradient of an access, still to be summed over the indices that it lacks, and statements that it reads.

    `grad` and `out` are the gradient and the value of the statement's result; `names` are free for the statements. Ties
    of max= and min= share the gradient evenly, as those of torch.amax do.

    >>> C, A, B = Access("C", ("i", "j")), Access("A", ("i", "k")), Access("B", ("k", "j"))
    >>> print(adjoint(Assign(C, Apply("mul", (A, B))), B, Access("dC", ("i", "j")), C)[1])
    dC[i,j] * A[i,k]
    """
    slope = partial(statement.expr, access)
    if slope == ZERO:
        return (), ZERO
    if not statement.reduced or statement.reduce == "add":
        return (), _times(grad, slope)
    count, product = (Access(name, out.indices) for name in names)
    expr, equal = statement.expr, statement.equal
    if statement.reduce in ("max", "min"):
        met = Apply("eq", (expr, out))
        ties = Assign(count, Apply("where", (met, ONE, ZERO)), "add", equal)
        return (ties,), Apply("where", (met, Apply("div", (_times(grad, slope), count)), ZERO))
    if statement.reduce == "mul":
        # of one factor 0, the others' product; of more, nothing: not out / factor, which has no value there
        none = Apply("eq", (expr, ZERO))
        zeros = Assign(count, Apply("where", (none, ONE, ZERO)), "add", equal)
        others = Assign(product, Apply("where", (none, ONE, expr)), "mul", equal)
        here = Apply("where", (Apply("eq", (count, ZERO)), Apply("div", (product, expr)), ZERO))
        alone = Apply("where", (Apply("eq", (count, ONE)), product, ZERO))
        return (zeros, others), _times(grad, _times(slope, Apply("where", (none, alone, here))))
    raise UnsupportedError(f"{statement} has no derivative: {statement.reduce} reduces truth values")


def partial(expr: Expr, access: Access) -> Expr:
    """The derivative of an expression with respect to an access, by the chain rule and the operator table.

    >>> print(partial(parse_expression("tanh(A[i]) * x"), Access("A", ("i",))))
    x * (1 - (tanh(A[i]) * tanh(A[i])))
    """
    if isinstance(expr, Access):
        return ONE if expr == access else ZERO
    if isinstance(expr, Literal) or access not in accesses(expr):
        return ZERO
    if expr.op == "where":
        condition, *branches = expr.args
        yes, no = (partial(branch, access) for branch in branches)
        return ZERO if yes == no == ZERO else Apply("where", (condition, yes, no))
    if expr.op in ("add", "mul"):
        return _of_many(expr, access)
    if len(expr.args) > operator(expr.op).arity:
        first, *others = expr.args
        return partial(reduce(lambda a, b: Apply(expr.op, (a, b)), others, first), access)
    terms = [
        _times(_slope(expr, place), inner)
        for place, arg in enumerate(expr.args)
        if (inner := partial(arg, access)) != ZERO and operator(expr.op).derivative[place] != "0"
    ]
    return reduce(lambda a, b: apply("add", a, b), terms) if terms else ZERO


def _of_many(expr: Apply, access: Access) -> Expr:
    """The derivative of a sum or product of any number of arguments."""
    terms: list[Expr] = []
    for place, arg in enumerate(expr.args):
        inner = partial(arg, access)
        if inner == ZERO:
            continue
        others = (*expr.args[:place], *expr.args[place + 1 :]) if expr.op == "mul" else ()
        terms.append(_times(*others, inner))
    return reduce(lambda a, b: apply("add", a, b), terms) if terms else ZERO


def _times(*factors: Expr) -> Expr:
    """A product without the factors 1."""
    kept = [factor for factor in factors if factor != ONE]
    return reduce(lambda a, b: apply("mul", a, b), kept) if kept else ONE


def _slope(expr: Apply, place: int) -> Expr:
    """The operator's partial derivative with respect to one argument, at these arguments."""
    by = {Access(name, ()): arg for name, arg in zip("abc", expr.args, strict=False)}
    return _replaced(_parsed(operator(expr.op).derivative[place]), {**by, Access("out", ()): expr})


@cache
def _parsed(text: str) -> Expr:
    return parse_expression(text)


def _replaced(expr: Expr, by: dict[Access, Expr]) -> Expr:
    if isinstance(expr, Access):
        return by.get(expr, expr)
    return expr if isinstance(expr, Literal) else apply(expr.op, *(_replaced(arg, by) for arg in expr.args))


def masked(expr: Expr, mask: Access) -> Expr:
    """The expression at the entries of a tensor only."""
    return Apply("where", (Apply("stored", (mask,)), expr, ABSENT))

"""A failing case made smaller while it still fails: fewer statements, simpler expressions and operands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from time import monotonic

from scorch.formats import Format, dense
from scorch.ir.notation import Access, Apply, Expr, accesses
from scorch.ir.statement import Raw
from scorch.testing.cases import Case, tensors_of
from scorch.testing.tensors import Operand

__all__ = ["shrunk"]

_TRIES = 400
_SECONDS = 60.0


def shrunk(case: Case, fails: Callable[[Case], bool]) -> Case:
    """The smallest case that is found by taking things away as long as `fails` says so.

    >>> from random import Random
    >>> from scorch.testing import random_case
    >>> case = random_case(Random(8))
    >>> small = shrunk(case, lambda c: "div" in repr(c.statements))
    >>> len(small.text) < len(case.text), small.text.count("/")
    (True, 1)
    """
    left, end = _TRIES, monotonic() + _SECONDS
    progress = True
    while progress:
        progress = False
        for smaller in _smaller(case):
            if left == 0 or monotonic() > end:
                return case
            left -= 1
            if fails(smaller):
                case, progress = smaller, True
                break
    return case


def _smaller(case: Case) -> Iterator[Case]:
    """Simpler cases, the greatest steps first."""
    if len(case.statements) > 1:
        yield _of(case, case.statements[:-1], None)
        yield _of(case, case.statements[1:], case.out_format)
    for n, raw in enumerate(case.statements):
        for expr in _simpler(raw.expr):
            kept = {v for access in accesses(expr) for v in access.indices}
            target = Access(raw.target.tensor, tuple(v for v in raw.target.indices if v in kept))
            if target == raw.target:
                yield _of(case, (*case.statements[:n], _with(raw, expr), *case.statements[n + 1 :]), None)
    if case.out_format is not None:
        yield replace(case, out_format=None)
    for n, (name, operand) in enumerate(case.operands):
        for other in _plainer(operand):
            yield replace(case, operands=(*case.operands[:n], (name, other), *case.operands[n + 1 :]))


def _of(case: Case, statements: tuple[Raw, ...], out_format: Format | None) -> Case:
    """The case with other statements, and the operands that they read."""
    read = tensors_of(statements)
    operands = tuple((name, operand) for name, operand in case.operands if name in read)
    same = len(statements[-1].target.indices) == len(case.statements[-1].target.indices)
    indices = frozenset[str]().union(*(raw.indices for raw in statements))
    extents = tuple((v, extent) for v, extent in case.extents if v in indices)
    return Case(statements, operands, (out_format or case.out_format) if same else None, extents)


def _with(raw: Raw, expr: Expr) -> Raw:
    """The statement with another expression, and the views that it reads."""
    read = {access.tensor for access in accesses(expr)}
    return replace(raw, expr=expr, views=tuple(view for view in raw.views if str(view) in read))


def _simpler(expr: Expr) -> Iterator[Expr]:
    """An expression's arguments in its place, without one of them, or with one of them simpler."""
    if not isinstance(expr, Apply):
        return
    if expr.op != "stored":
        yield from (arg for arg in expr.args if any(True for _ in accesses(arg)))
    if expr.op in ("add", "mul") and len(expr.args) > 2:
        yield from (Apply(expr.op, expr.args[:n] + expr.args[n + 1 :]) for n in range(len(expr.args)))
    for n, arg in enumerate(expr.args):
        yield from (Apply(expr.op, (*expr.args[:n], other, *expr.args[n + 1 :])) for other in _simpler(arg))


def _plainer(operand: Operand) -> Iterator[Operand]:
    plain = [
        replace(operand, format=dense(len(operand.shape))),
        replace(operand, fill=0),
        replace(operand, special=False),
        replace(operand, sliced=False),
        replace(operand, frozen=False),
        replace(operand, variant=0),
        replace(operand, dtype="float64" if operand.dtype in ("float32", "float16", "bfloat16") else operand.dtype),
        replace(operand, density=1.0),
        replace(operand, density=0.0),
    ]
    for other in plain:
        if other != operand and not (other.format.is_dense and other.fill):
            yield other

"""Statements as they are written: what a text or Python objects say, before it is put into the form that is planned.

`scorch.ir.parse` builds them from text, `scorch.indexing` from Python objects, and `scorch.ir.normalise` reads them.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import NoReturn

from scorch.errors import NotationError
from scorch.ir.notation import Access, Apply, Assign, Expr, Literal, accesses
from scorch.ir.operators import operator
from scorch.ir.tokens import fail_at
from scorch.ir.views import View

__all__ = ["ABSENT", "Absent", "Raw", "Source", "apply", "arity_problem", "check_depth", "is_masked"]

_DEEPEST = 100  # nested operators; every stage walks expressions recursively


class Absent(enum.Enum):
    """The value of a place that the result leaves out: `where(stored(M[i,j]), e, absent)` has M's pattern."""

    ABSENT = "absent"

    def __str__(self) -> str:
        return self.value


ABSENT = Literal(Absent.ABSENT)


@dataclass(frozen=True, slots=True)
class Source:
    """The text of a statement, the column of its target, and that of each access on its right-hand side."""

    text: str
    target: int
    accesses: tuple[tuple[Access, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Raw:
    """target = expr, or target op= expr if `reduce` names an operator.

    An access may repeat an index (A[i,i]). Under `=` a sum is still implicit anywhere in `expr`. `views` are what it
    reads at computed coordinates, each an access by the view's name in `expr`.

    >>> print(Raw(Access("D", ("i",)), "min", Access("A", ("i", "k"))))
    D[i] min= A[i,k]
    """

    target: Access
    reduce: str | None
    expr: Expr
    source: Source | None = field(default=None, compare=False, repr=False)
    views: tuple[View, ...] = ()

    def __post_init__(self) -> None:
        try:
            check_depth(self.expr)
        except NotationError as error:
            if self.source is not None:
                self.fail(str(error))
            raise

    def __str__(self) -> str:
        symbol = operator(self.reduce).symbol if self.reduce else ""
        return f"{self.target} {symbol}= {self.expr}"

    @property
    def indices(self) -> frozenset[str]:
        """The index variables of its right-hand side."""
        return frozenset(index for access in accesses(self.expr) for index in access.indices)

    def sources(self, access: Access) -> tuple[str, ...]:
        """The tensors that an access reads: one, or those behind a view."""
        return next((view.sources for view in self.views if str(view) == access.tensor), (access.tensor,))

    def fail(self, message: str, access: Access | None = None) -> NoReturn:
        """Raise NotationError about an access of the right-hand side, or about the target."""
        if self.source is None:
            raise NotationError(f"{message}\n  {self}")
        column = self.source.target if access is None else dict(reversed(self.source.accesses))[access]
        fail_at(self.source.text, column, message)


def apply(op: str, *args: Expr) -> Expr:
    """The operator applied, sums and products as one n-ary node: the schedule chooses their order.

    >>> a, b, c = (Access(name, ()) for name in "abc")
    >>> apply("mul", a, apply("mul", b, c)).args == (a, b, c)
    True
    """
    if op not in ("add", "mul"):
        return Apply(op, args)
    flat: list[Expr] = []
    for arg in args:
        flat += arg.args if isinstance(arg, Apply) and arg.op == op else (arg,)
    return Apply(op, tuple(flat))


def arity_problem(op: str, count: int) -> str:
    """What is wrong with `count` arguments of an operator that is called by name; nothing: "".

    >>> arity_problem("where", 2), arity_problem("max", 3)
    ('where takes 3 arguments, but 2 are given', '')
    """
    rule = operator(op)
    if count == rule.arity or (rule.associative and count > rule.arity):
        return ""
    wanted = f"{rule.arity} argument{'s'[: rule.arity != 1]}" + (" or more" if rule.associative else "")
    return f"{op} takes {wanted}, but {count} {'is' if count == 1 else 'are'} given"


def check_depth(expr: Expr) -> None:
    """NotationError if operators are nested too deeply."""
    level: list[Expr] = [expr]
    depth = 0
    while level:
        if depth > _DEEPEST:
            raise NotationError(
                f"operators are nested more than {_DEEPEST} deep; assign parts of the expression to temporaries"
            )
        level = list({id(arg): arg for e in level if isinstance(e, Apply) for arg in e.args}.values())
        depth += 1


def is_masked(statement: Assign) -> bool:
    """Whether a reduction is under a mask of its target's places: where the mask has none, it has no value, rather
    than its identity.

    >>> a, m = Access("A", ("i", "k")), Access("M", ("i",))
    >>> is_masked(Assign(Access("C", ("i",)), Apply("where", (Apply("stored", (m,)), a, ABSENT))))
    True
    """
    expr = statement.expr
    if not (isinstance(expr, Apply) and expr.op == "where" and expr.args[2] == ABSENT):
        return False
    return {v for access in accesses(expr.args[0]) for v in access.indices} <= set(statement.target.indices)

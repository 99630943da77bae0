"""Index notation from Python objects: `C[i, j] << A[i, k] * B[k, j]` is the text `C[i,j] = A[i,k] * B[k,j]`.

    i, j, k = scorch.indices("i j k")
    C = scorch.result("C")
    scorch.compute(C[i, j] << A[i, k] * B[k, j] + D[i, j])
    scorch.compute(C[i, j].reduce("min", A[i, k] + B[k, j]))

A tensor indexed by Index objects is a Term, which nothing evaluates. Terms are combined by Python's operators, by
torch's functions (torch.exp, torch.maximum, torch.where ...) and by methods named as the operators of the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain, count
from typing import Any, NoReturn

from scorch.errors import NotationError
from scorch.ir.check import operands_of
from scorch.ir.notation import Access, Apply, Expr, Literal, accesses
from scorch.ir.operators import OPERATORS
from scorch.ir.parse import ASSIGNMENTS
from scorch.ir.statement import ABSENT, Raw, apply, arity_problem, check_depth
from scorch.ir.tokens import is_name
from scorch.ir.views import Place, View
from scorch.subscripts import Index, IndexSum, Subscript, indices, is_symbolic, refuse_assignment

__all__ = [
    "Collected",
    "Index",
    "IndexSum",
    "Result",
    "Statement",
    "Term",
    "absent",
    "access",
    "collect",
    "indices",
    "is_symbolic",
    "result",
    "stored",
    "where",
]

absent = ABSENT
"""The value of a place that the result leaves out, in `where(stored(M[i, j]), e, absent)`."""

_LETTERS = "ABCDEFGHJKLMNOPQRSTUVWXYZ"  # as parse_einsum names operands
_REDUCTIONS = {sign.removesuffix("="): name for sign, name in ASSIGNMENTS.items() if name} | {
    name: name for name in ASSIGNMENTS.values() if name
}
_TORCH_NAMES = {
    "absolute": "abs", "negative": "neg", "multiply": "mul", "subtract": "sub", "divide": "div", "true_divide": "div",
    "floor_divide": "floordiv", "remainder": "mod", "maximum": "max", "minimum": "min", "clamp_min": "max",
    "clamp_max": "min", "logical_not": "not", "bitwise_not": "not", "logical_and": "and", "bitwise_and": "and",
    "logical_or": "or", "bitwise_or": "or", "less": "lt", "less_equal": "le", "greater": "gt", "greater_equal": "ge",
    "not_equal": "ne", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arcsinh": "asinh", "arccosh": "acosh",
    "arctanh": "atanh", "fix": "trunc", "sgn": "sign",
}  # fmt: skip


# --- indices and accesses -----------------------------------------------------------------------------------


def access(tensor: Any, key: Any) -> Term:
    """The Term of a tensor and its indices; for operands that have no `[i, k]` of this kind, such as numpy's arrays.

    A dimension is indexed by an Index, a sum of their multiples, or an integer tensor that is indexed itself. Raises
    NotationError for anything else, or another number of them than the tensor has dimensions.

    >>> import numpy
    >>> i, k = indices("i k")
    >>> access(numpy.ones((2, 3)), (i, k))
    A[i,k]
    """
    parts = key if isinstance(key, tuple) else (key,)
    rank = getattr(tensor, "ndim", None)
    if rank is not None and rank != len(parts):
        given = f"{len(parts)} {'index' if len(parts) == 1 else 'indices'}"
        raise NotationError(f"a tensor of {rank} dimension{'s'[: rank != 1]} is given {given}")
    return _accessed(f"#{id(tensor)}", tensor, parts)


def _accessed(name: str, tensor: Any, parts: tuple[Any, ...]) -> Term:
    """The Term of a named tensor; of a view of it where indices are computed."""
    view = View(name, tuple(map(_place, parts)))
    owners = {name: tensor}
    for part in parts:
        owners |= part._owners if isinstance(part, Term) else {}
    if view.is_plain:
        return Term(Access(name, tuple(index for place in view.places for index in place.indices)), owners)
    return Term(view.access, {**owners, str(view): view})


def _place(part: object) -> Place:
    """Where one dimension is read."""
    if isinstance(part, Subscript) and part.place.terms:
        return part.place
    if isinstance(part, Term):
        return _held(part)
    raise NotationError(f"notation indexes every dimension by an Index, not by {part!r}; slice the tensor first")


def _held(part: Term) -> Access:
    """The access to a tensor that holds coordinates."""
    held = part._expr
    is_view = isinstance(held, Access) and isinstance(part._owners.get(held.tensor), View)
    if not isinstance(held, Access) or is_view or not held.indices or len(set(held.indices)) < len(held.indices):
        raise NotationError(
            f"coordinates are read from a tensor by different indices alone, not from {part}; compute it first"
        )
    return held


def result(name: str) -> Result:
    """A tensor that a statement makes: the result, or a temporary that a later statement reads.

    `T[i, j]` is an access to it, `s` without brackets is a scalar. Results of one name are the same tensor.

    >>> i, k = indices("i k")
    >>> T, s = result("T"), result("s")
    >>> s << T[i, k] * 2
    s = T[i,k] * 2
    """
    return Result(name)


# --- expressions --------------------------------------------------------------------------------------------


def _infix(op: str) -> Callable[[Term, object], Term]:
    return lambda self, other: _call(op, self, other)


def _reflected(op: str) -> Callable[[Term, object], Term]:
    return lambda self, other: _call(op, other, self)


class Term:
    """An expression in index notation, made of accesses such as `A[i, k]`; it has no value.

    >>> A, x = result("A"), result("x")
    >>> i, k = indices("i k")
    >>> A[i, k] * x[k] * 2
    A[i,k] * x[k] * 2
    """

    __slots__ = ("_expr", "_owners")
    __array_ufunc__ = None  # numpy leaves operators to this class
    __hash__ = object.__hash__

    def __init__(self, expr: Expr, owners: Mapping[str, Any]) -> None:
        self._expr = expr
        self._owners = owners  # what each name in the expression stands for

    def __lshift__(self, value: object) -> Statement:
        """The statement `self = value`."""
        return Statement.of(self, None, value)

    def reduce(self, op: str, value: object) -> Statement:
        """The statement `self op= value`, which reduces the whole value over the indices that `self` lacks.

        `op` is a name or sign: add + mul * max min or | and &.

        >>> D, A = result("D"), result("A")
        >>> i, j, k = indices("i j k")
        >>> D[i, j].reduce("min", A[i, k] + A[k, j])
        D[i,j] min= A[i,k] + A[k,j]
        """
        if op not in _REDUCTIONS:
            raise NotationError(f"nothing can be reduced by {op!r}; there are {' '.join(_REDUCTIONS)}")
        return Statement.of(self, _REDUCTIONS[op], value)

    def __getattr__(self, name: str) -> Callable[..., Term]:
        if name not in OPERATORS:
            raise AttributeError(f"a Term has no {name!r}; its methods are {', '.join(OPERATORS)}")
        return partial(_call, name, self)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *OPERATORS})

    def __bool__(self) -> bool:
        raise NotationError("a Term has no truth value; comparisons are joined by & and |, as in (a < b) & (b < c)")

    def __repr__(self) -> str:
        return str(_renamed(self._expr, _names([self._expr], self._owners)))

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Term:
        """What a function of torch gives for Terms: the operator of that name."""
        name = getattr(func, "__name__", str(func)).strip("_")
        if name == "getitem":
            return access(*args)
        op = _TORCH_NAMES.get(name, name)
        if op not in OPERATORS or any(value not in (None, False) for value in (kwargs or {}).values()):
            raise NotationError(
                f"torch's {name} has no counterpart in index notation; there are {', '.join(OPERATORS)}"
            )
        return _call(op, *args)

    __add__, __radd__ = _infix("add"), _reflected("add")
    __sub__, __rsub__ = _infix("sub"), _reflected("sub")
    __mul__, __rmul__ = _infix("mul"), _reflected("mul")
    __truediv__, __rtruediv__ = _infix("div"), _reflected("div")
    __floordiv__, __rfloordiv__ = _infix("floordiv"), _reflected("floordiv")
    __mod__, __rmod__ = _infix("mod"), _reflected("mod")
    __pow__, __rpow__ = _infix("pow"), _reflected("pow")
    __and__, __rand__ = _infix("and"), _reflected("and")
    __or__, __ror__ = _infix("or"), _reflected("or")
    __eq__, __ne__ = _infix("eq"), _infix("ne")  # type: ignore[assignment]
    __lt__, __le__, __gt__, __ge__ = _infix("lt"), _infix("le"), _infix("gt"), _infix("ge")

    def __neg__(self) -> Term:
        return _call("neg", self)

    def __pos__(self) -> Term:
        return self

    def __abs__(self) -> Term:
        return _call("abs", self)

    def __invert__(self) -> Term:
        return _call("not", self)


class Result(Term):
    """A tensor that a statement makes, by its name; see `result`."""

    __slots__ = ()

    def __init__(self, name: str) -> None:
        if not isinstance(name, str) or not is_name(name):
            raise NotationError(f"a result is named by a word such as C, not {name!r}")
        super().__init__(Access(name, ()), {name: None})

    def __getitem__(self, key: Any) -> Term:
        (name,) = self._owners
        return _accessed(name, None, key if isinstance(key, tuple) else (key,))

    def __setitem__(self, key: Any, value: object) -> NoReturn:
        refuse_assignment()

    __iter__ = None  # or Python would try C[0], C[1] ...


def where(condition: object, value: object, other: object) -> Term:
    """`value` where the condition holds, else `other`; with `absent` the result leaves those places out.

    >>> M, Q = result("M"), result("Q")
    >>> i, = indices("i")
    >>> where(M[i], Q[i], absent)
    where(M[i], Q[i], absent)
    """
    return _call("where", condition, value, other)


def stored(tensor: Term) -> Term:
    """Whether the tensor has an entry at its indices, be it zero."""
    return _call("stored", tensor)


def _call(op: str, *args: object) -> Term:
    """An operator applied to Terms and numbers."""
    problem = arity_problem(op, len(args))
    if problem:
        raise NotationError(problem)
    terms = [_lift(arg) for arg in args]
    if op == "stored" and not isinstance(terms[0]._expr, Access):
        raise NotationError("stored takes a tensor, as in stored(M[i, j])")
    owners = {name: owner for term in terms for name, owner in term._owners.items()}
    return Term(apply(op, *(term._expr for term in terms)), owners)


def _lift(value: Any) -> Term:
    """A Term as it is, a number as a constant, a tensor without dimensions as a scalar operand."""
    if isinstance(value, Term):
        return value
    if isinstance(value, Literal):
        return Term(value, {})
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
        value = value.item()
    if isinstance(value, bool | int | float | complex):
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise NotationError(f"the integer {value} does not fit into 64 bits; use a float")
        return Term(Literal(value), {})
    if isinstance(value, Statement):
        raise NotationError(
            "<< binds more tightly than comparisons, & and |: put the right-hand side in parentheses, C[i] << (a < b)"
        )
    if isinstance(value, Subscript):
        raise NotationError(f"index {value} has no value; use it in brackets")
    rank = getattr(value, "ndim", None)
    if rank is None:
        raise NotationError(f"a {type(value).__name__} can't be part of an expression; numbers and indexed tensors can")
    if rank > 0:
        raise NotationError(f"a tensor of {rank} dimension{'s'[: rank != 1]} needs its indices, as in A[i, j]")
    return access(value, ())


# --- statements ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Statement:
    """One statement over Python objects, for `scorch.compute`; made by `<<` or `Term.reduce`."""

    target: Term
    op: str | None
    value: Term

    @classmethod
    def of(cls, target: Term, op: str | None, value: object) -> Statement:
        """A statement of what may be assigned to; NotationError otherwise."""
        if not isinstance(target._expr, Access):
            raise NotationError(f"only an indexed tensor can be assigned to, not {target}")
        if isinstance(target._owners.get(target._expr.tensor), View):
            raise NotationError(
                f"a result is indexed by names alone, not as {target}; compute coordinates on the right"
            )
        made = cls(target, op, _lift(value))
        check_depth(made.value._expr)
        return made

    def __repr__(self) -> str:
        return str(collect(self, complete=False).statements[0])


@dataclass(frozen=True, slots=True)
class Collected:
    """Statements as `parse_statements` gives them, with the tensors behind the names.

    `operands`: each tensor that is read. `targets`: each existing tensor that is assigned to.
    """

    statements: tuple[Raw, ...]
    operands: dict[str, Any]
    targets: dict[str, Any]


def collect(*statements: Statement, complete: bool = True) -> Collected:
    """The written statements and their operands.

    Results keep their names; tensors are named A, B, C ... in order of appearance, a statement's target after its
    right-hand side, as in an einsum. NotationError for a result that is read and not assigned, unless `complete` is
    False.

    >>> import torch
    >>> i, j, k = indices("i j k")
    >>> C = result("C")
    >>> A = torch.ones(2, 2)
    >>> print(*collect(C[i, j] << A[i, k] * A[k, j] * torch.ones(2)[j]).statements)
    C[i,j] = A[i,k] * A[k,j] * B[j]
    """
    owners = dict(chain.from_iterable(part._owners.items() for s in statements for part in (s.value, s.target)))
    order = [part._expr for s in statements for part in (s.value, s.target)]
    names = _names(order, owners)
    views = {key: owner.renamed(names) for key, owner in owners.items() if isinstance(owner, View)}
    written = []
    for s in statements:
        target = _renamed(s.target._expr, names)
        assert isinstance(target, Access)
        read = dict.fromkeys(a.tensor for a in accesses(s.value._expr))
        seen = tuple(views[name] for name in read if name in views)
        written.append(Raw(target, s.op, _renamed(s.value._expr, names), views=seen))
    tensors = {names[key]: owner for key, owner in owners.items() if key.startswith("#") and key not in views}
    needed = operands_of(written)
    if complete and (missing := [name for name in needed if name not in tensors]):
        raise NotationError(f"result {missing[0]} is read, but no statement assigns it")
    assigned = [raw.target.tensor for raw in written]
    return Collected(
        tuple(written),
        {name: tensors[name] for name in needed if name in tensors},
        {name: tensors[name] for name in assigned if name in tensors},
    )


def _names(exprs: list[Expr], owners: Mapping[str, Any]) -> dict[str, str]:
    """A name for each tensor of the expressions, in order of appearance; results have theirs, views those of what they
    read."""
    read = [a for expr in exprs for a in accesses(expr)]
    views = {key: owner for key, owner in owners.items() if isinstance(owner, View)}
    used = {name for name in owners if is_name(name)} | {v for a in read for v in a.indices}
    letters = (name for name in chain(_LETTERS, (f"A{n}" for n in count())) if name not in used)
    sources = dict.fromkeys(
        name for a in read for name in (views[a.tensor].sources if a.tensor in views else (a.tensor,))
    )
    names = {key: next(letters) if key.startswith("#") else key for key in sources}
    return names | {key: str(view.renamed(names)) for key, view in views.items() if names.keys() >= set(view.sources)}


def _renamed(expr: Expr, names: Mapping[str, str]) -> Expr:
    if isinstance(expr, Access):
        return Access(names[expr.tensor], expr.indices)
    return expr if isinstance(expr, Literal) else Apply(expr.op, tuple(_renamed(arg, names) for arg in expr.args))

"""Loop IR: the typed imperative program that a plan is lowered to, a direct image of the Python source to be printed.

Six expression and seven statement kinds. Types are number type names; SIMD values are written "float32x16". Every
conversion is explicit: Numba and plain Python disagree on mixed widths, so `verify` rejects mixed arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from scorch.errors import ScheduleError
from scorch.formats.dtypes import HALVES

__all__ = [
    "Binary",
    "Block",
    "Call",
    "Comment",
    "Const",
    "Effect",
    "Expr",
    "For",
    "Formula",
    "Function",
    "If",
    "Let",
    "Load",
    "Stmt",
    "Store",
    "Var",
    "While",
    "add",
    "cast",
    "cast_back",
    "const",
    "mul",
    "variables",
    "verify",
]

INT = "int64"
COMPARISONS = frozenset({"<", "<=", ">", ">=", "==", "!="})
LOGICAL = frozenset({"and", "or"})
INFIX = COMPARISONS | LOGICAL | {"+", "-", "*", "/", "//", "%", "|", "&", "<<", ">>"}
"""The operators of `Binary`."""


class _Arithmetic:
    """Index arithmetic with Python operators, so that level types can be written once for numpy and loop IR."""

    __slots__ = ()

    def __add__(self, other: Any) -> Expr:
        return add(self, other)

    def __mul__(self, other: Any) -> Expr:
        return mul(self, other)

    def __mod__(self, other: Any) -> Expr:
        return Binary("%", self, const(other))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Const(_Arithmetic):
    """A constant of a number type."""

    value: Any
    dtype: str = INT


@dataclass(frozen=True, slots=True)
class Var(_Arithmetic):
    """A local variable, parameter, or array (dtype "float32[]")."""

    name: str
    dtype: str = INT


@dataclass(frozen=True, slots=True)
class Load(_Arithmetic):
    """array[index], with the array's element type."""

    array: Var
    index: Expr

    @property
    def dtype(self) -> str:
        return self.array.dtype.removesuffix("[]")


@dataclass(frozen=True, slots=True)
class Binary(_Arithmetic):
    """An infix operator on two expressions of one type."""

    op: str
    left: Expr
    right: Expr

    @property
    def dtype(self) -> str:
        return "bool" if self.op in COMPARISONS or self.op in LOGICAL else self.left.dtype


@dataclass(frozen=True, slots=True)
class Call(_Arithmetic):
    """A function of the vocabulary, a conversion (np.float32) or a builtin (min, max), with the type of its result."""

    function: str
    args: tuple[Expr, ...]
    dtype: str


@dataclass(frozen=True, slots=True)
class Formula(_Arithmetic):
    """Python text with {0}, {1} ... for its arguments, such as np.exp({0}), with the type of its result."""

    text: str
    args: tuple[Expr, ...]
    dtype: str


Expr: TypeAlias = Const | Var | Load | Binary | Call | Formula


@dataclass(frozen=True, slots=True)
class Let:
    """variable = value, or variable op= value."""

    var: Var
    value: Expr
    op: str = ""


@dataclass(frozen=True, slots=True)
class Store:
    """array[index] = value, or array[index] op= value."""

    array: Var
    index: Expr
    value: Expr
    op: str = ""


@dataclass(frozen=True, slots=True)
class Effect:
    """A call for its effect, such as vstore or prefetch."""

    call: Call


@dataclass(frozen=True, slots=True)
class For:
    """for var in range(lo, hi, step)."""

    var: Var
    lo: Expr
    hi: Expr
    body: Block
    step: Expr = Const(1)


@dataclass(frozen=True, slots=True)
class While:
    """while condition."""

    condition: Expr
    body: Block


@dataclass(frozen=True, slots=True)
class If:
    """if condition, with an optional else."""

    condition: Expr
    body: Block
    orelse: Block = ()


@dataclass(frozen=True, slots=True)
class Comment:
    """A line for the reader of the source."""

    text: str


Stmt: TypeAlias = Let | Store | Effect | For | While | If | Comment
Block: TypeAlias = tuple[Stmt, ...]


@dataclass(frozen=True, slots=True)
class Function:
    """A function of typed parameters."""

    name: str
    params: tuple[Var, ...]
    body: Block


def const(value: Any) -> Expr:
    """An index constant from a Python int; expressions pass through."""
    return Const(value) if isinstance(value, int) else value


def add(left: Any, right: Any) -> Expr:
    """left + right of index expressions, folded where a side is 0 or both are constants."""
    a, b = const(left), const(right)
    if isinstance(a, Const) and isinstance(b, Const):
        return Const(a.value + b.value)
    if isinstance(b, Const) and b.value == 0:
        return a
    if isinstance(a, Const) and a.value == 0:
        return b
    if "x" in a.dtype + b.dtype:
        return Call("vadd", (_wide(a), _wide(b)), _wide(a if "x" in a.dtype else b).dtype)
    return Binary("+", a, b)


def _wide(expr: Expr) -> Expr:
    """A vector of coordinates as int64 lanes; a scalar as it is."""
    element, _, lanes = expr.dtype.partition("x")
    if not lanes or element == INT:
        return expr
    return Call("vcast", (expr, Var("np.int64", "class")), f"{INT}x{lanes}")


def mul(left: Any, right: Any) -> Expr:
    """left * right of index expressions, folded where a side is 0 or 1 or both are constants."""
    a, b = const(left), const(right)
    if isinstance(a, Const) and isinstance(b, Const):
        return Const(a.value * b.value)
    for one, other in ((a, b), (b, a)):
        if isinstance(one, Const) and one.value in (0, 1):
            return other if one.value == 1 else Const(0)
    return Binary("*", a, b)


def cast(expr: Expr, dtype: str) -> Expr:
    """The expression converted to a number type; nothing if it has it."""
    if expr.dtype == dtype:
        return expr
    if expr.dtype in HALVES:
        return cast(Call(f"from_{expr.dtype}", (expr,), "float32"), dtype)
    if dtype in HALVES:
        return Call(f"to_{dtype}", (cast(expr, "float32"),), dtype)
    if isinstance(expr, Const):
        return Const(expr.value, dtype)
    return Call(f"np.{dtype}_" if dtype == "bool" else f"np.{dtype}", (expr,), dtype)


def cast_back(expr: Expr, dtype: str) -> Expr:
    """The conversion of a result that Numba and plain Python may have made wider than the type that it is meant to
    have."""
    return Call(f"np.{dtype}", (expr,), dtype)


def variables(body: Iterable[Stmt]) -> set[str]:
    """Names of all variables that a block reads or writes."""
    found: set[str] = set()
    stack: list[Any] = list(body)
    while stack:
        node = stack.pop()
        if isinstance(node, Var):
            found.add(node.name)
        elif isinstance(node, tuple):
            stack.extend(node)
        else:  # the fields of a node; names and numbers have none
            stack.extend(getattr(node, part) for part in getattr(node, "__match_args__", ()))
    return found


def verify(function: Function) -> None:
    """ScheduleError if a variable is used before it is set, or types are mixed without a conversion."""
    _Verifier({p.name: p.dtype for p in function.params}).block(function.body)


class _Verifier:
    def __init__(self, known: dict[str, str]) -> None:
        self.known = known

    def block(self, body: Iterable[Stmt]) -> None:
        for stmt in body:
            self.stmt(stmt)

    def stmt(self, stmt: Stmt) -> None:
        match stmt:
            case Let(var, value, _):
                self.same(stmt, self.expr(value), var.dtype)
                self.define(var)
            case Store(array, index, value, _):
                self.same(stmt, self.expr(value), self.expr(array).removesuffix("[]"))
                self.same(stmt, self.expr(index), INT)
            case Effect(call):
                self.expr(call)
            case For(var, lo, hi, body, step):
                for bound in (lo, hi, step):
                    self.same(stmt, self.expr(bound), INT)
                self.define(var)
                self.block(body)
            case While(condition, body):
                self.same(stmt, self.expr(condition), "bool")
                self.block(body)
            case If(condition, body, orelse):
                self.same(stmt, self.expr(condition), "bool")
                self.block(body)
                self.block(orelse)

    def define(self, var: Var) -> None:
        if self.known.setdefault(var.name, var.dtype) != var.dtype:
            raise ScheduleError(f"loop IR: {var.name} is {self.known[var.name]}, then {var.dtype}")

    def expr(self, expr: Expr) -> str:
        match expr:
            case Var(name, dtype):
                if self.known.get(name) != dtype:
                    raise ScheduleError(f"loop IR: {name} is used as {dtype}, but is {self.known.get(name, 'not set')}")
            case Load(array, index):
                self.expr(array)
                self.same(expr, self.expr(index), INT)
            case Binary(_, left, right):
                self.same(expr, self.expr(left), self.expr(right))
            case Call(_, args, _) | Formula(_, args, _):
                for arg in args:
                    if arg.dtype != "class":
                        self.expr(arg)
        return expr.dtype

    @staticmethod
    def same(where: object, found: str, wanted: str) -> None:
        if found != wanted:
            raise ScheduleError(f"loop IR: {found} meets {wanted} without a conversion in {where}")

"""The operator table: what the compiler knows of each scalar operator.

Iteration spaces follow from the algebra: where an absent operand is an operator's *annihilator*, the result is absent
too and only common coordinates are visited (intersection); otherwise coordinates of either operand are (union).
Reductions start from the operator's *identity*. What a result has where nothing is stored follows from `at_zero`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, reduce
from typing import Any

import numpy as np

from scorch.errors import NotationError

__all__ = ["OPERATORS", "Operator", "evaluate", "identity", "operator"]

INF = float("inf")


@dataclass(frozen=True)
class Operator:
    """One scalar operator.

    `scalar` is its Python text with {0}, {1} for the arguments (names or parenthesised) and {t} for the number type
    that it computes in, such as np.float32; it needs `np` and `math`, and means the same plain and under Numba.
    `vector` is the name of its twin over SIMD lanes. `identity` e has op(e, x) = x, `annihilator` a has op(a, x) = a
    for each argument; None where there is none. `zero_left`: an absent first argument alone makes the result absent,
    as in a / b.

    `at_zero` is the value where every argument is absent (zero): 0 keeps a sparse result sparse. `derivative` has, for
    each of `arity` arguments, its partial derivative in index notation over a, b, c (the arguments) and out.

    `gives_bool`: the result is a truth value, whatever the arguments. `gives_float`: integers are converted to a
    floating-point type first. `rounds`: the result is an integer, so that integers pass unchanged.

    `takes`: the widest numbers that it is defined for, in the order whole (and truth values), real, complex.
    """

    name: str
    arity: int
    symbol: str
    scalar: str
    vector: str | None = None
    identity: Any = None
    annihilator: Any = None
    commutative: bool = False
    associative: bool = False
    idempotent: bool = False
    gives_bool: bool = False
    reduces_with: str | None = None  # horizontal reduction over SIMD lanes
    at_zero: Any = 0
    derivative: tuple[str, ...] = ()
    zero_left: bool = False
    gives_float: bool = False
    rounds: bool = False
    takes: str = "complex"

    def __str__(self) -> str:
        return self.symbol

    @property
    def is_infix(self) -> bool:
        """Whether the symbol stands between the arguments, rather than before them in parentheses."""
        return not self.symbol.isidentifier()


def _reduction(
    name: str, symbol: str, scalar: str, identity: Any, annihilator: Any, derivative: tuple[str, str], **more: Any
) -> Operator:
    """An operator that is commutative, associative and has an identity, so that it can reduce."""
    laws: dict[str, Any] = {"commutative": True, "associative": True, "derivative": derivative}
    return Operator(name, 2, symbol, scalar, identity=identity, annihilator=annihilator, **laws, **more)


def _choice(*args: Any, **more: Any) -> Operator:
    """A reduction to which the same value may be given more than once; none of them is defined for complex numbers."""
    return _reduction(*args, idempotent=True, **{"takes": "real", **more})


def _binary(name: str, symbol: str, derivative: tuple[str, str], **more: Any) -> Operator:
    """An infix operator whose Python text is its symbol."""
    return Operator(name, 2, symbol, f"{{0}} {symbol} {{1}}", derivative=derivative, **more)


def _compare(name: str, symbol: str, at_zero: bool) -> Operator:
    laws = {"commutative": True} if name in ("eq", "ne") else {"takes": "real"}
    return _binary(name, symbol, ("0", "0"), vector=f"v{name}", gives_bool=True, at_zero=at_zero, **laws)


def _unary(name: str, derivative: str, at_zero: Any = 0, scalar: str = "", **more: Any) -> Operator:
    """A function of one argument; without a text of its own it is numpy's of that name."""
    return Operator(name, 1, name, scalar or f"np.{name}({{0}})", at_zero=at_zero, derivative=(derivative,), **more)


def _smooth(
    name: str, derivative: str, at_zero: Any = 0.0, scalar: str = "", vector: str | None = None, **more: Any
) -> Operator:
    """A function of one real number, which makes floating-point numbers of integers."""
    return _unary(name, derivative, at_zero, scalar, vector=vector, gives_float=True, **more)


# Ties share the gradient of max and min evenly, as torch.maximum's do.
_LARGER = ("where(a == b, 0.5, where(a > b, 1, 0))", "where(a == b, 0.5, where(a < b, 1, 0))")

_TABLE = (
    # --- that reduce ---
    _reduction("add", "+", "{0} + {1}", 0, None, ("1", "1"), vector="vadd", reduces_with="vsum"),
    _reduction("mul", "*", "{0} * {1}", 1, 0, ("b", "a"), vector="vmul", reduces_with="vprod"),
    # np.maximum and np.minimum hand NaN on, as vmax and torch do; Python's own depend on the order of arguments
    _choice("max", "max", "np.maximum({0}, {1})", -INF, None, _LARGER, vector="vmax", reduces_with="vhmax"),
    _choice("min", "min", "np.minimum({0}, {1})", INF, None, _LARGER[::-1], vector="vmin", reduces_with="vhmin"),
    _choice("or", "|", "{0} | {1}", False, True, ("0", "0"), at_zero=False, takes="whole"),
    _choice("and", "&", "{0} & {1}", True, False, ("0", "0"), at_zero=False, takes="whole"),
    # --- of two or three arguments ---
    _binary("sub", "-", ("1", "-1"), vector="vsub"),
    _binary("div", "/", ("1 / b", "-out / b"), vector="vdiv", zero_left=True, gives_float=True),
    _binary("floordiv", "//", ("0", "0"), zero_left=True, takes="real"),
    _binary("mod", "%", ("1", "-floor(a / b)"), zero_left=True, takes="real"),
    _binary("pow", "**", ("b * a ** (b - 1)", "out * log(a)"), at_zero=1),
    _compare("eq", "==", True),
    _compare("ne", "!=", False),
    _compare("lt", "<", False),
    _compare("le", "<=", True),
    _compare("gt", ">", False),
    _compare("ge", ">=", True),
    Operator(
        "where", 3, "where", "({1} if {0} else {2})", "vselect", derivative=("0", "where(a, 1, 0)", "where(a, 0, 1)")
    ),
    # --- of one argument ---
    _unary("neg", "-1", scalar="-{0}", vector="vneg"),
    _unary("abs", "sign(a)", scalar="abs({0})", vector="vabs"),
    # 0 of NaN, as torch.sign
    _unary("sign", "0", scalar="({t}({0} > 0) - {t}({0} < 0))", takes="real"),
    _unary("square", "2 * a"),
    _unary("relu", "where(a > 0, 1, 0)", scalar="np.maximum({0}, {t}(0))", vector="vmax", takes="real"),  # with 0
    _unary("floor", "0", rounds=True, takes="real"),
    _unary("ceil", "0", rounds=True, takes="real"),
    _unary("trunc", "0", rounds=True, takes="real"),
    _unary("round", "0", scalar="np.rint({0})", rounds=True, takes="real"),  # half to even, as torch.round
    _unary("not", "0", True, "np.logical_not({0})", gives_bool=True),
    _unary("isnan", "0", False, gives_bool=True),
    _unary("isinf", "0", False, gives_bool=True),
    _unary("isfinite", "0", True, gives_bool=True),
    # its value where the argument, an access, has an entry; an iteration space knows where that is
    _unary("stored", "0", False, "True", gives_bool=True),
    # 1 and 0 for truth values, in the type of the numbers that they meet
    _unary("number", "1", scalar="+{0}"),
    # an integer in the type that what it is compared with or joined to has, whatever of that is absent
    *(_unary(f"as_{dtype}", "1", scalar="+{0}") for dtype in ("int16", "int32", "int64")),
    _unary("sqrt", "0.5 / out", 0.0, vector="vsqrt", gives_float=True),
    _smooth("rsqrt", "-0.5 * out / a", INF, "{t}(1) / np.sqrt({0})"),
    _smooth("reciprocal", "-out * out", INF, "{t}(1) / {0}"),
    _smooth("exp", "out", 1.0, vector="vexp"),
    _smooth("expm1", "out + 1", vector="vexpm1"),
    _smooth("log", "1 / a", -INF),
    _smooth("log1p", "1 / (a + 1)"),
    _smooth("log2", "1.4426950408889634 / a", -INF),
    _smooth("log10", "0.4342944819032518 / a", -INF),
    _smooth("sin", "cos(a)"),
    _smooth("cos", "-sin(a)", 1.0),
    _smooth("tan", "1 + out * out"),
    _smooth("asin", "rsqrt(1 - a * a)", 0.0, "np.arcsin({0})"),
    _smooth("acos", "-rsqrt(1 - a * a)", math.pi / 2, "np.arccos({0})"),
    _smooth("atan", "1 / (1 + a * a)", 0.0, "np.arctan({0})"),
    _smooth("sinh", "cosh(a)"),
    _smooth("cosh", "sinh(a)", 1.0),
    _smooth("tanh", "1 - out * out", vector="vtanh"),
    _smooth("asinh", "rsqrt(a * a + 1)", 0.0, "np.arcsinh({0})"),
    _smooth("acosh", "rsqrt(a * a - 1)", float("nan"), "np.arccosh({0})"),
    _smooth("atanh", "1 / (1 - a * a)", 0.0, "np.arctanh({0})"),
    _smooth("sigmoid", "out * (1 - out)", 0.5, "{t}(1) / ({t}(1) + np.exp(-{0}))", "vsigmoid"),
    _smooth("erf", "1.1283791670955126 * exp(-a * a)", 0.0, "{t}(math.erf({0}))", "verf", takes="real"),
)

OPERATORS: dict[str, Operator] = {op.name: op for op in _TABLE}


def operator(name: str) -> Operator:
    """The operator of that name; NotationError if there is none.

    >>> operator("mul").annihilator
    0
    """
    try:
        return OPERATORS[name]
    except KeyError:
        raise NotationError(f"unknown operator {name!r}; there are {', '.join(OPERATORS)}") from None


def identity(name: str, dtype: str) -> Any:
    """The value that a reduction in a number type starts from; an integer type has no infinity but its extremes.

    >>> identity("min", "float32"), identity("max", "int8"), identity("add", "bool")
    (inf, -128, False)
    """
    value = operator(name).identity
    if dtype == "bool":
        return bool(value > 0)
    if name == "and":
        return -1  # every bit
    if value in (INF, -INF) and not dtype.startswith(("float", "bfloat", "complex")):
        limits = np.iinfo(dtype)
        return limits.max if value > 0 else limits.min
    return value


def evaluate(name: str, *values: Any) -> Any:
    """op(values), a Python number, as a kernel computes it; more values than `arity` if the operator is associative.

    Python's own arithmetic where it has an answer; float64 with its infinities and NaN where it has none (1 / 0, an
    integer beyond 64 bits, a root of a negative number). For constants, and for the fill of a result: its expression
    over its operands' fills.

    >>> evaluate("mul", 2, 3, 4), evaluate("div", 1, 0), evaluate("exp", 0), evaluate("round", 2)
    (24, inf, 1.0, 2)
    >>> evaluate("log1p", True) == math.log1p(1)
    True
    """
    rule = operator(name)
    if len(values) > rule.arity and rule.associative:
        return reduce(lambda a, b: evaluate(name, a, b), values)
    if rule.gives_float:  # numpy's functions of truth values have half precision
        values = tuple(int(v) if isinstance(v, bool) else v for v in values)
    function = _function(rule.scalar)
    with np.errstate(all="ignore"):
        try:
            result = function(*values)
        except (ArithmeticError, ValueError, TypeError):
            result = None
        if result is None or _strange(result, values):
            result = function(*(v if isinstance(v, bool) else np.float64(v) for v in values))
    result = result.item() if isinstance(result, np.generic) else result
    if not rule.gives_float and isinstance(result, float) and result.is_integer() and all(map(_is_whole, values)):
        return int(result)  # numpy rounds integers to floats
    return result


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


@cache
def _function(scalar: str) -> Callable[..., Any]:
    """The text of an operator as a function of plain numbers."""
    body = scalar.format("a", "b", "c", t="float")
    made: Callable[..., Any] = eval(f"lambda a, b=None, c=None: {body}", {"np": np, "math": math})
    return made


def _strange(result: Any, values: tuple[Any, ...]) -> bool:
    """Whether Python's answer has a type that a kernel's would not have."""
    if isinstance(result, complex):
        return not any(isinstance(v, complex) for v in values)
    return isinstance(result, int) and not -(2**63) <= result < 2**63

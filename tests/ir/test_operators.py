"""The operator table: its laws hold, its texts mean the same plain and compiled, its derivatives are right."""

from __future__ import annotations

import math
from itertools import chain, product

import numba
import numpy as np
import pytest

from scorch.emit import vocabulary
from scorch.errors import NotationError
from scorch.ir.notation import Access, Expr, Literal
from scorch.ir.operators import OPERATORS, Operator, evaluate, operator
from scorch.ir.parse import parse_expression

VALUES = (-2.5, -1, 0, 0.5, 3)
LOGICAL = ("or", "and")
SINGLE = [name for name, rule in OPERATORS.items() if rule.arity == 1 and name != "stored"]


def values_for(name: str) -> tuple[float, ...]:
    return (False, True) if name in LOGICAL else VALUES


@pytest.mark.parametrize("rule", OPERATORS.values(), ids=OPERATORS)
def test_a_rule_is_complete(rule: Operator) -> None:
    assert len(rule.derivative) == rule.arity
    assert rule.symbol.isidentifier() != rule.is_infix
    for twin in (rule.vector, rule.reduces_with):
        assert twin is None or hasattr(vocabulary, twin)
    for text in rule.derivative:
        parse_expression(text)


@pytest.mark.parametrize("name", [n for n, rule in OPERATORS.items() if rule.associative])
def test_laws_of_reductions(name: str) -> None:
    rule = operator(name)
    for a, b, c in product(values_for(name), repeat=3):
        assert evaluate(name, a, b, c) == evaluate(name, a, evaluate(name, b, c))
        assert evaluate(name, a, b) == evaluate(name, b, a)
        assert evaluate(name, rule.identity, a) == a
        assert not rule.idempotent or evaluate(name, a, a) == a
        assert rule.annihilator is None or evaluate(name, a, rule.annihilator) == rule.annihilator


@pytest.mark.parametrize("name", [n for n, rule in OPERATORS.items() if not rule.zero_left and n != "stored"])
def test_value_at_zero(name: str) -> None:
    rule = operator(name)
    zero = False if name in LOGICAL else 0
    assert evaluate(name, *[zero] * rule.arity) == pytest.approx(rule.at_zero, nan_ok=True)


@pytest.mark.parametrize("name", [n for n, rule in OPERATORS.items() if rule.zero_left])
def test_an_absent_dividend_is_zero(name: str) -> None:
    assert [evaluate(name, 0, b) for b in (-2, 0.5, 3)] == [0, 0, 0]
    assert operator(name).at_zero == 0


def value_of(expr: Expr, env: dict[str, float]) -> float:
    if isinstance(expr, Literal):
        return float(expr.value)
    if isinstance(expr, Access):
        return env[expr.tensor]
    return float(evaluate(expr.op, *(value_of(arg, env) for arg in expr.args)))


@pytest.mark.parametrize("name", [n for n, rule in OPERATORS.items() if n not in (*LOGICAL, "stored")])
def test_derivatives_are_slopes(name: str) -> None:
    rule = operator(name)
    point = {"acosh": (1.75,), "where": (1.0, 0.25, 0.75)}.get(name, (0.375, 0.8125)[: rule.arity])
    out, step = evaluate(name, *point), 1e-6
    env = dict(zip("abc", point, strict=False)) | {"out": out}
    for n, text in enumerate(rule.derivative):
        if name == "where" and n == 0:
            continue
        ahead, behind = list(point), list(point)
        ahead[n] += step
        behind[n] -= step
        slope = (evaluate(name, *ahead) - evaluate(name, *behind)) / (2 * step)
        assert value_of(parse_expression(text), env) == pytest.approx(slope, abs=1e-6), f"argument {n}"


def test_a_tie_shares_the_gradient() -> None:
    for name in ("max", "min"):
        shares = [value_of(parse_expression(text), {"a": 2.0, "b": 2.0}) for text in operator(name).derivative]
        assert shares == [0.5, 0.5]


@pytest.mark.compiled
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_texts_keep_the_number_type_plain_and_compiled(dtype: str) -> None:
    """One compiled function for all operators; each must agree with its plain run, in the type that it is given."""
    names = [name for name in OPERATORS if name not in (*LOGICAL, "stored")]
    texts = [OPERATORS[name].scalar.format("a", "b", "c", t=f"np.{dtype}") for name in names]
    lines = [f"    x{n} = {text}" for n, text in enumerate(texts)]
    groups = [", ".join(f"x{n}" for n in range(lo, min(lo + 16, len(texts)))) for lo in range(0, len(texts), 16)]
    source = "\n".join(["def run(a, b, c):", *lines, f"    return ({', '.join(f'({g},)' for g in groups)})"])
    scope: dict[str, object] = {"np": np, "math": math}
    exec(source, scope)
    plain = scope["run"]
    assert callable(plain)
    number = getattr(np, dtype)
    compiled = numba.njit(error_model="numpy")(plain)
    for point in ((0.375, 0.8125, 2.0), (-1.5, 2.0, 0.0), (0.0, 0.0, 1.0)):
        args = tuple(map(number, point))
        with np.errstate(all="ignore"):
            expected, got = chain(*plain(*args)), chain(*compiled(*args))
        for name, p, c in zip(names, expected, got, strict=True):
            assert p == pytest.approx(c, rel=1e-5, nan_ok=True), name
            assert isinstance(p, bool | np.bool_ if OPERATORS[name].gives_bool else number), name
    types = chain(*compiled.overloads[compiled.signatures[0]].signature.return_type)
    for name, kind in zip(names, types, strict=True):
        assert str(kind) == ("bool" if OPERATORS[name].gives_bool else dtype), name


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("div", (1, 0), math.inf),
        ("div", (0, 0), math.nan),
        ("pow", (2, -1), 0.5),
        ("pow", (-8, 1 / 3), math.nan),
        ("mul", (2**62, 4), 2.0**64),
        ("mul", (2, 3, 4), 24),
        ("log", (0,), -math.inf),
        ("sqrt", (-1,), math.nan),
        ("max", (math.nan, 1), math.nan),
        ("max", (1, math.nan), math.nan),
        ("where", (True, 1, 2), 1),
        ("exp", (1000,), math.inf),
        ("round", (2.5,), 2),
        ("mod", (-7, 3), 2),
        ("sign", (-3,), -1),
    ],
)
def test_evaluate(name: str, values: tuple[float, ...], expected: float) -> None:
    assert evaluate(name, *values) == pytest.approx(expected, nan_ok=True)


def test_an_unknown_operator_names_those_there_are() -> None:
    with pytest.raises(NotationError, match="unknown operator 'foo'; there are add, mul"):
        operator("foo")

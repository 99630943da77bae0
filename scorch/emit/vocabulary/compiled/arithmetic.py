"""Lowering of `scorch.emit.vocabulary.arithmetic`: one LLVM instruction or two for each name."""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types

from scorch.emit.vocabulary import arithmetic
from scorch.emit.vocabulary.compiled import vec
from scorch.emit.vocabulary.compiled.vec import CONTRACT, Builder, Definition, Value, Vec, lowers, sign

Combine = Callable[[Builder, Vec, Value, Value], Value]


def _lanewise(
    kind: str, result: Vec | None, operate: Callable[..., Value], given: tuple[types.Type, ...]
) -> Definition:
    """Type and lower operate(builder, vec, *operands) over operands that broadcast to one vector."""
    common = vec.common_vec(*given)
    if kind == "number" and isinstance(common.dtype, types.Boolean):
        raise vec.reject("expected lanes of numbers, not bool")
    if kind == "float" and not vec.is_float(common):
        raise vec.reject(f"expected float lanes, not {common.dtype}")
    arguments = [x if isinstance(x, Vec) else vec.plain(x) for x in given]

    def generate(_: Any, builder: Builder, __: Any, values: tuple[Value, ...]) -> Value:
        lanes = [vec.widen(builder, x, value, common) for x, value in zip(arguments, values, strict=True)]
        return operate(builder, common, *lanes)

    return sign(result or common, *arguments), generate


def add(builder: Builder, v: Vec, a: Value, b: Value) -> Value:
    """Return a + b."""
    return builder.fadd(a, b, flags=CONTRACT) if vec.is_float(v) else builder.add(a, b)


def subtract(builder: Builder, v: Vec, a: Value, b: Value) -> Value:
    """Return a - b."""
    return builder.fsub(a, b, flags=CONTRACT) if vec.is_float(v) else builder.sub(a, b)


def multiply(builder: Builder, v: Vec, a: Value, b: Value) -> Value:
    """Return a * b."""
    return builder.fmul(a, b, flags=CONTRACT) if vec.is_float(v) else builder.mul(a, b)


def _divide(builder: Builder, _: Vec, a: Value, b: Value) -> Value:
    return builder.fdiv(a, b, flags=CONTRACT)


def _multiply_add(builder: Builder, v: Vec, x: Value, y: Value, acc: Value) -> Value:
    # Two instructions that may fuse: llvm.fma would call the C library where the CPU has no FMA.
    return add(builder, v, multiply(builder, v, x, y), acc)


def _compare(builder: Builder, v: Vec, operator: str, a: Value, b: Value) -> Value:
    """Return i1 lanes; a comparison with NaN is false, != is true."""
    if vec.is_float(v):
        ordered = builder.fcmp_unordered if operator == "!=" else builder.fcmp_ordered
        return ordered(operator, a, b, flags=CONTRACT)
    compare = builder.icmp_unsigned if vec.is_unsigned(v) else builder.icmp_signed
    return compare(operator, a, b)


def _extreme(operator: str) -> Combine:
    """Return the combination for max or min; two selects on x86, where llvm.maximum takes five."""

    def operate(builder: Builder, v: Vec, a: Value, b: Value) -> Value:
        chosen = builder.select(_compare(builder, v, operator, a, b), a, b)
        if vec.is_float(v):
            nan = builder.fcmp_unordered("uno", a, a, flags=CONTRACT)
            chosen = builder.select(nan, a, chosen)
        return chosen

    return operate


larger, smaller = _extreme(">"), _extreme("<")


def _negate(builder: Builder, v: Vec, a: Value) -> Value:
    return builder.fneg(a) if vec.is_float(v) else builder.neg(a)


def _absolute(builder: Builder, v: Vec, a: Value) -> Value:
    if vec.is_float(v):
        return vec.call(builder, f"llvm.fabs.{vec.mangled(v)}", a.type, a)
    if vec.is_unsigned(v):
        return a
    return builder.select(builder.icmp_signed("<", a, vec.zeros(v)), builder.neg(a), a)


def _square_root(builder: Builder, v: Vec, a: Value) -> Value:
    return vec.call(builder, f"llvm.sqrt.{vec.mangled(v)}", a.type, a)


def _bind(twin: Callable[..., Any], kind: str, operate: Callable[..., Value]) -> None:
    """Bind a lane-wise function of one to three operands whose result is like its operands."""
    arity = twin.__wrapped__.__code__.co_argcount  # type: ignore[attr-defined]
    definitions: dict[int, Callable[..., Definition]] = {
        1: lambda _, a: _lanewise(kind, None, operate, (a,)),
        2: lambda _, a, b: _lanewise(kind, None, operate, (a, b)),
        3: lambda _, x, v, acc: _lanewise(kind, None, operate, (x, v, acc)),
    }
    lowers(twin)(definitions[arity])


_bind(arithmetic.vfma, "number", _multiply_add)
_bind(arithmetic.vadd, "number", add)
_bind(arithmetic.vsub, "number", subtract)
_bind(arithmetic.vmul, "number", multiply)
_bind(arithmetic.vdiv, "float", _divide)
_bind(arithmetic.vmax, "any", larger)
_bind(arithmetic.vmin, "any", smaller)
_bind(arithmetic.vneg, "number", _negate)
_bind(arithmetic.vabs, "number", _absolute)
_bind(arithmetic.vsqrt, "float", _square_root)


def _bind_comparison(twin: Callable[..., Any], operator: str) -> None:
    """Bind a comparison; its result has bool lanes."""

    def operate(builder: Builder, v: Vec, a: Value, b: Value) -> Value:
        return vec.from_mask(builder, _compare(builder, v, operator, a, b))

    def define(_: Any, a: types.Type, b: types.Type) -> Definition:
        return _lanewise("any", Vec(types.boolean, vec.common_vec(a, b).n), operate, (a, b))

    lowers(twin)(define)


_bind_comparison(arithmetic.veq, "==")
_bind_comparison(arithmetic.vne, "!=")
_bind_comparison(arithmetic.vlt, "<")
_bind_comparison(arithmetic.vle, "<=")
_bind_comparison(arithmetic.vgt, ">")
_bind_comparison(arithmetic.vge, ">=")


@lowers(arithmetic.vselect)
def _vselect(_: Any, mask: types.Type, a: types.Type, b: types.Type) -> Definition:
    condition = vec.vec_of(mask)
    if not isinstance(condition.dtype, types.Boolean):
        raise vec.reject(f"vselect: the mask has bool lanes, not {condition.dtype}")
    arguments = [x if isinstance(x, Vec) else vec.plain(x) for x in (a, b)]
    dtype = arguments[0].dtype if isinstance(arguments[0], Vec) else arguments[0]
    result = vec.common_vec(vec.make_vec(dtype, condition.n), *arguments)

    def generate(_: Any, builder: Builder, __: Any, values: tuple[Value, ...]) -> Value:
        x, y = (vec.widen(builder, t, value, result) for t, value in zip(arguments, values[1:], strict=True))
        return builder.select(vec.to_mask(builder, values[0]), x, y)

    return sign(result, mask, *arguments), generate


@lowers(arithmetic.vcast)
def _vcast(_: Any, v: types.Type, dtype: types.Type) -> Definition:
    source = vec.vec_of(v)
    target = vec.make_vec(vec.from_numpy(dtype), source.n)

    def generate(_: Any, builder: Builder, __: Any, values: tuple[Value, ...]) -> Value:
        return _convert(builder, source, target, values[0])

    return sign(target, v, dtype), generate


def _convert(builder: Builder, source: Vec, target: Vec, value: Value) -> Value:
    """Return the lanes converted from one dtype to another as numpy's astype does."""
    if source == target:
        return value
    if isinstance(target.dtype, types.Boolean):
        return vec.from_mask(builder, _compare(builder, source, "!=", value, vec.zeros(source)))
    lanes = ir.VectorType(vec.lane_type(target.dtype), target.n)
    unsigned = vec.is_unsigned(source)
    match vec.is_float(source), vec.is_float(target):
        case True, True:
            widening = isinstance(lanes.element, ir.DoubleType)
            return builder.fpext(value, lanes) if widening else builder.fptrunc(value, lanes)
        case True, False:
            return builder.fptoui(value, lanes) if vec.is_unsigned(target) else builder.fptosi(value, lanes)
        case False, True:
            return builder.uitofp(value, lanes) if unsigned else builder.sitofp(value, lanes)
    # Between integers; llvmlite drops the conversion when the widths are equal.
    if lanes.element.width < value.type.element.width:
        return builder.trunc(value, lanes)
    return builder.zext(value, lanes) if unsigned else builder.sext(value, lanes)

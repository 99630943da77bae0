"""Lowering of `scorch.emit.vocabulary.exponential`.

exp(x) = 2^n exp(r) with n the integer nearest to x / ln 2, and r = x - n ln 2 in two steps, the first of them exact
(Cody and Waite, *Software Manual for the Elementary Functions*, 1980). exp(r) = 1 + r + r^2 P(r), where P is the
minimax polynomial on |r| <= ln 2 / 2, found by Remez' algorithm with the weight r^2. 2^n is multiplied in two halves,
so that results that overflow become infinite, and small ones are rounded to subnormal numbers once. exp(x) - 1 is
2^n (exp(r) - 1) + (2^n - 1), whose terms have no more error than their last places, however small x is.

Every instruction says "contract": Numba gives those that say nothing the fast-math flags of the kernel, and to
reassociate
would undo the rounding to n.
"""

from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba.core import types

from scorch.emit.vocabulary import exponential
from scorch.emit.vocabulary.compiled import vec
from scorch.emit.vocabulary.compiled.vec import Builder, Definition, Value, Vec, lowers, sign

_PER_OCTAVE = 1.4426950408889634  # 1 / ln 2


@dataclass(frozen=True)
class _Numbers:
    """What depends on the number type; the coefficients of P from the highest power down."""

    high: float  # ln 2 in so few bits that n times it is exact
    low: float
    round: float  # added and subtracted, it leaves the nearest integer, which is then in its lowest bits
    least: float  # below it the result is 0, above `most` it is infinite
    most: float
    bits: int
    mantissa: int
    bias: int
    polynomial: tuple[float, ...]


_SINGLE = _Numbers(
    0.693145751953125,
    1.4286068203094173e-06,
    1.5 * 2**23,
    -104.0,
    89.0,
    32,
    23,
    127,
    (0.001395054143951737375, 0.0083689178468588790586, 0.041666205046314494948, 0.16666518602888443475,
     0.50000000954216478632),
)  # fmt: skip
_DOUBLE = _Numbers(
    float.fromhex("0x1.62e42fefa4p-1"),
    -1.7239444525614835e-13,
    1.5 * 2**52,
    -746.0,
    710.0,
    64,
    52,
    1023,
    (2.5117916234427802476e-8, 2.763133967917694154e-7, 2.7557216127718751923e-6, 0.000024801489785918865259,
     0.00019841269917576267557, 0.0013888888947156002066, 0.0083333333333071162991, 0.041666666666514931913,
     0.16666666666666699204, 0.50000000000000127927),
)  # fmt: skip

# -log(erfc(x)) / x on 0 <= x <= 4 and 0 <= x <= 6, from the highest power down: Chebyshev's expansion to errors of 3e-8
# and 4e-15. Beyond, erf is 1 to the last place.
_ERFC_SINGLE = (
    -1.0139772735684631e-07, 2.558765059841142e-06, -2.8743581765999872e-05, 0.00018809217637329965,
    -0.0007718797463488646, 0.0018230307229505941, -0.0002581503947929576, -0.019121386031572884, 0.1027733609488204,
    0.6366195673647472, 1.1283791709032098,
)  # fmt: skip
_ERFC_DOUBLE = (
    -3.8489297280704886e-20, 3.1998638319479472e-18, -1.2537273903311636e-16, 3.074011997075576e-15,
    -5.278985158270422e-14, 6.727018621167864e-13, -6.5635162497707774e-12, 4.9713832257420504e-11,
    -2.9115849826301035e-10, 1.2739548125165767e-09, -3.6601836973547236e-09, 2.2281543001093336e-09,
    4.5123568789459346e-08, -3.075335610624326e-07, 1.1953819493442512e-06, -3.088547614403023e-06,
    4.544015991447963e-06, 1.6653143794878136e-06, -2.831260421239046e-05, 6.359669104230642e-05,
    2.6313649455145455e-05, -0.0005902829121267563, 0.0016962470665269993, -0.00020920178722540428,
    -0.019128446241509906, 0.10277260325794688, 0.636619772368589, 1.1283791670955088,
)  # fmt: skip


class _Lanes:
    """Float arithmetic on vectors and constants of one type, in LLVM."""

    def __init__(self, builder: Builder, type_: Any) -> None:
        self.builder = builder
        self.type = type_

    def number(self, x: float) -> ir.Constant:
        return ir.Constant(self.type, [x] * self.type.count)

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        product = self.builder.fmul(a, b, flags=vec.CONTRACT)
        return self.builder.fadd(product, c, flags=vec.CONTRACT)


def _numbers(v: Vec) -> _Numbers:
    return _SINGLE if v.dtype == types.float32 else _DOUBLE


def _within(builder: Builder, x: Value, least: float, most: float) -> Value:
    """The lanes of x, those beyond a limit replaced by it; NaN stays NaN, since a comparison with it is false."""
    lanes = _Lanes(builder, x.type)
    for operator, bound in ((">", most), ("<", least)):
        limit = lanes.number(bound)
        x = builder.select(builder.fcmp_ordered(operator, x, limit, flags=vec.CONTRACT), limit, x)
    return x


def _parts(builder: Builder, v: Vec, x: Value) -> tuple[Value, tuple[Value, Value]]:
    """exp(r) - 1, and 2^n as two factors, of x = n ln 2 + r."""
    numbers, lanes = _numbers(v), _Lanes(builder, x.type)
    x = _within(builder, x, numbers.least, numbers.most)
    shift = lanes.number(numbers.round)
    shifted = lanes.fma(x, lanes.number(_PER_OCTAVE), shift)
    n = builder.fsub(shifted, shift, flags=vec.CONTRACT)
    r = lanes.fma(n, lanes.number(-numbers.high), x)
    r = lanes.fma(n, lanes.number(-numbers.low), r)
    total: Value = lanes.number(numbers.polynomial[0])
    for coefficient in numbers.polynomial[1:]:
        total = lanes.fma(total, r, lanes.number(coefficient))
    total = lanes.fma(builder.fmul(r, r, flags=vec.CONTRACT), total, r)
    return total, _powers(builder, numbers, shifted, shift)


def _powers(builder: Builder, numbers: _Numbers, shifted: Value, shift: Value) -> tuple[Value, Value]:
    """Two factors of 2^n, where n is the difference of the bits of two numbers."""
    integers = ir.VectorType(ir.IntType(numbers.bits), shifted.type.count)

    def whole(x: int) -> ir.Constant:
        return ir.Constant(integers, [x] * integers.count)

    def power(exponent: Value) -> Value:
        bits = builder.shl(builder.add(exponent, whole(numbers.bias)), whole(numbers.mantissa))
        return builder.bitcast(bits, shifted.type)

    n = builder.sub(builder.bitcast(shifted, integers), builder.bitcast(shift, integers))
    half = builder.ashr(n, whole(1))
    return power(half), power(builder.sub(n, half))


def _exp(builder: Builder, v: Vec, x: Value) -> Value:
    total, (power, rest) = _parts(builder, v, x)
    total = builder.fadd(total, _Lanes(builder, x.type).number(1.0), flags=vec.CONTRACT)
    return builder.fmul(builder.fmul(total, power, flags=vec.CONTRACT), rest, flags=vec.CONTRACT)


def _expm1(builder: Builder, v: Vec, x: Value) -> Value:
    total, (power, rest) = _parts(builder, v, x)
    lanes = _Lanes(builder, x.type)
    one = builder.fdiv(lanes.number(1.0), rest, flags=vec.CONTRACT)  # exact: that it will be times the other factor
    more = builder.fsub(power, one, flags=vec.CONTRACT)
    return builder.fmul(lanes.fma(total, power, more), rest, flags=vec.CONTRACT)


def _tanh(builder: Builder, v: Vec, x: Value) -> Value:
    """e / (e + 2), where e is exp(2 x) - 1; beyond 22 the result is 1 to the last place of either type."""
    lanes = _Lanes(builder, x.type)
    x = _within(builder, x, -22.0, 22.0)
    power = _expm1(builder, v, builder.fadd(x, x, flags=vec.CONTRACT))
    return builder.fdiv(power, builder.fadd(power, lanes.number(2.0), flags=vec.CONTRACT), flags=vec.CONTRACT)


def _erf(builder: Builder, v: Vec, x: Value) -> Value:
    """1 - erfc(|x|), which is -expm1(log(erfc(|x|))) and so exact for small x too, with the sign of x."""
    lanes = _Lanes(builder, x.type)
    most, polynomial = (4.0, _ERFC_SINGLE) if v.dtype == types.float32 else (6.0, _ERFC_DOUBLE)
    negative = builder.fcmp_ordered("<", x, lanes.number(0.0), flags=vec.CONTRACT)
    size = builder.select(negative, builder.fneg(x, flags=vec.CONTRACT), x)
    size = _within(builder, size, 0.0, most)
    total: Value = lanes.number(polynomial[0])
    for coefficient in polynomial[1:]:
        total = lanes.fma(total, size, lanes.number(coefficient))
    power = _expm1(builder, v, builder.fneg(builder.fmul(size, total, flags=vec.CONTRACT), flags=vec.CONTRACT))
    return builder.select(negative, power, builder.fneg(power, flags=vec.CONTRACT))


def _sigmoid(builder: Builder, v: Vec, x: Value) -> Value:
    one = ir.Constant(x.type, [1.0] * v.n)
    power = _exp(builder, v, builder.fneg(x, flags=vec.CONTRACT))
    return builder.fdiv(one, builder.fadd(one, power, flags=vec.CONTRACT), flags=vec.CONTRACT)


def _bind(twin: Any, operate: Any) -> None:
    def define(_: Any, x: types.Type) -> Definition:
        given = vec.vec_of(x)
        if not vec.is_float(given):
            raise vec.reject(f"{twin.__name__}: expected float lanes, not {given.dtype}")
        return sign(given, x), lambda _, builder, __, values: operate(builder, given, values[0])

    lowers(twin)(define)


_bind(exponential.vexp, _exp)
_bind(exponential.vexpm1, _expm1)
_bind(exponential.vtanh, _tanh)
_bind(exponential.verf, _erf)
_bind(exponential.vsigmoid, _sigmoid)


@lowers(exponential.vkeep)
def _vkeep(_: Any, x: types.Type, m: types.Type, other: types.Type) -> Definition:
    given = vec.vec_of(x)
    if vec.plain(other) != given.dtype:
        raise vec.reject(f"vkeep: {other} among lanes of {given.dtype}")

    def generate(_: Any, builder: Builder, __: Any, values: tuple[Value, ...]) -> Value:
        mask = vec.first_mask(builder, given.n, values[1])
        return builder.select(mask, values[0], vec.widen(builder, given.dtype, values[2], given))

    return sign(given, x, vec.index_of(m), given.dtype), generate

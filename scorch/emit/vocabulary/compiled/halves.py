"""Lowering of `scorch.emit.vocabulary.halves`.

A CPU without F16C has no instruction between float16 and float32, and LLVM would call a library function that is not
there: such targets convert by integer arithmetic, as they all do for bfloat16.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from llvmlite import ir
from numba.core import types

from scorch.emit.vocabulary import halves
from scorch.emit.vocabulary.compiled import vec
from scorch.emit.vocabulary.compiled.vec import Builder, Definition, Value, Vec, lowers, sign

Convert: TypeAlias = Callable[[Any, Builder, Value], Value]
_HALF, _FLOAT, _SHORT = ir.HalfType(), ir.FloatType(), ir.IntType(16)

_SIGN = 0x80000000
_INFINITE = 0x7F800000  # float32; above it, without the sign, is NaN
_QUIET = 0x00400000  # the bit that makes a NaN quiet
_TOO_LARGE = (127 + 16) << 23  # from here on float32 has no finite float16
_SMALLEST_NORMAL = (127 - 14) << 23  # below it a float16 is subnormal
_HALF_LOWEST = ((127 - 15) + (23 - 10) + 1) << 23  # added to a small number, it leaves the rounded bits at the end


def _bind(twin: Callable[..., Any], source: types.Type, target: types.Type, convert: Convert) -> None:
    """Bind a conversion of scalars, and lanewise of vectors."""

    def define(_: Any, x: types.Type) -> Definition:
        given = x.dtype if isinstance(x, Vec) else vec.plain(x)
        if given != source:
            raise vec.reject(f"{twin.__name__}: expected {source}, not {x}")
        result = Vec(target, x.n) if isinstance(x, Vec) else target

        def generate(context: Any, builder: Builder, _: Any, values: tuple[Value, ...]) -> Value:
            return convert(context, builder, values[0])

        return sign(result, x if isinstance(x, Vec) else source), generate

    lowers(twin)(define)


def _like(value: Value, lane: ir.Type) -> ir.Type:
    """The type with other lanes, or, for a scalar, the lane itself."""
    return ir.VectorType(lane, value.type.count) if isinstance(value.type, ir.VectorType) else lane


def _constant(value: Value, number: int) -> ir.Constant:
    """An integer constant, repeated for every lane of a value."""
    if isinstance(value.type, ir.VectorType):
        return ir.Constant(value.type, [number] * value.type.count)
    return ir.Constant(value.type, number)


def _bits(builder: Builder, value: Value) -> Value:
    return builder.bitcast(value, _like(value, vec.INT32))


def _from_bfloat16(_: Any, builder: Builder, bits: Value) -> Value:
    wide = builder.zext(bits, _like(bits, vec.INT32))
    return builder.bitcast(builder.shl(wide, _constant(wide, 16)), _like(bits, _FLOAT))


def _to_bfloat16(_: Any, builder: Builder, value: Value) -> Value:
    bits = _bits(builder, value)
    odd = builder.and_(builder.lshr(bits, _constant(bits, 16)), _constant(bits, 1))
    rounded = builder.add(bits, builder.add(odd, _constant(bits, 0x7FFF)))
    whole = builder.select(_is_nan(builder, bits), builder.or_(bits, _constant(bits, _QUIET)), rounded)
    return builder.trunc(builder.lshr(whole, _constant(whole, 16)), _like(value, _SHORT))


def _is_nan(builder: Builder, bits: Value) -> Value:
    positive = builder.and_(bits, _constant(bits, _SIGN - 1))
    return builder.icmp_unsigned(">", positive, _constant(bits, _INFINITE))


def _has_instruction(context: Any) -> bool:
    """Whether the target converts between float16 and float32."""
    triple, _, features = context.codegen().magic_tuple()
    return triple.startswith(("aarch64", "arm64")) or "+f16c" in features.split(",")


def _from_float16(context: Any, builder: Builder, bits: Value) -> Value:
    if _has_instruction(context):
        return builder.fpext(builder.bitcast(bits, _like(bits, _HALF)), _like(bits, _FLOAT))
    return _widened(builder, bits)


def _widened(builder: Builder, bits: Value) -> Value:
    """Shift exponent and mantissa to their float32 places; multiply by 2 ** 112 for the difference of the biases, which
    makes subnormal numbers normal too."""
    wide = builder.zext(bits, _like(bits, vec.INT32))
    positive = builder.and_(wide, _constant(wide, 0x7FFF))
    shifted = builder.shl(positive, _constant(wide, 13))
    scale = builder.bitcast(_constant(wide, (127 + 112) << 23), _like(bits, _FLOAT))
    scaled = _bits(builder, builder.fmul(builder.bitcast(shifted, _like(bits, _FLOAT)), scale))
    special = builder.icmp_unsigned(">=", positive, _constant(wide, 0x7C00))
    value = builder.select(special, builder.or_(shifted, _constant(wide, _INFINITE)), scaled)
    minus = builder.shl(builder.and_(wide, _constant(wide, 0x8000)), _constant(wide, 16))
    return builder.bitcast(builder.or_(value, minus), _like(bits, _FLOAT))


def _to_float16(context: Any, builder: Builder, value: Value) -> Value:
    if _has_instruction(context):
        return builder.bitcast(builder.fptrunc(value, _like(value, _HALF)), _like(value, _SHORT))
    return _narrowed(builder, value)


def _narrowed(builder: Builder, value: Value) -> Value:
    """Round by adding just under half of the last kept bit; a float addition rounds numbers that become subnormal."""
    bits = _bits(builder, value)
    minus = builder.and_(bits, _constant(bits, _SIGN))
    positive = builder.xor(bits, minus)
    odd = builder.and_(builder.lshr(positive, _constant(bits, 13)), _constant(bits, 1))
    rebias = _constant(bits, (((15 - 127) << 23) + 0xFFF) & 0xFFFFFFFF)
    normal = builder.lshr(builder.add(builder.add(positive, rebias), odd), _constant(bits, 13))
    lowest = _constant(bits, _HALF_LOWEST)
    floats = (builder.bitcast(x, _like(value, _FLOAT)) for x in (positive, lowest))
    subnormal = builder.sub(_bits(builder, builder.fadd(*floats)), lowest)
    small = builder.icmp_unsigned("<", positive, _constant(bits, _SMALLEST_NORMAL))
    finite = builder.select(small, subnormal, normal)
    nan = builder.select(_is_nan(builder, bits), _constant(bits, 0x7E00), _constant(bits, 0x7C00))
    large = builder.icmp_unsigned(">=", positive, _constant(bits, _TOO_LARGE))
    whole = builder.or_(builder.select(large, nan, finite), builder.lshr(minus, _constant(bits, 16)))
    return builder.trunc(whole, _like(value, _SHORT))


_bind(halves.from_bfloat16, types.uint16, types.float32, _from_bfloat16)
_bind(halves.to_bfloat16, types.float32, types.uint16, _to_bfloat16)
_bind(halves.from_float16, types.uint16, types.float32, _from_float16)
_bind(halves.to_float16, types.float32, types.uint16, _to_float16)

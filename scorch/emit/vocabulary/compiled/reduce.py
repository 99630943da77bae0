"""Lowering of `scorch.emit.vocabulary.reduce`: halving by shuffles.

The tree is written out, not left to llvm.vector.reduce, so that its order is the same on every target.
"""

from collections.abc import Callable
from typing import Any

from numba.core import types

from scorch.emit.vocabulary import reduce
from scorch.emit.vocabulary.compiled import arithmetic, vec
from scorch.emit.vocabulary.compiled.vec import Builder, Definition, Value, Vec, lowers, sign


def _bind(twin: Callable[..., Any], combine: arithmetic.Combine, bools: bool = False) -> None:
    """Bind a reduction that combines two vectors of half the width until one lane is left."""

    def define(_: Any, v: types.Type) -> Definition:
        given = vec.vec_of(v)
        is_bool = isinstance(given.dtype, types.Boolean)
        if is_bool and not bools:
            raise vec.reject("expected lanes of numbers, not bool")

        def generate(_: Any, builder: Builder, __: Any, values: tuple[Value, ...]) -> Value:
            lane = _halve(builder, given, combine, values[0])
            return builder.trunc(lane, vec.INT1) if is_bool else lane

        return sign(given.dtype, v), generate

    lowers(twin)(define)


def _halve(builder: Builder, given: Vec, combine: arithmetic.Combine, value: Value) -> Value:
    """Return the one lane that is left."""
    width = given.n
    while width > 1:
        width //= 2
        low = builder.shuffle_vector(value, value, vec.constants(vec.INT32, list(range(width))))
        high = builder.shuffle_vector(value, value, vec.constants(vec.INT32, list(range(width, 2 * width))))
        value = combine(builder, Vec(given.dtype, width), low, high)
    return builder.extract_element(value, vec.INT32(0))


def _define_sums(*vectors: types.Type) -> Definition:
    """Type and lower the vector of the sums of some vectors."""
    given = vec.common_vec(*vectors)
    if isinstance(given.dtype, types.Boolean) or any(v != given for v in vectors):
        raise vec.reject("expected vectors of numbers")

    def generate(_: Any, builder: Builder, __: Any, values: tuple[Value, ...]) -> Value:
        return _sums(builder, given, list(values))

    return sign(vec.make_vec(given.dtype, len(vectors)), *vectors), generate


def _sums(builder: Builder, given: Vec, rows: list[Value]) -> Value:
    """Return the vector of the sums of each row; the order is that of the twin."""
    count, width = len(rows), given.n
    piece = min(width, 128 // given.dtype.bitwidth)
    summed = 1
    while summed < piece:
        pairs = zip(rows[::2], rows[1::2], strict=True) if len(rows) > 1 else [(rows[0], rows[0])]
        rows = [_interleaved(builder, given, a, b, piece) for a, b in pairs]
        summed *= 2
    block = width  # lanes with the same owners
    while block > piece:
        pairs = zip(rows[::2], rows[1::2], strict=True) if len(rows) > 1 else [(rows[0], rows[0])]
        total = 2 * width if len(rows) > 1 else width
        first = [start + lane for start in range(0, total, block) for lane in range(block // 2)]
        halves = [first, [lane + block // 2 for lane in first]]
        rows = [_added(builder, Vec(given.dtype, total // 2), a, b, halves) for a, b in pairs]
        width, block = total // 2, block // 2
    while len(rows) > 1:
        both = list(range(2 * width))
        rows = [_shuffled(builder, a, b, both) for a, b in zip(rows[::2], rows[1::2], strict=True)]
        width *= 2
    return rows[0] if width == count else _shuffled(builder, rows[0], rows[0], list(range(count)))


def _interleaved(builder: Builder, given: Vec, a: Value, b: Value, piece: int) -> Value:
    """Return sums of neighbouring lanes of each piece: those of a, then those of b."""
    starts = [row + start for start in range(0, given.n, piece) for row in (0, given.n)]
    lanes = [start + lane for start in starts for lane in range(0, piece, 2)]
    return _added(builder, given, a, b, [lanes, [lane + 1 for lane in lanes]])


def _added(builder: Builder, v: Vec, a: Value, b: Value, lanes: list[list[int]]) -> Value:
    """Return the sum of two selections from the lanes of a and b."""
    left, right = (_shuffled(builder, a, b, chosen) for chosen in lanes)
    return arithmetic.add(builder, v, left, right)


def _shuffled(builder: Builder, a: Value, b: Value, lanes: list[int]) -> Value:
    return builder.shuffle_vector(a, b, vec.constants(vec.INT32, lanes))


@lowers(reduce.vsums4)
def _vsums4(_: Any, a: types.Type, b: types.Type, c: types.Type, d: types.Type) -> Definition:
    return _define_sums(a, b, c, d)


@lowers(reduce.vsums8)
def _vsums8(
    _: Any,
    a: types.Type,
    b: types.Type,
    c: types.Type,
    d: types.Type,
    e: types.Type,
    f: types.Type,
    g: types.Type,
    h: types.Type,
) -> Definition:
    return _define_sums(a, b, c, d, e, f, g, h)


_bind(reduce.vsum, arithmetic.add)
_bind(reduce.vprod, arithmetic.multiply)
_bind(reduce.vhmax, arithmetic.larger, bools=True)
_bind(reduce.vhmin, arithmetic.smaller, bools=True)

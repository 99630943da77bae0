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


_bind(reduce.vsum, arithmetic.add)
_bind(reduce.vprod, arithmetic.multiply)
_bind(reduce.vhmax, arithmetic.larger, bools=True)
_bind(reduce.vhmin, arithmetic.smaller, bools=True)

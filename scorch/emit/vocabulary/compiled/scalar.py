"""Lowering of `scorch.emit.vocabulary.scalar`, and the width of a vector."""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit
from numba.core import types
from numba.extending import overload

from scorch.emit.vocabulary import scalar
from scorch.emit.vocabulary.compiled import vec
from scorch.emit.vocabulary.compiled.vec import Builder, Definition, Value, lowers, sign


@lowers(len)
def _len(_: Any, v: types.Type) -> Definition | None:
    if not isinstance(v, vec.Vec):
        return None
    width = v.n
    return sign(types.intp, v), lambda *_: vec.INT64(width)


def _atomic(a: types.Type, i: types.Type, x: types.Type, returns: bool) -> Definition:
    """Type and lower an atomic addition, which returns the old value or nothing."""
    array = vec.array_of(a, written=True)
    dtype = array.dtype
    allowed = (types.Integer,) if returns else (types.Integer, types.Float)
    if not isinstance(dtype, allowed) or vec.plain(x) != dtype:
        raise vec.reject(f"atomic addition of {x} to {array}")

    def generate(context: Any, builder: Builder, _: Any, values: tuple[Value, ...]) -> Value:
        data = context.make_array(array)(context, builder, values[0]).data
        operation = "fadd" if isinstance(dtype, types.Float) else "add"
        old = builder.atomic_rmw(operation, builder.gep(data, [values[1]]), values[2], "monotonic")
        return old if returns else context.get_dummy_value()

    return sign(dtype if returns else types.none, a, vec.index_of(i), dtype), generate


@lowers(scalar.fetch_add)
def _fetch_add(_: Any, a: types.Type, i: types.Type, x: types.Type) -> Definition:
    return _atomic(a, i, x, returns=True)


@lowers(scalar.atomic_add)
def _atomic_add(_: Any, a: types.Type, i: types.Type, x: types.Type) -> Definition:
    return _atomic(a, i, x, returns=False)


overload(scalar.follow, strict=False)(lambda ends, chunk, count: scalar.follow)


def _of_word(x: types.Type, generate: Callable[[Builder, Value], Value]) -> Definition:
    """Type and lower a function of a uint64 word with an int64 result."""
    if x != types.uint64:
        raise vec.reject(f"expected a uint64, not {x}")

    def run(_: Any, builder: Builder, __: Any, values: tuple[Value, ...]) -> Value:
        return generate(builder, values[0])

    return sign(types.int64, x), run


@lowers(scalar.popcount)
def _popcount(_: Any, x: types.Type) -> Definition:
    return _of_word(x, lambda builder, word: builder.ctpop(word))


@lowers(scalar.ctz)
def _ctz(_: Any, x: types.Type) -> Definition:
    return _of_word(x, lambda builder, word: builder.cttz(word, ir.Constant(vec.INT1, 0)))


@lowers(scalar.bit)
def _bit(_: Any, j: types.Type) -> Definition:
    def generate(_: Any, builder: Builder, __: Any, values: tuple[Value, ...]) -> Value:
        return builder.shl(vec.INT64(1), builder.and_(values[0], vec.INT64(63)))

    return sign(types.uint64, vec.index_of(j)), generate


# Not strict: a strict overload compares the annotations of the two functions too.
@overload(scalar.lower_bound, strict=False)
def _lower_bound(a: types.Type, lo: types.Type, hi: types.Type, x: types.Type) -> Callable[..., Any]:
    array = vec.array_of(a)
    if vec.plain(x) != array.dtype:
        raise vec.reject(f"lower_bound: {x} is not of the dtype of {array}")
    return _search


@overload(scalar.gallop, strict=False)
def _gallop(a: types.Type, lo: types.Type, hi: types.Type, x: types.Type) -> Callable[..., Any]:
    array = vec.array_of(a)
    if vec.plain(x) != array.dtype:
        raise vec.reject(f"gallop: {x} is not of the dtype of {array}")
    return _doubling


def _doubling(a: Any, lo: int, hi: int, x: Any) -> Any:
    """Double the step while what is passed over is less, then halve the last one."""
    first = np.int64(lo)
    end = np.int64(hi)
    step = np.int64(1)
    last = first
    while last < end and a[np.uint64(last)] < x:
        first = last + 1
        last = first + step
        step = step * 2
    last = min(last, end)
    while first < last:
        middle = np.int64((first + last) >> 1)
        if a[np.uint64(middle)] < x:
            first = middle + 1
        else:
            last = middle
    return last


def _search(a: Any, lo: int, hi: int, x: Any) -> Any:
    """Halve the range; the unsigned midpoint saves Numba's wraparound of negative indices."""
    first = np.int64(lo)
    last = np.int64(hi)
    while first < last:
        middle = np.int64((first + last) >> 1)
        if a[np.uint64(middle)] < x:
            first = middle + 1
        else:
            last = middle
    return last


SHORT = 12  # numbers that are sorted sooner by insertion alone than by finding the gaps


@overload(scalar.sort_range, strict=False)
def _sort_range(a: types.Type, lo: int, hi: int) -> Callable[..., Any]:
    vec.array_of(a, written=True)
    return _shell_sort


def _shell_sort(a: Any, lo: int, hi: int) -> None:
    """Shell sort with Ciura's gaps, times 2.25 beyond them: no recursion, no memory, quick to compile.

    The ranges are rows of a sparse result: tens of entries, seldom thousands.
    """
    count = np.int64(hi) - np.int64(lo)
    gap = np.int64(1 if count <= SHORT else 701)
    while gap * 9 < count * 4:
        gap = gap * 9 // 4
    while gap > 0:
        for p in range(lo + gap, hi):
            key = a[np.uint64(p)]
            q = np.int64(p)
            while q >= lo + gap and a[np.uint64(q - gap)] > key:
                a[np.uint64(q)] = a[np.uint64(q - gap)]
                q -= gap
            a[np.uint64(q)] = key
        gap = _next_gap(gap)  # type: ignore[type-var, assignment]  # the stub takes the call for a decoration


@njit
def _next_gap(gap: int) -> int:
    """The gap after this one in 1, 4, 10, 23, 57, 132, 301, 701, ..."""
    if gap > 701:
        return gap * 4 // 9
    for smaller in (301, 132, 57, 23, 10, 4, 1):
        if gap > smaller:
            return smaller
    return 0

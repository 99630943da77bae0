"""Lane-wise arithmetic, comparison, selection and conversion.

Operands are vectors of one dtype and width; a scalar of the same dtype broadcasts. Nothing is
promoted: mixed dtypes are a TypeError here and a typing error under Numba.
"""

from typing import Any

import numpy as np

from scorch.emit.vocabulary.lanes import Lanes, operands, quiet, same_dtype


@quiet
def vfma(x: Any, v: Lanes, acc: Lanes) -> Lanes:
    """Return x * v + acc; compiled floats may round once (fused) where the CPU has an instruction for it.

    >>> vfma(np.float32(2), np.ones(2, np.float32), np.ones(2, np.float32))
    array([3., 3.], dtype=float32)
    """
    x, v, acc = _numbers(x, v, acc)
    return np.asarray(x * v + acc)


@quiet
def vadd(a: Any, b: Any) -> Lanes:
    """Return a + b.

    >>> vadd(np.arange(2), 5)
    array([5, 6])
    """
    a, b = _numbers(a, b)
    return np.asarray(a + b)


@quiet
def vsub(a: Any, b: Any) -> Lanes:
    """Return a - b.

    >>> vsub(5, np.arange(2))
    array([5, 4])
    """
    a, b = _numbers(a, b)
    return np.asarray(a - b)


@quiet
def vmul(a: Any, b: Any) -> Lanes:
    """Return a * b.

    >>> vmul(np.arange(2), 5)
    array([0, 5])
    """
    a, b = _numbers(a, b)
    return np.asarray(a * b)


@quiet
def vdiv(a: Any, b: Any) -> Lanes:
    """Return a / b of float lanes.

    >>> vdiv(1.0, np.array([2.0, 0.0]))
    array([0.5, inf])
    """
    a, b = _floats(a, b)
    return np.asarray(a / b)


@quiet
def vmax(a: Any, b: Any) -> Lanes:
    """Return the larger of a and b, NaN where either is NaN, as torch.maximum does.

    >>> vmax(np.array([1.0, np.nan, 3.0]), 2.0)
    array([ 2., nan,  3.])
    """
    a, b = operands(a, b)
    return np.asarray(np.where(a != a, a, np.where(a > b, a, b)))


@quiet
def vmin(a: Any, b: Any) -> Lanes:
    """Return the smaller of a and b, NaN where either is NaN, as torch.minimum does.

    >>> vmin(np.array([1.0, np.nan, 3.0]), 2.0)
    array([ 1., nan,  2.])
    """
    a, b = operands(a, b)
    return np.asarray(np.where(a != a, a, np.where(a < b, a, b)))


@quiet
def vneg(a: Lanes) -> Lanes:
    """Return -a.

    >>> vneg(np.arange(3))
    array([ 0, -1, -2])
    """
    (a,) = _numbers(a)
    return np.asarray(-a)


@quiet
def vabs(a: Lanes) -> Lanes:
    """Return the absolute value; that of the most negative integer is itself.

    >>> vabs(np.array([-1.5, 2.0]))
    array([1.5, 2. ])
    """
    (a,) = _numbers(a)
    return np.asarray(np.abs(a))


@quiet
def vsqrt(a: Lanes) -> Lanes:
    """Return the square root of float lanes, NaN for negative ones.

    >>> vsqrt(np.array([4.0, -1.0]))
    array([ 2., nan])
    """
    (a,) = _floats(a)
    return np.asarray(np.sqrt(a))


def veq(a: Any, b: Any) -> Lanes:
    """Return bool lanes a == b.

    >>> veq(np.arange(3), 1)
    array([False,  True, False])
    """
    a, b = operands(a, b)
    return np.asarray(a == b)


def vne(a: Any, b: Any) -> Lanes:
    """Return bool lanes a != b, true where either is NaN.

    >>> vne(np.arange(3), 1)
    array([ True, False,  True])
    """
    a, b = operands(a, b)
    return np.asarray(a != b)


@quiet
def vlt(a: Any, b: Any) -> Lanes:
    """Return bool lanes a < b.

    >>> vlt(np.arange(3), 1)
    array([ True, False, False])
    """
    a, b = operands(a, b)
    return np.asarray(a < b)


@quiet
def vle(a: Any, b: Any) -> Lanes:
    """Return bool lanes a <= b.

    >>> vle(np.arange(3), 1)
    array([ True,  True, False])
    """
    a, b = operands(a, b)
    return np.asarray(a <= b)


@quiet
def vgt(a: Any, b: Any) -> Lanes:
    """Return bool lanes a > b.

    >>> vgt(np.arange(3), 1)
    array([False, False,  True])
    """
    a, b = operands(a, b)
    return np.asarray(a > b)


@quiet
def vge(a: Any, b: Any) -> Lanes:
    """Return bool lanes a >= b.

    >>> vge(np.arange(3), 1)
    array([False,  True,  True])
    """
    a, b = operands(a, b)
    return np.asarray(a >= b)


def vselect(mask: Lanes, a: Any, b: Any) -> Lanes:
    """Return a where the bool lanes of mask are true, else b; a and b may both be scalars.

    >>> vselect(vlt(np.arange(3), 1), 7, np.arange(3))
    array([7, 1, 2])
    """
    if mask.dtype != np.bool_:
        raise TypeError(f"vselect: the mask has bool lanes, not {mask.dtype}")
    dtype = same_dtype(a, b)
    if any(np.ndim(x) and len(x) != len(mask) for x in (a, b)):
        raise TypeError("vselect: mask and vectors have the same width")
    return np.where(mask, np.asarray(a, dtype), np.asarray(b, dtype))


@quiet
def vcast(v: Lanes, dtype: type[np.generic]) -> Lanes:
    """Return the lanes converted to a numpy scalar class; nonzero is True.

    A float outside the range of an integer dtype gives an unspecified value, as in numpy.

    >>> vcast(np.array([1.9, -1.9]), np.int32)
    array([ 1, -1], dtype=int32)
    """
    return v.astype(dtype)


def _numbers(*given: Any) -> tuple[Lanes, ...]:
    """Return operands of one dtype that is not bool: arithmetic on masks is a mistake."""
    lanes = operands(*given)
    if lanes[0].dtype == np.bool_:
        raise TypeError("expected lanes of numbers, not bool")
    return lanes


def _floats(*given: Any) -> tuple[Lanes, ...]:
    """Return operands of one float dtype."""
    lanes = operands(*given)
    if lanes[0].dtype.kind != "f":
        raise TypeError(f"expected float lanes, not {lanes[0].dtype}")
    return lanes

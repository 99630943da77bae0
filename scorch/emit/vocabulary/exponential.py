"""The exponential function and what is made of it, lane by lane: there is no vector mathematics library to call."""

import math
from typing import Any

import numpy as np

from scorch.emit.vocabulary.lanes import Lanes, check_width, quiet, same_dtype


@quiet
def vexp(x: Lanes) -> Lanes:
    """Return e ** x of float lanes; compiled ones within 2 units in the last place.

    >>> vexp(np.array([0.0, -np.inf, np.nan]))
    array([ 1.,  0., nan])
    """
    return np.asarray(np.exp(_floats("vexp", x)))


@quiet
def vexpm1(x: Lanes) -> Lanes:
    """Return e ** x - 1 of float lanes, exact for small ones too; compiled ones within 3 units in the last place.

    >>> vexpm1(np.array([0.0, -np.inf, 1e-20]))
    array([ 0.e+00, -1.e+00,  1.e-20])
    """
    return np.asarray(np.expm1(_floats("vexpm1", x)))


@quiet
def vtanh(x: Lanes) -> Lanes:
    """Return the hyperbolic tangent of float lanes; compiled ones within 5 units in the last place.

    >>> vtanh(np.array([0.0, -np.inf, np.nan]))
    array([ 0., -1., nan])
    """
    return np.asarray(np.tanh(_floats("vtanh", x)))


@quiet
def verf(x: Lanes) -> Lanes:
    """Return the error function of float lanes; compiled ones within 4 units in the last place, of doubles 40.

    >>> verf(np.array([0.0, -np.inf, np.nan]))
    array([ 0., -1., nan])
    """
    found = [math.erf(each) for each in _floats("verf", x).tolist()]
    return np.asarray(found, dtype=x.dtype)


@quiet
def vsigmoid(x: Lanes) -> Lanes:
    """Return 1 / (1 + e ** -x) of float lanes.

    >>> vsigmoid(np.array([0.0, -np.inf, np.inf]))
    array([0.5, 0. , 1. ])
    """
    one = _floats("vsigmoid", x).dtype.type(1)
    return np.asarray(one / (one + np.exp(-x)))


def vkeep(x: Lanes, m: int, other: Any) -> Lanes:
    """Return the first m lanes of x, and `other` in those behind them, if there are any; 0 <= m < 2 ** 31.

    >>> vkeep(np.array([1.0, 2.0, 3.0, 4.0]), 3, -np.inf)
    array([  1.,   2.,   3., -inf])
    """
    check_width(len(x))
    same_dtype(x, other)
    if not 0 <= m < 1 << 31:
        raise IndexError(f"vkeep: {m} of {len(x)} lanes")
    return np.where(np.arange(len(x)) < m, x, other)


def _floats(name: str, x: Lanes) -> Lanes:
    if x.dtype.kind != "f":
        raise TypeError(f"{name}: expected float lanes, not {x.dtype}")
    return x

"""Horizontal reductions: all lanes of a vector to one scalar of the lane dtype.

The order is a fixed tree on every target: the upper half of the lanes is combined with the lower half
until one lane is left. Twins and compiled code therefore agree to the last bit.
"""

from collections.abc import Callable
from typing import Any

from scorch.emit.vocabulary.arithmetic import vadd, vmax, vmin, vmul
from scorch.emit.vocabulary.lanes import Lanes


def vsum(v: Lanes) -> Any:
    """Return the sum of the lanes; integers wrap around.

    >>> import numpy as np
    >>> vsum(np.arange(4))
    np.int64(6)
    """
    return _halve(v, vadd)


def vprod(v: Lanes) -> Any:
    """Return the product of the lanes; integers wrap around.

    >>> import numpy as np
    >>> vprod(np.array([1.0, 2.0, 3.0, 4.0]))
    np.float64(24.0)
    """
    return _halve(v, vmul)


def vhmax(v: Lanes) -> Any:
    """Return the largest lane, NaN if any lane is NaN.

    >>> import numpy as np
    >>> vhmax(np.array([1.0, 4.0]))
    np.float64(4.0)
    """
    return _halve(v, vmax)


def vhmin(v: Lanes) -> Any:
    """Return the smallest lane, NaN if any lane is NaN.

    >>> import numpy as np
    >>> vhmin(np.array([1.0, np.nan]))
    np.float64(nan)
    """
    return _halve(v, vmin)


def _halve(v: Lanes, combine: Callable[[Any, Any], Lanes]) -> Any:
    """Combine the lower half with the upper half until one lane is left."""
    while len(v) > 1:
        half = len(v) // 2
        v = combine(v[:half], v[half:])
    return v[0]

"""Horizontal reductions: all lanes of a vector to one scalar of the lane dtype.

The order is a fixed tree on every target: the upper half of the lanes is combined with the lower half
until one lane is left. Twins and compiled code therefore agree to the last bit.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

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


def vsums4(a: Lanes, b: Lanes, c: Lanes, d: Lanes) -> Lanes:
    """Return four lanes, the sums of four vectors.

    >>> import numpy as np
    >>> vsums4(*np.arange(8).reshape(4, 2))
    array([ 1,  5,  9, 13])
    """
    return _sums(a, b, c, d)


def vsums8(a: Lanes, b: Lanes, c: Lanes, d: Lanes, e: Lanes, f: Lanes, g: Lanes, h: Lanes) -> Lanes:
    """Return eight lanes, the sums of eight vectors.

    >>> import numpy as np
    >>> vsums8(*np.arange(16).reshape(8, 2))
    array([ 1,  5,  9, 13, 17, 21, 25, 29])
    """
    return _sums(a, b, c, d, e, f, g, h)


def _sums(*vectors: Lanes) -> Lanes:
    """Vectors added in pairs: shuffled within 16 bytes while those hold lanes of one vector only, then by halves."""
    if any(v.dtype == np.bool_ or v.dtype != vectors[0].dtype or len(v) != len(vectors[0]) for v in vectors):
        raise TypeError("expected vectors of one number type and one width")
    rows = list(vectors)
    piece = min(len(rows[0]), max(1, 16 // rows[0].itemsize))
    summed = 1  # lanes of a piece that belong to different vectors
    while summed < piece:
        pairs = zip(rows[::2], rows[1::2], strict=True) if len(rows) > 1 else [(rows[0], rows[0])]
        rows = [_interleaved(a, b, piece) for a, b in pairs]
        summed *= 2
    block = len(rows[0])  # lanes with the same owners
    while block > piece:
        joined = [np.append(*pair) for pair in zip(rows[::2], rows[1::2], strict=True)] if len(rows) > 1 else rows
        halves = [row.reshape(-1, 2, block // 2) for row in joined]
        rows = [vadd(row[:, 0].ravel(), row[:, 1].ravel()) for row in halves]
        block //= 2
    return np.concatenate(rows)[: len(vectors)]


def _interleaved(a: Lanes, b: Lanes, piece: int) -> Lanes:
    """Sums of neighbouring lanes of each piece: those of a, then those of b."""
    rows = np.concatenate([a.reshape(-1, piece), b.reshape(-1, piece)], axis=1)
    return vadd(rows[:, ::2].ravel(), rows[:, 1::2].ravel())


def _halve(v: Lanes, combine: Callable[[Any, Any], Lanes]) -> Any:
    """Combine the lower half with the upper half until one lane is left."""
    while len(v) > 1:
        half = len(v) // 2
        v = combine(v[:half], v[half:])
    return v[0]

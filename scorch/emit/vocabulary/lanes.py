"""What the plain twins share: dtypes and ranges, as strict as the compiled vocabulary is."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Lanes = NDArray[Any]

# Compiled arithmetic on lanes never warns, so the twins don't either.
quiet = np.errstate(all="ignore")


def dtype_of(x: Any) -> np.dtype[Any]:
    """Return the dtype Numba gives to x: Python int, float and bool are int64, float64 and bool.

    >>> dtype_of(1), dtype_of(np.float32(1)), dtype_of(np.zeros(2, np.int8))
    (dtype('int64'), dtype('float32'), dtype('int8'))
    """
    if isinstance(x, np.ndarray | np.generic):
        return x.dtype
    if isinstance(x, bool | int | float):
        return np.dtype({bool: np.bool_, int: np.int64, float: np.float64}[type(x)])
    raise TypeError(f"expected lanes or a scalar, not {type(x).__name__}")


def same_dtype(*operands: Any) -> np.dtype[Any]:
    """Return the one dtype of the operands; a mixture is a TypeError, as it is when compiled."""
    dtypes = [dtype_of(x) for x in operands]
    if any(d != dtypes[0] for d in dtypes):
        raise TypeError(f"mixed lane dtypes {', '.join(map(str, dtypes))}: convert with vcast or a numpy scalar")
    return dtypes[0]


def operands(*given: Any) -> tuple[Lanes, ...]:
    """Return the operands as lanes of one dtype and one width; scalars stay 0-d and broadcast."""
    dtype = same_dtype(*given)
    if len({len(x) for x in given if np.ndim(x)}) != 1:
        raise TypeError("expected at least one vector, and all vectors of the same width")
    return tuple(np.asarray(x, dtype) for x in given)


def check_width(n: int) -> None:
    """Raise TypeError unless n is a power of two between 1 and 256."""
    if not 1 <= n <= 256 or n & (n - 1):
        raise TypeError(f"a vector has 1, 2, 4, ... or 256 lanes, not {n}")


def check_range(name: str, a: Lanes, i: int, n: int) -> None:
    """Raise IndexError unless i .. i + n lies in a; a numpy slice would silently come back short."""
    if i < 0 or i + n > len(a):
        raise IndexError(f"{name}: lanes {i} to {i + n} of an array of length {len(a)}")


def check_part(name: str, a: Lanes, i: int, n: int, m: int) -> None:
    """Raise IndexError unless 0 <= m <= n and i .. i + m lies in a."""
    if not 0 <= m <= n:
        raise IndexError(f"{name}: {m} of {n} lanes")
    check_range(name, a, i, m)

"""The half types: bfloat16 and float16, as the uint16 bits that kernels find in memory, to float32 and back.

Scalars and vectors alike. Stores round to nearest, ties to even; NaN stays NaN.
"""

from typing import Any

import numpy as np

from scorch.emit.vocabulary.lanes import dtype_of, quiet

_INFINITE = np.uint32(0x7F800000)
_QUIET = np.uint32(0x00400000)


def from_bfloat16(bits: Any) -> Any:
    """Return the float32 that bfloat16 bits stand for: they are its upper half.

    >>> from_bfloat16(np.array([0x3F80, 0xC000], dtype=np.uint16))
    array([ 1., -2.], dtype=float32)
    """
    _expect(bits, np.uint16)
    return (np.asarray(bits, np.uint32) << np.uint32(16)).view(np.float32)[()]


def to_bfloat16(x: Any) -> Any:
    """Return float32 rounded to bfloat16, as bits.

    >>> to_bfloat16(np.array([1.0, 3.0e38, np.nan], dtype=np.float32))
    array([16256, 32610, 32704], dtype=uint16)
    """
    _expect(x, np.float32)
    bits = np.asarray(x).view(np.uint32)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    nan = (bits & np.uint32(0x7FFFFFFF)) > _INFINITE
    whole = np.where(nan, bits | _QUIET, bits + np.where(nan, np.uint32(0), np.uint32(0x7FFF) + odd))
    return (whole >> np.uint32(16)).astype(np.uint16)[()]


def from_float16(bits: Any) -> Any:
    """Return the float32 that float16 bits stand for.

    >>> from_float16(np.array([0x3C00, 0x0001], dtype=np.uint16))
    array([1.0000000e+00, 5.9604645e-08], dtype=float32)
    """
    _expect(bits, np.uint16)
    return np.asarray(bits).view(np.float16).astype(np.float32)[()]


@quiet
def to_float16(x: Any) -> Any:
    """Return float32 rounded to float16, as bits.

    >>> to_float16(np.array([1.0, 65520.0], dtype=np.float32))
    array([15360, 31744], dtype=uint16)
    """
    _expect(x, np.float32)
    return np.asarray(x).astype(np.float16).view(np.uint16)[()]


def _expect(x: Any, dtype: type[np.generic]) -> None:
    if dtype_of(x) != dtype:
        raise TypeError(f"expected {np.dtype(dtype)}, not {dtype_of(x)}")

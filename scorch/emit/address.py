"""Arrays that callers give by the address of their first item. Imports Numba, so it is imported with the first kernel.

torch tells the address of a tensor in a tenth of the time in which it makes a numpy array on its memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
from numba import extending
from numba.core import cgutils, types
from numba.core.datamodel import models
from numba.np import arrayobj

__all__ = ["Address", "typed"]

# Numba has no types for these.
_extending: Any = extending
_arrays: Any = arrayobj
_typeof: Any = numba.typeof


class Address(types.Array):
    """A contiguous 1-d array of one number type, which Python code passes as an int: the address of its first item.

    Inside compiled code it is an array whose length nobody knows; kernels never ask for it.
    """

    def __init__(self, dtype: types.Type) -> None:
        super().__init__(dtype, 1, "C", name=f"address({dtype})")

    def __repr__(self) -> str:
        return str(self)


_extending.register_model(Address)(models.ArrayModel)


@_extending.unbox(Address)
def _unbox_address(typ: Address, number: Any, c: Any) -> Any:
    array = _arrays.make_array(typ)(c.context, c.builder)
    data = c.builder.bitcast(c.pyapi.long_as_voidptr(number), array.data.type)
    itemsize = c.context.get_constant(types.intp, np.dtype(str(typ.dtype)).itemsize)
    nothing = c.context.get_constant(types.intp, 0)
    _arrays.populate_array(array, data=data, shape=[nothing], strides=[itemsize], itemsize=itemsize, meminfo=None)
    return _extending.NativeValue(array._getvalue(), is_error=cgutils.false_bit)


def typed(arguments: Sequence[Any], addresses: dict[int, str]) -> tuple[Any, ...]:
    """Numba's types of arguments; those at some places are addresses of items of a number type.

    >>> typed([np.zeros(2), 7, 0], {2: "float32"})
    (Array(float64, 1, 'C', False, aligned=True), int64, address(float32))
    """
    return tuple(
        Address(numba.from_dtype(np.dtype(addresses[place]))) if place in addresses else _typeof(argument)
        for place, argument in enumerate(arguments)
    )

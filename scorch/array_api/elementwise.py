"""Functions of each value, and of two arrays with broadcasting, under the standard's names."""

from __future__ import annotations

from typing import Any

import torch

from scorch.array_api.array import Array, alike, as_array, call
from scorch.errors import DtypeError
from scorch.functions import registry
from scorch.functions.unary import mapped

__all__ = ["clip", "imag", "real", "reciprocal", "round", "sign"]

UNARY = {
    "abs": "abs", "acos": "acos", "acosh": "acosh", "asin": "asin", "asinh": "asinh", "atan": "atan", "atanh": "atanh",
    "bitwise_invert": "bitwise_not", "ceil": "ceil", "conj": "conj", "cos": "cos", "cosh": "cosh", "exp": "exp",
    "expm1": "expm1", "floor": "floor", "isfinite": "isfinite", "isinf": "isinf", "isnan": "isnan", "log": "log",
    "log10": "log10", "log1p": "log1p", "log2": "log2", "logical_not": "logical_not", "negative": "neg",
    "positive": "positive", "signbit": "signbit", "sin": "sin", "sinh": "sinh",
    "sqrt": "sqrt", "square": "square", "tan": "tan", "tanh": "tanh", "trunc": "trunc",
}  # fmt: skip
BINARY = {
    "add": "add", "atan2": "atan2", "bitwise_and": "bitwise_and", "bitwise_left_shift": "bitwise_left_shift",
    "bitwise_or": "bitwise_or", "bitwise_right_shift": "bitwise_right_shift", "bitwise_xor": "bitwise_xor",
    "copysign": "copysign", "divide": "div", "equal": "eq", "floor_divide": "floor_divide", "greater": "gt",
    "greater_equal": "ge", "hypot": "hypot", "less": "lt", "less_equal": "le", "logaddexp": "logaddexp",
    "logical_and": "logical_and", "logical_or": "logical_or", "logical_xor": "logical_xor", "maximum": "maximum",
    "minimum": "minimum", "multiply": "mul", "nextafter": "nextafter", "not_equal": "ne", "pow": "pow",
    "remainder": "remainder", "subtract": "sub",
}  # fmt: skip


def _define(name: str, torch_name: str, operands: int) -> None:
    if operands == 1:

        def function(x: Any, /) -> Array:
            made: Array = call(torch_name, x)
            return made

    else:

        def function(x1: Any, x2: Any, /) -> Array:  # type: ignore[misc]
            made: Array = call(torch_name, *_arrays(x1, x2))
            return made

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{name} of the Array API: torch's {torch_name} of dense and sparse arrays."
    globals()[name] = function
    __all__.append(name)


def _arrays(first: Any, second: Any) -> tuple[Any, Any]:
    """Two operands of which one may be a number, in the number type of the other."""
    if isinstance(first, bool | int | float | complex) and isinstance(second, Array):
        kind = torch.result_type(torch.ones(1, dtype=second.dtype), first)
        return as_array(torch.tensor(first, dtype=kind)).to_dense(), second
    if isinstance(second, bool | int | float | complex) and isinstance(first, Array) and first.format.is_dense:
        kind = torch.result_type(torch.ones(1, dtype=first.dtype), second)
        return first, torch.tensor(second, dtype=kind)
    return alike(first, second)


for _name, _torch_name in UNARY.items():
    _define(_name, _torch_name, 1)
for _name, _torch_name in BINARY.items():
    _define(_name, _torch_name, 2)


def real(x: Array, /) -> Array:
    """The real part."""
    made: Array = call("real", x)
    return made


def imag(x: Array, /) -> Array:
    """The imaginary part of complex numbers."""
    if not x.dtype.is_complex:
        raise DtypeError(f"imag takes complex numbers, not {x.dtype}")
    made: Array = call("imag", x)
    return made


def round(x: Array, /) -> Array:
    """The nearest whole number, of halves the even one; of complex numbers both parts."""
    if not x.dtype.is_complex:
        made: Array = call("round", x)
        return made
    with registry.fills_allowed():
        return as_array(mapped("round", _rounded_parts, x))  # type: ignore[no-any-return]


def _rounded_parts(values: torch.Tensor) -> torch.Tensor:
    return torch.view_as_complex(torch.view_as_real(values).round())


def sign(x: Array, /) -> Array:
    """-1, 0 or 1; x / abs(x) of complex numbers."""
    made: Array = call("sgn", x)
    return made


def reciprocal(x: Array, /) -> Array:
    """1 / x."""
    made: Array = call("reciprocal", x)
    return made


def clip(x: Array, /, min: Any = None, max: Any = None) -> Array:
    """The values brought into a range; bounds are numbers or arrays."""
    made = x
    if min is not None:
        made = call("maximum", made, _bound(min, x)) if hasattr(min, "dtype") else call("clamp", made, min=min)
    if max is not None:
        made = call("minimum", made, _bound(max, x)) if hasattr(max, "dtype") else call("clamp", made, max=max)
    return made if made is not x else as_array(x.clone())


def _bound(bound: Any, x: Array) -> Any:
    return bound if bound.dtype == x.dtype else bound.to(x.dtype)

"""Functions of each value: they work on the stored values, and say so where the others would not stay zero."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from scorch.formats import Storage
from scorch.functions.registry import check_fill, implements
from scorch.tensor import Tensor

__all__ = ["mapped"]

_NAMES = [
    "abs",
    "absolute",
    "neg",
    "negative",
    "positive",
    "sign",
    "sgn",
    "square",
    "sqrt",
    "rsqrt",
    "reciprocal",
    "relu",
    "floor",
    "ceil",
    "trunc",
    "fix",
    "frac",
    "round",
    "exp",
    "exp2",
    "expm1",
    "log",
    "log1p",
    "log2",
    "log10",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "arcsin",
    "arccos",
    "arctan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "acosh",
    "atanh",
    "arcsinh",
    "arccosh",
    "arctanh",
    "sigmoid",
    "erf",
    "erfc",
    "erfinv",
    "sinc",
    "lgamma",
    "digamma",
    "logit",
    "deg2rad",
    "rad2deg",
    "isnan",
    "isinf",
    "isfinite",
    "isposinf",
    "isneginf",
    "isreal",
    "signbit",
    "logical_not",
    "bitwise_not",
    "real",
    "imag",
    "conj",
    "conj_physical",
    "angle",
    "resolve_conj",
    "resolve_neg",
    "nan_to_num",
    "threshold",
    "clamp",
    "clip",
    "clamp_min",
    "clamp_max",
    "leaky_relu",
    "elu",
    "selu",
    "celu",
    "gelu",
    "silu",
    "mish",
    "softplus",
    "softsign",
    "tanhshrink",
    "softshrink",
    "hardshrink",
    "hardtanh",
    "relu6",
    "hardswish",
    "hardsigmoid",
    "logsigmoid",
    "dropout",
    "special.expit",
    "special.expm1",
    "special.log1p",
    "special.erf",
    "special.exp2",
    "special.round",
    "special.sinc",
]
_RANDOM = ("dropout",)  # they leave absent entries alone


def mapped(name: str, function: Callable[..., torch.Tensor], x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """The function of each stored value, on the same pattern; the fill becomes the function of the fill.

    Densifies (an UnsupportedError) if a fill of 0 would not stay 0.
    """
    storage = x._storage
    values = function(storage.values, *args, **kwargs)
    fill = storage.fill
    if name not in _RANDOM:
        fill = function(storage.values.new_full((1,), fill).detach(), *args, **kwargs).item()
        check_fill(name.removeprefix("special."), fill, x)
    return Tensor(Storage(storage.pattern, values, fill))


def _register(name: str) -> None:
    function: Any = torch
    if "." in name:
        for part in name.split("."):
            function = getattr(function, part)
    else:
        function = getattr(torch.nn.functional, name, None) or getattr(torch, name)

    @implements(name)
    def unary(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if kwargs.pop("inplace", False):
            kwargs["inplace"] = False
        return mapped(name, function, x, *args, **kwargs)


for _name in _NAMES:
    _register(_name)

"""What makes a class look like a torch tensor: torch's methods, Python's operators and the protocols behind them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from scorch.functions import registry
from scorch.indexing import access, is_symbolic
from scorch.operand import Stored

__all__ = ["Functions", "is_operand"]

Method = Callable[..., Any]


def _method(name: str) -> Method:
    def method(self: Functions, *args: Any, **kwargs: Any) -> Any:
        return registry.call_method(name, self, *args, **kwargs)

    method.__name__ = method.__qualname__ = name.removeprefix("Tensor.")
    method.__doc__ = f"torch.Tensor.{method.__name__}, for sparse tensors too."
    return method


def _infix(name: str) -> Method:
    def method(self: Functions, other: Any) -> Any:
        return registry.call(name, self, other) if is_operand(other) else NotImplemented

    return method


def _reflected(name: str) -> Method:
    def method(self: Functions, other: Any) -> Any:
        return registry.call(name, other, self) if is_operand(other) else NotImplemented

    return method


def is_operand(x: Any) -> bool:
    """Whether an operator takes this beside a Tensor; Python asks its type otherwise."""
    if isinstance(x, bool | int | float | complex | torch.Tensor | Stored | np.ndarray | np.generic):
        return True
    return hasattr(x, "__dlpack__") or type(x).__module__.startswith("scipy.sparse")


class Functions(Stored):
    """Mixin of `scorch.Tensor`: each name means what it means for torch.Tensor.

    The names go to the one table in `scorch.functions.registry`, and so do torch's and numpy's functions.

    >>> import scorch, torch
    >>> A = scorch.tensor([[0.0, -1.0], [2.0, 0.0]], "csr")
    >>> torch.relu(A * 3).values, (A + A).values, A[1].values
    (tensor([0., 6.]), tensor([-2.,  4.]), tensor([2.]))
    """

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        if not all(issubclass(kind, Stored | torch.Tensor) for kind in types):
            return NotImplemented
        if torch.compiler.is_compiling():
            from scorch.ops import traced_function

            return traced_function(func, args)
        return registry.dispatch(func, args, kwargs or {})

    def __array_function__(self, func: Any, types: Any, args: tuple[Any, ...], kwargs: Any) -> Any:
        from scorch.functions import numpy as numpy_functions

        return numpy_functions.array_function(func, args, kwargs)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        from scorch.functions import numpy as numpy_functions

        return numpy_functions.array_ufunc(ufunc, method, inputs, kwargs)

    def __getattr__(self, name: str) -> Method:
        """A method of torch that is implemented without being listed below; else what to write instead."""
        if name.startswith("_") or not hasattr(torch.Tensor, name):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        for known in (name, f"Tensor.{name}"):
            if registry.implementation(known) is not None:
                return partial(registry.call_method, known, self)
        raise AttributeError(registry.unavailable(name))

    # --- operators ----------------------------------------------------------------------------------------

    __add__, __radd__ = _infix("add"), _reflected("add")
    __sub__, __rsub__ = _infix("sub"), _reflected("sub")
    __mul__, __rmul__ = _infix("mul"), _reflected("mul")
    __truediv__, __rtruediv__ = _infix("div"), _reflected("div")
    __floordiv__, __rfloordiv__ = _infix("floor_divide"), _reflected("floor_divide")
    __mod__, __rmod__ = _infix("remainder"), _reflected("remainder")
    __pow__, __rpow__ = _infix("pow"), _reflected("pow")
    __and__, __rand__ = _infix("bitwise_and"), _reflected("bitwise_and")
    __or__, __ror__ = _infix("bitwise_or"), _reflected("bitwise_or")
    __xor__, __rxor__ = _infix("bitwise_xor"), _reflected("bitwise_xor")
    __lshift__, __rlshift__ = _infix("bitwise_left_shift"), _reflected("bitwise_left_shift")
    __rshift__, __rrshift__ = _infix("bitwise_right_shift"), _reflected("bitwise_right_shift")
    __eq__, __ne__ = _infix("eq"), _infix("ne")
    __lt__, __le__, __gt__, __ge__ = _infix("lt"), _infix("le"), _infix("gt"), _infix("ge")
    __neg__, __abs__, __invert__ = _method("neg"), _method("abs"), _method("bitwise_not")
    __hash__ = object.__hash__  # as torch's tensors: by identity

    def __pos__(self) -> Any:
        return self

    def __getitem__(self, key: Any) -> Any:
        if is_symbolic(key):
            return access(self, key)  # index notation: A[i, k] with the indices of `scorch.indices`
        return registry.call("Tensor.__getitem__", self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        registry.call("Tensor.__setitem__", self, key, value)

    def __iter__(self) -> Any:
        return iter(registry.call("unbind", self, 0))

    # --- shapes and parts ---------------------------------------------------------------------------------

    reshape, view, flatten, unflatten = map(_method, ("reshape", "view", "flatten", "unflatten"))
    squeeze, unsqueeze, transpose, t = map(_method, ("squeeze", "unsqueeze", "transpose", "t"))
    movedim, expand, broadcast_to = map(_method, ("movedim", "Tensor.expand", "broadcast_to"))
    expand_as, reshape_as, repeat = map(_method, ("Tensor.expand_as", "Tensor.reshape_as", "Tensor.repeat"))
    tile, repeat_interleave, flip, roll = map(_method, ("tile", "repeat_interleave", "flip", "roll"))
    select, narrow, index_select, gather = map(_method, ("select", "narrow", "index_select", "gather"))
    take, take_along_dim, masked_select = map(_method, ("take", "take_along_dim", "masked_select"))
    split, chunk, tensor_split, unbind = map(_method, ("split", "chunk", "tensor_split", "unbind"))
    triu, tril, diagonal, diag, trace = map(_method, ("triu", "tril", "diagonal", "diag", "trace"))

    # --- arithmetic ---------------------------------------------------------------------------------------

    add, sub, mul, div, pow = map(_method, ("add", "sub", "mul", "div", "pow"))
    multiply, divide, subtract, true_divide = map(_method, ("mul", "div", "sub", "div"))
    floor_divide, remainder, fmod = map(_method, ("floor_divide", "remainder", "fmod"))
    maximum, minimum, where, masked_fill = map(_method, ("maximum", "minimum", "Tensor.where", "masked_fill"))
    eq, ne, lt, le, gt, ge = map(_method, ("eq", "ne", "lt", "le", "gt", "ge"))
    logical_and, logical_or, logical_xor = map(_method, ("logical_and", "logical_or", "logical_xor"))
    logical_not, bitwise_not = map(_method, ("logical_not", "bitwise_not"))
    abs, neg, sign, square, relu = map(_method, ("abs", "neg", "sign", "square", "relu"))
    sqrt, rsqrt, reciprocal, exp, expm1 = map(_method, ("sqrt", "rsqrt", "reciprocal", "exp", "expm1"))
    log, log1p, log2, log10 = map(_method, ("log", "log1p", "log2", "log10"))
    sin, cos, tan, asin, acos, atan = map(_method, ("sin", "cos", "tan", "asin", "acos", "atan"))
    sinh, cosh, tanh, sigmoid, erf = map(_method, ("sinh", "cosh", "tanh", "sigmoid", "erf"))
    floor, ceil, trunc, round, clamp = map(_method, ("floor", "ceil", "trunc", "round", "clamp"))
    isnan, isinf, isfinite, nan_to_num = map(_method, ("isnan", "isinf", "isfinite", "nan_to_num"))
    conj, angle = map(_method, ("conj", "angle"))

    # --- reductions ---------------------------------------------------------------------------------------

    sum, mean, prod, any, all = map(_method, ("sum", "mean", "prod", "any", "all"))
    amax, amin, max, min = map(_method, ("amax", "amin", "max", "min"))
    sort, argsort, cumsum, cumprod = map(_method, ("sort", "argsort", "cumsum", "cumprod"))
    argmax, argmin, norm, var, std = map(_method, ("argmax", "argmin", "norm", "var", "std"))
    count_nonzero, nonzero = map(_method, ("count_nonzero", "nonzero"))
    softmax, log_softmax, nansum = map(_method, ("softmax", "log_softmax", "nansum"))

    # --- products -----------------------------------------------------------------------------------------

    matmul, mm, bmm, mv, dot = map(_method, ("matmul", "mm", "bmm", "mv", "dot"))
    addmm, addmv, kron = map(_method, ("addmm", "addmv", "kron"))

    # --- comparison and properties ------------------------------------------------------------------------

    allclose, equal, isclose = map(_method, ("allclose", "equal", "isclose"))
    numel, dim, size, is_floating_point = map(_method, ("numel", "Tensor.dim", "Tensor.size", "is_floating_point"))
    is_complex, new_zeros, new_ones = map(_method, ("is_complex", "Tensor.new_zeros", "Tensor.new_ones"))
    new_full, new_empty, tolist = map(_method, ("Tensor.new_full", "Tensor.new_empty", "Tensor.tolist"))
    float, double, int, long, bool = map(
        _method, ("Tensor.float", "Tensor.double", "Tensor.int", "Tensor.long", "Tensor.bool")
    )
    half, bfloat16, type_as, contiguous = map(
        _method, ("Tensor.half", "Tensor.bfloat16", "Tensor.type_as", "Tensor.contiguous")
    )

    @property
    def mT(self) -> Any:
        """The tensor with its last two dimensions swapped, without a copy."""
        return registry.call("transpose", self, -2, -1)

    @property
    def device(self) -> torch.device:
        """Always the CPU."""
        return torch.device("cpu")

"""numpy's functions and ufuncs over Tensors: numpy's names and argument names, torch's implementations.

Results are those of the torch functions: a scorch.Tensor, or a torch.Tensor where they are dense.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from scorch.errors import UnsupportedError
from scorch.functions import registry
from scorch.operand import Stored, dense_from_numpy

__all__ = ["array_function", "array_ufunc"]

_UFUNCS = {
    "absolute": "abs", "fabs": "abs", "negative": "neg", "conjugate": "conj", "invert": "bitwise_not", "rint": "round",
    "equal": "eq", "power": "pow", "left_shift": "bitwise_left_shift", "right_shift": "bitwise_right_shift",
    "divide": "div", "subtract": "sub", "multiply": "mul", "logical_not": "logical_not",
}  # fmt: skip
_ARGUMENTS = {"axis": "dim", "keepdims": "keepdim", "a": "x", "k": "diagonal", "ddof": "correction"}
_SAME = [
    "sum",
    "mean",
    "prod",
    "any",
    "all",
    "argmax",
    "argmin",
    "count_nonzero",
    "var",
    "std",
    "nansum",
    "stack",
    "hstack",
    "vstack",
    "squeeze",
    "moveaxis",
    "swapaxes",
    "broadcast_to",
    "trace",
    "triu",
    "tril",
    "diag",
    "kron",
    "einsum",
    "tensordot",
    "outer",
    "inner",
    "vdot",
    "where",
    "allclose",
    "isclose",
    "flip",
    "roll",
    "tile",
    "zeros_like",
    "ones_like",
    "full_like",
    "empty_like",
    "nonzero",
    "argwhere",
    "real",
    "imag",
    "angle",
    "nan_to_num",
    "column_stack",
    "take_along_axis",
]
_RENAMED = {
    "amax": "amax", "max": "amax", "amin": "amin", "min": "amin", "concatenate": "cat", "expand_dims": "unsqueeze",
    "ravel": "flatten", "array_equal": "equal", "clip": "clamp", "repeat": "repeat_interleave", "copy": "clone",
    "split": "tensor_split", "array_split": "tensor_split", "round": "round", "around": "round",
    "linalg.norm": "linalg.norm", "linalg.diagonal": "diagonal",
}  # fmt: skip


def array_ufunc(ufunc: Any, method: str, inputs: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """What numpy gives for np.add(A, B), np.exp(A) and the like; add.reduce and its kin are reductions.

    >>> import numpy as np, scorch
    >>> A = scorch.tensor([[0.0, 4.0]], "csr")
    >>> np.sqrt(A).values, (np.ones((1, 2)) * A).values
    (tensor([2.]), tensor([4.], dtype=torch.float64))
    """
    if kwargs.get("out") is not None or kwargs.get("where", True) is not True:
        raise UnsupportedError(f"np.{ufunc.__name__} with out= or where= is not available for sparse tensors")
    if method == "reduce":
        return _reduced(ufunc, *inputs, **kwargs)
    name = _UFUNCS.get(ufunc.__name__, ufunc.__name__)
    if method != "__call__" or registry.implementation(name) is None:
        raise UnsupportedError(
            f"np.{ufunc.__name__}{'' if method == '__call__' else '.' + method} is not available for sparse tensors; "
            "use A.to_dense().numpy()"
        )
    return registry.call(name, *map(_operand, inputs))


_REDUCTIONS = {
    "add": "sum", "multiply": "prod", "maximum": "amax", "minimum": "amin", "logical_or": "any", "logical_and": "all",
}  # fmt: skip


def _reduced(ufunc: Any, x: Any, axis: Any = 0, keepdims: bool = False, **_: Any) -> Any:
    name = _REDUCTIONS.get(ufunc.__name__)
    if name is None:
        raise UnsupportedError(f"np.{ufunc.__name__}.reduce is not available for sparse tensors; use A.to_dense()")
    return registry.call(name, x, axis, keepdims)


def _operand(x: Any) -> Any:
    """numpy's arrays as torch tensors, which is what the implementations know."""
    if isinstance(x, np.ndarray):
        return dense_from_numpy(x)
    if isinstance(x, np.generic):
        return x.item()
    if isinstance(x, list | tuple) and any(isinstance(part, np.ndarray | Stored) for part in x):
        return type(x)(_operand(part) for part in x)
    return x


def array_function(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """What numpy gives for np.sum(A, axis=1), np.concatenate([A, B]) and the like."""
    full = f"{func.__module__}.{func.__name__}".removeprefix("numpy.")
    special = _SPECIAL.get(full)
    given = {name: _operand(value) for name, value in kwargs.items()}
    positional = tuple(_operand(x) for x in args)
    if special is not None:
        return special(*positional, **given)
    name = _RENAMED.get(full, full if full in _SAME else None)
    if name is None:
        raise UnsupportedError(f"np.{full} is not available for sparse tensors; use A.to_dense().numpy()")
    named = {_ARGUMENTS.get(key, key): value for key, value in given.items() if key != "out" or value is not None}
    return registry.call(name, *positional, **named)


def _transpose(a: Any, axes: Any = None) -> Any:
    return a.permute(*(axes if axes is not None else reversed(range(a.ndim))))


def _take(a: Any, indices: Any, axis: int | None = None, **_: Any) -> Any:
    import torch

    index = torch.as_tensor(indices)
    if axis is None:
        return registry.call("take", a, index)
    return a[(slice(None),) * (axis % a.ndim) + (index,)]


_SPECIAL: dict[str, Callable[..., Any]] = {
    "transpose": _transpose,
    "permute_dims": _transpose,
    "take": _take,
    "reshape": lambda a, shape, *_, **__: a.reshape(shape),
    "diagonal": lambda a, offset=0, axis1=0, axis2=1: a.diagonal(offset, axis1, axis2),
    "dot": lambda a, b, **_: registry.call("matmul" if min(np.ndim(a), np.ndim(b)) else "mul", a, b),
    "tensordot": lambda a, b, axes=2: registry.call("tensordot", a, b, axes),
    "nonzero": lambda a: registry.call("nonzero", a, as_tuple=True),
    "ndim": lambda a: a.ndim,
    "shape": lambda a: a.shape,
    "size": lambda a, axis=None: a.numel() if axis is None else a.shape[axis],
    "iscomplexobj": lambda x: x.is_complex(),
    "isrealobj": lambda x: not x.is_complex(),
    "result_type": lambda *parts: registry.call("result_type", *parts),
}

"""softmax and log_softmax over the stored entries, as torch.sparse.softmax: absent entries count as minus infinity."""

from __future__ import annotations

from typing import Any

import torch

from scorch.errors import DtypeError, ShapeError, UnsupportedError
from scorch.functions.registry import implements
from scorch.functions.statement import access, computed, index_names
from scorch.functions.structure import dimension
from scorch.tensor import Tensor

__all__ = ["log_softmax", "softmax"]

_SHIFTED = (
    "M{kept} max= where(stored(A{all}), A{all}, -inf); "
    "D{all} = where(stored(A{all}), A{all} - M{kept}, absent); "
    "S{kept} += where(stored(D{all}), exp(D{all}), 0); "
)
_SOFTMAX = _SHIFTED + "C{all} = where(stored(D{all}), exp(D{all}) / S{kept}, absent)"
_LOG_SOFTMAX = _SHIFTED + "C{all} = where(stored(D{all}), D{all} - log(S{kept}), absent)"


@implements("softmax", "sparse.softmax", "special.softmax")
def softmax(x: Tensor, dim: int | None = None, dtype: torch.dtype | None = None, **_: Any) -> Any:
    """exp(x) over its sum along a dimension, over the stored entries.

    >>> from scorch import tensor
    >>> softmax(tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 2.0]], "csr"), 1).values
    tensor([0.5000, 0.5000, 1.0000])
    """
    return _normalised(_SOFTMAX, x, dim, dtype)


@implements("log_softmax", "sparse.log_softmax", "special.log_softmax")
def log_softmax(x: Tensor, dim: int | None = None, dtype: torch.dtype | None = None, **_: Any) -> Any:
    """The logarithm of `softmax`, computed without it."""
    return _normalised(_LOG_SOFTMAX, x, dim, dtype)


@implements("softmin")
def softmin(x: Tensor, dim: int | None = None, dtype: torch.dtype | None = None, **_: Any) -> Any:
    """softmax of -x."""
    return softmax(-x, dim, dtype)


def _normalised(text: str, x: Tensor, dim: int | None, dtype: torch.dtype | None) -> Any:
    if dim is None:
        raise ShapeError("softmax needs its dimension, as in softmax(x, dim=-1)")
    if x.fill != 0:
        raise UnsupportedError(
            f"softmax of a tensor whose fill is {x.fill} counts entries that are not stored; use to_dense()"
        )
    x = x if dtype is None else x.to(dtype)
    if not x.dtype.is_floating_point:
        raise DtypeError(f"softmax takes floating-point values, not {x.dtype}; pass dtype=torch.float32")
    names = index_names(x.ndim)
    at = dimension(dim, x.ndim)
    kept = [name for d, name in enumerate(names) if d != at]
    return computed(text.format(all=access("", names), kept=access("", kept)), A=x)

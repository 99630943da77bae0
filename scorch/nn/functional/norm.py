"""Normalisation of rows, in one kernel where nothing is differentiated."""

from __future__ import annotations

import torch
from torch.nn import functional as F

import scorch
from scorch.functions.registry import taker
from scorch.nn.functional.fused import is_plain_call, scalar
from scorch.operand import is_plain_dense

__all__ = ["rms_norm"]

_TEXT = "s[n] += X[n,d] * X[n,d]; r[n] = 1 / sqrt(s[n] * c + e); Y[n,d] = X[n,d] * r[n] * w[d]"


def rms_norm(x: torch.Tensor, weight: torch.Tensor, eps: float | None = None) -> torch.Tensor:
    """x / sqrt(mean(x**2) + eps) * weight along the last dimension of (..., features): Zhang and Sennrich (2019).

    `weight` is (features,); `eps` None is the type's own, as torch.nn.functional.rms_norm has it, to which calls are
    left that record gradients, or whose operands are not contiguous, or of other types than float32 or float64.

    >>> rms_norm(torch.tensor([[3.0, 4.0]]), torch.ones(2))
    tensor([[0.8485, 1.1314]])
    """
    features = x.shape[-1] if x.ndim else 0
    if torch.compiler.is_compiling() or not _is_ours(x, weight) or tuple(weight.shape) != (features,):
        return F.rms_norm(x, (features,), weight, eps)
    mean, least = scalar(1 / features, x.dtype), scalar(torch.finfo(x.dtype).eps if eps is None else eps, x.dtype)
    made = scorch.compute(_TEXT, X=x.view(-1, features), w=weight, c=mean, e=least)
    assert isinstance(made, torch.Tensor)
    return made.view(x.shape)


def _is_ours(x: torch.Tensor, weight: torch.Tensor) -> bool:
    """Whether the value of rows as kernels read them is asked for here and now."""
    plain = x.ndim > 1 and x.numel() > 0 and is_plain_dense(x) and is_plain_dense(weight) and x.dtype == weight.dtype
    return plain and x.dtype in (torch.float32, torch.float64) and taker() is None and is_plain_call(x, weight)

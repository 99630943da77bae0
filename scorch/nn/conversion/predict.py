"""What a layer takes, dense and sparse: what the schedule expects, and what the clock says. Milliseconds."""

from __future__ import annotations

import statistics
from time import perf_counter
from typing import Any

import torch
from torch import nn

import scorch
from scorch.nn.conv import Conv2d
from scorch.nn.functional.conv import output_size
from scorch.nn.linear import Linear

__all__ = ["measured", "predicted"]

_COPIED = 4e-7  # milliseconds an element of the patches that a convolution copies: 10 GB/s
_ROUNDS = 7
_LEAST_SECONDS = 2e-3  # shorter calls are timed together


def predicted(sparse: Linear | Conv2d, example: torch.Tensor) -> tuple[float, float]:
    """The estimated times of the dense and of the sparse layer on an input like the example.

    They come from the prices by which the schedule chooses plans; both are products of the same sizes, on the same
    prices. The activation and the bias cost the same in both and are left out.
    """
    weight = sparse.weight().detach()
    rows, cols = weight.shape
    if isinstance(sparse, Linear):
        samples = example.numel() // max(1, example.shape[-1])
        columns = torch.empty(cols, samples).to(example.dtype)
        notation, copied = "oi,ib->ob", 0.0
    else:
        size = output_size(example, sparse.stride, sparse.padding, sparse.dilation, sparse.kernel_size)
        columns = torch.empty(example.shape[0], cols, size[0] * size[1]).to(example.dtype)
        # torch's dense convolution does not copy patches.
        notation, copied = "ok,nkl->nol", 0.0 if sparse.kernel_size == (1, 1) else _COPIED * columns.numel()
    cost = _cost(notation, weight, columns)
    return _cost(notation, torch.empty(rows, cols, dtype=weight.dtype), columns), cost + copied


def _cost(notation: str, *operands: Any) -> float:
    plan = scorch.explain(notation, *operands).plan
    return sum(part.cost for part in (plan if isinstance(plan, tuple) else (plan,))) / 1e3


def measured(dense: nn.Module, sparse: nn.Module, args: tuple[Any, ...]) -> tuple[float, float]:
    """The median times of both layers on the same input, called in turn."""
    layers = (dense, sparse)
    samples: tuple[list[float], list[float]] = ([], [])
    with torch.no_grad():
        repeats = [max(1, round(_LEAST_SECONDS / max(1e-7, _seconds(layer, args, 1, warm=True)))) for layer in layers]
        for _ in range(_ROUNDS):
            for layer, repeat, found in zip(layers, repeats, samples, strict=True):
                found.append(_seconds(layer, args, repeat))
    return 1e3 * statistics.median(samples[0]), 1e3 * statistics.median(samples[1])


def _seconds(layer: nn.Module, args: tuple[Any, ...], repeat: int, warm: bool = False) -> float:
    if warm:  # the first call compiles
        layer(*args)
    start = perf_counter()
    for _ in range(repeat):
        layer(*args)
    return (perf_counter() - start) / repeat

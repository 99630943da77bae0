"""Tensors that are not on the CPU."""

from __future__ import annotations

from typing import Any

import torch

from scorch.errors import UnsupportedError

__all__ = ["check_cpu"]


def check_cpu(*tensors: Any) -> None:
    """UnsupportedError for a torch tensor on another device: torch itself may answer a product of both with numbers.

    >>> check_cpu(torch.ones(2), None)
    """
    for x in tensors:
        if isinstance(x, torch.Tensor) and not x.is_cpu:
            raise UnsupportedError(
                f"Scorch runs on CPU; a tensor of shape {tuple(x.shape)} is on {x.device}: pass tensor.cpu(), or call "
                "layer.to('cpu')"
            )

"""What may be attached to torch modules and run when they are called."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn.modules.module import _has_any_global_hook as has_global_hooks

__all__ = ["has_global_hooks", "hooks_of"]


def hooks_of(module: nn.Module) -> tuple[dict[int, Any], ...]:
    """What a module holds its hooks in.

    >>> any(hooks_of(nn.Linear(2, 2)))
    False
    """
    return module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks

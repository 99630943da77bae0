"""The operators of the table as torch has them, for the oracle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import torch

__all__ = ["annihilated", "applied", "common"]

INF = float("inf")


def common(*values: Any) -> tuple[torch.Tensor, ...]:
    """Numbers and tensors in the type that torch computes in; of many, tensors with dimensions are asked first.

    >>> [x.dtype for x in common(torch.tensor([True]), 0, torch.tensor([1], dtype=torch.int32))]
    [torch.int32, torch.int32, torch.int32]
    """
    shared = reduce(_promoted, sorted(values, key=_weakness))
    dtype = shared.dtype if isinstance(shared, torch.Tensor) else torch.tensor(shared).dtype
    return tuple(torch.as_tensor(value).to(dtype) for value in values)


def _weakness(value: Any) -> int:
    if not isinstance(value, torch.Tensor):
        return 2
    return int(value.ndim == 0)


def _promoted(left: Any, right: Any) -> torch.Tensor:
    """A tensor of the type and rank that the two have together."""
    rank = max(x.ndim if isinstance(x, torch.Tensor) else 0 for x in (left, right))
    return torch.empty((1,) * rank, dtype=torch.result_type(left, right))


def _on_tensors(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    return lambda *values: function(*common(*values))


def _rounded(function: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Any], torch.Tensor]:
    """Integers are what they are."""
    return lambda x: function(x) if torch.is_floating_point(x) else x


_FUNCTIONS: dict[str, Callable[..., torch.Tensor]] = {
    "add": _on_tensors(torch.add),
    "mul": _on_tensors(torch.mul),
    "max": _on_tensors(torch.maximum),
    "min": _on_tensors(torch.minimum),
    "or": _on_tensors(torch.bitwise_or),
    "and": _on_tensors(torch.bitwise_and),
    "sub": _on_tensors(torch.sub),
    "div": _on_tensors(torch.true_divide),
    "floordiv": _on_tensors(torch.floor_divide),
    "mod": _on_tensors(torch.remainder),
    "pow": _on_tensors(torch.pow),
    **{name: _on_tensors(getattr(torch, name)) for name in ("eq", "ne", "lt", "le", "gt", "ge")},
    "relu": lambda x: x if x.dtype == torch.bool else torch.clamp(x, min=0),
    "abs": lambda x: x if x.dtype == torch.bool else torch.abs(x),
    "not": torch.logical_not,
    **{name: _rounded(getattr(torch, name)) for name in ("floor", "ceil", "trunc", "round")},
}


def applied(op: str, values: Sequence[Any]) -> torch.Tensor:
    """An operator of tensors and numbers, more of them than it takes if it is associative.

    >>> applied("max", [torch.tensor([1, 5]), 3])
    tensor([3, 5])
    """
    function: Callable[..., torch.Tensor] = _FUNCTIONS.get(op) or getattr(torch, op)
    if len(values) == 1:
        return function(torch.as_tensor(values[0]))
    return reduce(function, values[1:], values[0])  # type: ignore[no-any-return]


def annihilated(op: str, place: int, value: Any) -> torch.Tensor:
    """Where an argument of this value decides the result if it is absent, whatever the others are.

    >>> annihilated("mul", 1, torch.tensor([0.0, 1.0])), annihilated("div", 1, 0)
    (tensor([ True, False]), tensor(False))
    """
    x = torch.as_tensor(value)
    if op in ("mul", "and") or (op in ("div", "floordiv", "mod") and place == 0):
        return x == 0
    if op in ("add", "sub"):
        return torch.isinf(x)
    if op in ("max", "min"):
        return x == (INF if op == "max" else -INF)
    return x == 1 if op == "or" and x.dtype == torch.bool else torch.zeros((), dtype=torch.bool)

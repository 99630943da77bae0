"""Lowering of `scorch.emit.vocabulary.checked`: its functions are compiled as they stand."""

from collections.abc import Callable
from typing import Any

from numba.extending import overload

from scorch.emit.vocabulary import checked


def _bind(function: Callable[..., Any]) -> None:
    """Let Numba compile a checked function from its own source."""

    def implementation(*_: Any) -> Callable[..., Any]:
        return function

    overload(function, strict=False, prefer_literal=True)(implementation)


for _function in (
    checked.vload,
    checked.vload_part,
    checked.vturn,
    checked.vstore,
    checked.vstore_part,
    checked.vstream,
    checked.vgather,
    checked.vgather_at,
    checked.vgather_part,
    checked.fetch_add,
    checked.atomic_add,
    checked.gallop,
    checked.lower_bound,
    checked.sort_range,
):
    _bind(_function)

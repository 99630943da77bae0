"""Products of tensors of order three and more: MTTKRP along the first mode, TTM and TTV along the last."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from asv_benchmarks.compare import timing
from asv_benchmarks.compare.model import Case, Family, Options
from asv_benchmarks.compare.tasks.tensors import mttkrp, times_last
from asv_benchmarks.inputs import Matrix, load, tensors

from .operands import dense

__all__ = ["FAMILY"]

_COLUMNS = (16, 64)
_QUICK_COLUMNS = (16,)


def _mttkrp(tensor: Matrix, columns: int) -> tuple[Any, ...]:
    a = load(tensor)
    return a, *(dense(extent, columns, seed=mode) for mode, extent in enumerate(a.shape[1:], 1))


def _times_last(tensor: Matrix, *columns: int) -> tuple[Any, ...]:
    a = load(tensor)
    return a, dense(a.shape[-1], *columns)


def _cases(options: Options) -> Iterator[Case]:
    widths = _QUICK_COLUMNS if options.quick else _COLUMNS
    for tensor in tensors(options.data, options.quick):
        case = partial(Case, family="tensors", matrix=tensor.name, real=tensor.real)
        for r in widths:
            yield case(variant=f"MTTKRP r={r}", operation="mttkrp", load=partial(_mttkrp, tensor, r), reference=mttkrp)
        for r in widths:
            yield case(
                variant=f"TTM r={r}", operation="times_last", load=partial(_times_last, tensor, r), reference=times_last
            )
        yield case(variant="TTV", operation="times_last", load=partial(_times_last, tensor), reference=times_last)


FAMILY = Family(
    "tensors",
    "Tensors of order three to five, csf: MTTKRP, TTM, TTV",
    "ms",
    _cases,
    timing.measure,
    about="The others gather and sum up, or multiply an unfolded matrix that was made beforehand, untimed.",
)

"""The families of cases, one file each. A new one is a new file with a `FAMILY`, and a line in `FAMILIES`."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from asv_benchmarks.compare.model import Case, Family, Options

from . import (
    algebra,
    convert,
    end_to_end,
    growth,
    latency,
    memory,
    overhead,
    products,
    schedules,
    sddmm,
    spmm,
    spmspm,
    spmv,
    tensors,
)

__all__ = ["FAMILIES", "find", "select", "usual"]

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        spmm.FAMILY,
        spmv.FAMILY,
        spmspm.FAMILY,
        spmspm.UNSORTED,
        sddmm.FAMILY,
        tensors.FAMILY,
        products.FAMILY,
        convert.FAMILY,
        algebra.FAMILY,
        overhead.FAMILY,
        latency.FAMILY,
        memory.FAMILY,
        growth.FAMILY,
        end_to_end.FAMILY,
        schedules.FAMILY,
    )
}


def select(options: Options) -> Iterator[tuple[Family, Case]]:
    """The cases that the options ask for; `options.case` is matched with a case's id and with its matrix."""
    for family in map(FAMILIES.__getitem__, options.families or usual()):
        for case in family.cases(options):
            if fnmatchcase(case.id, options.case) or fnmatchcase(case.matrix, options.case):
                yield family, case


def usual() -> tuple[str, ...]:
    """The names of the families that are measured unless others are asked for."""
    return tuple(name for name, family in FAMILIES.items() if family.usual)


def find(identity: str, options: Options) -> Case:
    """The case of this id. Raises KeyError when there is none."""
    for case in FAMILIES[identity.split("/")[0]].cases(options):
        if case.id == identity:
            return case
    raise KeyError(identity)

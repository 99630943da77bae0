"""In which formats loops read the operands: as they are, converted where an order asks for it, dense ones copied."""

from __future__ import annotations

from collections.abc import Iterator

from scorch.formats import Compressed, Dense, Format, dense
from scorch.ir.graph import level_indices
from scorch.ir.notation import Access
from scorch.schedule.problem import Problem

__all__ = ["conversions", "readings", "turned"]


def readings(problem: Problem, order: tuple[str, ...]) -> Iterator[dict[str, Format]]:
    """The formats in which loops in this order may read the operands.

    As they are where that is legal; and, where one would be searched from its start at every outer iteration, with a
    dense first level in which it is located.
    """
    formats = _converted(problem, order)
    yield formats
    searched = [a for a in problem.sparse if _searched(a, order, formats[a.tensor])]
    if searched:
        yield {**formats, **{a.tensor: _dense_first(formats[a.tensor]) for a in searched}}


def turned(problem: Problem, formats: dict[str, Format], tiled: str) -> dict[str, Format]:
    """The formats with dense operands copied so that the tiled index is their last; the same where none has to be."""
    found = dict(formats)
    for access in problem.accesses:
        format = found[access.tensor]
        if format.is_dense and tiled in access.indices and level_indices(access, format)[-1] != tiled:
            dimension = access.indices.index(tiled)
            found[access.tensor] = dense(format.ndim, (*(d for d in format.order if d != dimension), dimension))
    return found


def conversions(problem: Problem, formats: dict[str, Format]) -> tuple[tuple[str, Format], ...]:
    """The operands that are read in another format than theirs."""
    return tuple((o.name, formats[o.name]) for o in problem.operands if formats[o.name] != o.format)


def _dense_first(format: Format) -> Format:
    """The format with a dense first level, in which coordinates are located; others stay dense or are compressed."""
    below = (Dense() if level.full else Compressed() for level in format.levels[1:])
    return Format((Dense(), *below), format.order)


def _searched(access: Access, order: tuple[str, ...], format: Format) -> bool:
    """Whether the first level is sparse, above other sparse ones, and entered by a loop that is not the outermost."""
    sparse_below = not all(level.full for level in format.levels[1:])
    return sparse_below and not format.levels[0].locates and level_indices(access, format)[0] != order[0]


def _converted(problem: Problem, order: tuple[str, ...]) -> dict[str, Format]:
    """The format in which each operand is read by loops in this order, converted only if it must be."""
    formats = {operand.name: operand.format for operand in problem.operands}
    rank = {v: n for n, v in enumerate(order)}
    for access in problem.sparse:
        format = formats[access.tensor]
        path = level_indices(access, format)
        if any(
            not level.locates and rank[above] > rank[v]
            for n, (v, level) in enumerate(zip(path, format.levels, strict=True))
            for above in path[:n]
        ):
            by_rank = sorted(range(format.ndim), key=lambda d: rank[access.indices[d]])
            formats[access.tensor] = format.reordered(tuple(by_rank))
    for access in problem.sparse:
        format = formats[access.tensor]
        if format.is_unique and format.is_ordered:
            continue
        in_parts = problem.is_linear and problem.fills[access.tensor] == 0
        if _merged(problem, access, formats) or not (format.is_unique or in_parts):
            formats[access.tensor] = format.sorted
    return formats


def _merged(problem: Problem, access: Access, formats: dict[str, Format]) -> bool:
    """Whether some loop walks this access together with another sparse one."""
    for index in access.indices:
        lattice = problem.lattice(index, formats)
        if access in lattice.top.iterators and lattice.only() is None:
            return True
    return False

"""The ways to take the innermost loop of a layout in SIMD tiles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from scorch.formats import Format
from scorch.schedule.candidate import Candidate, Layout, priced, rows_are_far, sums_inside
from scorch.schedule.panels import panels
from scorch.schedule.partition import serial_below
from scorch.schedule.problem import Problem
from scorch.schedule.reading import conversions, turned
from scorch.schedule.tile import (
    blocks_to_turn,
    can_tile,
    grouping,
    rows_of_block,
    strip_vectors,
    vector_lanes,
)

__all__ = ["tiled_ways"]


def tiled_ways(problem: Problem, layout: Layout) -> Iterator[Candidate]:
    """The loops with the innermost one in SIMD tiles, if that is legal."""
    last = layout.order[-1] if layout.order else None  # written last; the nest puts it outside the reductions
    target = problem.statement.target.indices
    if last is None:
        return
    if not can_tile(problem, last, layout.formats):
        yield from _in_blocks(problem, layout)
        formats = turned(problem, layout.formats, last)
        if formats == layout.formats or not problem.convert or not can_tile(problem, last, formats):
            return
        layout = replace(layout, formats=formats, conversions=conversions(problem, formats))
    if last in target and not _stores_runs(layout.wanted, target.index(last)):
        return
    tiled = replace(layout, order=layout.order[:-1], tiled=last)
    candidate = priced(problem, tiled)
    if candidate is None or candidate.writing.scatter is not None or candidate.writing.assembly.filtered:
        return
    if last not in target or _stores_runs(candidate.writing.format, target.index(last)):
        yield candidate
        yield from _blocked(problem, tiled, candidate)
        yield from _grouped(problem, tiled, candidate)
        yield from _in_strips(problem, tiled, candidate)
        if (
            last in target
            and candidate.partition.unit == "serial"
            and candidate.cost > serial_below(problem.prices, candidate.writing.assembly)
            and not sums_inside(problem, tiled.order)
        ):
            spread = priced(problem, replace(tiled, spread=True))
            if spread is not None:
                yield spread


def _in_blocks(problem: Problem, layout: Layout) -> Iterator[Candidate]:
    """The loops with the innermost one in SIMD tiles for which blocks of dense operands are turned in registers."""
    last = layout.order[-1]
    target = problem.statement.target.indices
    turned = blocks_to_turn(problem, layout.order, layout.formats)
    if not turned or not _stores_runs(layout.wanted, target.index(last)):
        return
    made = replace(layout, order=layout.order[:-1], tiled=last, strips=True, turned=turned)
    candidate = priced(problem, made)
    if candidate is not None and candidate.writing.assembly.kind == "locate" and candidate.writing.assembly.owned:
        yield candidate


def _shares_tiles(problem: Problem, layout: Layout, plain: Candidate) -> bool:
    """Whether several rows may be done at a time: each value of a dense result is written once, with its whole sum."""
    assembly = plain.writing.assembly
    return assembly.kind == "locate" and assembly.owned and sums_inside(problem, layout.order)


def _blocked(problem: Problem, layout: Layout, plain: Candidate) -> Iterator[Candidate]:
    """The loops with several rows at a time, where their reductions visit the same coordinates."""
    if not _shares_tiles(problem, layout, plain):
        return
    rows = rows_of_block(problem, layout.order, str(layout.tiled), layout.formats)
    blocked = priced(problem, replace(layout, rows=rows)) if rows > 1 else None
    if blocked is None:
        return
    yield blocked
    for spread in (False, True):
        yield from _packed(problem, layout, spread)


def _packed(problem: Problem, layout: Layout, spread: bool) -> Iterator[Candidate]:
    """The loops with several rows at a time and what they share packed, by each chunk of rows or once."""
    tiled, threads = str(layout.tiled), problem.threads if spread else 1
    rows = rows_of_block(problem, layout.order, tiled, layout.formats, threads)
    for panel in panels(problem, layout.order, tiled, layout.formats, rows) if rows > 1 else ():
        if spread and len(panel.access.indices) > 2:
            continue  # loops stand outside the tiles
        packed = replace(layout, rows=rows, packed=panel, spread=spread)
        if panel.turned:
            name = panel.access.tensor
            formats = {**layout.formats, name: problem.by_name[name].format}
            packed = replace(packed, formats=formats, conversions=conversions(problem, formats))
        candidate = priced(problem, packed)
        if candidate is not None:
            yield candidate


def _grouped(problem: Problem, layout: Layout, plain: Candidate) -> Iterator[Candidate]:
    """The loops with several rows of a frozen operand at a time, in a copy that has their coordinates together."""
    if not _shares_tiles(problem, layout, plain):
        return
    found = grouping(problem, layout.order, str(layout.tiled), layout.formats)
    if found is None:
        return
    tensor, format = found
    formats = {**layout.formats, tensor: format}
    made = replace(layout, formats=formats, conversions=conversions(problem, formats), rows=format.levels[-1].block)
    grouped = priced(problem, made)
    if grouped is not None:
        yield grouped


def _in_strips(problem: Problem, layout: Layout, plain: Candidate) -> Iterator[Candidate]:
    """The loops once for every few vectors of the tiled index, where rows picked by nonzeros come from afar."""
    tiled = str(layout.tiled)
    several = problem.extents[tiled] > strip_vectors(problem) * vector_lanes(problem)
    whole_rows = plain.writing.assembly.kind == "locate" and sums_inside(problem, layout.order)
    if several and whole_rows and rows_are_far(problem, tiled):
        made = priced(problem, replace(layout, strips=True))
        if made is not None:
            yield made


def _stores_runs(format: Format, dimension: int) -> bool:
    """Whether values along the dimension lie side by side, for vectors to be stored."""
    return format.levels[-1].contiguous and format.order[-1] == dimension

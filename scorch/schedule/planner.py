"""The schedule: every loop order and result layout that is worth a thought, priced; the cheapest becomes the plan."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice, permutations

from scorch.errors import ScheduleError
from scorch.formats import Format, dtypes
from scorch.ir.graph import build_graph, level_indices, may_visit_nothing, walks
from scorch.ir.notation import Access
from scorch.ir.plan import Alternative, Assembly, Kernel, Partition, Plan, TensorSpec, Tile
from scorch.schedule.assembly import Writing, choose_assembly
from scorch.schedule.cost import conversion_cost, nest_cost
from scorch.schedule.lanes import Along, along_positions, vectors_in_flight
from scorch.schedule.merging import merging, told, with_merges
from scorch.schedule.nest import Nest, build_nest
from scorch.schedule.partition import choose_partition, serial_below
from scorch.schedule.problem import Problem, appended_bits
from scorch.schedule.reading import conversions, readings, turned
from scorch.schedule.result import candidate_formats
from scorch.schedule.sizing import Collector, accumulators, merges_rows, size_merged, size_scattered
from scorch.schedule.tile import (
    block_tile,
    blocks_to_turn,
    can_tile,
    choose_tile,
    grouping,
    panel_vectors,
    positions_beside,
    rows_of_block,
    turned_tile,
    unrolling,
    vector_lanes,
)

__all__ = ["alternatives", "schedule"]

FEW_INDICES = 5  # of which every loop order is looked at, whatever has to be converted for it
MOST_ORDERS = 5040  # of loop orders looked at
PARALLEL = 0.9  # of each further thread's time is work
SHOWN = 8  # alternatives kept for explain


@dataclass(frozen=True)
class _Layout:
    """Loop order, tiled index (which `order` then lacks), result format, and the operands' formats after conversion.

    `spread`: the tiles are the outermost loop, for threads to share. `panels`: they are the outermost loop of each
    chunk, so that what a tile reads of dense operands stays near. `rows`: so many coordinates of the innermost result
    loop share the reduction inside a tile, which then stands right outside that loop. `turned`: square blocks of these
    accesses are turned in registers, for the tile outside the innermost loop.
    """

    order: tuple[str, ...]
    wanted: Format
    formats: dict[str, Format]
    conversions: tuple[tuple[str, Format], ...]
    tiled: str | None = None
    spread: bool = False
    panels: bool = False
    rows: int = 1
    turned: tuple[Access, ...] = ()


@dataclass(frozen=True)
class _Candidate:
    """One way to compute the statement, with its estimated time in nanoseconds."""

    layout: _Layout
    writing: Writing
    accumulator: Collector
    tile: tuple[str, Tile] | None
    along: Along | None
    partition: Partition
    cost: float
    parts: tuple[tuple[str, float], ...]

    @property
    def description(self) -> str:
        """Loop order, tile, accumulator and what is converted, in a line."""
        layout = self.layout
        text = f"loops {' '.join(layout.order)}"
        if layout.tiled:
            text += f", {layout.tiled} in SIMD tiles" + (" outermost" if layout.spread else "")
            text += " outside all rows of a chunk" if layout.panels else ""
            text += f", {layout.rows} rows at a time" if layout.rows > 1 else ""
            text += f", blocks of {', '.join(a.tensor for a in layout.turned)} turned" if layout.turned else ""
        if self.writing.scatter:
            text += f", row of {self.writing.scatter} in a {self.accumulator}"
            text += ", room for every product" if self.writing.assembly.bounded else ", counted first"
        elif self.writing.assembly.bounded:
            text += ", room for every step"
        if self.writing.format != layout.wanted:
            text += ", result sorted afterwards"
        for name, format in layout.conversions:
            text += f", {name} as {format}"
        if not layout.wanted.is_dense:
            text += f", result {layout.wanted}"
        return text + (", serial" if self.partition.unit == "serial" else "")


def schedule(problem: Problem) -> Plan:
    """The plan of a problem. ScheduleError if no loop order is legal even with every operand converted.

    Of its alternatives the cheapest, or the one that `problem.choice` describes; ScheduleError if there is none.
    """
    candidates = _ranked(problem, every=problem.choice is not None)
    best = next((c for c in candidates if problem.choice in (None, c.description)), None)
    if best is None:
        raise ScheduleError(f"no plan for {problem.statement} is called {problem.choice!r}")
    return _plan(problem, best, tuple(islice(_distinct(candidates), SHOWN)))


def alternatives(problem: Problem) -> tuple[Alternative, ...]:
    """Every plan that was priced, the cheapest first, once each; any of them may be asked for as `Problem.choice`."""
    return tuple(_distinct(_ranked(problem, every=True)))


def _distinct(candidates: list[_Candidate]) -> Iterator[Alternative]:
    """The candidates as explain tells them, each description once."""
    seen: set[str] = set()
    for candidate in candidates:
        if candidate.description not in seen:
            seen.add(candidate.description)
            yield Alternative(candidate.description, candidate.cost / 1000)


def _ranked(problem: Problem, every: bool) -> list[_Candidate]:
    """The candidates, cheapest first; if asked for `every` one, with row accumulators that are not the cheapest."""
    candidates = list(_candidates(problem))
    if not candidates:
        raise ScheduleError(f"no legal loop order for {problem.statement}")
    if every:
        candidates += [other for each in list(candidates) for other in _with_other_rows(problem, each)]
    return sorted(candidates, key=lambda candidate: candidate.cost)


def _with_other_rows(problem: Problem, cheapest: _Candidate) -> Iterator[_Candidate]:
    """The same loops with every other row accumulator, and with the other way to make room for the result."""
    seen = {cheapest.description}
    if cheapest.writing.scatter is not None:
        kinds: list[Collector | None] = list(accumulators(problem, cheapest.layout.order, cheapest.writing))
    else:
        kinds = [None] if _merges_rows(problem, cheapest.layout, cheapest.writing) else []
    for kind in kinds:
        for bounded in (False, True):
            other = _priced(problem, cheapest.layout, kind, bounded)
            if other is not None and other.description not in seen:
                seen.add(other.description)
                yield other


def _candidates(problem: Problem) -> Iterator[_Candidate]:
    """All loop orders of a few indices; of many those that need no conversion, unless there are none."""
    indices = problem.statement.indices
    if len(indices) > FEW_INDICES:
        formats = {operand.name: operand.format for operand in problem.operands}
        found = list(_in_orders(problem, build_graph(problem.statement, formats, problem.extents).orders()))
        if found:
            yield from found
            return
    yield from _in_orders(problem, permutations(indices))


def _in_orders(problem: Problem, orders: Iterator[tuple[str, ...]]) -> Iterator[_Candidate]:
    results = candidate_formats(problem)
    for order in islice(orders, MOST_ORDERS):
        if not _copies_follow(problem, order):
            continue
        for formats in readings(problem, order):
            converted = conversions(problem, formats)
            if converted and not problem.convert:
                continue
            for wanted in results:
                yield from _with_tiles(problem, _Layout(order, wanted, formats, converted))


def _copies_follow(problem: Problem, order: tuple[str, ...]) -> bool:
    """An index that must equal another comes right after that one, or after what has to stand between."""
    return all(order.index(first) > order.index(second) for first, second in problem.statement.equal)


def _with_tiles(problem: Problem, layout: _Layout) -> Iterator[_Candidate]:
    """The loops as they are, and with the innermost one in SIMD tiles."""
    plain = _priced(problem, layout)
    if plain is None and problem.statement.finish is not None:
        yield from _tiled(problem, layout)  # a tile goes outside the reductions, where values are complete
    if plain is None or (problem.onto is not None and plain.writing.assembly.kind != "share"):
        return
    if not problem.convert and plain.writing.format != layout.wanted:
        return
    if plain.writing.assembly.filtered and not _prefix(problem, layout.order):
        return  # terms would be filtered, not sums
    yield plain
    yield from _tiled(problem, layout)


def _tiled(problem: Problem, layout: _Layout) -> Iterator[_Candidate]:
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
    candidate = _priced(problem, tiled)
    if candidate is None or candidate.writing.scatter is not None or candidate.writing.assembly.filtered:
        return
    if last not in target or _stores_runs(candidate.writing.format, target.index(last)):
        yield candidate
        yield from _blocked(problem, tiled, candidate)
        yield from _grouped(problem, tiled, candidate)
        yield from _panelled(problem, tiled, candidate)
        if (
            last in target
            and candidate.partition.unit == "serial"
            and candidate.cost > serial_below(problem.prices, candidate.writing.assembly)
            and not _prefix(problem, tiled.order)
        ):
            spread = _priced(problem, replace(tiled, spread=True))
            if spread is not None:
                yield spread


def _in_blocks(problem: Problem, layout: _Layout) -> Iterator[_Candidate]:
    """The loops with the innermost one in SIMD tiles for which blocks of dense operands are turned in registers."""
    last = layout.order[-1]
    target = problem.statement.target.indices
    turned = blocks_to_turn(problem, layout.order, layout.formats)
    if not turned or not _stores_runs(layout.wanted, target.index(last)):
        return
    made = replace(layout, order=layout.order[:-1], tiled=last, panels=True, turned=turned)
    candidate = _priced(problem, made)
    if candidate is not None and candidate.writing.assembly.kind == "locate" and candidate.writing.assembly.owned:
        yield candidate


def _blocked(problem: Problem, layout: _Layout, plain: _Candidate) -> Iterator[_Candidate]:
    """The loops with several rows at a time, where their reductions visit the same coordinates."""
    assembly = plain.writing.assembly
    if assembly.kind != "locate" or not assembly.owned or not _prefix(problem, layout.order):
        return
    rows = rows_of_block(problem, layout.order, str(layout.tiled), layout.formats)
    blocked = _priced(problem, replace(layout, rows=rows)) if rows > 1 else None
    if blocked is not None:
        yield blocked


def _grouped(problem: Problem, layout: _Layout, plain: _Candidate) -> Iterator[_Candidate]:
    """The loops with several rows of a frozen operand at a time, in a copy that has their coordinates together."""
    assembly = plain.writing.assembly
    if assembly.kind != "locate" or not assembly.owned or not _prefix(problem, layout.order):
        return
    found = grouping(problem, layout.order, str(layout.tiled), layout.formats)
    if found is None:
        return
    tensor, format = found
    formats = {**layout.formats, tensor: format}
    made = replace(layout, formats=formats, conversions=conversions(problem, formats), rows=format.levels[-1].block)
    grouped = _priced(problem, made)
    if grouped is not None:
        yield grouped


def _panelled(problem: Problem, layout: _Layout, plain: _Candidate) -> Iterator[_Candidate]:
    """The loops once for every few vectors of the tiled index, where rows picked by nonzeros come from afar."""
    tiled = str(layout.tiled)
    several = problem.extents[tiled] > panel_vectors(problem) * vector_lanes(problem)
    whole_rows = plain.writing.assembly.kind == "locate" and _prefix(problem, layout.order)
    if several and whole_rows and _rows_are_far(problem, tiled):
        panelled = _priced(problem, replace(layout, panels=True))
        if panelled is not None:
            yield panelled


def _stores_runs(format: Format, dimension: int) -> bool:
    """Whether values along the dimension lie side by side, for vectors to be stored."""
    return format.levels[-1].contiguous and format.order[-1] == dimension


def _priced(
    problem: Problem, layout: _Layout, accumulator: Collector | None = None, bounded: bool | None = None
) -> _Candidate | None:
    """A candidate with its estimated time, part by part; None if its loops cannot write the result.

    A row accumulator and room for its result are the cheapest unless they are given.
    """
    whole = _whole(problem, layout)
    writing = choose_assembly(problem, whole, layout.wanted, layout.formats)
    if writing is None or not _can_finish(problem, whole, writing, layout.formats):
        return None
    tile = _tile(problem, layout, writing.assembly)
    innermost = layout.order[-1] if layout.order and tile is None and writing.scatter is None else None
    along = None if innermost is None else along_positions(problem, innermost, layout.formats)
    row = along.row if along is not None else None
    panel = panel_vectors(problem) if layout.panels and not layout.turned else 0
    turned = len(layout.turned)
    loops = nest_cost(problem, layout.order, layout.tiled, layout.formats, layout.rows, panel, row, turned)
    parts: list[tuple[str, float]] = []
    if writing.scatter is not None:
        costs = accumulators(problem, layout.order, writing)
        accumulator = accumulator or min(costs, key=lambda each: costs[each])
        parts.append((f"row in a {accumulator}", costs[accumulator]))
        writing, cost = size_scattered(problem, layout.order, writing, accumulator.kind, bounded)
        parts.append(("bound" if writing.assembly.bounded else "count", cost))
    elif writing.assembly.kind == "bucket":
        parts.append(("count and place", problem.products * problem.prices.place))
    elif writing.assembly.kind == "append":
        path = level_indices(problem.statement.target, writing.format)
        lowest = max(n for n, level in enumerate(writing.format.levels) if not level.full)
        parts.append(("append", problem.entries(path[: lowest + 1]) * problem.prices.append))
        if _merges_rows(problem, layout, writing):
            writing, cost = size_merged(problem, layout.order, layout.tiled, layout.formats, writing, bounded)
            parts.append(("bound" if writing.assembly.bounded else "count", cost))
    work = loops + sum(cost for _, cost in parts)
    collects = writing.scatter is not None and writing.split == 0  # one row for all loops: chunks would share it
    outermost = whole[0] if whole and not collects else None
    partition = choose_partition(problem, outermost, tile, layout.formats, work, writing.assembly, layout.order)
    share = 1.0 if partition.unit == "serial" else 1.0 / (problem.threads * PARALLEL)
    parts = [("loops", loops * share), *((name, cost * share) for name, cost in parts)]
    if writing.format != layout.wanted:
        parts.append(("sort", problem.products * 2 * problem.prices.convert))
    targets = dict(layout.conversions)
    converted = sum(conversion_cost(problem, a, targets[a.tensor]) for a in problem.accesses if a.tensor in targets)
    if converted:
        parts.append(("conversion", converted))
    if partition.unit != "serial":
        parts.append(("threads", problem.prices.launch * writing.assembly.phases))
    return _Candidate(
        layout,
        writing,
        accumulator or Collector("bitmap"),
        tile,
        along,
        partition,
        sum(cost for _, cost in parts),
        tuple(parts),
    )


def _merges_rows(problem: Problem, layout: _Layout, writing: Writing) -> bool:
    """Whether the innermost loop merges each row of the result without branches, in the order in which it is stored."""
    untiled = layout.tiled is None and writing.format == layout.wanted
    return untiled and merges_rows(problem, layout.order, layout.formats, writing)


def _can_finish(problem: Problem, order: tuple[str, ...], writing: Writing, formats: dict[str, Format]) -> bool:
    """Whether each value is complete where it is written, so that it can be finished there; if it has to be.

    Places of a dense result that a sparse loop skips would not be.
    """
    if problem.statement.finish is None:
        return True
    if not writing.assembly.owned or writing.scatter is not None:
        return False
    skips = any(walks(a, v, formats[a.tensor]) for a in problem.accesses for v in problem.statement.target.indices)
    return writing.assembly.kind == "share" or not skips


def _whole(problem: Problem, layout: _Layout) -> tuple[str, ...]:
    """All loops in the order in which the nest will have them: a tiled result index stands outside the reductions."""
    order, tiled, target = layout.order, layout.tiled, problem.statement.target.indices
    if tiled is None:
        return order
    if layout.spread:
        return (tiled, *order)
    if tiled in target and _prefix(problem, order):
        return (*(v for v in order if v in target), tiled, *(v for v in order if v not in target))
    return (*order, tiled)


def _tile(problem: Problem, layout: _Layout, assembly: Assembly) -> tuple[str, Tile] | None:
    if layout.tiled is None:
        return None
    reduced = layout.tiled not in problem.statement.target.indices
    parts = problem.threads if layout.spread else 1
    if layout.turned:
        return layout.tiled, turned_tile(problem, layout.tiled)
    if layout.rows > 1:
        return layout.tiled, block_tile(problem, layout.tiled, layout.rows)
    beside = positions_beside(problem, layout.order, layout.tiled, layout.formats, assembly)
    gathers = (not reduced or beside > 1) and _rows_are_far(problem, layout.tiled)
    once = assembly.owned
    most = panel_vectors(problem) if layout.panels else None
    return layout.tiled, choose_tile(problem, layout.tiled, reduced, gathers, parts, once, beside, most)


def _rows_are_far(problem: Problem, tiled: str) -> bool:
    """Whether rows picked by nonzeros come from beyond the second cache: what one row's nonzeros span is larger than
    it."""
    for access in problem.sparse:
        picked = access.indices[problem.format(access).order[-1]]
        for other in problem.accesses:
            if other not in problem.sparse and picked in other.indices and tiled in other.indices:
                rows = problem.extents[picked] * problem.by_name[access.tensor].statistics.spread
                if rows * problem.extents[tiled] * dtypes.itemsize(problem.dtype) > problem.machine.near_bytes:
                    return True
    return False


def _prefix(problem: Problem, order: tuple[str, ...]) -> bool:
    """Whether the result's indices come before every reduction."""
    inside = [v in problem.statement.target.indices for v in order]
    return inside == sorted(inside, reverse=True)


def _plan(problem: Problem, best: _Candidate, alternatives: tuple[Alternative, ...]) -> Plan:
    statement, writing, layout, partition = problem.statement, best.writing, best.layout, best.partition
    assembly = writing.assembly
    repeats = assembly.kind == "locate" and not assembly.owned and not all(f.is_unique for f in layout.formats.values())
    along = best.along.tile if best.along is not None else None
    nest = Nest(
        statement,
        layout.order,
        problem.dtype,
        best.tile,
        writing.scatter,
        best.accumulator.kind,
        best.accumulator.few,
        writing.split,
        repeats,
        layout.spread or layout.panels,
        unroll=_unrolled(problem, best, along),
        beside=positions_beside(problem, layout.order, best.tile[0], layout.formats, assembly) if best.tile else 1,
        rows=layout.rows,
        turned=layout.turned,
        along=along,
        fills=problem.fills,
        may_be_empty=frozenset(v for v in layout.order if may_visit_nothing(problem.accesses, v, layout.formats)),
    )
    choices = merging(problem, layout.order, layout.tiled, layout.formats)
    root = with_merges(build_nest(nest), choices)
    specs = tuple(o.spec(layout.formats[o.name]) for o in problem.operands)
    divided = partition.weight if partition.unit == "merge-path" else None
    result = replace(_result_spec(problem, writing, partition), fill=problem.fill)
    kernel = Kernel(specs, result, statement, root, writing.assembly, partition.unit, partition.private, divided)
    extents = tuple(problem.extents.items())
    reasons = (*_reasons(problem, best), *told(problem, layout.order, choices))
    return Plan(
        kernel,
        layout.conversions,
        partition,
        extents,
        best.cost / 1000,
        problem.result_dtype,
        reasons,
        alternatives,
        layout.wanted,
        _expected(problem, assembly, layout.wanted),
    )


def _unrolled(problem: Problem, best: _Candidate, along: Tile | None) -> int:
    """Iterations of the innermost reduction in flight; the rows of a block are enough by themselves."""
    last = best.layout.order[-1] if best.layout.order else None
    if along is not None:
        return vectors_in_flight(problem, str(last), along, best.layout.formats)
    if best.tile is None or last in problem.statement.target.indices or best.layout.rows > 1:
        return 1
    return unrolling(problem, best.tile[1], str(last), best.layout.formats)


def _expected(problem: Problem, assembly: Assembly, wanted: Format) -> float | None:
    """How many values a sparse result is expected to store: as many as the operand whose pattern it shares."""
    if wanted.is_dense:
        return None
    if assembly.kind == "share" and assembly.source is not None:
        positions = problem.by_name[assembly.source.tensor].statistics.positions
        below = wanted.order[len(positions) if assembly.depth is None else assembly.depth :]
        return float(positions[: assembly.depth][-1]) * math.prod(problem.shape[d] for d in below)
    return problem.entries(problem.statement.target.indices)


def _result_spec(problem: Problem, writing: Writing, partition: Partition) -> TensorSpec:
    """The result as the kernel writes it: what is summed in place is rounded to a half type only when it is done."""
    name = problem.statement.target.tensor
    assembly = writing.assembly
    appended = assembly.kind == "bucket" or (assembly.kind == "append" and writing.format.is_unique)
    once = appended or (assembly.owned and partition.unit != "merge-path")
    dtype = problem.result_dtype if once and not partition.private else problem.dtype
    if writing.assembly.source is not None:
        source = problem.by_name[writing.assembly.source.tensor].spec()
        if assembly.kind == "relevel":
            return TensorSpec(name, writing.format, dtype, appended_bits(writing.format, problem.shape))
        bits = source.index_bits[: assembly.depth]
        bits += ((),) * (len(writing.format.levels) - len(bits))
        return replace(source, name=name, dtype=dtype, format=writing.format, index_bits=bits)
    return TensorSpec(name, writing.format, dtype, appended_bits(writing.format, problem.shape))


def _reasons(problem: Problem, best: _Candidate) -> tuple[str, ...]:
    out = [f"{operand.name}: {operand.statistics}" for operand in problem.operands if not operand.format.is_dense]
    out += [
        f"{o.name} {o.packing}" for o in problem.operands if o.packing and o.name not in dict(best.layout.conversions)
    ]
    out += [str(problem.sample)] if problem.sample else []
    parts = ", ".join(f"{name} {cost / 1000:.4g} us" for name, cost in best.parts)
    out.append(f"estimated {parts}, by {problem.prices.origin}")
    if best.partition.unit == "serial" and problem.threads > 1:
        phases = best.writing.assembly.phases
        below = serial_below(problem.prices, best.writing.assembly)
        few = f"less than {below / 1000:.4g} us of work" + (f" in {phases} phases" if phases > 1 else "")
        small = best.cost < below
        out.append("serial: " + (few if small else "chunks of the outermost loop would write the same places"))
    if not math.isfinite(best.cost):
        out.append("costs overflow: extents beyond what a float holds")
    return tuple(out)

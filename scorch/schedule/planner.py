"""The schedule: every loop order and result layout that is worth a thought, priced; the cheapest becomes the plan."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice, permutations

from scorch.errors import ScheduleError
from scorch.formats import Format
from scorch.ir.graph import build_graph, may_visit_nothing
from scorch.ir.notation import Access
from scorch.ir.plan import Alternative, Assembly, Kernel, Partition, Plan, TensorSpec
from scorch.schedule.ahead import fetched_ahead
from scorch.schedule.assembly import Writing
from scorch.schedule.candidate import Candidate, Layout, merges_plainly, priced, sums_inside
from scorch.schedule.lanes import vectors_in_flight
from scorch.schedule.merging import merging, told, with_merges
from scorch.schedule.nest import Nest, build_nest
from scorch.schedule.partition import serial_below
from scorch.schedule.problem import Problem, appended_bits
from scorch.schedule.reading import conversions, readings
from scorch.schedule.result import candidate_formats
from scorch.schedule.sizing import Collector, accumulators
from scorch.schedule.tile import positions_beside
from scorch.schedule.tilings import tiled_ways

__all__ = ["alternatives", "schedule"]

FEW_INDICES = 5  # of which every loop order is looked at, whatever has to be converted for it
MOST_ORDERS = 5040  # of loop orders looked at
SHOWN = 8  # alternatives kept for explain


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


def _distinct(candidates: list[Candidate]) -> Iterator[Alternative]:
    """The candidates as explain tells them, each description once."""
    seen: set[str] = set()
    for candidate in candidates:
        if candidate.description not in seen:
            seen.add(candidate.description)
            yield Alternative(candidate.description, candidate.cost / 1000)


def _ranked(problem: Problem, every: bool) -> list[Candidate]:
    """The candidates, cheapest first; if asked for `every` one, with row accumulators that are not the cheapest."""
    candidates = list(_candidates(problem))
    if not candidates:
        raise ScheduleError(f"no legal loop order for {problem.statement}")
    if every:
        candidates += [other for each in list(candidates) for other in _with_other_rows(problem, each)]
    return sorted(candidates, key=lambda candidate: candidate.cost)


def _with_other_rows(problem: Problem, cheapest: Candidate) -> Iterator[Candidate]:
    """The same loops with every other row accumulator, and with the other way to make room for the result."""
    seen = {cheapest.description}
    if cheapest.writing.scatter is not None:
        kinds: list[Collector | None] = list(accumulators(problem, cheapest.layout.order, cheapest.writing))
    else:
        kinds = [None] if merges_plainly(problem, cheapest.layout, cheapest.writing) else []
    for kind in kinds:
        for bounded in (False, True):
            other = priced(problem, cheapest.layout, kind, bounded)
            if other is not None and other.description not in seen:
                seen.add(other.description)
                yield other


def _candidates(problem: Problem) -> Iterator[Candidate]:
    """All loop orders of a few indices; of many those that need no conversion, unless there are none."""
    indices = problem.statement.indices
    if len(indices) > FEW_INDICES:
        formats = {operand.name: operand.format for operand in problem.operands}
        found = list(_in_orders(problem, build_graph(problem.statement, formats, problem.extents).orders()))
        if found:
            yield from found
            return
    yield from _in_orders(problem, permutations(indices))


def _in_orders(problem: Problem, orders: Iterator[tuple[str, ...]]) -> Iterator[Candidate]:
    results = candidate_formats(problem)
    for order in islice(orders, MOST_ORDERS):
        if not _copies_follow(problem, order):
            continue
        for formats in readings(problem, order):
            converted = conversions(problem, formats)
            if converted and not problem.convert:
                continue
            for wanted in results:
                yield from _with_tiles(problem, Layout(order, wanted, formats, converted))


def _copies_follow(problem: Problem, order: tuple[str, ...]) -> bool:
    """An index that must equal another comes right after that one, or after what has to stand between."""
    return all(order.index(first) > order.index(second) for first, second in problem.statement.equal)


def _with_tiles(problem: Problem, layout: Layout) -> Iterator[Candidate]:
    """The loops as they are, and with the innermost one in SIMD tiles."""
    plain = priced(problem, layout)
    if plain is None and problem.statement.finish is not None:
        yield from tiled_ways(problem, layout)  # a tile goes outside the reductions, where values are complete
    if plain is None or (problem.onto is not None and plain.writing.assembly.kind != "share"):
        return
    if not problem.convert and plain.writing.format != layout.wanted:
        return
    if plain.writing.assembly.filtered and not sums_inside(problem, layout.order):
        return  # terms would be filtered, not sums
    yield plain
    yield from tiled_ways(problem, layout)


def _plan(problem: Problem, best: Candidate, alternatives: tuple[Alternative, ...]) -> Plan:
    statement, writing, layout, partition = problem.statement, best.writing, best.layout, best.partition
    assembly = writing.assembly
    ahead = _ahead(problem, best)
    repeats = assembly.kind == "locate" and not assembly.owned and not all(f.is_unique for f in layout.formats.values())
    along = best.along.tile if best.along is not None else None
    innermost = layout.order[-1] if layout.order else ""
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
        layout.spread or layout.strips,
        unroll=best.unrolling.count if along is None else vectors_in_flight(problem, innermost, along, layout.formats),
        past=best.unrolling.past,
        beside=positions_beside(problem, layout.order, best.tile[0], layout.formats, assembly) if best.tile else 1,
        rows=layout.rows,
        packed=layout.packed,
        turned=layout.turned,
        along=along,
        ahead=0 if ahead is None else ahead[1],
        fills=problem.fills,
        may_be_empty=frozenset(v for v in layout.order if may_visit_nothing(problem.accesses, v, layout.formats)),
    )
    choices = merging(problem, layout.order, layout.tiled, layout.formats)
    root = with_merges(build_nest(nest), choices)
    specs = tuple(o.spec(layout.formats[o.name]) for o in problem.operands)
    divided = partition.weight if partition.unit == "merge-path" else None
    result = replace(_result_spec(problem, writing, partition, layout.formats), fill=problem.fill)
    kernel = Kernel(specs, result, statement, root, writing.assembly, partition.unit, partition.private, divided)
    extents = tuple(problem.extents.items())
    reasons = (*_reasons(problem, best), *told(problem, layout.order, choices))
    if ahead is not None:
        reasons += (f"{ahead[0]} is read from memory, in short rows: fetched {ahead[1]} stored positions ahead",)
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


def _ahead(problem: Problem, best: Candidate) -> tuple[Access, int] | None:
    """The operand that the innermost reduction walks, if it is fetched ahead, and by how many positions. Where each
    entry picks a row of a dense operand, those rows are what is waited for."""
    last = best.layout.order[-1] if best.layout.order else None
    if last is None or last in problem.statement.target.indices or best.tile is not None:
        return None
    return fetched_ahead(problem, last, best.layout.formats)


def _expected(problem: Problem, assembly: Assembly, wanted: Format) -> float | None:
    """How many values a sparse result is expected to store: as many as the operand whose pattern it shares."""
    if wanted.is_dense:
        return None
    if assembly.kind == "share" and assembly.source is not None:
        positions = problem.by_name[assembly.source.tensor].statistics.positions
        below = wanted.order[len(positions) if assembly.depth is None else assembly.depth :]
        return float(positions[: assembly.depth][-1]) * math.prod(problem.shape[d] for d in below)
    return problem.entries(problem.statement.target.indices)


def _result_spec(problem: Problem, writing: Writing, partition: Partition, formats: Mapping[str, Format]) -> TensorSpec:
    """The result as the kernel writes it: what is summed in place is rounded to a half type only when it is done.

    `formats`: those of the operands after conversion.
    """
    name = problem.statement.target.tensor
    assembly = writing.assembly
    appended = assembly.kind == "bucket" or (assembly.kind == "append" and writing.format.is_unique)
    once = appended or (assembly.owned and partition.unit != "merge-path")
    dtype = problem.result_dtype if once and not partition.private else problem.dtype
    if writing.assembly.source is not None:
        shared = writing.assembly.source.tensor
        source = problem.by_name[shared].spec(formats[shared])
        if assembly.kind == "relevel":
            return TensorSpec(name, writing.format, dtype, appended_bits(writing.format, problem.shape))
        bits = source.index_bits[: assembly.depth]
        bits += ((),) * (len(writing.format.levels) - len(bits))
        return replace(source, name=name, dtype=dtype, format=writing.format, index_bits=bits)
    return TensorSpec(name, writing.format, dtype, appended_bits(writing.format, problem.shape))


def _reasons(problem: Problem, best: Candidate) -> tuple[str, ...]:
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
    if best.unrolling.past:
        share = f"{best.unrolling.ends:.0%} of what it takes singly"
        out.append(f"rows differ in length: what groups leave over is taken into the next row, {share}")
    if not math.isfinite(best.cost):
        out.append("costs overflow: extents beyond what a float holds")
    return tuple(out)

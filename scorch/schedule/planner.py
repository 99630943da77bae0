"""The schedule: every loop order and result layout that is worth a thought, priced; the cheapest becomes the plan."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice, permutations

from scorch.errors import ScheduleError
from scorch.formats import Format
from scorch.ir.graph import level_indices
from scorch.ir.lattice import build_lattice
from scorch.ir.notation import Access
from scorch.ir.plan import Alternative, Kernel, Partition, Plan, TensorSpec, Tile
from scorch.schedule.assembly import Writing, choose_assembly
from scorch.schedule.cost import PRICES, bound_cost, conversion_cost, count_cost, nest_cost, scatter_cost
from scorch.schedule.nest import Nest, build_nest
from scorch.schedule.partition import choose_partition
from scorch.schedule.problem import Problem, appended_bits
from scorch.schedule.result import candidate_formats
from scorch.schedule.tile import can_tile, choose_tile, position_lanes

__all__ = ["schedule"]

MOST_ORDERS = 5040  # of loop orders looked at: all of them for up to seven indices
ROOM_BYTES = 1 << 30  # that a result may be given room for, most of it never touched
SHOWN = 8  # alternatives kept for explain
DENSE_ROW_BYTES = 64 << 20  # a row accumulator of dense values may take, for each thread


@dataclass(frozen=True)
class _Candidate:
    """One way to compute the statement."""

    order: tuple[str, ...]
    tiled: str | None
    wanted: Format
    writing: Writing
    formats: dict[str, Format]
    conversions: tuple[tuple[str, Format], ...]
    accumulator: str
    cost: float
    parts: tuple[tuple[str, float], ...]

    @property
    def description(self) -> str:
        """Loop order, tile, accumulator and what is converted, in a line."""
        loops = " ".join(self.order)
        text = f"loops {loops}" + (f", {self.tiled} in SIMD tiles" if self.tiled else "")
        if self.writing.scatter:
            text += f", row of {self.writing.scatter} in a {self.accumulator}"
        if self.writing.format != self.wanted:
            text += ", result sorted afterwards"
        for name, format in self.conversions:
            text += f", {name} as {format}"
        return text + (f", result {self.wanted}" if not self.wanted.is_dense else "")


def schedule(problem: Problem) -> Plan:
    """The plan of a problem. ScheduleError if no loop order is legal even with every operand converted."""
    candidates = sorted(_candidates(problem), key=lambda c: c.cost)
    if not candidates:
        raise ScheduleError(f"no legal loop order for {problem.statement}")
    best = candidates[0]
    seen = dict.fromkeys((c.description, c.cost) for c in candidates)
    shown = tuple(Alternative(text, cost / 1000) for text, cost in islice(seen, SHOWN))
    return _plan(problem, best, shown)


def _candidates(problem: Problem) -> Iterator[_Candidate]:
    results = candidate_formats(problem)
    for order in islice(permutations(problem.statement.indices), MOST_ORDERS):
        if not _copies_follow(problem, order):
            continue
        formats, conversions = _converted(problem, order)
        if conversions and not problem.convert:
            continue
        for wanted in results:
            yield from _with_tiles(problem, order, wanted, formats, conversions)


def _copies_follow(problem: Problem, order: tuple[str, ...]) -> bool:
    """An index that must equal another comes right after that one, or after what has to stand between."""
    return all(order.index(first) > order.index(second) for first, second in problem.statement.equal)


def _converted(problem: Problem, order: tuple[str, ...]) -> tuple[dict[str, Format], tuple[tuple[str, Format], ...]]:
    """The format in which each operand is read by loops in this order, and those that must be converted for it."""
    formats = {operand.name: operand.format for operand in problem.operands}
    rank = {v: n for n, v in enumerate(order)}
    for access in problem.sparse:
        format = formats[access.tensor]
        path = level_indices(access, format)
        if any(not level.locates and rank[above] > rank[v] for n, (v, level) in enumerate(zip(path, format.levels, strict=True)) for above in path[:n]):
            by_rank = sorted(range(format.ndim), key=lambda d: rank[access.indices[d]])
            formats[access.tensor] = format.sorted.with_order(tuple(by_rank))
        elif not (format.is_ordered and format.is_unique) and _merged(problem, access, formats):
            formats[access.tensor] = format.sorted
    changed = tuple((n, f) for n, f in formats.items() if f != next(o.format for o in problem.operands if o.name == n))
    return formats, changed


def _merged(problem: Problem, access: Access, formats: dict[str, Format]) -> bool:
    """Whether some loop walks this access together with another sparse one."""
    for index in access.indices:
        lattice = build_lattice(problem.statement.expr, index, lambda a, v=index: _walks(a, v, formats))  # type: ignore[misc]
        top = lattice.top
        if access in top.iterators and (len(top.iterators) > 1 or len(lattice.points) > 1):
            return True
    return False


def _walks(access: Access, index: str, formats: dict[str, Format]) -> bool:
    format = formats[access.tensor]
    return not format.levels[level_indices(access, format).index(index)].locates


def _with_tiles(
    problem: Problem,
    order: tuple[str, ...],
    wanted: Format,
    formats: dict[str, Format],
    conversions: tuple[tuple[str, Format], ...],
) -> Iterator[_Candidate]:
    plain = _priced(problem, order, None, wanted, formats, conversions)
    if not problem.convert and plain.writing.format != wanted:
        return
    yield plain
    last = order[-1] if order else None  # the tiled index is written last; the nest puts it outside the reductions
    if last is None or not can_tile(problem, last, formats):
        return
    if last in problem.statement.target.indices and not (wanted.is_dense and wanted.order[-1] == _dimension(problem, last)):
        return
    if last not in problem.statement.target.indices and _revisited(problem, order):
        return
    candidate = _priced(problem, order[:-1], last, wanted, formats, conversions)
    if candidate.writing.scatter is None and not candidate.writing.assembly.filtered:
        yield candidate


def _dimension(problem: Problem, index: str) -> int:
    return problem.statement.target.indices.index(index)


def _revisited(problem: Problem, order: tuple[str, ...]) -> bool:
    """A reduction over lanes must be the innermost loop, right inside the result's."""
    return order[-1] in problem.statement.target.indices


def _priced(
    problem: Problem,
    order: tuple[str, ...],
    tiled: str | None,
    wanted: Format,
    formats: dict[str, Format],
    conversions: tuple[tuple[str, Format], ...],
) -> _Candidate:
    whole = (*order, tiled) if tiled else order
    if tiled and tiled in problem.statement.target.indices and wanted.is_dense:
        whole = (*(v for v in order if v in problem.statement.target.indices), tiled, *(v for v in order if v not in problem.statement.target.indices)) if _prefix(problem, order) else whole
    writing = choose_assembly(problem, whole, wanted, formats)
    parts = [("loops", nest_cost(problem, order, tiled, formats))]
    converted = sum(conversion_cost(problem, a) for a in problem.sparse if a.tensor in dict(conversions))
    if converted:
        parts.append(("conversion", converted))
    accumulator = "bitmap"
    if writing.scatter is not None:
        accumulator, cost = _accumulator(problem, writing)
        parts.append((f"row in a {accumulator}", cost))
        writing, cost = _sizing(problem, order, writing, accumulator)
        parts.append(("bound" if writing.assembly.bounded else "count", cost))
    elif writing.assembly.kind == "append":
        entries = problem.entries(problem.statement.target.indices)
        again = problem.products if writing.format != wanted else entries
        parts.append(("append", entries * PRICES.append + (again * 2 * PRICES.convert if writing.format != wanted else 0.0)))
    total = sum(cost for _, cost in parts)
    return _Candidate(order, tiled, wanted, writing, formats, conversions, accumulator, total, tuple(parts))


def _prefix(problem: Problem, order: tuple[str, ...]) -> bool:
    """Whether the result's indices come before every reduction."""
    inside = [v in problem.statement.target.indices for v in order]
    return inside == sorted(inside, reverse=True)


def _accumulator(problem: Problem, writing: Writing) -> tuple[str, float]:
    """The cheapest sparse row accumulator for the rows expected."""
    assert writing.scatter is not None
    rows_indices = tuple(v for v in problem.statement.target.indices if v != writing.scatter)
    rows = max(1.0, problem.visits(rows_indices))
    width = problem.extents[writing.scatter]
    entries = problem.entries(problem.statement.target.indices)
    kinds = ["bitmap", "list", "hash"] if width * 8 <= DENSE_ROW_BYTES else ["hash"]
    prices = {kind: scatter_cost(kind, problem.products, entries, rows, width) for kind in kinds}
    kind = min(prices, key=lambda k: prices[k])
    return kind, prices[kind]


def _sizing(problem: Problem, order: tuple[str, ...], writing: Writing, accumulator: str) -> tuple[Writing, float]:
    """Whether to count the entries first, or to make room for every product: cheaper where few of them fall together."""
    target = problem.statement.target.indices
    rows = max(1.0, problem.visits(tuple(v for v in target if v != writing.scatter)))
    width = problem.extents[str(writing.scatter)]
    entries = problem.entries(target)
    count = count_cost(accumulator, problem.products, rows, width)
    bound = bound_cost(problem.products, entries, problem.visits(order[:-1]))
    simple = all(level.full for level in writing.format.levels[:-1]) and problem.products * 16 < ROOM_BYTES
    if simple and bound < count:
        return replace(writing, assembly=replace(writing.assembly, bounded=True)), bound
    return writing, count


def _plan(problem: Problem, best: _Candidate, alternatives: tuple[Alternative, ...]) -> Plan:
    statement, writing = problem.statement, best.writing
    tile: tuple[str, Tile] | None = None
    if best.tiled is not None:
        reduced = best.tiled not in statement.target.indices
        gathers = bool(problem.sparse) and not reduced
        tile = (best.tiled, choose_tile(problem, best.tiled, reduced, gathers))
    repeats = writing.assembly.kind == "locate" and not all(f.is_unique for f in best.formats.values())
    last = best.order[-1] if best.order else None
    lanes = position_lanes(problem, last, best.formats) if last and not tile and writing.scatter is None else 0
    nest = Nest(statement, best.order, problem.dtype, tile, writing.scatter, best.accumulator, writing.split, repeats, lanes)
    root = build_nest(nest)
    outermost = best.order[0] if best.order else best.tiled
    partition = choose_partition(problem, outermost, tile, best.formats, best.cost, writing.assembly, best.order)
    result = _result_spec(problem, writing)
    specs = tuple(o.spec(best.formats[o.name]) for o in problem.operands)
    divided = partition.weight if partition.unit == "merge-path" else None
    kernel = Kernel(specs, result, statement, root, writing.assembly, partition.unit, partition.private, divided)
    return Plan(
        kernel,
        best.conversions,
        partition,
        tuple(problem.extents.items()),
        best.cost / 1000,
        _reasons(problem, best, partition),
        alternatives,
        best.wanted,
    )


def _result_spec(problem: Problem, writing: Writing) -> TensorSpec:
    name = problem.statement.target.tensor
    if writing.assembly.source is not None:
        source = problem.by_name[writing.assembly.source.tensor].spec()
        return replace(source, name=name, dtype=problem.dtype, format=writing.format)
    return TensorSpec(name, writing.format, problem.dtype, appended_bits(writing.format, problem.shape))


def _reasons(problem: Problem, best: _Candidate, partition: Partition) -> tuple[str, ...]:
    out = [f"{operand.name}: {operand.statistics}" for operand in problem.operands if not operand.format.is_dense]
    out.append("estimated " + ", ".join(f"{name} {cost / 1000:.4g} us" for name, cost in best.parts))
    if partition.unit == "serial" and problem.threads > 1:
        small = best.cost < 20_000
        out.append("serial: " + ("less than 20 us of work" if small else "chunks of the outermost loop would write the same places"))
    if not math.isfinite(best.cost):
        out.append("costs overflow: extents beyond what a float holds")
    return tuple(out)


"""One kernel for statements over the same rows: the loops that all of them share, and inside them one nest after the
other, with temporaries in registers and row workspaces.

    S[i,j] = where(stored(M[i,j]), A[i,j] * x[j], absent)          for i
    m[i] max= where(stored(S[i,j]), S[i,j], absent)                  workspace S[j]: row float32 along M[i,j]
    C[i,j] = where(stored(S[i,j]), S[i,j] - m[i], absent)   ->       for j: S[j] = ...
                                                                     workspace m: register float32
                                                                     ...

A row workspace has a place for each stored position of the row of one sparse operand, so that a kernel never holds more
than a row of what it makes on the way. A dense index that all statements have, heads of an attention say, is a loop
that all of them share, or stands inside each of them, where it may be vectorised: then a place of the row is as wide.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from scorch.formats import Format, dense
from scorch.ir.absence import guarded
from scorch.ir.graph import level_indices, may_visit_nothing, walks
from scorch.ir.lattice import build_lattice
from scorch.ir.notation import Access, Apply, Assign, Expr, Literal, accesses, has_vector_form, substitute
from scorch.ir.operators import operator
from scorch.ir.plan import (
    Alternative,
    Assembly,
    Compute,
    Kernel,
    Loop,
    Partition,
    Plan,
    Stmt,
    TensorSpec,
    Tile,
    Where,
    Workspace,
)
from scorch.schedule.cost import nest_cost
from scorch.schedule.nest import Nest, build_nest
from scorch.schedule.partition import CHUNK, PARALLEL, serial_below
from scorch.schedule.problem import Operand, Problem, appended_bits
from scorch.schedule.result import candidate_formats
from scorch.schedule.streaming import written_cost
from scorch.schedule.tile import (
    MOST_ROWS,
    block_tile,
    can_tile,
    choose_tile,
    grouped_positions,
    vector_lanes,
)
from scorch.schedule.unrolling import cheapest, in_flight, unrollings

__all__ = ["plan_rows"]

ENOUGH = 4  # rows a thread in the outermost loop


@dataclass(frozen=True)
class _Group:
    """Statements as problems, the loops that they share, the index along which rows lie, the sparse access whose rows
    they are (None: rows of coordinates), and dense indices that every place of a row has `across` it."""

    problems: Sequence[Problem]
    prefix: tuple[str, ...]
    along: str | None
    source: Access | None
    across: tuple[str, ...] = ()

    @property
    def made(self) -> dict[str, Assign]:
        """The statement of each temporary."""
        return {p.statement.target.tensor: p.statement for p in self.problems[:-1]}

    def short(self, access: Access) -> Access:
        """An access to a temporary as its workspace is accessed: without the shared indices."""
        if access.tensor not in self.made:
            return access
        return Access(access.tensor, tuple(v for v in access.indices if v not in self.prefix))

    def space(self, problem: Problem) -> Expr:
        """The expression of a statement with the rows' source in place of row workspaces, as the lowering has it."""
        expr = problem.statement.whole
        by: dict[Access, Expr] = {}
        for access in problem.accesses:
            if self.source is not None and access.tensor in self.made and self.along in access.indices:
                stored = Apply("stored", (self.source,))
                by[access] = Apply("where", (stored, self.source, Literal(problem.by_name[access.tensor].fill)))
        return substitute(expr, by)


def plan_rows(problems: Sequence[Problem]) -> Plan | None:
    """The plan of statements, each a problem over operands and the temporaries before it; None if they don't share
    rows."""
    plans = [plan for plan in map(_plan, _groups(problems)) if plan is not None]
    return min(plans, key=lambda plan: plan.cost, default=None)


def _plan(group: _Group) -> Plan | None:
    problems = group.problems
    if not _is_regular(group):
        return None
    assembly = _assembly(group)
    if assembly is None:
        return None
    root = _tree(group)
    if root is None:
        return None
    last = problems[-1]
    outermost, work = group.prefix[0], _cost(group) + written_cost(last, assembly)
    partition = _partition(group, outermost, work)
    share = 1.0 if partition.unit == "serial" else 1.0 / (last.threads * PARALLEL)
    cost = work * share + (last.prices.launch if partition.unit != "serial" else 0.0)
    made = group.made
    operands = {o.name: o for p in problems for o in p.operands if o.name not in made}
    kernel = Kernel(
        tuple(o.spec() for o in operands.values()),
        _result(group, assembly),
        last.statement,
        root,
        assembly,
        partition.unit,
        before=tuple(p.statement for p in problems[:-1]),
    )
    extents = {v: e for p in problems for v, e in p.extents.items()}
    reasons = (
        *(f"{o.name}: {o.statistics}" for o in operands.values() if not o.format.is_dense),
        f"estimated loops {work * share / 1000:.4g} us, by {last.prices.origin}",
    )
    shown = (Alternative(f"one kernel, rows of {' '.join(group.prefix)}", cost / 1000),)
    wanted = kernel.result.format
    shared = operands[assembly.source.tensor].statistics.nnz if assembly.source else None
    time, dtype = cost / 1000, last.result_dtype
    return Plan(kernel, (), partition, tuple(extents.items()), time, dtype, reasons, shown, wanted, shared)


def _groups(problems: Sequence[Problem]) -> Iterator[_Group]:
    """The ways to share loops; none if temporaries have more than one index beside those that all statements have."""
    targets = [p.statement.target.indices for p in problems]
    shared = [v for v in targets[-1] if all(v in target for target in targets)]
    beside = {v for target in targets[:-1] for v in target if v not in shared}
    if not shared or len(beside) > 1:
        return
    along = next(iter(beside), None)
    extents = problems[-1].extents
    enough = ENOUGH * problems[-1].threads
    first = next((v for v in shared if extents[v] >= enough), shared[0])
    order = (first, *(v for v in shared if v != first))
    for count in range(len(order), 0, -1):
        group = _Group(problems, order[:count], along, None, order[count:])
        source = _source(group)
        # Positions of a row are counted, coordinates across it come behind them.
        inside = (group.short(Access(name, s.target.indices)).indices for name, s in group.made.items())
        if source is None or all(along not in indices[1:] for indices in inside):
            yield replace(group, source=source)


def _source(group: _Group) -> Access | None:
    """The sparse access whose rows the first temporary along them is made from."""
    for problem in group.problems[:-1]:
        if group.along in problem.statement.target.indices:
            walking = _walking(problem, str(group.along))
            source = build_lattice(group.space(problem), str(group.along), walking, problem.fills).only()
            if source is not None:
                return source
    return None


def _walking(problem: Problem, index: str) -> Callable[[Access], bool]:
    return lambda access: access.tensor in problem.by_name and walks(access, index, problem.format(access))


def _is_regular(group: _Group) -> bool:
    """Whether each loop over rows walks the rows' source or all coordinates, and sparse operands are sparse in their
    last level only, below shared loops."""
    operands = {a: p.format(a) for p in group.problems for a in p.accesses if a.tensor not in group.made}
    if not all(_has_rows(access, format, group.prefix) for access, format in operands.items()):
        return False
    for problem in group.problems:
        reads_rows = any(a.tensor in group.made and group.along in a.indices for a in problem.accesses)
        for index in problem.statement.indices:
            if index in group.prefix:
                continue
            lattice = build_lattice(group.space(problem), index, _walks_in(operands, index), problem.fills)
            only = lattice.only()
            if only is None and not lattice.is_dense:
                return False
            if index in group.across and only is not None:
                return False
            rows = index == group.along and (reads_rows or index in problem.statement.target.indices)
            if rows and problem is not group.problems[-1] and only != group.source:
                return False
            if rows and reads_rows and only != group.source:
                return False
    return True


def _walks_in(formats: Mapping[Access, Format], index: str) -> Callable[[Access], bool]:
    return lambda access: access in formats and walks(access, index, formats[access])


def _has_rows(access: Access, format: Format, prefix: tuple[str, ...]) -> bool:
    if format.is_dense:
        return True
    *above, last = format.levels
    path = level_indices(access, format)
    shared = [v for v in prefix if v in path]
    return (
        all(level.full for level in above)
        and not last.full
        and format.is_unique
        and list(path[:-1]) == shared
        and path[-1] not in prefix
    )


def _assembly(group: _Group) -> Assembly | None:
    """How the last statement writes: every place of a dense result once, or the pattern of the one sparse operand."""
    last = group.problems[-1]
    target = last.statement.target
    format = candidate_formats(last)[0]
    walked = _walked(group, last)
    inside = [v for v in target.indices if v not in group.prefix]
    if format.is_dense:
        natural = format == dense(len(target.indices))
        return Assembly("locate", owned=True) if natural and not any(v in walked for v in inside) else None
    if len(inside) != 1 or last.absent is None or last.statement.reduced:
        return None
    source = walked.get(inside[0])
    operands = {o.name: o for p in group.problems for o in p.operands}
    if source is None or set(source.indices) != set(target.indices) or last.fill != 0:
        return None
    kept = operands[source.tensor].format
    same = level_indices(source, kept) == level_indices(target, format) and kept.levels == format.levels
    return Assembly("share", owned=True, source=source) if same else None


def _walked(group: _Group, problem: Problem) -> dict[str, Access]:
    """The sparse access that each loop of a statement walks, if it walks one."""
    operands = {a: p.format(a) for p in group.problems for a in p.accesses if a.tensor not in group.made}
    found = {}
    for index in problem.statement.indices:
        if index not in group.prefix:
            only = build_lattice(group.space(problem), index, _walks_in(operands, index), problem.fills).only()
            if only is not None:
                found[index] = only
    return found


def _result(group: _Group, assembly: Assembly) -> TensorSpec:
    last = group.problems[-1]
    name = last.statement.target.tensor
    if assembly.source is not None:
        operands = {o.name: o for p in group.problems for o in p.operands}
        source = operands[assembly.source.tensor].spec()
        return replace(source, name=name, dtype=last.result_dtype, format=candidate_formats(last)[0], fill=last.fill)
    format = dense(len(last.statement.target.indices))
    return TensorSpec(name, format, last.result_dtype, appended_bits(format, last.shape))


# --- loops --------------------------------------------------------------------------------------------------


def _tree(group: _Group) -> Stmt | None:
    """The shared loops around one nest after the other, each temporary a workspace around what follows it."""
    root = _nest(group, group.problems[-1])
    for problem in reversed(group.problems[:-1]):
        made = _nest(group, problem)
        if made is None or root is None:
            return None
        root = _workspace(group, problem, made, root)
    if root is None:
        return None
    for index in reversed(group.prefix):
        root = Loop(index, root)
    return root


def _workspace(group: _Group, problem: Problem, made: Stmt, rest: Stmt) -> Where:
    target = group.short(problem.statement.target)
    if target.indices:
        source = group.source if group.along in target.indices else None
        row = Workspace(target.tensor, target.indices, "row", problem.dtype, "add", source, problem.fill)
        return Where(row, made, rest)
    reduce = problem.statement.reduce
    match made:  # an accumulator that is only copied becomes the temporary itself
        case Where(Workspace(name, (), "register"), producer, Compute(_, None, Access(copied, ()))) if name == copied:
            return Where(
                Workspace(target.tensor, (), "register", problem.dtype, reduce), _named(producer, name, target), rest
            )
    return Where(Workspace(target.tensor, (), "register", problem.dtype, reduce), made, rest)


def _named(stmt: Stmt, name: str, target: Access) -> Stmt:
    """Loops that reduce into another register."""
    match stmt:
        case Loop(_, body):
            return replace(stmt, body=_named(body, name, target))
        case Where(_, _, consumer):
            return replace(stmt, consumer=_named(consumer, name, target))
        case Compute(Access(old, ()), _, _) if old == name:
            return replace(stmt, target=target)
    return stmt


def _nest(group: _Group, problem: Problem) -> Stmt | None:
    """One statement inside the shared loops; None where one of its loops could not be vectorised the way that it would
    be in a kernel of its own."""
    statement = _shortened(group, problem)
    walked = _walked(group, problem)
    inner = [v for v in problem.statement.indices if v not in group.prefix]
    formats = {o.name: o.format for o in problem.operands}
    tiled = _tiled(problem, inner, walked, formats)
    kept = set(problem.statement.target.indices)
    order = tuple(v for v in inner if v != tiled)
    order = tuple(sorted(order, key=lambda v: v not in kept))
    lanes = _position_lanes(group, problem, order, walked) if tiled is None else 0
    if not statement.reduced and lanes:
        return Loop(order[-1], Compute(statement.target, None, statement.expr), Tile(lanes, 1, positions=True))
    tile, unroll, beside, register = None, 1, 1, "acc"
    rows = _rows_at_a_time(group, problem, order, tiled, walked)
    if tiled is not None and rows > 1:
        tile, register = block_tile(problem, tiled, rows), f"acc_{tiled}"
    elif tiled is not None:
        register = f"acc_{tiled}"  # vectors of several widths stand in one kernel
        reduced = tiled not in kept
        walker = walked.get(order[-1]) if order else None
        if reduced and walker is not None:
            mean = _row_mean(group, walker)
            beside = grouped_positions(problem, order, tiled, walker, _format(group, walker), mean)
        tile = choose_tile(problem, tiled, reduced, gathers=False, beside=beside)
        if not reduced and order and order[-1] not in kept:
            unroll = _unrolled(group, problem, tile, order[-1], walker)
    shape = (tiled, tile) if tiled and tile else None
    how = Nest(
        statement,
        order,
        problem.dtype,
        shape,
        unroll=unroll,
        beside=beside,
        rows=rows,
        along=Tile(lanes, 1, positions=True) if lanes else None,
        register=register,
        fills=problem.fills,
        may_be_empty=frozenset(v for v in order if may_visit_nothing(problem.accesses, v, formats)),
    )
    return build_nest(how)


def _rows_at_a_time(
    group: _Group, problem: Problem, order: tuple[str, ...], tiled: str | None, walked: Mapping[str, Access]
) -> int:
    """How many coordinates of an index across the rows share a loop over stored positions: as many as have accumulators
    in registers, in parts of about the same size; 1 for none."""
    target = problem.statement.target.indices
    if tiled not in target or len(order) < 2 or order[-2] not in group.across or order[-1] in target:
        return 1
    if order[-1] not in walked or problem.statement.reduce != "add":
        return 1
    extent, vectors = problem.extents[order[-2]], math.ceil(problem.extents[tiled] / vector_lanes(problem))
    parts = math.ceil(extent / max(1, min(MOST_ROWS, problem.machine.registers // 2 // vectors)))
    return math.ceil(extent / parts)


def _shortened(group: _Group, problem: Problem) -> Assign:
    """The statement over workspaces; conditions that the loops settle are left out of what is computed."""
    statement = problem.statement
    by = {access: group.short(access) for access in statement.accesses}
    target = group.short(statement.target)
    finish = None if statement.finish is None else substitute(statement.finish, by)
    return Assign(target, substitute(statement.expr, by), statement.reduce, (), finish)


def _tiled(
    problem: Problem, inner: Sequence[str], walked: Mapping[str, Access], formats: dict[str, Format]
) -> str | None:
    """The dense index to vectorise: the last one of the target, or a reduced one."""
    target = problem.statement.target.indices
    choices = [v for v in reversed(inner) if v not in walked and (v not in target or v == target[-1])]
    choices.sort(key=lambda v: v not in target)
    return next((v for v in choices if can_tile(problem, v, formats)), None)


def _position_lanes(group: _Group, problem: Problem, order: tuple[str, ...], walked: Mapping[str, Access]) -> int:
    """Lanes for the innermost loop over stored positions, if all that it reads is there, next to each other or
    gathered."""
    statement = problem.statement
    if not order or order[-1] not in walked or not has_vector_form(guarded(statement.expr)[1]):
        return 0
    index, source = order[-1], walked[order[-1]]
    if index in statement.target.indices and (statement.reduced or statement.finish is not None):
        return 0
    if index not in statement.target.indices and operator(statement.reduce).reduces_with is None:
        return 0
    read = {a for a in accesses(guarded(statement.expr)[1]) if index in a.indices}
    for access in read:
        operand = problem.by_name[access.tensor]
        if operand.dtype != problem.dtype:
            return 0
        if access.tensor in group.made:  # a row workspace: its places lie side by side, if nothing is across them
            if group.across:
                return 0
            continue
        if level_indices(access, operand.format)[-1] != index:
            return 0
        if access != source and not problem.machine.gathers:
            return 0
    return vector_lanes(problem)


def _unrolled(group: _Group, problem: Problem, tile: Tile, index: str, walker: Access | None) -> int:
    """How many iterations of a reduction under a tile are in flight. None is taken past the end of a row, where row
    workspaces have no values."""
    if walker is None:
        count = in_flight(tile)
        return count if problem.extents[index] >= count else 1
    stored = _operand(group, walker).statistics
    ways = unrollings(problem, tile, stored.groups, stored.nnz)
    return cheapest({way: cost for way, cost in ways.items() if not way.past}).count


def _row_mean(group: _Group, access: Access) -> float:
    return _operand(group, access).statistics.row_mean


def _format(group: _Group, access: Access) -> Format:
    return _operand(group, access).format


def _operand(group: _Group, access: Access) -> Operand:
    return next(o for p in group.problems for o in p.operands if o.name == access.tensor)


# --- price and partition ------------------------------------------------------------------------------------


def _cost(group: _Group) -> float:
    """Nanoseconds of all nests, one after the other."""
    return sum(_nest_cost(group, problem) for problem in group.problems)


def _nest_cost(group: _Group, problem: Problem) -> float:
    formats = {o.name: o.format for o in problem.operands}
    inner = [v for v in problem.statement.indices if v not in group.prefix]
    walked = _walked(group, problem)
    tiled = _tiled(problem, inner, walked, formats)
    kept = set(problem.statement.target.indices)
    order = tuple(sorted((v for v in inner if v != tiled), key=lambda v: v not in kept))
    lanes = _position_lanes(group, problem, order, walked) if tiled is None else 0
    read = {a.tensor for a in problem.accesses if order and order[-1] in a.indices}
    vectors = 1 / lanes if lanes else 0.0
    if tiled is not None and tiled in group.across:
        vectors = math.ceil(problem.extents[tiled] / vector_lanes(problem))
    if vectors and read <= set(group.made):  # rows of this kernel, in the first cache, without coordinates
        rows = problem.visits((*group.prefix, *order[:-1]))
        return rows * problem.prices.loop + problem.visits((*group.prefix, *order)) * vectors * problem.prices.vector
    loops = (*group.prefix, *order)
    cost = nest_cost(problem, loops, tiled, formats)
    rows = _rows_at_a_time(group, problem, order, tiled, walked)
    positions = problem.visits(loops) * problem.prices.sparse + problem.visits(loops[:-1]) * problem.prices.enter
    return cost - (1 - 1 / rows) * positions


def _partition(group: _Group, outermost: str, work: float) -> Partition:
    last = group.problems[-1]
    if work < serial_below(last.prices) or last.threads == 1:
        return Partition("serial")
    weight = group.source
    if weight is not None:
        operands = {o.name: o for p in group.problems for o in p.operands}
        format = operands[weight.tensor].format
        path = level_indices(weight, format)
        if len(path) != 2 or path[0] != outermost or "pos" not in format.levels[1].arrays:
            weight = None
    chunks = int(max(last.threads, min(work / CHUNK, last.threads * 8)))
    return Partition("coordinates", outermost, weight, chunks)

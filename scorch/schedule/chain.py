"""One kernel for statements that share a dense index: tiles of it outermost, and inside each one nest after the other.

    T[o,b] += V[o,i] * X[i,b], then relu(acc)          for b in tile
    C[p,b] += W[p,o] * T[o,b]                            workspace T[o,b]: panel
                                              ->         for o: ...  T[o,b] = relu(acc)
                                                         for p: ...  C[p,b] = acc

Layers over a batch of samples are such a chain: what a tile of samples makes on the way stays in the second cache of
the core that takes the tile, where a kernel for each layer would send it through memory, to be read by other cores. The
price is that the sparse operands are read once for each tile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace

from scorch.formats import Format, dense, dtypes
from scorch.ir.graph import level_indices, may_visit_nothing, walks
from scorch.ir.notation import Access, substitute
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
from scorch.schedule.cost import LINE, STREAMED, grouped_cost, nest_cost, picked_cost
from scorch.schedule.nest import Nest, build_nest
from scorch.schedule.partition import MOST_CHUNKS, PARALLEL, serial_below
from scorch.schedule.problem import Operand, Problem
from scorch.schedule.reading import turned
from scorch.schedule.result import candidate_formats
from scorch.schedule.streaming import streams, written_cost
from scorch.schedule.tile import can_tile, choose_tile, grouping, strip_vectors, turned_lanes, vector_lanes
from scorch.schedule.unrolling import SINGLY, unrolled

__all__ = ["agree", "plan_chain"]

NEAR = 3 / 4  # of the second cache, for what a tile keeps on the way
LAST = 1 / 3  # of the last cache, which others use too, for sparse operands between two tiles
MEMORY = 3  # times that of a line from the last cache, for one from memory that all cores ask for


def plan_chain(problems: Sequence[Problem]) -> Plan | None:
    """The plan of statements, each a problem over operands and the temporaries before it; None if they are no chain, or
    what it makes for the narrowest tile would not stay near."""
    last = problems[-1]
    tiled = next(iter(reversed(last.statement.target.indices)), "")
    if not agree(problems) or not all(_is_link(problem, tiled) for problem in problems):
        return None
    if candidate_formats(last)[0] != dense(2):
        return None
    tile = _tile(problems, tiled)
    if tile is None:
        return None
    times = Counter(access.tensor for problem in problems for access in problem.accesses)
    once = frozenset(name for name, count in times.items() if count == 1)
    links = [_link(problem, tiled, tile, once) for problem in problems]
    tiles = -(-last.extents[tiled] // (tile.vectors * tile.lanes))
    assembly = Assembly("locate", owned=True)
    assembly = replace(assembly, streamed=streams(last, (tiled, tile), assembly, True))
    work = sum(link.cost(tile) for link in links) + _streamed(problems, tiles) + written_cost(last, assembly)
    if work < serial_below(last.prices):
        return None
    partition = Partition("tiles", tiled, None, min(tiles, last.threads * MOST_CHUNKS))
    cost = work / (last.threads * PARALLEL) + last.prices.launch
    made = {problem.statement.target.tensor for problem in problems[:-1]}
    operands = {o.name: o for problem in problems for o in problem.operands if o.name not in made}
    grouped = dict(link.grouped for link in links if link.grouped is not None)
    kernel = Kernel(
        tuple(o.spec(grouped.get(o.name)) for o in operands.values()),
        TensorSpec(last.statement.target.tensor, dense(2), last.result_dtype, ((), ())),
        last.statement,
        Loop(tiled, _tree(links, tile), tile),
        assembly,
        partition.unit,
        before=tuple(problem.statement for problem in problems[:-1]),
    )
    reasons = (
        *(f"{o.name}: {o.statistics}" for o in operands.values() if not o.format.is_dense),
        f"{_kept(problems, tile) >> 10} KiB of temporaries stay in a cache of {last.machine.near_bytes >> 10} KiB",
        f"estimated loops {work / (last.threads * PARALLEL) / 1000:.4g} us, by {last.prices.origin}",
    )
    shown = (Alternative(f"one kernel, tiles of {tiled} outermost", cost / 1000),)
    extents = {v: e for problem in problems for v, e in problem.extents.items()}
    return Plan(
        kernel,
        tuple(grouped.items()),
        partition,
        tuple(extents.items()),
        cost / 1000,
        last.result_dtype,
        reasons,
        shown,
        dense(2),
    )


@dataclass(frozen=True)
class _Link:
    """A statement in tiles of an index; `grouped`: the frozen operand whose rows share a reduction, and the format of
    its copy for that."""

    problem: Problem
    tiled: str
    grouped: tuple[str, Format] | None = None

    @property
    def formats(self) -> dict[str, Format]:
        """The operands' formats as the loops read them."""
        formats = {o.name: o.format for o in self.problem.operands}
        return formats if self.grouped is None else {**formats, self.grouped[0]: self.grouped[1]}

    @property
    def rows(self) -> int:
        """How many rows are taken at a time."""
        return 1 if self.grouped is None else self.grouped[1].levels[-1].block

    def cost(self, tile: Tile) -> float:
        """Nanoseconds of the loops.

        Half of fetching a coordinate is done while lines of a panel come from the second cache, but no less than they
        take.
        """
        problem, order = self.problem, _order(self.problem)
        if self.grouped is not None:
            return grouped_cost(problem, order, self.tiled, problem.sparse[0], self.rows, tile)
        loops = nest_cost(problem, order, self.tiled, self.formats, strip=tile.vectors)
        if not problem.sparse:
            return loops
        tiles = -(-problem.extents[self.tiled] // (tile.vectors * tile.lanes))
        visits = problem.visits(order)
        least = visits * picked_cost(problem, order, self.tiled, tile.vectors * tile.lanes)
        return max(loops - tiles * visits * problem.prices.sparse / 2, least)

    def nest(self, tile: Tile, panels: Mapping[Access, Access]) -> Stmt:
        """The loops inside a tile."""
        problem, order, formats = self.problem, _order(self.problem), self.formats
        alone = problem.statement.reduced and problem.sparse and self.rows == 1
        statement = problem.statement
        finish = None if statement.finish is None else substitute(statement.finish, panels)
        unrolling = unrolled(problem, self.tiled, tile, order[-1], formats) if alone else SINGLY
        how = Nest(
            replace(statement, expr=substitute(statement.expr, panels), finish=finish),
            order,
            problem.dtype,
            (self.tiled, tile),
            spread=True,
            unroll=unrolling.count,
            past=unrolling.past,
            rows=self.rows,
            fills=problem.fills,
            may_be_empty=frozenset(v for v in order if may_visit_nothing(problem.accesses, v, formats)),
        )
        made = build_nest(how)
        assert isinstance(made, Loop)
        return made.body


def _link(problem: Problem, tiled: str, tile: Tile, once: Set[str]) -> _Link:
    """A statement the cheaper way: row by row, or in groups of rows of an operand that is read `once`, if all of their
    sums have room in registers."""
    alone = _Link(problem, tiled)
    found = grouping(problem, _order(problem), tiled, alone.formats, tile)
    if found is None or found[0] not in once:
        return alone
    if (found[1].levels[-1].block + 1) * tile.vectors >= problem.machine.registers:
        return alone
    return min(alone, replace(alone, grouped=found), key=lambda link: link.cost(tile))


def agree(problems: Sequence[Problem]) -> bool:
    """Whether an index has one extent everywhere, and temporaries are read at the indices at which they are made."""
    extents: dict[str, int] = {}
    targets: dict[str, Access] = {}
    for problem in problems:
        if any(extents.setdefault(v, e) != e for v, e in problem.extents.items()):
            return False
        if any(targets.get(a.tensor, a) != a for a in problem.accesses):
            return False
        targets[problem.statement.target.tensor] = problem.statement.target
    return True


def _is_link(problem: Problem, tiled: str) -> bool:
    """Whether a statement makes rows of vectors of the tiled index, all of them, from at most one loop inside them."""
    statement = problem.statement
    if len(statement.target.indices) != 2 or statement.target.indices[-1] != tiled or len(statement.reduced) > 1:
        return False
    order, formats = _order(problem), turned(problem, {o.name: o.format for o in problem.operands}, tiled)
    if tiled in statement.reduced or not can_tile(problem, tiled, formats):
        return False
    if not all(_can_turn(problem, access, tiled) for access in _turned(problem, tiled)):
        return False
    if not all(_is_in_order(access, formats[access.tensor], order) for access in problem.sparse):
        return False
    if any(walks(access, order[0], formats[access.tensor]) for access in problem.sparse):
        return False  # rows would be left out
    lattices = [problem.lattice(v, formats) for v in order[1:]]
    return all(lattice.is_dense or lattice.only() is not None for lattice in lattices)


def _is_in_order(access: Access, format: Format, order: tuple[str, ...]) -> bool:
    """Whether the loops meet the levels of a sparse operand in turn, and each coordinate once."""
    path = level_indices(access, format)
    return format.is_unique and format.levels[-1].block == 1 and path == order[-len(path) :]


def _order(problem: Problem) -> tuple[str, ...]:
    """The loops inside a tile: over the rows of the result, and in each of them the reduction."""
    return (problem.statement.target.indices[0], *problem.statement.reduced)


def _turned(problem: Problem, tiled: str) -> list[Access]:
    """The accesses that store another index last, of which blocks are turned."""
    dense = [a for a in problem.accesses if a not in problem.sparse and tiled in a.indices]
    return [a for a in dense if level_indices(a, problem.format(a))[-1] != tiled]


def _can_turn(problem: Problem, access: Access, tiled: str) -> bool:
    """Whether whole blocks of an access can be turned in registers."""
    lanes, operand = turned_lanes(problem), problem.by_name[access.tensor]
    whole = 1 < lanes == vector_lanes(problem) <= min(problem.extents[v] for v in access.indices)
    plain = len(access.indices) == 2 and operand.format.levels[-1].contiguous and operand.dtype == problem.dtype
    return whole and plain


def _lines(problems: Sequence[Problem]) -> int:
    """The most rows of temporaries that are needed at a time."""
    last_read = {a.tensor: n for n, problem in enumerate(problems) for a in problem.accesses}
    made = [(n, problem.statement.target) for n, problem in enumerate(problems[:-1])]
    rows = {target.tensor: problems[n].extents[target.indices[0]] for n, target in made}
    live = [
        [rows[target.tensor] for n, target in made if n <= now <= last_read[target.tensor]]
        for now in range(len(problems))
    ]
    return max(map(sum, live))


def _kept(problems: Sequence[Problem], tile: Tile) -> int:
    """Bytes of temporaries that a tile needs at a time."""
    return _lines(problems) * tile.vectors * tile.lanes * dtypes.itemsize(problems[-1].dtype)


def _tile(problems: Sequence[Problem], tiled: str) -> Tile | None:
    """As wide a tile as lets temporaries stay in the second cache, and as many tiles for each thread; None if not even
    vectors do. It may be half as wide where tiles then are more alike."""
    last = problems[-1]
    line = _lines(problems) * last.machine.bits // 8
    most = int(min(NEAR * last.machine.near_bytes / max(1, line), strip_vectors(last)))
    vectors = -(-last.extents[tiled] // vector_lanes(last))
    if most < 1 or vectors < last.threads:
        return None
    tiles = {width: -(-vectors // (width * last.threads)) * last.threads for width in range((most + 1) // 2, most + 1)}
    width = min(tiles, key=lambda width: (tiles[width] * -(-vectors // tiles[width]), -width))
    whole = any(_turned(problem, tiled) for problem in problems)
    return choose_tile(last, tiled, reduced=False, gathers=False, parts=max(2, tiles[width]), most=width, whole=whole)


def _tree(links: Sequence[_Link], tile: Tile) -> Stmt:
    """One nest after the other, each temporary a panel around what follows it; and one of each operand that is
    turned."""
    *before, last = links
    tiled = last.tiled
    turned = {access: link.problem for link in links for access in _turned(link.problem, tiled)}
    panels = {a: Access(f"{a.tensor}_panel", (_other(a, tiled), tiled)) for a in turned}
    root = last.nest(tile, panels)
    for link in reversed(before):
        root = Where(_panel(link.problem.statement.target, link.problem, tile), link.nest(tile, panels), root)
    for access, problem in turned.items():
        panel = panels[access]
        fill = Loop(panel.indices[0], Compute(panel, None, access), unroll=tile.lanes, turned=(access,))
        root = Where(_panel(panel, problem, tile), fill, root)
    return root


def _panel(access: Access, problem: Problem, tile: Tile) -> Workspace:
    width = tile.vectors * tile.lanes + (tile.lanes if tile.overlaps else 0)
    return Workspace(access.tensor, access.indices, "row", problem.dtype, panel=width)


def _other(access: Access, tiled: str) -> str:
    return next(v for v in access.indices if v != tiled)


def _streamed(problems: Sequence[Problem], tiles: int) -> float:
    """Nanoseconds of reading all sparse operands for each tile, from memory as far as they outgrow the last cache."""
    read = [problem.by_name[access.tensor] for problem in problems for access in problem.sparse]
    size = sum(o.statistics.nnz * (dtypes.itemsize(o.dtype) + _coordinate(o)) for o in read)
    machine, line = problems[-1].machine, problems[-1].prices.line
    away = max(0.0, 1 - LAST * machine.far_bytes / max(1, size))
    return tiles * size / LINE * line * (1 / STREAMED + away * MEMORY)


def _coordinate(operand: Operand) -> int:
    """Bytes of an innermost coordinate."""
    return operand.bits[-1][-1] // 8 if operand.bits[-1] else 0

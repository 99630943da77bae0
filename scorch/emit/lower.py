"""Lowering: a kernel's loop tree to loop IR, once, from the outside in. Every decision is in the plan already.

A loop over an index walks the sparse accesses that hold it (their lattice says how they combine) and locates in the
others. As soon as all indices of an access are bound its value is loaded, so that inner loops don't load it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from scorch.emit.builder import Builder, Param
from scorch.emit.merge import Merge
from scorch.emit.positions import Cursor, TensorArrays, begin
from scorch.emit.results import result_writer
from scorch.emit.space import iteration_space
from scorch.emit.tiles import Lanes
from scorch.emit.values import combine, identity, is_vector, value_of
from scorch.emit.workspaces import Accumulator, accumulator
from scorch.errors import ScheduleError
from scorch.ir import loops as ir
from scorch.ir.absence import guarded
from scorch.ir.lattice import build_lattice
from scorch.ir.notation import Access, Literal, accesses
from scorch.ir.operators import operator
from scorch.ir.plan import Block, Compute, Kernel, Loop, Stmt, Tile, Where, Workspace, walk
from scorch.ir.types import Kind

__all__ = ["Lowering", "lower"]

CHUNK = ir.Var("chunk")
LO, HI = ir.Var("lo"), ir.Var("hi")


def lower(kernel: Kernel, phase: str) -> tuple[ir.Function, tuple[Param, ...]]:
    """The loop IR function of one phase of a kernel, verified, and what its parameters after (chunk, lo, hi) bind
    to."""
    lowering = Lowering(kernel, phase)
    lowering.run()
    body = lowering.b.finish()
    used = ir.variables(body)
    params = tuple(p for p in lowering.b.params.values() if p.name in used)
    function = ir.Function(phase, (CHUNK, LO, HI, *(p.var for p in params)), body)
    ir.verify(function)
    return function, params


@dataclass(frozen=True)
class Divided:
    """A merge path inside its chunk: the row in hand goes to place `row`, and has positions first ... last - 1 of
    `access`."""

    index: str
    row: ir.Var
    access: Access
    first: ir.Var
    last: ir.Var


class Lowering:
    """The state of one lowering: which indices are bound, where each access stands, what is loaded."""

    def __init__(self, kernel: Kernel, phase: str) -> None:
        self.kernel = kernel
        self.values = phase in ("compute", "fill")
        self.bounding = phase == "bound"
        self.products: ir.Var | None = None  # where a bound phase counts the products of one row
        self.b = Builder()
        self.chunk: ir.Expr = CHUNK
        self.env: dict[str, ir.Expr] = {}
        self.lanes: Lanes | None = None
        self.accumulators: dict[str, Accumulator] = {}
        self.loaded: dict[Access, ir.Expr | list[ir.Expr]] = {}
        for name in (*kernel.statement.indices, "lo", "hi", "chunk"):
            self.b.fresh(name)
        self.fills = {spec.name: spec.fill for spec in kernel.operands}
        self.types = {spec.name: spec for spec in kernel.operands}
        specs = {spec.name: TensorArrays(self.b, spec) for spec in kernel.operands}
        self.cursors: dict[Access, Cursor] = {
            access: begin(access, specs[access.tensor]) for access in accesses(kernel.statement.expr)
        }
        self.result = result_writer(self)
        self.merge = Merge(self)
        self._outermost = True
        self.divided: Divided | None = None
        self.met: ir.Var | None = None  # whether the sum in hand has met a stored value
        self._tile: Tile | None = None
        self.registers: set[Access] = set()
        self.sets: dict[Access, list[ir.Expr | list[ir.Expr]]] = {}  # accumulators of an unrolled loop
        self.filters = guarded(kernel.statement.expr)[0] is not None

    def run(self) -> None:
        self.result.prologue()
        self.enter(self.kernel.root)
        self.stmt(self.kernel.root)
        self.result.epilogue()

    @property
    def _computes(self) -> bool:
        """Whether this phase needs results: one that counts does if those equal to the fill are left out."""
        return self.values or self.kernel.assembly.filtered

    @property
    def _reads(self) -> bool:
        """Whether this phase needs operands' values, if only for a condition on them."""
        return self._computes or self.filters

    def extent(self, index: str) -> ir.Expr:
        """The extent of an index, a parameter."""
        return self.b.param(Param(f"n_{index}", "extent", index))

    @contextmanager
    def scope(self) -> Iterator[list[ir.Stmt]]:
        """A block in which indices are bound; what it binds and loads is forgotten after it."""
        saved = (self.env, self.cursors, self.loaded, self.lanes)
        self.env, self.cursors, self.loaded = dict(self.env), dict(self.cursors), dict(self.loaded)
        try:
            with self.b.block() as body:
                yield body
        finally:
            self.env, self.cursors, self.loaded, self.lanes = saved

    # -- statements --------------------------------------------------------------------------------------------

    def stmt(self, stmt: Stmt) -> None:
        match stmt:
            case Compute():
                self.compute(stmt)
            case Loop():
                self.loop(stmt)
            case Where():
                self.where(stmt)
            case Block(stmts):
                for inner in stmts:
                    self.stmt(inner)

    def compute(self, node: Compute) -> None:
        if self.products is not None:
            self.b.emit(ir.Let(self.products, ir.Const(1), "+"))
            return
        condition, expr = guarded(node.expr)
        if condition is None:
            self._computed(replace(node, expr=expr))
            return
        with self.scope() as kept:
            self._computed(replace(node, expr=expr))
        self.b.emit(ir.If(value_of(condition, "bool", self.kind, lambda access: self.read(access, None)), tuple(kept)))

    def _computed(self, node: Compute) -> None:
        """A value reduced into a workspace, or written."""
        name = node.target.tensor
        if name in self.accumulators:
            key = self.env[node.target.indices[0]]
            self.accumulators[name].insert(key, lambda: self.value(node, None))
        elif name == self.kernel.result.name:
            self.result.write(node.reduce, lambda t: self.value(node, t))
        else:
            self._accumulate(node)

    def value(self, node: Compute, t: int | None) -> ir.Expr:
        """The value of a statement's right-hand side, in vector t of the tile or as a scalar."""
        value = value_of(node.expr, self.kernel.result.dtype, self.kind, lambda access: self.read(access, t))
        if t is not None and self.lanes is not None and not is_vector(value):
            value = ir.Call("vfull", (value, ir.Const(self.lanes.lanes)), f"{value.dtype}x{self.lanes.lanes}")
        return value

    def kind(self, access: Access) -> Kind:
        """The number type of an access; a workspace has the result's."""
        spec = self.types.get(access.tensor)
        return Kind(self.kernel.result.dtype) if spec is None else Kind(spec.dtype, 2 if spec.format.ndim else 1)

    def _accumulate(self, node: Compute) -> None:
        """register = register (reduce) value, a multiply-add where it is one."""
        if self.met is not None and not any(access in self.registers for access in accesses(node.expr)):
            self.b.emit(ir.Let(self.met, ir.Const(True, "bool")))
        if not self._computes:
            return
        held = self.loaded[node.target]
        targets = held if isinstance(held, list) else [held]
        for t, target in enumerate(targets):
            assert isinstance(target, ir.Var)
            value = self.value(node, t if is_vector(target) else None)
            self.b.emit(ir.Let(target, _fused(node.reduce, target, value, self.kernel.result.dtype)))

    def read(self, access: Access, t: int | None) -> ir.Expr:
        """The value of an access: a register, what was loaded further out, or a load."""
        held = self.loaded.get(access)
        if held is not None:
            return held[t or 0] if isinstance(held, list) else held
        cursor = self.cursors[access]
        if not cursor.resolved:
            raise ScheduleError(f"{access} is read before index {cursor.index} is bound")
        return self._load(cursor, t)

    def _load(self, cursor: Cursor, t: int | None) -> ir.Expr:
        if self.lanes is not None and self.lanes.index in cursor.path and t is not None:
            if is_vector(cursor.first):
                return self.lanes.gather(cursor.arrays.vals, cursor.first)
            return self.lanes.load(cursor.arrays.vals, self.lanes.place(cursor.first, t), t)
        return ir.Load(cursor.arrays.vals, cursor.first)

    # -- loops -------------------------------------------------------------------------------------------------

    def loop(self, node: Loop) -> None:
        outermost, self._outermost = self._outermost, False
        if node.tile is not None and not node.tile.positions:
            self.tiled(node, node.tile, outermost)
            return
        reader = self._workspace_reader(node)
        if reader is not None:
            self.entries(node, reader)
            return
        space = iteration_space(node.body)
        lattice = build_lattice(space, node.index, lambda a: self._walks(a, node.index), self.fills)
        access = lattice.only()
        if lattice.is_dense:
            self.dense(node, outermost)
        elif access is not None:
            self.positions(node, access, outermost)
        else:
            self.merge.loop(node, lattice, outermost)

    def fills_of(self, absent: Iterable[Access]) -> dict[Access, Literal]:
        """The values of accesses that have no entry."""
        return {access: Literal(self.fills.get(access.tensor, 0)) for access in absent}

    def _walks(self, access: Access, index: str) -> bool:
        return access in self.cursors and self.cursors[access].iterates(index)

    def _workspace_reader(self, node: Loop) -> Access | None:
        for inner in walk(node.body):
            if isinstance(inner, Compute):
                for access in accesses(inner.expr):
                    if access.tensor in self.accumulators and node.index in access.indices:
                        return access
        return None

    def bounds(self, index: str, outermost: bool) -> tuple[ir.Expr, ir.Expr]:
        """The coordinates that a dense loop takes: the chunk's if it is the partitioned one."""
        if outermost and self.kernel.unit == "coordinates":
            return LO, HI
        return ir.Const(0), self.extent(index)

    def dense(self, node: Loop, outermost: bool) -> None:
        """All coordinates, or the one that an equal index has."""
        if node.equals is not None:
            self.body(node.index, self.env[node.equals], node.body)
            return
        if outermost and self.kernel.unit == "merge-path":
            self._merge_path(node)
            return
        var = ir.Var(node.index)
        lo, hi = self.bounds(node.index, outermost)
        with self.scope() as body:
            self.body(node.index, var, node.body)
        self.b.emit(ir.For(var, lo, hi, tuple(body)))

    def _merge_path(self, node: Loop) -> None:
        """Rows and their nonzeros in equal shares: a chunk may begin and end inside a row.

        The rows that end in the chunk are written; what it has of the row after them goes to the chunk's own place
        behind the last row, and is added when all chunks are done (Merrill and Garland, *Merge-based SpMV*, SC 2016).
        """
        rows = self.b.param(Param("rows", "rows", node.index))
        row, last_row = self.b.fresh("row"), self.b.fresh("last_row")
        first, last, stop = self.b.fresh("first"), self.b.fresh("last"), self.b.fresh("stop")
        var, extent = ir.Var(node.index), self.extent(node.index)
        begin = ir.Load(rows, CHUNK)
        self.b.emit(ir.Let(last_row, ir.Load(rows, ir.add(CHUNK, 1))))
        self.b.emit(ir.Let(first, ir.Binary("-", LO, begin)), ir.Let(stop, ir.Binary("-", HI, last_row)))
        access = self._weight()
        self.divided = Divided(node.index, row, access, first, last)
        with self.scope() as body:
            end = self.cursors[access].located(var, extent).bounds(extent)[1]
            self.b.emit(ir.Let(last, ir.Call("min", (end, stop), "int64")), ir.Let(row, var))
            behind = ir.Let(row, ir.add(extent, CHUNK))
            self.b.emit(ir.If(ir.Binary("==", var, last_row), (behind,)))
            self.body(node.index, var, node.body)
            self.b.emit(ir.Let(first, last))
        self.divided = None
        self.b.emit(ir.For(var, begin, ir.Call("min", (ir.add(last_row, 1), extent), "int64"), tuple(body)))

    def _weight(self) -> Access:
        """The access whose nonzeros a merge path divides."""
        divided = self.kernel.divided
        assert divided is not None
        return divided

    def positions(self, node: Loop, access: Access, outermost: bool) -> None:
        """The stored coordinates of one access, every other one being located."""
        cursor = self._ready(access, node.index)
        lo, hi = cursor.bounds(self.extent(node.index))
        if outermost and self.kernel.unit == "positions":
            lo, hi = LO, HI
        if self.divided is not None and access == self.divided.access and cursor.depth == 1:
            lo, hi = self.divided.first, self.divided.last
        leaf = cursor.depth == len(cursor.path) - 1
        if self.products is not None and isinstance(node.body, Compute):
            self.b.emit(ir.Let(self.products, ir.Binary("-", hi, lo), "+"))
        elif node.tile is not None:
            self._gathered(node, node.tile, cursor, lo, hi)
        elif cursor.level.unique or leaf:
            self._each(node, cursor, lo, hi)
        else:
            self._segments(node, cursor, lo, hi)

    def _ready(self, access: Access, index: str) -> Cursor:
        cursor = self.cursors[access]
        if cursor.index != index:
            raise ScheduleError(
                f"the loop over {index} comes before that over {cursor.index}, which {access} needs first"
            )
        return cursor

    def position_var(self, cursor: Cursor) -> ir.Var:
        """The variable that walks the positions of an access's next level."""
        return self.b.fresh(f"{cursor.access.tensor}_p{cursor.depth}")

    def _each(self, node: Loop, cursor: Cursor, lo: ir.Expr, hi: ir.Expr) -> None:
        """Every position once; unrolled, in groups with an accumulator set each, and what is left over singly."""
        p = self.position_var(cursor)
        if node.unroll > 1 and self.values:
            first = self.b.let(f"{cursor.access.tensor}_lo", lo)
            last = self.b.let(f"{cursor.access.tensor}_hi", hi)
            count = ir.Const(node.unroll)
            whole = self.b.let("whole_groups", ir.Binary("-", last, ir.Binary("%", ir.Binary("-", last, first), count)))
            with self.b.block() as group:
                for number in range(node.unroll):
                    self._position(node, cursor, ir.add(p, number), number)
            self.b.emit(ir.For(p, first, whole, tuple(group), count))
            lo, hi = whole, last
        with self.b.block() as single:
            self._position(node, cursor, p, 0)
        self.b.emit(ir.For(p, lo, hi, tuple(single)))

    def _position(self, node: Loop, cursor: Cursor, p: ir.Expr, number: int) -> None:
        """One position of a loop, whose sums go to accumulator set `number`."""
        var = ir.Var(node.index)
        with self.scope() as body:
            for access, sets in self.sets.items():
                self.loaded[access] = sets[number]
            self.b.emit(ir.Let(var, cursor.coordinate(p, self.extent(node.index))))
            self._prefetch(node, cursor, p)
            self.cursors[cursor.access] = cursor.at(p, ir.add(p, 1))
            if node.equals is not None:
                with self.scope() as kept:
                    self.body(node.index, var, node.body)
                self.b.emit(ir.If(ir.Binary("==", var, self.env[node.equals]), tuple(kept)))
            else:
                self.body(node.index, var, node.body)
        self.b.emit(*body)

    def _gathered(self, node: Loop, tile: Tile, cursor: Cursor, lo: ir.Expr, hi: ir.Expr) -> None:
        """Stored positions by vectors, other operands gathered at their coordinates; the last vector is masked."""
        p = self.position_var(cursor)
        width = ir.Const(tile.lanes)
        first = self.b.let(f"{cursor.access.tensor}_lo", lo)
        last = self.b.let(f"{cursor.access.tensor}_hi", hi)
        rest = self.b.let("live", ir.Binary("%", ir.Binary("-", last, first), width))
        whole = self.b.let("whole_vectors", ir.Binary("-", last, rest))
        with self.b.block() as full:
            self._vector(node, cursor, Lanes(node.index, p, 1, tile.lanes))
        self.b.emit(ir.For(p, first, whole, tuple(full), width))
        with self.b.block() as part:
            self._vector(node, cursor, Lanes(node.index, whole, 1, tile.lanes, rest))
        self.b.emit(ir.If(ir.Binary(">", rest, ir.Const(0)), tuple(part)))

    def _vector(self, node: Loop, cursor: Cursor, lanes: Lanes) -> None:
        """One vector of stored positions."""
        with self.scope() as body:
            self.lanes = lanes
            coordinates = lanes.load(cursor.arrays.index(cursor.depth, "crd"), lanes.base, 0)
            var = self.b.fresh(f"{node.index}s", coordinates.dtype)
            self.b.emit(ir.Let(var, coordinates))
            self.cursors[cursor.access] = cursor.at(lanes.base, ir.add(lanes.base, 1))
            self.body(node.index, var, node.body)
        self.b.emit(*body)

    def _segments(self, node: Loop, cursor: Cursor, lo: ir.Expr, hi: ir.Expr) -> None:
        """Runs of equal coordinates of a level that repeats them, each run once."""
        p, end = self.position_var(cursor), self.b.fresh(f"{cursor.access.tensor}_e{cursor.depth}")
        last = self.b.let(f"{cursor.access.tensor}_hi", hi)
        var = ir.Var(node.index)
        self.b.emit(ir.Let(p, lo))
        with self.scope() as body:
            self.b.emit(ir.Let(var, cursor.coordinate(p, self.extent(node.index))))
            self.segment_end(cursor, p, end, last, var)
            with self.scope() as inner:
                self.cursors[cursor.access] = cursor.at(p, end)
                self.body(node.index, var, node.body)
            if node.equals is not None:
                self.b.emit(ir.If(ir.Binary("==", var, self.env[node.equals]), tuple(inner)))
            else:
                self.b.emit(*inner)
            self.b.emit(ir.Let(p, end))
        self.b.emit(ir.While(ir.Binary("<", p, last), tuple(body)))

    def segment_end(self, cursor: Cursor, p: ir.Var, end: ir.Var, last: ir.Expr, coordinate: ir.Expr) -> None:
        """end = the first position after p, before last, with another coordinate."""
        self.b.emit(ir.Let(end, ir.add(p, 1)))
        same = ir.Binary("==", cursor.coordinate(end, self.extent(str(cursor.index))), coordinate)
        self.b.emit(ir.While(ir.Binary("and", ir.Binary("<", end, last), same), (ir.Let(end, ir.Const(1), "+"),)))

    def _prefetch(self, node: Loop, cursor: Cursor, p: ir.Expr) -> None:
        """Ask for the lines of the rows that later nonzeros select, while the tile of this one is computed."""
        if self.lanes is None or self._tile is None or not self._tile.prefetch or not self.values:
            return
        for other in {a: self.cursors[a] for a in accesses(iteration_space(node.body))}.values():
            if other.index != node.index or self.lanes.index not in other.path or other.access == cursor.access:
                continue
            array = cursor.arrays.index(cursor.depth, "crd")
            final = ir.Binary("-", ir.Call("len", (array,), "int64"), ir.Const(1))
            ahead = ir.Call("min", (ir.add(p, self._tile.prefetch), final), "int64")
            place = other.located(cursor.coordinate(ahead, self.extent(node.index)), self.extent(node.index))
            while not place.resolved:
                index = str(place.index)
                place = place.located(self.env[index], self.extent(index))
            start = self.b.let("ahead", place.first)
            for t in range(self.lanes.vectors):
                self.b.emit(ir.Effect(ir.Call("prefetch", (other.arrays.vals, self.lanes.place(start, t)), "none")))

    # -- binding -----------------------------------------------------------------------------------------------

    def body(self, index: str, coordinate: ir.Expr, stmt: Stmt) -> None:
        """The inside of a loop: its index gets a coordinate, then the statement follows."""
        self.env[index] = coordinate
        self.enter(stmt)
        self.result.before(index)
        self.stmt(stmt)
        self.result.after(index)

    def enter(self, stmt: Stmt) -> None:
        """Every access that only waited for what is bound now moves on, and is loaded if it has arrived."""
        for access, cursor in self.cursors.items():
            while not cursor.resolved and cursor.level.locates and cursor.index in self.env:
                cursor = cursor.located(self.env[cursor.index], self.extent(cursor.index))
            self.cursors[access] = cursor
        if self._reads:
            wanted = set(accesses(iteration_space(stmt)))
            for access in [a for a in self.cursors if a in wanted and a not in self.loaded]:
                if self.cursors[access].resolved:
                    self._hoist(access, inside=isinstance(stmt, Compute))

    def _hoist(self, access: Access, inside: bool) -> None:
        """Load a value here, outside all loops to come; a vector that is used right away stays in its expression."""
        cursor = self.cursors[access]
        name = access.tensor.lower()
        if self.lanes is None or self.lanes.index not in cursor.path:
            self.loaded[access] = self.b.let(name, self._load(cursor, None))
            return
        if is_vector(cursor.first):
            return
        place = self.b.let(f"{access.tensor}_p", cursor.first)
        self.cursors[access] = cursor = replace(cursor, first=place)
        if not inside:
            self.loaded[access] = [self.b.let(f"{name}{t}", self._load(cursor, t)) for t in range(self.lanes.vectors)]

    # -- tiles and workspaces ----------------------------------------------------------------------------------

    def tiled(self, node: Loop, tile: Tile, outermost: bool) -> None:
        """Full tiles in a loop (or one, without), then the rest of fewer vectors."""
        width = tile.vectors * tile.lanes
        extent = self.extent(node.index)
        shared = outermost and self.kernel.unit == "tiles"
        whole: ir.Expr = ir.Const(0)
        if tile.count == 1:
            self._tile_body(node, tile, Lanes(node.index, ir.Const(0), tile.vectors, tile.lanes))
            whole = ir.Const(width)
        elif tile.count is None:
            whole = self.b.let("whole", ir.Binary("-", extent, ir.Binary("%", extent, ir.Const(width))))
            var = ir.Var(node.index)
            lo, hi = (
                (ir.mul(LO, width), ir.Call("min", (ir.mul(HI, width), whole), "int64"))
                if shared
                else (ir.Const(0), whole)
            )
            with self.b.block() as loop:
                self._tile_body(node, tile, Lanes(node.index, var, tile.vectors, tile.lanes))
            self.b.emit(ir.For(var, lo, hi, tuple(loop), ir.Const(width)))
        if not tile.rest:
            return
        with self.b.block() as rest:
            self._rest(node, tile, whole, extent)
        if shared:
            self.b.emit(ir.If(ir.Binary(">", ir.mul(HI, width), whole), tuple(rest)))
        else:
            self.b.emit(*rest)

    def _rest(self, node: Loop, tile: Tile, whole: ir.Expr, extent: ir.Expr) -> None:
        live: ir.Expr | None = None
        if tile.masked:
            before = ir.add(whole, (tile.rest - 1) * tile.lanes)
            live = self.b.let("live", ir.Binary("-", extent, before) if before != ir.Const(0) else extent)
        self._tile_body(node, tile, Lanes(node.index, whole, tile.rest, tile.lanes, live))

    def _tile_body(self, node: Loop, tile: Tile, lanes: Lanes) -> None:
        outer_tile, self._tile = self._tile, tile
        with self.scope() as body:
            self.lanes = lanes
            self.body(node.index, lanes.base, node.body)
        self.b.emit(*body)
        self._tile = outer_tile

    def where(self, node: Where) -> None:
        if node.workspace.kind == "register":
            self._register(node)
            return
        extent: ir.Expr = ir.Const(1)
        for index in node.workspace.indices:
            extent = ir.mul(extent, self.extent(index))
        if self.bounding:
            self._bound(node, extent)
            return
        made = accumulator(self.b, node.workspace, extent, self._computes)
        self.accumulators[node.workspace.name] = made
        made.begin()
        self.stmt(node.producer)
        self.stmt(node.consumer)
        del self.accumulators[node.workspace.name]

    def _bound(self, node: Where, extent: ir.Expr) -> None:
        """No row has more entries than products, or than places."""
        self.products = self.b.fresh("products")
        self.b.emit(ir.Let(self.products, ir.Const(0)))
        self.stmt(node.producer)
        self.result.reserve(ir.Call("min", (self.products, extent), "int64"))
        self.products = None

    def _register(self, node: Where) -> None:
        """Accumulate in a scalar, in the tile's vectors, or (a reduction over lanes) in vectors that are summed after
        it."""
        access = Access(node.workspace.name, node.workspace.indices)
        guards = self.kernel.assembly.guarded and self.met is None
        if guards:
            self.met = self.b.fresh("met", "bool")
            self.b.emit(ir.Let(self.met, ir.Const(False, "bool")))
        self.registers.add(access)
        if self._computes:
            self._reduce(node, access)
        else:  # a count needs coordinates only
            if self.met is not None:
                self.stmt(node.producer)
            self.stmt(node.consumer)
        if guards:
            self.met = None

    def _reduce(self, node: Where, access: Access) -> None:
        """The producer's values in registers, and what is done with them."""
        reduce, dtype = node.workspace.reduce, node.workspace.dtype
        inner = _reduced_tile(node)
        tile = (inner.lanes, max(inner.rest, inner.vectors if inner.count != 0 else 0)) if inner else None
        if inner is None and self.lanes is not None and self.lanes.index in node.workspace.indices:
            tile = (self.lanes.lanes, self.lanes.vectors)
        unroll = max(inner.unroll for inner in walk(node.producer) if isinstance(inner, Loop))
        sets = [self._registers(node.workspace, tile, number) for number in range(unroll)]
        held: dict[Access, list[ir.Expr | list[ir.Expr]]] = {}
        if unroll > 1:
            held[access] = [registers if tile else registers[0] for registers in sets]
        outer, self.sets = self.sets, held
        self.loaded[access] = sets[0] if tile else sets[0][0]
        self.stmt(node.producer)
        self.sets = outer
        for more in sets[1:]:
            for register, other in zip(sets[0], more, strict=True):
                self.b.emit(ir.Let(register, combine(reduce, register, other, dtype)))  # type: ignore[arg-type]
        if inner is not None:
            self.loaded[access] = self._across_lanes(node.workspace.name, reduce, dtype, list(sets[0]))
        self.stmt(node.consumer)
        del self.loaded[access]

    def _registers(self, workspace: Workspace, tile: tuple[int, int] | None, number: int) -> list[ir.Expr]:
        """One set of accumulators, started at the identity: a vector for each of the tile's, or a scalar."""
        start: ir.Expr = identity(workspace.reduce, workspace.dtype)
        if tile:
            start = ir.Call("vfull", (start, ir.Const(tile[0])), f"{workspace.dtype}x{tile[0]}")
        letter = chr(ord("a") + number) if number else ""
        registers: list[ir.Expr] = []
        for t in range(tile[1] if tile else 1):
            registers.append(self.b.fresh(f"{workspace.name}{t if tile else ''}{letter}", start.dtype))
            self.b.emit(ir.Let(registers[-1], start))  # type: ignore[arg-type]
        return registers

    def _across_lanes(self, name: str, reduce: str, dtype: str, registers: list[ir.Expr]) -> ir.Var:
        """Vectors summed pairwise, then their lanes."""
        while len(registers) > 1:
            pairs = [combine(reduce, a, b, dtype) for a, b in zip(registers[::2], registers[1::2], strict=False)]
            registers = pairs + registers[len(pairs) * 2 :]
        across = operator(reduce).reduces_with
        if across is None:
            raise ScheduleError(f"operator {reduce} has no reduction over SIMD lanes")
        return self.b.let(name, ir.Call(across, (registers[0],), dtype))

    def entries(self, node: Loop, access: Access) -> None:
        """The occupied coordinates of a sparse row accumulator."""
        made = self.accumulators[access.tensor]
        counter = self.result.count_entries()
        if counter is not None and isinstance(node.body, Compute):
            made.count(counter)
            return

        def visit(key: ir.Expr, value: ir.Expr) -> None:
            with self.scope() as body:
                var = ir.Var(node.index)
                self.b.emit(ir.Let(var, key))
                self.loaded[access] = value
                self.body(node.index, var, node.body)
            self.b.emit(*body)

        made.entries(visit, ordered=self.kernel.result.format.is_ordered)


def _reduced_tile(node: Where) -> Tile | None:
    """The tile of a loop in the producer over an index that the workspace lacks: a reduction over lanes.

    One inside another workspace is that one's: it hands on a scalar.
    """
    stmt = node.producer
    while isinstance(stmt, Loop):
        if stmt.tile is not None and stmt.index not in node.workspace.indices:
            return stmt.tile
        stmt = stmt.body
    return None


def _fused(reduce: str | None, target: ir.Var, value: ir.Expr, dtype: str) -> ir.Expr:
    """target (reduce) value; a vector sum of a product is one multiply-add."""
    if reduce is None:
        return value
    if reduce == "add" and isinstance(value, ir.Call) and value.function == "vmul" and is_vector(target):
        return ir.Call("vfma", (*value.args, target), target.dtype)
    return combine(reduce, target, value, dtype)

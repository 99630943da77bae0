"""Lowering: a kernel's loop tree to loop IR, once, from the outside in. Every decision is in the plan already.

A loop over an index walks the sparse accesses that hold it (their lattice says how they combine) and locates in the
others. As soon as all indices of an access are bound its value is loaded, so that inner loops don't load it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import reduce

from scorch.emit.beside import Beside, Group
from scorch.emit.block import Block as RowBlock
from scorch.emit.builder import Builder, Param
from scorch.emit.loops import Divided, Loops
from scorch.emit.positions import Cursor, TensorArrays, begin
from scorch.emit.registers import Registers
from scorch.emit.results import result_writer
from scorch.emit.rows import Rows
from scorch.emit.space import iteration_space
from scorch.emit.tiles import Lanes
from scorch.emit.tiling import Tiling
from scorch.emit.values import as_dtype, choice, combine, identity, is_vector, value_of
from scorch.emit.workspaces import Accumulator, accumulator
from scorch.errors import ScheduleError
from scorch.formats import dtypes
from scorch.ir import loops as ir
from scorch.ir.absence import guarded
from scorch.ir.notation import Access, Apply, Expr, Literal, accesses
from scorch.ir.plan import Block, Classes, Compute, Kernel, Loop, Stmt, Tile, Where
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
        for name in (*(v for s in kernel.statements for v in s.indices), "lo", "hi", "chunk"):
            self.b.fresh(name)
        self.fills = {spec.name: spec.fill for spec in kernel.operands}
        self.types = {spec.name: spec for spec in kernel.operands}
        self.filters = guarded(kernel.statement.expr)[0] is not None
        specs = {spec.name: TensorArrays(self.b, spec) for spec in kernel.operands}
        self.cursors: dict[Access, Cursor] = {access: begin(access, specs[access.tensor]) for access in kernel.accesses}
        self.result = result_writer(self)
        self.loops = Loops(self)
        self.tiling = Tiling(self)
        self.beside = Beside(self)
        self.group: Group | RowBlock | None = None  # positions or coordinates whose reductions share a loop
        self.register_workspaces = Registers(self)
        self.rows = Rows(self)
        self.divided: Divided | None = None
        self.met: ir.Var | None = None  # whether the sum in hand has met a stored value
        self.tile: Tile | None = None
        self.registers: set[Access] = set()
        self.sets: dict[Access, list[ir.Expr | list[ir.Expr]]] = {}  # accumulators of an unrolled loop
        self.live: ir.Expr | None = None  # lanes that are all true if what is emitted counts, else all false

    def run(self) -> None:
        self.result.prologue()
        self.enter(self.kernel.root)
        self.stmt(self.kernel.root)
        self.result.epilogue()

    @property
    def computes(self) -> bool:
        """Whether this phase needs results: one that counts does if those equal to the fill are left out."""
        return self.values or self.kernel.assembly.filtered

    @property
    def reads(self) -> bool:
        """Whether what is emitted now needs operands' values, if only for a condition on them."""
        return (self.computes and self.products is None) or self.filters

    def extent(self, index: str) -> ir.Expr:
        """The extent of an index, a parameter."""
        return self.b.param(Param(f"n_{index}", "extent", index))

    @contextmanager
    def scope(self) -> Iterator[list[ir.Stmt]]:
        """A block in which indices are bound; what it binds and loads is forgotten after it."""
        with self.binding(), self.b.block() as body:
            yield body

    @contextmanager
    def binding(self) -> Iterator[None]:
        """Indices that are bound in here, in the block at hand, and what is loaded for them, are forgotten after it."""
        saved = (self.env, self.cursors, self.loaded, self.lanes)
        self.env, self.cursors, self.loaded = dict(self.env), dict(self.cursors), dict(self.loaded)
        try:
            yield
        finally:
            self.env, self.cursors, self.loaded, self.lanes = saved

    # -- statements --------------------------------------------------------------------------------------------

    def stmt(self, stmt: Stmt) -> None:
        match stmt:
            case Compute():
                self.compute(stmt)
            case Loop():
                self.loops.loop(stmt)
            case Where():
                self.where(stmt)
            case Block(stmts):
                for inner in stmts:
                    self.stmt(inner)
            case Classes():
                self.classes(stmt)

    def compute(self, node: Compute) -> None:
        if self.group is not None:
            self.group.accumulate(node)
            return
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
        if node.target in self.rows.held:
            self.rows.write(node)
        else:
            self._put(node, lambda t: self.value(node, t))

    def _put(self, node: Compute, value: Callable[[int | None], ir.Expr]) -> None:
        """A value, in vector t of the tile or as a scalar, where the statement's target is."""
        name = node.target.tensor
        if name in self.accumulators:
            self.accumulators[name].insert(self.env[node.target.indices[0]], lambda: value(None))
        elif name == self.kernel.result.name:
            self.result.write(node.reduce, value)
        else:
            self._accumulate(node, value)

    def blend(self, index: str, cases: Sequence[tuple[ir.Expr | None, Stmt]]) -> None:
        """The statements of a merge's cases at once, each with the condition under which it holds: the first that holds
        is taken; the last has no condition if one always does."""
        self.env[index] = ir.Var(index)
        conditions = [condition for condition, _ in cases if condition is not None]
        some = reduce(_either, conditions) if len(conditions) == len(cases) else None
        if self.products is not None:
            self.b.emit(ir.Let(self.products, ir.Const(1) if some is None else ir.cast(some, "int64"), "+"))
            return
        self.enter(Block(tuple(stmt for _, stmt in cases)))
        self.result.before(index)
        nodes = [stmt for _, stmt in cases if isinstance(stmt, Compute)]
        value = self._choice(conditions, nodes)
        node, name = nodes[0], nodes[0].target.tensor
        if some is None:
            self._put(node, value)
        elif name == self.kernel.result.name:
            self.result.write_where(some, node.reduce, value)
        elif name in self.accumulators:
            with self.scope() as kept:
                self._put(node, value)
            self.b.emit(ir.If(some, tuple(kept)))
        else:
            self._accumulate(node, value, some)
        self.result.after(index)

    def _choice(self, conditions: Sequence[ir.Expr], nodes: Sequence[Compute]) -> Callable[[int | None], ir.Expr]:
        """The value of the first statement whose condition holds. Each has a name, so that choosing computes nothing
        and can be done without a branch."""

        def value(_: int | None) -> ir.Expr:
            *others, last = [self.b.let("gives", self.value(node, None)) for node in nodes]
            chosen: ir.Expr = last
            for condition, each in reversed(list(zip(conditions, others, strict=False))):
                chosen = choice(condition, each, chosen)
            return chosen

        return value

    def value(self, node: Compute, t: int | None) -> ir.Expr:
        """The value of a statement's right-hand side, in vector t of the tile or as a scalar."""
        value = value_of(node.expr, self.kernel.dtype, self.kind, lambda access: self.read(access, t))
        if t is not None and self.lanes is not None and not is_vector(value):
            value = ir.Call("vfull", (value, ir.Const(self.lanes.lanes)), f"{value.dtype}x{self.lanes.lanes}")
        return value

    def kind(self, access: Access) -> Kind:
        """The number type of an access; a workspace has the result's."""
        spec = self.types.get(access.tensor)
        return (
            Kind(self.kernel.dtype) if spec is None else Kind(dtypes.computed(spec.dtype), 2 if spec.format.ndim else 1)
        )

    def fills_of(self, absent: Iterable[Access]) -> dict[Access, Literal]:
        """The values of accesses that have no entry."""
        return {access: Literal(self.fills.get(access.tensor, 0)) for access in absent}

    def _accumulate(
        self, node: Compute, value_in: Callable[[int | None], ir.Expr], where: ir.Expr | None = None
    ) -> None:
        """register = register (reduce) value, a multiply-add where it is one; `where` a condition holds."""
        if self.met is not None and not any(access in self.registers for access in accesses(node.expr)):
            self.b.emit(ir.Let(self.met, ir.Const(True, "bool") if where is None else _either(self.met, where)))
        if not self.computes:
            return
        held = self.loaded[node.target]
        targets = held if isinstance(held, list) else [held]
        if self.lanes is not None:
            targets = targets[: self.lanes.vectors]  # a rest of fewer vectors leaves accumulators alone
        for t, target in enumerate(targets):
            assert isinstance(target, ir.Var)
            value = value_in(t if is_vector(target) else None)
            if is_vector(target):
                value = self._kept(node, value, t)
            made = _fused(node.reduce, target, value, self.kernel.dtype)
            if where is not None:
                made = choice(where, self.b.let("more", made), target)
            if self.live is not None:
                made = ir.Call("vselect", (self.live, made, target), target.dtype)
            self.b.emit(ir.Let(target, made))

    def _kept(self, node: Compute, value: ir.Expr, t: int) -> ir.Expr:
        """A vector that is to be reduced over its lanes, those behind the last value neutral; of a product of loaded
        vectors they are 0 already."""
        lanes, reduce = self.lanes, node.reduce
        if lanes is None or reduce is None or not lanes.is_partial(t) or lanes.index in node.target.indices:
            return value
        factors = node.expr.args if isinstance(node.expr, Apply) and node.expr.op == "mul" else (node.expr,)
        loaded = all(isinstance(f, Access) and lanes.index in f.indices for f in factors)
        if reduce == "add" and loaded and not lanes.past:
            return value
        return lanes.keep(value, identity(reduce, value.dtype.split("x")[0]))

    def read(self, access: Access, t: int | None) -> ir.Expr:
        """The value of an access: a register, what was loaded further out, or a load."""
        held = self.loaded.get(access)
        if held is not None:
            return held[t or 0] if isinstance(held, list) else held
        if access in self.rows.held:
            return self.rows.read(access, t)
        cursor = self.cursors[access]
        if not cursor.resolved:
            raise ScheduleError(f"{access} is read before index {cursor.index} is bound")
        return self.load(cursor, t)

    def load(self, cursor: Cursor, t: int | None) -> ir.Expr:
        """The value at a cursor, or vector t of the tile there; of a half type as float32."""
        return as_dtype(self._fetch(cursor, t), dtypes.computed(cursor.arrays.spec.dtype))

    def _fetch(self, cursor: Cursor, t: int | None) -> ir.Expr:
        if self.lanes is not None and self.lanes.index in cursor.path and t is not None:
            if is_vector(cursor.first):
                return self.lanes.gather(cursor.arrays.vals, cursor.first)
            return self.lanes.load(cursor.arrays.vals, self.lanes.place(cursor.first, t), t)
        return ir.Load(cursor.arrays.vals, cursor.first)

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
        if self.reads:
            wanted = set(_read(iteration_space(stmt)))
            for access in [a for a in self.cursors if a in wanted and a not in self.loaded]:
                if self.cursors[access].resolved:
                    self._hoist(access, inside=isinstance(stmt, Compute) and self.group is None)
            bound = [a for a, row in self.rows.held.items() if all(index in self.env for index in row.indices)]
            for access in [a for a in bound if a in wanted and a not in self.loaded]:
                if not self.rows.is_along(access):
                    self.loaded[access] = self.b.let(access.tensor, self.rows.read(access, None))
                elif self.group is not None and self.lanes is not None:  # vectors that all of a group read
                    vectors = [self.rows.read(access, t) for t in range(self.lanes.vectors)]
                    self.loaded[access] = [self.b.let(f"{access.tensor}{t}", v) for t, v in enumerate(vectors)]

    def _hoist(self, access: Access, inside: bool) -> None:
        """Load a value here, outside all loops to come; a vector that is used right away stays in its expression."""
        cursor = self.cursors[access]
        name = access.tensor.lower()
        if self.lanes is None or self.lanes.index not in cursor.path:
            self.loaded[access] = self.b.let(name, self.load(cursor, None))
            return
        if is_vector(cursor.first):
            return
        place = self.b.let(f"{access.tensor}_p", cursor.first)
        self.cursors[access] = cursor = replace(cursor, first=place)
        if not inside:
            self.loaded[access] = [self.b.let(f"{name}{t}", self.load(cursor, t)) for t in range(self.lanes.vectors)]

    # -- workspaces --------------------------------------------------------------------------------------------
    def where(self, node: Where) -> None:
        if node.workspace.kind == "register":
            self.register_workspaces.where(node)
            return
        if node.workspace.kind == "row":
            self.rows.where(node)
            return
        extent: ir.Expr = ir.Const(1)
        for index in node.workspace.indices:
            extent = ir.mul(extent, self.extent(index))
        if self.bounding:
            self._bound(node, extent)
            return
        made = accumulator(self.b, node.workspace, extent, self.computes)
        self.accumulators[node.workspace.name] = made
        made.begin()
        self.stmt(node.producer)
        self.stmt(node.consumer)
        del self.accumulators[node.workspace.name]

    def classes(self, node: Classes) -> None:
        """Count the products of a row to choose how it is made; room for it is the same either way."""
        if self.bounding:
            self.where(node.many)
            return
        products = self._counted(node.many)
        with self.scope() as few:
            self.where(node.few)
        with self.scope() as many:
            self.where(node.many)
        self.b.emit(ir.If(ir.Binary("<=", products, ir.Const(node.few.workspace.most)), tuple(few), tuple(many)))

    def _counted(self, node: Where) -> ir.Var:
        """How many values a producer reduces into its workspace."""
        products = self.products = self.b.fresh("products")
        self.b.emit(ir.Let(products, ir.Const(0)))
        with self.binding():
            self.stmt(node.producer)
        self.products = None
        return products

    def _bound(self, node: Where, extent: ir.Expr) -> None:
        """No row has more entries than products, or than places."""
        self.result.reserve(ir.Call("min", (self._counted(node), extent), "int64"))

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


def _read(expr: Expr) -> Iterator[Access]:
    """The accesses whose values an expression needs: to know whether one is stored takes none."""
    if isinstance(expr, Apply):
        if expr.op != "stored":
            for arg in expr.args:
                yield from _read(arg)
    elif isinstance(expr, Access):
        yield expr


def _either(left: ir.Expr, right: ir.Expr) -> ir.Expr:
    return ir.Binary("|", left, right)


def _fused(op: str | None, target: ir.Var, value: ir.Expr, dtype: str) -> ir.Expr:
    """target (reduce) value; a vector sum of a product is one multiply-add."""
    if op is None:
        return value
    if op == "add" and isinstance(value, ir.Call) and value.function == "vmul" and is_vector(target):
        return ir.Call("vfma", (*value.args, target), target.dtype)
    return combine(op, target, value, dtype)

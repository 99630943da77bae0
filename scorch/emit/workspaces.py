"""Workspaces in loop IR: how a sparse row accumulator takes a value and gives its entries back in order.

Each kind leaves its arrays as it found them (all zero, or all free), so that one allocation a thread serves every row.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from scorch.emit.builder import Builder, Param
from scorch.emit.values import combine, identity
from scorch.ir import loops as ir
from scorch.ir.plan import Workspace

__all__ = ["Accumulator", "accumulator"]

FREE = ir.Const(-1)
ZERO = ir.Const(0, "uint64")


class Accumulator(ABC):
    """A sparse row accumulator over one (linearised) coordinate.

    With `values` False only coordinates are recorded, for a count phase.
    """

    def __init__(self, builder: Builder, workspace: Workspace, extent: ir.Expr, values: bool) -> None:
        self.b = builder
        self.workspace = workspace
        self.extent = extent
        self.with_values = values

    def array(self, part: str, dtype: str) -> ir.Var:
        name = self.workspace.name
        return self.b.param(Param(f"{name}_{part}", "workspace", name, 0, part, dtype))

    @property
    def vals(self) -> ir.Var:
        return self.array("vals", self.workspace.dtype)

    @property
    def empty(self) -> ir.Const:
        """The value of a place that holds nothing: the identity of the reduction, so that every value is reduced into
        it."""
        return identity(self.workspace.reduce, self.workspace.dtype)

    def accumulate(self, place: ir.Expr, value: ir.Expr) -> None:
        """vals[place] = vals[place] (reduce) value."""
        old = ir.Load(self.vals, place)
        self.b.emit(ir.Store(self.vals, place, combine(self.workspace.reduce, old, value, self.workspace.dtype)))

    def begin(self) -> None:
        """Emit what must stand before the producer."""

    @abstractmethod
    def insert(self, key: ir.Expr, value: Callable[[], ir.Expr]) -> None:
        """Emit: reduce the value into the entry of the key."""

    @abstractmethod
    def entries(self, visit: Callable[[ir.Expr, ir.Expr], None], ordered: bool = True) -> None:
        """Emit: visit(key, value) for each entry, and free it."""

    @abstractmethod
    def count(self, counter: ir.Var) -> None:
        """Emit: add the number of entries to the counter, and free them."""


class _Marked(Accumulator):
    """A mark of a byte for each coordinate that holds something: where most products fall on marked ones, the branch is
    foretold."""

    @property
    def marks(self) -> ir.Var:
        return self.array("mark", "uint8")

    @abstractmethod
    def _record(self, key: ir.Expr) -> None:
        """Emit: note a coordinate, the first time that it comes."""

    def insert(self, key: ir.Expr, value: Callable[[], ir.Expr]) -> None:
        key = self.b.let("w_key", key)
        new = ir.Binary("==", ir.Load(self.marks, key), ir.Const(0, "uint8"))
        with self.b.block() as first:
            self.b.emit(ir.Store(self.marks, key, ir.Const(1, "uint8")))
            self._record(key)
        self.b.emit(ir.If(new, tuple(first)))
        if self.with_values:
            self.accumulate(key, value())

    def _free(self, key: ir.Expr) -> None:
        """Emit: a coordinate holds nothing any more."""
        self.b.emit(ir.Store(self.marks, key, ir.Const(0, "uint8")))
        if self.with_values:
            self.b.emit(ir.Store(self.vals, key, self.empty))


class _Listed(Accumulator):
    """Keys in a list, in the order in which they come, sorted before they are read."""

    @property
    def list(self) -> ir.Var:
        return self.array("list", "int64")

    def begin(self) -> None:
        self.length = self.b.fresh(f"{self.workspace.name}_len")
        self.b.emit(ir.Let(self.length, ir.Const(0)))

    def _sort(self) -> None:
        self.b.emit(ir.Effect(ir.Call("sort_range", (self.list, ir.Const(0), self.length), "none")))


class _Bitmap(Accumulator):
    """Dense values, one bit a coordinate, and one bit a word of those bits: entries come in order, without a sort.

    Reading visits only words that hold something, so that a wide row costs little more than its entries.
    """

    @property
    def bits(self) -> ir.Var:
        return self.array("bits", "uint64")

    @property
    def top(self) -> ir.Var:
        return self.array("top", "uint64")

    def insert(self, key: ir.Expr, value: Callable[[], ir.Expr]) -> None:
        key = self.b.let("w_key", key)
        if self.with_values:
            self.accumulate(key, value())
        self._record(key)

    def _record(self, key: ir.Expr) -> None:
        """Emit: set the bit of a coordinate, and that of its word."""
        word = self.b.let("word", ir.Binary(">>", key, ir.Const(6)))
        held = self.b.let("held", ir.Load(self.bits, word))
        self.b.emit(ir.If(ir.Binary("==", held, ZERO), (self._mark(self.top, word),)))
        self.b.emit(ir.Store(self.bits, word, ir.Binary("|", held, ir.Call("bit", (key,), "uint64"))))

    @staticmethod
    def _mark(array: ir.Var, number: ir.Expr) -> ir.Stmt:
        word = ir.Binary(">>", number, ir.Const(6))
        return ir.Store(array, word, ir.Binary("|", ir.Load(array, word), ir.Call("bit", (number,), "uint64")))

    def _each_bit(self, array: ir.Var, word: ir.Expr, name: str, body: Callable[[ir.Var], None]) -> None:
        """Emit: body(number) for each bit that is set in a word, in order; clear the word."""
        left = self.b.fresh(f"{name}s", "uint64")
        self.b.emit(ir.Let(left, ir.Load(array, word)))
        with self.b.block() as each:
            low = ir.Call("ctz", (left,), "int64")
            number = self.b.fresh(name)
            self.b.emit(ir.Let(number, ir.add(ir.Binary("<<", word, ir.Const(6)), low)))
            body(number)
            self.b.emit(ir.Let(left, ir.Binary("&", left, ir.Binary("-", left, ir.Const(1, "uint64")))))
        self.b.emit(ir.While(ir.Binary("!=", left, ZERO), tuple(each)), ir.Store(array, word, ZERO))

    def _each_word(self, body: Callable[[ir.Var], None]) -> None:
        block = self.b.fresh("block")
        with self.b.block() as scan:
            self._each_bit(self.top, block, "word", body)
        blocks = ir.Binary(">>", ir.add(self.extent, 4095), ir.Const(12))
        self.b.emit(ir.For(block, ir.Const(0), blocks, tuple(scan)))

    def entries(self, visit: Callable[[ir.Expr, ir.Expr], None], ordered: bool = True) -> None:
        def read(key: ir.Var) -> None:
            visit(key, ir.Load(self.vals, key))
            self._free(key)

        self._each_word(lambda word: self._each_bit(self.bits, word, "w_key", read))

    def _free(self, key: ir.Expr) -> None:
        self.b.emit(ir.Store(self.vals, key, self.empty))

    def count(self, counter: ir.Var) -> None:
        def add(word: ir.Var) -> None:
            self.b.emit(ir.Let(counter, ir.Call("popcount", (ir.Load(self.bits, word),), "int64"), "+"))
            self.b.emit(ir.Store(self.bits, word, ZERO))

        self._each_word(add)


class _MarkedBitmap(_Marked, _Bitmap):
    """A bitmap that is only written for coordinates that have no mark yet: no product waits until the word that the
    last one wrote can be read."""

    def _record(self, key: ir.Expr) -> None:
        _Bitmap._record(self, key)

    def count(self, counter: ir.Var) -> None:
        def add(key: ir.Var) -> None:
            self.b.emit(ir.Let(counter, ir.Const(1), "+"), ir.Store(self.marks, key, ir.Const(0, "uint8")))

        self._each_word(lambda word: self._each_bit(self.bits, word, "w_key", add))


class _Sorted(_Listed):
    """Every product by itself, in order of arrival; sorted by coordinate and reduced where it is read.

    What is sorted are coordinates with the place of their value in the lower bits, so that equal ones keep their order.
    """

    def __init__(self, builder: Builder, workspace: Workspace, extent: ir.Expr, values: bool) -> None:
        super().__init__(builder, workspace, extent, values)
        self.bits = ir.Const((workspace.most - 1).bit_length())
        self.places = ir.Const((1 << (workspace.most - 1).bit_length()) - 1)

    def insert(self, key: ir.Expr, value: Callable[[], ir.Expr]) -> None:
        listed = ir.Binary("|", ir.Binary("<<", key, self.bits), self.length)
        self.b.emit(ir.Store(self.list, self.length, listed))
        if self.with_values:
            self.b.emit(ir.Store(self.vals, self.length, value()))
        self.b.emit(ir.Let(self.length, ir.Const(1), "+"))

    def _key(self, place: ir.Expr) -> ir.Expr:
        return ir.Binary(">>", ir.Load(self.list, place), self.bits)

    def _value(self, place: ir.Expr) -> ir.Expr:
        return ir.Load(self.vals, ir.Binary("&", ir.Load(self.list, place), self.places))

    def entries(self, visit: Callable[[ir.Expr, ir.Expr], None], ordered: bool = True) -> None:
        self._sort()
        q, total = self.b.fresh("q"), self.b.fresh("total", self.workspace.dtype)
        self.b.emit(ir.Let(q, ir.Const(0)))
        with self.b.block() as each:
            key = self.b.let("w_key", self._key(q))
            reduce, dtype = self.workspace.reduce, self.workspace.dtype
            self.b.emit(ir.Let(total, combine(reduce, self.empty, self._value(q), dtype)), ir.Let(q, ir.Const(1), "+"))
            more = combine(reduce, total, self._value(q), dtype)
            again = ir.Binary("and", ir.Binary("<", q, self.length), ir.Binary("==", self._key(q), key))
            self.b.emit(ir.While(again, (ir.Let(total, more), ir.Let(q, ir.Const(1), "+"))))
            visit(key, total)
        self.b.emit(ir.While(ir.Binary("<", q, self.length), tuple(each)))

    def count(self, counter: ir.Var) -> None:
        self._sort()
        q = self.b.fresh("q")
        first = ir.Binary(">", self.length, ir.Const(0))
        new = ir.Binary("!=", self._key(q), self._key(ir.Binary("-", q, ir.Const(1))))
        self.b.emit(
            ir.Let(counter, ir.cast(first, "int64"), "+"),
            ir.For(q, ir.Const(1), self.length, (ir.Let(counter, ir.cast(new, "int64"), "+"),)),
        )


class _List(_Marked, _Listed):
    """Dense values, a mark a coordinate, and the list of marked coordinates, sorted before it is read."""

    def _record(self, key: ir.Expr) -> None:
        self.b.emit(ir.Store(self.list, self.length, key), ir.Let(self.length, ir.Const(1), "+"))

    def entries(self, visit: Callable[[ir.Expr, ir.Expr], None], ordered: bool = True) -> None:
        if ordered:
            self._sort()
        q = self.b.fresh("q")
        with self.b.block() as each:
            key = self.b.let("w_key", ir.Load(self.list, q))
            visit(key, ir.Load(self.vals, key))
            self._free(key)
        self.b.emit(ir.For(q, ir.Const(0), self.length, tuple(each)))

    def count(self, counter: ir.Var) -> None:
        self.b.emit(ir.Let(counter, self.length, "+"))
        q = self.b.fresh("q")
        self.b.emit(
            ir.For(
                q,
                ir.Const(0),
                self.length,
                (ir.Store(self.marks, ir.Load(self.list, q), ir.Const(0, "uint8")),),
            )
        )


class _Hash(_Listed):
    """Open addressing with linear probing; the keys are listed in order of arrival, and sorted before they are read."""

    @property
    def keys(self) -> ir.Var:
        return self.array("keys", "int64")

    @property
    def slots(self) -> ir.Var:
        return self.array("slots", "int64")

    def begin(self) -> None:
        super().begin()
        self.mask = self.b.let("w_mask", ir.Binary("-", ir.Call("len", (self.keys,), "int64"), ir.Const(1)))

    def _probe(self, key: ir.Expr) -> ir.Var:
        """The slot of the key, or the free slot where it belongs. Fibonacci hashing spreads runs of keys."""
        slot = self.b.fresh("slot")
        hashed = ir.Binary(">>", ir.Binary("*", key, ir.Const(0x9E3779B1)), ir.Const(15))
        self.b.emit(ir.Let(slot, ir.Binary("&", hashed, self.mask)))
        here = ir.Load(self.keys, slot)
        other = ir.Binary("and", ir.Binary("!=", here, key), ir.Binary("!=", here, FREE))
        step = ir.Let(slot, ir.Binary("&", ir.add(slot, 1), self.mask))
        self.b.emit(ir.While(other, (step,)))
        return slot

    def insert(self, key: ir.Expr, value: Callable[[], ir.Expr]) -> None:
        key = self.b.let("w_key", key)
        slot = self._probe(key)
        with self.b.block() as first:
            self.b.emit(ir.Store(self.keys, slot, key), ir.Store(self.list, self.length, key))
            self.b.emit(ir.Store(self.slots, self.length, slot))
            self.b.emit(ir.Let(self.length, ir.Const(1), "+"))
        self.b.emit(ir.If(ir.Binary("==", ir.Load(self.keys, slot), FREE), tuple(first)))
        if self.with_values:
            self.accumulate(slot, value())

    def entries(self, visit: Callable[[ir.Expr, ir.Expr], None], ordered: bool = True) -> None:
        if ordered:
            self._sort()
        q = self.b.fresh("q")
        with self.b.block() as each:
            key = self.b.let("w_key", ir.Load(self.list, q))
            slot = self._probe(key)
            visit(key, ir.Load(self.vals, slot))
            self.b.emit(ir.Store(self.vals, slot, self.empty))
        self.b.emit(ir.For(q, ir.Const(0), self.length, tuple(each)))
        self._free_all()

    def _free_all(self) -> None:
        q = self.b.fresh("q")
        self.b.emit(ir.For(q, ir.Const(0), self.length, (ir.Store(self.keys, ir.Load(self.slots, q), FREE),)))

    def count(self, counter: ir.Var) -> None:
        self.b.emit(ir.Let(counter, self.length, "+"))
        self._free_all()


_KINDS: dict[str, type[Accumulator]] = {
    "bitmap": _Bitmap,
    "marked bitmap": _MarkedBitmap,
    "list": _List,
    "hash": _Hash,
    "sorted": _Sorted,
}


def accumulator(builder: Builder, workspace: Workspace, extent: ir.Expr, values: bool) -> Accumulator:
    """The accumulator of a workspace's kind."""
    return _KINDS[workspace.kind](builder, workspace, extent, values)

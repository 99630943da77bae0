"""The plan: HOW a statement is computed, as the schedule decided it. The lowering reads it and decides nothing.

A kernel's loops are a tree of statements (Compute, Loop, Where, Block), which is concrete index notation in the sense
of Kjolstad et al., *Tensor Algebra Compilation with Workspaces* (CGO 2019): `Where` computes a workspace and then uses
it. A register accumulator, a row of SIMD registers and a sparse row accumulator are all workspaces. `Classes` has two
ways to make a row, one for rows of few products.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal as OneOf
from typing import TypeAlias

from scorch.formats import Format, dtypes
from scorch.ir.notation import Access, Assign, Expr
from scorch.ir.operators import operator

__all__ = [
    "Alternative",
    "Assembly",
    "Block",
    "Classes",
    "Compute",
    "Entrywise",
    "Handover",
    "Kernel",
    "Loop",
    "Partition",
    "Plan",
    "Split",
    "Stmt",
    "TensorSpec",
    "Tile",
    "Where",
    "Workspace",
    "walk",
]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor as a kernel sees it: its name, format and number type."""

    name: str
    format: Format
    dtype: str
    index_bits: tuple[tuple[int, ...], ...] = ()  # bits of the integer arrays of each level, in the level's array order
    fill: bool | int | float | complex = 0

    def __str__(self) -> str:
        fill = f" fill {self.fill}" if self.fill != 0 else ""
        return f"{self.name}: {self.format} {self.dtype}{fill}"


@dataclass(frozen=True, slots=True)
class Tile:
    """A dense loop taken `vectors` SIMD vectors of `lanes` values at a time, held in registers.

    After the full tiles comes one of `rest` vectors (0: none); with `masked` its last vector is partly used, with
    `overlaps` it starts so early that it ends with the extent, and some values are computed twice. `count` is
    the number of full tiles if that is 0 or 1 and known, so that no loop is needed, else None. `prefetch`: how many
    nonzeros ahead of the one in hand the rows that it selects are fetched into cache (0: not). With `positions` the
    loop is a sparse one: lanes hold successive stored positions, and other operands are gathered at their coordinates.
    What is left of a row behind its whole vectors is then partly used; with `masked` all vectors are loaded as that one
    is, with `past` they are all loaded whole, past the row's end, and the lanes there are dropped.
    """

    lanes: int
    vectors: int
    rest: int = 0
    masked: bool = False
    overlaps: bool = False
    count: int | None = None
    prefetch: int = 0
    positions: bool = False
    past: bool = False

    def __str__(self) -> str:
        if self.positions:
            end = ", past the end of a row" if self.past else ", under a mask" if self.masked else ""
            return f"lanes({self.lanes} stored positions at a time{end})"
        parts = []
        if self.count != 0:
            parts.append(f"{self.vectors} x {self.lanes} lanes" + (", once" if self.count == 1 else ""))
        if self.rest:
            parts.append(
                f"rest {self.rest} x {self.lanes}"
                + (" masked" if self.masked else " overlapping" if self.overlaps else "")
            )
        if self.prefetch:
            parts.append(f"prefetch {self.prefetch} ahead")
        return "tile(" + "; ".join(parts) + ")"


@dataclass(frozen=True, slots=True)
class Workspace:
    """A temporary of one kernel.

    `kind`: "register" (a scalar, or the lanes of a tile), or a sparse row accumulator over `indices`: "list" (dense
    values and a list of occupied coordinates, sorted when read), "bitmap" (dense values and one bit a coordinate,
    scanned in order), "marked bitmap" (the same, whose bits are only written for coordinates without a mark, a byte
    each: a branch that is foretold where many products fall together, and no wait for the last write), "hash" (open
    addressing, keys sorted when read), "sorted" (every product by itself, at most `most` of them, sorted and then
    reduced when read). "row" holds one value for each stored position of the row of `source` that the loops are in, or,
    without one, for each coordinate; places that have none are worth `fill`. With a `panel` its last index is that of
    the tile which the loops are in, and has so many places, whatever the tile's coordinates are.
    """

    name: str
    indices: tuple[str, ...]
    kind: OneOf["register", "list", "bitmap", "marked bitmap", "hash", "sorted", "row"]
    dtype: str
    reduce: str = "add"
    source: Access | None = None
    fill: bool | int | float | complex = 0
    most: int = 0
    panel: int = 0

    def __str__(self) -> str:
        along = f" along {self.source}" if self.source else ""
        kind = "panel" if self.panel else self.kind
        return f"{self.name}[{','.join(self.indices)}]: {kind} {self.dtype}{along}"


@dataclass(frozen=True, slots=True)
class Compute:
    """target op= expr at the innermost point; `reduce` None assigns."""

    target: Access
    reduce: str | None
    expr: Expr

    def __str__(self) -> str:
        return f"{self.target} {operator(self.reduce).symbol if self.reduce else ''}= {self.expr}"


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop over one index, tiled or not. `equals`: only the coordinate of that other index is taken.

    `unroll`: so many iterations at a time, each with accumulators of its own, so that one need not wait for the last.
    Around a workspace, the iterations share the loops of its reduction: over a tile, and they are finished as one
    vector, or inside one, as a register block of rows by vectors.
    `searched`: accesses with many coordinates, in which those of the other access are searched.
    `blended`: where several accesses are merged, what each case gives is computed, and the one that holds is taken: no
    branch depends on which of them has the next coordinate.
    `turned`: dense accesses that store this index last, inside a tile of another one that they have: square blocks of
    them are turned in registers, so many iterations of the loop being taken at a time as the tile has lanes.
    `ahead`: how many stored positions ahead of a row the coordinates and values that it walks are fetched into cache.
    `past`: what is left of a row behind its unrolled iterations is taken as such a group too, into the rows behind it,
    whose part is dropped: no branch depends on how much that is.
    """

    index: str
    body: Stmt
    tile: Tile | None = None
    equals: str | None = None
    unroll: int = 1
    searched: tuple[Access, ...] = ()
    blended: bool = False
    turned: tuple[Access, ...] = ()
    ahead: int = 0
    past: bool = False


@dataclass(frozen=True, slots=True)
class Where:
    """Fill the workspace with the producer, then run the consumer, which reads it."""

    workspace: Workspace
    producer: Stmt
    consumer: Stmt


@dataclass(frozen=True, slots=True)
class Block:
    """Statements in sequence."""

    stmts: tuple[Stmt, ...]


@dataclass(frozen=True, slots=True)
class Classes:
    """Two ways to make a row: rows of no more products than the workspace of `few` has room for take that one, others
    `many`."""

    few: Where
    many: Where


Stmt: TypeAlias = Compute | Loop | Where | Block | Classes


@dataclass(frozen=True, slots=True)
class Assembly:
    """How the result's coordinates come about.

    "locate": a dense result, written in place; `owned` if the loops write each value once (else it starts at the
    identity). "share": the result has the level arrays of operand `source`, of its first `depth` levels if that is
    given, with dense levels below, and only values are computed. "relevel": the result has the entries of operand
    `source` in the same order, and its innermost coordinates too where only the first `depth` levels are written.
    "append": coordinates come in order; a count phase sizes the arrays, a fill phase writes them. `filtered`: values
    equal to the fill are left out; `guarded`: sums are left out that met no stored value. `gaps`: the loops skip places
    of a dense level above, whose position ends are filled in later. `bounded`: instead of counting, room is made for as
    many entries as there are products, or steps of a merge, in a chunk, and moved behind those of the chunks before it.
    `streamed`: vectors of a dense result are stored past the caches, which it outgrows.
    "bucket": entries are counted, then placed, by their outermost coordinate.
    """

    kind: OneOf["locate", "share", "relevel", "append", "bucket"]
    owned: bool = False
    source: Access | None = None
    depth: int | None = None
    filtered: bool = False
    guarded: bool = False
    gaps: bool = False
    bounded: bool = False
    streamed: bool = False

    @property
    def phases(self) -> int:
        """How many functions run one after the other: coordinates are counted, or their room found, before they are
        written."""
        return 1 if self.kind in ("locate", "share", "relevel") else 2

    def __str__(self) -> str:
        match self.kind:
            case "locate":
                once = "dense, each value written once" + (", past the caches" if self.streamed else "")
                return once if self.owned else "dense, accumulated in place"
            case "share":
                if self.depth is not None:
                    return f"the first {self.depth} levels of {self.source} are shared, values only"
                return f"the pattern of {self.source} is shared, values only"
            case "relevel":
                return f"the entries of {self.source} in their order, the first {self.depth} levels written"
        if self.kind == "bucket":
            return "placed by counting the entries of each outermost coordinate"
        how = (
            "in room for all that a chunk can have, then moved behind those before" if self.bounded else "counted first"
        )
        left_out = ", fill values left out" if self.filtered else ", empty sums left out" if self.guarded else ""
        return f"appended in order, {how}{left_out}"


@dataclass(frozen=True, slots=True)
class Partition:
    """How a phase's work is divided among threads.

    `unit`: "coordinates" of the outermost index, "positions" of the single sparse level it iterates, "tiles" of it,
    "merge-path" (positions of the second level, rows split), or "serial". `weight`: the access whose nonzeros a unit
    holds (equal work, not equal counts); `selected`: the access of which each of those nonzeros selects a row, where
    all that they select is what weighs. `private`: each chunk accumulates into its own copy of the result, summed at
    the end.
    """

    unit: OneOf["serial", "coordinates", "positions", "tiles", "merge-path"]
    index: str | None = None
    weight: Access | None = None
    chunks: int = 1
    private: bool = False
    selected: Access | None = None

    def __str__(self) -> str:
        if self.unit == "serial":
            return "serial"
        by = f", weighted by the nonzeros of {self.weight}" if self.weight else ""
        if self.selected:
            by = f", weighted by what the nonzeros of {self.weight} select of {self.selected}"
        own = ", a private result each" if self.private else ", taken dynamically"
        return f"{self.chunks} chunks of {self.unit} of {self.index}{by}{own}"


@dataclass(frozen=True, slots=True)
class Kernel:
    """Everything that the emitted source depends on: two operations with equal kernels share machine code.

    `before` are the statements whose results are temporaries of this kernel, in order; `statement` gives the result.
    """

    operands: tuple[TensorSpec, ...]
    result: TensorSpec
    statement: Assign
    root: Stmt
    assembly: Assembly
    unit: str = "serial"
    private: bool = False
    divided: Access | None = None  # whose rows a merge path divides
    before: tuple[Assign, ...] = ()

    @property
    def statements(self) -> tuple[Assign, ...]:
        """All statements, the last of them the result's."""
        return (*self.before, self.statement)

    @property
    def accesses(self) -> tuple[Access, ...]:
        """Every different access to an operand."""
        made = {statement.target.tensor for statement in self.before}
        read = (access for statement in self.statements for access in statement.accesses)
        return tuple(dict.fromkeys(access for access in read if access.tensor not in made))

    @property
    def dtype(self) -> str:
        """The number type of all arithmetic: operands are converted to it, results from it."""
        return dtypes.computed(self.result.dtype)

    @property
    def phases(self) -> tuple[str, ...]:
        """The functions that are run one after the other."""
        if self.assembly.kind == "relevel":
            return ("levels",)
        if self.assembly.phases == 1:
            return ("compute",)
        return ("bound" if self.assembly.bounded else "count", "fill")

    def __str__(self) -> str:
        return "\n".join(_lines(self.root))


@dataclass(frozen=True, slots=True)
class Alternative:
    """One way that was considered, with its estimated time in microseconds."""

    description: str
    cost: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Split:
    """Two operands are multiplied first, and their product with the others after that, planned from its true
    statistics.

    `format` is the product's where its order does not matter to the others.
    """

    statement: Assign
    pair: tuple[int, int]
    first: Assign
    rest: Assign
    dtype: str
    cost: float
    alternatives: tuple[Alternative, ...] = ()
    format: Format | None = None

    def __str__(self) -> str:
        made = "" if self.format is None else f", as {self.format}"
        steps = [f"first     {self.first}{made}", f"then      {self.rest}", f"in        {self.dtype}"]
        return "\n".join([str(self.statement), *steps])


@dataclass(frozen=True, slots=True)
class Handover:
    """The whole expression is dense, and torch is expected to be faster: torch.einsum(notation, ...)."""

    statement: Assign
    notation: str
    dtype: str
    cost: float
    alternatives: tuple[Alternative, ...] = ()

    def __str__(self) -> str:
        return f"{self.statement}\ndense     torch.einsum({self.notation!r}) in {self.dtype}"


@dataclass(frozen=True, slots=True)
class Entrywise:
    """All sparse operands have one pattern, which the result shares: the expression over their values, `over_values`.

    `values` plans that; no coordinate is read.
    """

    statement: Assign
    over_values: Assign
    values: Plan | Split | Handover | Entrywise
    format: Format
    alternatives: tuple[Alternative, ...] = ()

    @property
    def cost(self) -> float:
        return self.values.cost

    def __str__(self) -> str:
        return f"{self.statement}\nentrywise {self.values}"


@dataclass(frozen=True, slots=True)
class Plan:
    """The schedule's whole answer: conversions first, then one kernel, and why."""

    kernel: Kernel
    conversions: tuple[tuple[str, Format], ...]
    partition: Partition
    extents: tuple[tuple[str, int], ...]
    cost: float
    dtype: str  # of the result; the kernel may write a wider one, which is rounded afterwards
    reasons: tuple[str, ...] = ()
    alternatives: tuple[Alternative, ...] = field(default=())
    wanted: Format | None = None  # the result's format, where the kernel writes another that is then sorted
    expected: float | None = None  # estimated number of stored values of a sparse result

    @property
    def statement(self) -> Assign:
        return self.kernel.statement

    def __str__(self) -> str:
        kernel = self.kernel
        lines = [
            *map(str, kernel.statements),
            "operands  " + "; ".join(map(str, kernel.operands)),
            f"result    {kernel.result}",
        ]
        lines += [f"convert   {name} to {format}" for name, format in self.conversions]
        lines += ["assembly  " + str(kernel.assembly), "parallel  " + str(self.partition), "loops"]
        lines += ["  " + line for line in str(kernel).splitlines()]
        lines += ["because   " + reason for reason in self.reasons]
        return "\n".join(lines)


def walk(stmt: Stmt) -> Iterator[Stmt]:
    """The statement and all statements inside it, outermost first."""
    yield stmt
    match stmt:
        case Loop(_, body):
            yield from walk(body)
        case Where(_, producer, consumer):
            yield from walk(producer)
            yield from walk(consumer)
        case Block(stmts):
            for inner in stmts:
                yield from walk(inner)
        case Classes(few, many):
            yield from walk(few)
            yield from walk(many)


def _lines(stmt: Stmt, indent: str = "") -> list[str]:
    match stmt:
        case Loop(index, Where() as body, tile, equals, unroll) if unroll > 1:
            return [f"{indent}for {index}, {unroll} side by side", *_lines(body, indent + "  ")]
        case Loop(index, body, tile, equals, unroll, searched, blended, turned, ahead, past):
            suffix = (f" in {tile}" if tile else "") + (f" where {index} == {equals}" if equals else "")
            if turned:
                suffix += f", {unroll} at a time, blocks of {', '.join(map(str, turned))} turned in registers"
            elif unroll > 1:
                suffix += f" unrolled {unroll} times" + (", past the end of a row" if past else "")
            suffix += f", searched in {', '.join(map(str, searched))}" if searched else ""
            suffix += " merged without branches" if blended else ""
            suffix += f", fetched {ahead} ahead" if ahead else ""
            return [f"{indent}for {index}{suffix}", *_lines(body, indent + "  ")]
        case Where(workspace, producer, consumer):
            return [f"{indent}workspace {workspace}", *_lines(producer, indent), *_lines(consumer, indent)]
        case Block(stmts):
            return [line for inner in stmts for line in _lines(inner, indent)]
        case Classes(few, many):
            head = f"{indent}where a row has at most {few.workspace.most} products"
            return [head, *_lines(few, indent + "  "), f"{indent}other rows", *_lines(many, indent + "  ")]
    return [f"{indent}{stmt}"]

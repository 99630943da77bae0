"""Loops that walk several sparse accesses together, as their merge lattice says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from scorch.emit.positions import Cursor
from scorch.emit.space import restrict
from scorch.errors import ScheduleError
from scorch.ir import loops as ir
from scorch.ir.lattice import Lattice, Point
from scorch.ir.notation import Access
from scorch.ir.plan import Loop, Stmt

if TYPE_CHECKING:
    from scorch.emit.lower import Lowering

__all__ = ["Merge"]


@dataclass(frozen=True)
class _Walker:
    """One sparse access in a merge: its position, the end of its range, its coordinate, and the end of the run of
    that."""

    cursor: Cursor
    position: ir.Var
    end: ir.Expr
    coordinate: ir.Var
    run: ir.Var

    @property
    def repeats(self) -> bool:
        return not self.cursor.level.unique

    @property
    def next(self) -> ir.Expr:
        """The first position of another coordinate."""
        return self.run if self.repeats else ir.add(self.position, 1)


class Merge:
    """Emits, for each lattice point from the top down, a loop that runs while all its iterators do."""

    def __init__(self, lowering: Lowering) -> None:
        self.low = lowering
        self.b = lowering.b

    def loop(self, node: Loop, lattice: Lattice, outermost: bool) -> None:
        var = ir.Var(node.index)
        lo, hi = self.low.loops.bounds(node.index, outermost)
        clipped = outermost and self.low.kernel.unit == "coordinates"
        ordered = sorted(lattice.top.iterators, key=str)
        walkers = {access: self._walker(access, node.index, (lo, hi) if clipped else None) for access in ordered}
        leads = [access for access in ordered if access not in node.searched]
        if len(leads) == 1 and len(ordered) > 1 and len(lattice.points) == 1 and not lattice.top.full:
            self._gallop(node, walkers[leads[0]], [walkers[a] for a in ordered if a in node.searched])
            return
        if self.low.bounding and self.low.products is None and node.index == self.low.result.path[-1]:
            self.low.result.reserve(ir.Binary("-", hi, lo) if lattice.top.full else self._most(lattice, walkers))
            return
        if lattice.top.full:
            self.b.emit(ir.Let(var, lo))
        for point in lattice.points:
            self._point(node, lattice, point, walkers, hi)

    def _most(self, lattice: Lattice, walkers: dict[Access, _Walker]) -> ir.Expr:
        """How many coordinates there can be: as many as an access has that every one needs, or as all have together."""
        lengths: dict[Access, ir.Expr] = {a: ir.Binary("-", w.end, w.position) for a, w in walkers.items()}
        needed = frozenset.intersection(*(point.iterators for point in lattice.points))
        if needed:
            return reduce(lambda a, b: ir.Call("min", (a, b), "int64"), [lengths[a] for a in walkers if a in needed])
        return reduce(ir.add, lengths.values())

    def _gallop(self, node: Loop, lead: _Walker, others: list[_Walker]) -> None:
        """One position of the leading access after the other, its coordinate searched in the rest of each other one
        (Demaine, Lopez-Ortiz and Munro, *Adaptive set intersections, unions, and differences*, SODA 2000)."""
        var, active = ir.Var(node.index), [lead, *others]
        with self.b.block() as loop:
            self.b.emit(ir.Let(var, lead.cursor.coordinate(lead.position, self.low.extent(node.index))))
            self._run(lead, var)
            found: list[ir.Expr] = []
            for w in others:
                crd = w.cursor.arrays.index(w.cursor.depth, "crd")
                wanted = ir.cast(var, crd.dtype.removesuffix("[]"))
                self.b.emit(ir.Let(w.position, ir.Call("gallop", (crd, w.position, w.end, wanted), "int64")))
                found.append(ir.Binary("<", w.position, w.end))
                found.append(ir.Binary("==", ir.cast(ir.Load(crd, w.position), "int64"), var))
            if node.equals is not None:
                found.append(ir.Binary("==", var, self.low.env[node.equals]))
            with self.low.scope() as body:
                for w in others:
                    self._run(w, var)
                for w in active:
                    self.low.cursors[w.cursor.access] = w.cursor.at(w.position, w.next)
                self.low.body(node.index, var, node.body)
            self.b.emit(ir.If(_all(found), tuple(body)), self._past(lead))
        self.b.emit(ir.While(_all([ir.Binary("<", w.position, w.end) for w in active]), tuple(loop)))

    def _run(self, w: _Walker, coordinate: ir.Expr) -> None:
        """Where the run of a coordinate ends, if it can be longer than one position."""
        if w.repeats:
            self.low.loops.segment_end(w.cursor, w.position, w.run, w.end, coordinate)

    def _past(self, w: _Walker) -> ir.Let:
        """On to the next coordinate."""
        return ir.Let(w.position, w.run) if w.repeats else ir.Let(w.position, ir.Const(1), "+")

    def _walker(self, access: Access, index: str, clip: tuple[ir.Expr, ir.Expr] | None) -> _Walker:
        cursor = self.low.loops.ready(access, index)
        if not cursor.level.ordered:
            raise ScheduleError(f"{access} is not ordered, so it cannot be merged; it must be sorted first")
        name, depth = access.tensor, cursor.depth
        first, last = cursor.bounds(self.low.extent(index))
        if clip is not None:
            array = cursor.arrays.index(depth, "crd")
            element = array.dtype.removesuffix("[]")
            first, last = (
                ir.Call("lower_bound", (array, first, last, ir.cast(bound, element)), "int64") for bound in clip
            )
        position, run = self.b.fresh(f"{name}_p{depth}"), self.b.fresh(f"{name}_r{depth}")
        coordinate = self.b.fresh(f"{name}_{index}")
        end = self.b.let(f"{name}_e{depth}", last)
        self.b.emit(ir.Let(position, first))
        return _Walker(cursor, position, end, coordinate, run)

    def _point(self, node: Loop, lattice: Lattice, point: Point, walkers: dict[Access, _Walker], hi: ir.Expr) -> None:
        active = [walkers[access] for access in sorted(point.iterators, key=str)]
        var = ir.Var(node.index)
        conditions: list[ir.Expr] = [ir.Binary("<", w.position, w.end) for w in active]
        if point.full:
            conditions.append(ir.Binary("<", var, hi))
        if point.full and point.iterators:
            conditions = conditions[:-1]  # an iterator's coordinates end before the dimension does
        with self.b.block() as body:
            self._coordinates(node, point, active)
            if node.blended and len(active) + point.full > 1:
                self._blend(node, lattice, point, walkers)
                self._advance(node, point, active)
            else:
                self._cases(node, lattice, point, walkers)
            if point.full:
                self.b.emit(ir.Let(ir.Var(node.index), ir.Const(1), "+"))
        self.b.emit(ir.While(_all(conditions), tuple(body)))

    def _coordinates(self, node: Loop, point: Point, active: list[_Walker]) -> None:
        var = ir.Var(node.index)
        for w in active:
            self.b.emit(ir.Let(w.coordinate, w.cursor.coordinate(w.position, self.low.extent(node.index))))
        if not point.full:
            least: ir.Expr = active[0].coordinate
            for w in active[1:]:
                least = ir.Call("min", (least, w.coordinate), "int64")
            self.b.emit(ir.Let(var, least))
        for w in active:
            self._run(w, w.coordinate)

    def _cases(self, node: Loop, lattice: Lattice, point: Point, walkers: dict[Access, _Walker]) -> None:
        """One branch for each way in which the iterators can agree on the coordinate, most of them first.

        Each of them moves its own iterators on: a processor that foretells the branch needn't wait for the coordinates.
        """
        active = [walkers[access] for access in sorted(point.iterators, key=str)]
        with self.b.block() as rest:
            self._advance(node, point, active)
        if node.equals is not None:  # coordinates that don't count are passed over too
            self._chosen(node, lattice, point, walkers, ())
            self.b.emit(*rest)
        else:
            self._chosen(node, lattice, point, walkers, tuple(rest))

    def _chosen(
        self, node: Loop, lattice: Lattice, point: Point, walkers: dict[Access, _Walker], rest: ir.Block
    ) -> None:
        """A branch for each case; `rest` is what there is to do where none holds, and moves iterators on."""
        branches: list[tuple[ir.Expr | None, ir.Block]] = []
        cases = list(self._statements(node, lattice, point))
        told = {case.iterators for case, _ in cases}
        for case, stmt in cases:
            with self.low.scope() as body:
                self._stand(lattice, case, walkers)
                self.low.body(node.index, ir.Var(node.index), stmt)
                if rest:
                    self.b.emit(*(self._past(walkers[access]) for access in sorted(case.iterators, key=str)))
                    # Of others that stand there too a case before would have told, if it has a branch.
                    others = [a for a in point.iterators - case.iterators if case.iterators | {a} not in told]
                    self._advance(node, point, [walkers[access] for access in sorted(others, key=str)])
            branches.append((self._matches(node, point, case, walkers), tuple(body)))
        chain = rest
        for condition, branch in reversed(branches):
            chain = branch if condition is None else (ir.If(condition, branch, chain),)
        if node.equals is not None:
            chain = (ir.If(ir.Binary("==", ir.Var(node.index), self.low.env[node.equals]), chain),)
        self.b.emit(*chain)

    def _blend(self, node: Loop, lattice: Lattice, point: Point, walkers: dict[Access, _Walker]) -> None:
        """What each case gives, and a choice between them."""
        cases = list(self._statements(node, lattice, point))
        matches = [self._matches(node, point, case, walkers) for case, _ in cases]
        alone = {case.iterators for case, _ in cases}
        if all(frozenset({access}) in alone for access in point.iterators):
            matches[-1] = None  # of those whose coordinate comes next, one has a case of its own
        held = [None if m is None else self.b.let("holds", m) for m in matches]
        with self.low.scope() as body:
            self._stand(lattice, point, walkers)
            self.low.blend(node.index, [(h, stmt) for h, (_, stmt) in zip(held, cases, strict=True)])
        self.b.emit(*body)

    def _statements(self, node: Loop, lattice: Lattice, point: Point) -> Iterator[tuple[Point, Stmt]]:
        """The cases that can hold while a point's iterators run, most iterators first, with what there is to do."""
        for case in lattice.below(point):
            stmt = restrict(node.body, self.low.fills_of(lattice.top.iterators - case.iterators))
            if stmt is not None:
                yield case, stmt

    def _stand(self, lattice: Lattice, point: Point, walkers: dict[Access, _Walker]) -> None:
        """The accesses of a point stand where their iterators are; the others have no entry."""
        for access in point.iterators:
            w = walkers[access]
            self.low.cursors[access] = w.cursor.at(w.position, w.next)
        for access in lattice.top.iterators - point.iterators:
            self.low.cursors.pop(access, None)

    def _matches(self, node: Loop, point: Point, case: Point, walkers: dict[Access, _Walker]) -> ir.Expr | None:
        """The condition under which a case holds; None if it always does."""
        if not case.iterators or (len(point.iterators) == 1 and not point.full):
            return None
        var = ir.Var(node.index)
        tests = [ir.Binary("==", walkers[a].coordinate, var) for a in sorted(case.iterators, key=str)]
        return _all(tests)

    def _advance(self, node: Loop, point: Point, active: list[_Walker]) -> None:
        """Move the iterators on that stand at the coordinate."""
        for w in active:
            here = ir.Binary("==", w.coordinate, ir.Var(node.index))
            if w.repeats:
                self.b.emit(ir.If(here, (self._past(w),)))
            elif len(point.iterators) == 1 and not point.full:
                self.b.emit(self._past(w))
            else:
                self.b.emit(ir.Let(w.position, ir.cast(here, "int64"), "+"))


def _all(conditions: Sequence[ir.Expr]) -> ir.Expr:
    """Whether all conditions hold, tested in this order."""
    first, *others = conditions
    return reduce(lambda a, b: ir.Binary("and", a, b), others, first)

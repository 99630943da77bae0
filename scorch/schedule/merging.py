"""How a loop walks several sparse operands together: step by step with a branch for each case, or without branches;
or, of operands that it intersects, a short one leads, and its coordinates are searched in long ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from scorch.formats import Format
from scorch.ir.notation import Access, Apply, Expr
from scorch.ir.plan import Block, Classes, Loop, Stmt, Where
from scorch.schedule.problem import Problem

__all__ = ["Merging", "children", "merges", "merging", "searched", "step_cost", "steps", "told", "with_merges"]

RATIO = 16  # of stored coordinates, from which on a search passes over more than it costs
MOST_CASES = 4  # that are computed at each step: more take longer than the branches that they spare
CHEAP = frozenset({"add", "sub", "mul", "min", "max", "neg", "abs", "relu", "and", "or", "where", "stored", "number"})
CHEAP |= {"eq", "ne", "lt", "le", "gt", "ge"}
"""Operators that take about as long as a choice between two values."""


@dataclass(frozen=True)
class Merging:
    """How one loop merges: the accesses in which it searches, or whether it does without branches."""

    searched: tuple[Access, ...] = ()
    blended: bool = False


def children(problem: Problem, access: Access, order: tuple[str, ...], depth: int) -> float:
    """Stored coordinates of an access at one loop, below one node of the loops outside it."""
    inside = frozenset(order[: depth + 1]) & set(access.indices)
    outside = frozenset(order[:depth]) & set(access.indices)
    return problem.distinct(access, inside) / max(1.0, problem.distinct(access, outside))


def searched(problem: Problem, order: tuple[str, ...], depth: int, formats: Mapping[str, Format]) -> tuple[Access, ...]:
    """The accesses in which one loop searches the coordinates of another; none where it merges them.

    That needs an intersection, in which all but one access have many times the coordinates of that one.
    """
    lattice = problem.lattice(order[depth], formats)
    walkers = sorted(lattice.top.iterators, key=lambda a: children(problem, a, order, depth))
    if len(lattice.points) > 1 or lattice.top.full or len(walkers) < 2:
        return ()
    if not all(formats[a.tensor].is_unique and formats[a.tensor].is_ordered for a in walkers):
        return ()
    lead, *others = walkers
    least = RATIO * max(1.0, children(problem, lead, order, depth))
    return tuple(others) if all(children(problem, a, order, depth) >= least for a in others) else ()


def merges(problem: Problem, order: tuple[str, ...], depth: int, formats: Mapping[str, Format]) -> bool:
    """Whether one loop, the innermost, merges several accesses, each of which has a coordinate once."""
    index = order[depth]
    walkers = problem.lattice(index, formats).top.iterators
    if depth < len(order) - 1 or len(walkers) < 2:
        return False
    if not all(formats[a.tensor].is_unique and formats[a.tensor].is_ordered for a in walkers):
        return False
    return not problem.filters and not any(index in pair for pair in problem.statement.equal)


def blended(problem: Problem, order: tuple[str, ...], depth: int, formats: Mapping[str, Format]) -> bool:
    """Whether one loop computes what each case of its merge gives: the innermost one, where that is cheap.

    Which of two random rows has the next coordinate is anyone's guess, and a wrong one costs more than all cases do.
    """
    points = problem.lattice(order[depth], formats).points
    if not merges(problem, order, depth, formats) or len(points) > MOST_CASES or problem.dtype.startswith("complex"):
        return False
    return all(_is_cheap(point.expr) for point in points) and problem.prices.blend < step_cost(problem)


def step_cost(problem: Problem) -> float:
    """One step of a merge with branches."""
    prices = problem.prices
    return prices.merge if problem.surprise is None else prices.foretold + problem.surprise * prices.wrong


def _is_cheap(expr: Expr) -> bool:
    return not isinstance(expr, Apply) or (expr.op in CHEAP and all(map(_is_cheap, expr.args)))


def merging(
    problem: Problem, order: tuple[str, ...], tiled: str | None, formats: Mapping[str, Format]
) -> dict[str, Merging]:
    """How the loops merge that walk several accesses, by their index; those that do so with branches are left out."""
    found = {}
    for depth, index in enumerate(order):
        how = Merging(searched(problem, order, depth, formats))
        if not how.searched and tiled is None and blended(problem, order, depth, formats):
            how = Merging(blended=True)
        if how != Merging():
            found[index] = how
    return found


def steps(problem: Problem, order: tuple[str, ...], depth: int, formats: Mapping[str, Format]) -> float:
    """The most entries that a merge can give below one node of the loops outside it: as many as an access has that
    every case needs, or as all have together; a place for each coordinate where all of them are visited."""
    points = problem.lattice(order[depth], formats).points
    if points[0].full:
        return float(problem.extents[order[depth]])
    needed = frozenset.intersection(*(point.iterators for point in points))
    lengths = [children(problem, access, order, depth) for access in needed or points[0].iterators]
    return min(lengths) if needed else sum(lengths)


def with_merges(stmt: Stmt, choices: Mapping[str, Merging]) -> Stmt:
    """The loop tree in which the loops over some indices merge as chosen."""
    match stmt:
        case Loop(index, body):
            how = choices.get(index, Merging())
            return replace(stmt, body=with_merges(body, choices), searched=how.searched, blended=how.blended)
        case Where(_, producer, consumer):
            return replace(stmt, producer=with_merges(producer, choices), consumer=with_merges(consumer, choices))
        case Block(stmts):
            return Block(tuple(with_merges(inner, choices) for inner in stmts))
        case Classes(few, many):
            one, other = with_merges(few, choices), with_merges(many, choices)
            assert isinstance(one, Where)
            assert isinstance(other, Where)
            return Classes(one, other)
    return stmt


def told(problem: Problem, order: tuple[str, ...], choices: Mapping[str, Merging]) -> Iterator[str]:
    """A line for each loop that merges otherwise than with branches."""
    for index, how in choices.items():
        depth = order.index(index)
        if how.searched:
            many = ", ".join(f"{children(problem, a, order, depth):,.0f}" for a in how.searched)
            yield (
                f"{index}: coordinates are searched in {', '.join(map(str, how.searched))}, which "
                f"{'has' if len(how.searched) == 1 else 'have'} about {many} "
                "below one coordinate outside, many times those of what leads"
            )
        else:
            yield f"{index}: merged without branches, which of the operands comes next being hard to foretell"

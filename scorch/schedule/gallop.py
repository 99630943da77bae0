"""Galloping: of operands that a loop intersects, a short one leads, and its coordinates are searched in long ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from scorch.formats import Format
from scorch.ir.notation import Access
from scorch.ir.plan import Block, Loop, Stmt, Where
from scorch.schedule.problem import Problem

__all__ = ["children", "gallop", "searched", "told"]

RATIO = 16  # of stored coordinates, from which on a search passes over more than it costs


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


def gallop(stmt: Stmt, choices: Mapping[str, tuple[Access, ...]]) -> Stmt:
    """The loop tree in which the loops over some indices search in these accesses."""
    match stmt:
        case Loop(index, body):
            return replace(stmt, body=gallop(body, choices), searched=choices.get(index, ()))
        case Where(_, producer, consumer):
            return replace(stmt, producer=gallop(producer, choices), consumer=gallop(consumer, choices))
        case Block(stmts):
            return Block(tuple(gallop(inner, choices) for inner in stmts))
    return stmt


def told(problem: Problem, order: tuple[str, ...], choices: Mapping[str, tuple[Access, ...]]) -> tuple[str, ...]:
    """A line for each loop that searches."""
    return tuple(
        f"{index}: coordinates are searched in {', '.join(map(str, found))}, which "
        f"{'has' if len(found) == 1 else 'have'} about "
        f"{', '.join(f'{children(problem, a, order, order.index(index)):,.0f}' for a in found)} "
        "below one coordinate outside, many times those of what leads"
        for index, found in choices.items()
    )

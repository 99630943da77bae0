"""Choosing how a loop order writes a result format: in place, on a shared pattern, in order, by rows, or unsorted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from scorch.formats import Compressed, Dense, Format, Level, Singleton
from scorch.ir.graph import level_indices, walks
from scorch.ir.notation import Access
from scorch.ir.plan import Assembly
from scorch.schedule.problem import Problem, appended_bits

__all__ = ["Writing", "choose_assembly", "unsorted_coo"]


COUNTERS = 1 << 26  # of entries by coordinate and thread, at most


@dataclass(frozen=True)
class Writing:
    """How a kernel writes: its assembly, the format that it writes, and the outer loops of a row accumulator, if it has
    one.

    A `format` that differs from the wanted one is reordered after the kernel. `most` entries are expected to need room
    where they are not counted first.
    """

    assembly: Assembly
    format: Format
    scatter: str | None = None
    split: int = 0
    most: float = 0.0


@lru_cache(maxsize=256)
def unsorted_coo(order: tuple[int, ...]) -> Format:
    """Coordinate lists in the order of arrival: every loop order can append to them."""
    first = Compressed(ordered=False, unique=False)
    return Format((first, *(Singleton(ordered=False, unique=False) for _ in order[1:])), order)


def choose_assembly(
    problem: Problem, order: tuple[str, ...], wanted: Format, formats: dict[str, Format]
) -> Writing | None:
    """The cheapest way in which loops in this order can write a result that is wanted in a format, if there is one.

    `order` has every index; `formats` the operands' formats after conversion.
    """
    target = problem.statement.target
    path = level_indices(target, wanted)
    if wanted.is_dense:
        return Writing(Assembly("locate", owned=_owned(problem, order, formats)), wanted)
    source = _shared(problem, wanted, formats)
    if source is not None:
        others = any(not formats[a.tensor].is_dense for a in problem.accesses if a != source)
        # Others may have nothing where the source has a value.
        owned = _reduces_inside(problem, order) and not others and not problem.statement.equal
        return Writing(Assembly("share", owned=owned, source=source), wanted)
    above = _shared_above(problem, order, wanted, formats)
    if above is not None:
        source, depth = above
        return Writing(Assembly("share", owned=True, source=source, depth=depth), wanted)
    entries = _relevelled(problem, order, wanted, formats) if problem.structure else None
    if entries is not None:
        gaps = _gaps(problem, path, wanted, formats)
        written = len(wanted.levels) - _has_coordinates(problem, entries, wanted)
        return Writing(Assembly("relevel", source=entries, depth=written, gaps=gaps), wanted)
    filtered = problem.absent is None
    # Below an appended level that is followed by dense ones, all places are there, whatever their sums meet.
    guarded = not filtered and not wanted.levels[-1].full and _may_meet_nothing(problem, order, formats)
    gaps = _gaps(problem, path, wanted, formats)
    below = path[max((n for n, level in enumerate(wanted.levels) if not level.full), default=0) + 1 :]
    owned = (
        bool(below)
        and not problem.filters
        and not any(walks(a, v, formats[a.tensor]) for a in problem.accesses for v in below)
    )
    assembly = Assembly("append", owned=owned, filtered=filtered, guarded=guarded, gaps=gaps)
    ranks = [order.index(v) for v in path]
    firsts = [order.index(v) for v in order if v not in path]
    ascending = ranks == sorted(ranks)
    if (
        ascending
        and ranks
        and all(r > ranks[-1] for r in firsts)
        and _distinct_and_sorted(problem, path, wanted, formats)
    ):
        return Writing(assembly, wanted)
    *outer, last = path
    in_place = ranks[:-1] == list(range(len(outer))) and _distinct_and_sorted(problem, tuple(outer), wanted, formats)
    if in_place and not wanted.levels[-1].full and not wanted.levels[-1].branchless and not filtered:
        return Writing(replace(assembly, guarded=False), wanted, scatter=last, split=len(outer))
    if _countable(problem, order, wanted, formats):
        return Writing(Assembly("bucket"), wanted)
    if problem.statement.reduced and problem.statement.reduce != "add" and not _is_disjunction(problem):
        return None  # values of one coordinate are added when a list of entries is sorted
    return Writing(replace(assembly, gaps=False), unsorted_coo(wanted.order))


def _is_disjunction(problem: Problem) -> bool:
    return problem.statement.reduce == "or" and problem.dtype == "bool"


def _countable(problem: Problem, order: tuple[str, ...], wanted: Format, formats: dict[str, Format]) -> bool:
    """Whether entries can be placed by counting: they come in the order of the result, and once, as far as it claims
    that; but for its outermost index, by which they are placed.

    The levels below the outermost are one list of coordinates: compressed below dense, or coordinate lists.
    """
    first, *rest = level_indices(problem.statement.target, wanted)
    below = wanted.levels[1:]
    lists = not wanted.levels[0].full and all(level.branchless for level in below)
    rows = wanted.levels[0].full and len(below) == 1 and not below[0].full
    if not rest or not (lists or rows) or set(order) != {first, *rest} or problem.statement.equal:
        return False
    if (
        problem.filters
        or [v for v in order if v != first] != rest
        or problem.extents[first] * problem.threads > COUNTERS
    ):
        return False
    access = problem.accesses[0]
    source = formats[access.tensor]
    if len(problem.accesses) > 1 or source.is_dense:
        return False
    path = zip(level_indices(access, source), source.levels, strict=True)
    ordered = not wanted.is_ordered or all(level.ordered for index, level in path if index != first)
    return ordered and (source.is_unique or not wanted.is_unique)


def _may_meet_nothing(problem: Problem, order: tuple[str, ...], formats: dict[str, Format]) -> bool:
    """Whether a reduction inside all loops over the result walks stored values, or filters, and so may meet none."""
    target = problem.statement.target.indices
    last = max((n for n, v in enumerate(order) if v in target), default=-1)
    if problem.filters and last + 1 < len(order):
        return True
    return any(walks(a, v, formats[a.tensor]) for a in problem.accesses for v in order[last + 1 :])


def _gaps(problem: Problem, path: tuple[str, ...], wanted: Format, formats: dict[str, Format]) -> bool:
    """Whether some places of a dense level above an appended one are never visited, since a loop outside walks
    sparsely."""
    lowest = max(n for n, level in enumerate(wanted.levels) if not level.full)
    last = max((n for n, level in enumerate(wanted.levels[:lowest]) if level.full), default=-1)
    return any(walks(a, v, formats[a.tensor]) for a in problem.accesses for v in path[: last + 1])


def _owned(problem: Problem, order: tuple[str, ...], formats: dict[str, Format]) -> bool:
    """Whether each place of a dense result is written just once: reductions are inside, no result index is walked
    sparsely. A factor that leaves a reduction may be all that loops over result indices walk."""
    if not _reduces_inside(problem, order) or problem.statement.equal or problem.filters:
        return False
    every_place = problem.absent is None and not problem.statement.reduced
    return every_place or not any(
        walks(a, v, formats[a.tensor]) for a in problem.accesses for v in problem.statement.target.indices
    )


def _reduces_inside(problem: Problem, order: tuple[str, ...]) -> bool:
    """Whether every loop over a result index stands outside every reduction."""
    inside = [v in problem.statement.target.indices for v in order]
    return inside == sorted(inside, reverse=True)


def _shared(problem: Problem, wanted: Format, formats: dict[str, Format]) -> Access | None:
    """The one sparse operand whose coordinates the result has, if the result may take its very pattern."""
    target = problem.statement.target
    sparse = [a for a in problem.accesses if not formats[a.tensor].is_dense]
    if problem.onto is not None:
        sparse = [a for a in sparse if a.tensor == problem.onto]
    elif problem.absent is None or problem.filters or problem.statement.equal:
        return None
    if len(sparse) != 1:
        return None
    (source,) = sparse
    if set(source.indices) != set(target.indices):
        return None
    format = formats[source.tensor]
    same = level_indices(source, format) == level_indices(target, wanted) and format.levels == wanted.levels
    return source if same else None


def _shared_above(
    problem: Problem, order: tuple[str, ...], wanted: Format, formats: dict[str, Format]
) -> tuple[Access, int] | None:
    """The one sparse operand whose upper levels the result may take, with dense ones below, and how many they are.

    Below them the operand is reduced, inside all loops over the result, and has a value everywhere: an empty sum would
    be stored.
    """
    sparse = [a for a in problem.accesses if not formats[a.tensor].is_dense]
    if len(sparse) != 1 or not _reduces_inside(problem, order):
        return None
    if problem.onto is not None or problem.absent is None or problem.filters or problem.statement.equal:
        return None
    (source,) = sparse
    format, path = formats[source.tensor], level_indices(source, formats[source.tensor])
    target = level_indices(problem.statement.target, wanted)
    depth = next((n for n, (a, b) in enumerate(zip(path, target, strict=False)) if a != b), min(len(path), len(target)))
    above, below = format.levels[:depth], wanted.levels[depth:]
    if all(level.full for level in above) or above != wanted.levels[:depth] or not all(level.unique for level in above):
        return None
    if any(type(level) is not Dense for level in below) or set(target[depth:]) & set(path):
        return None
    complete = problem.by_name[source.tensor].statistics.complete[depth:]
    converted = format != problem.by_name[source.tensor].format
    if set(path[depth:]) & set(target) or converted or not all(complete) or depth == len(format.levels) == len(target):
        return None
    return source, depth


def _relevelled(problem: Problem, order: tuple[str, ...], wanted: Format, formats: dict[str, Format]) -> Access | None:
    """The operand of a copy whose entries are the result's, in the same order, if the result has one list of positions
    for them: below dense levels, or as coordinate lists."""
    (access,) = problem.accesses
    source, path = formats[access.tensor], level_indices(problem.statement.target, wanted)
    lists = [n for n, level in enumerate(wanted.levels) if not level.full and not level.branchless]
    one_list = len(lists) == 1 and all(level.branchless for level in wanted.levels[lists[0] + 1 :])
    same = level_indices(access, source) == path == order and not source.levels[-1].full
    return access if one_list and same and source.is_ordered and source.is_unique else None


def _has_coordinates(problem: Problem, access: Access, wanted: Format) -> bool:
    """Whether an operand's innermost coordinates are as narrow as those of a result; wider ones cost at every use."""
    operand = problem.by_name[access.tensor]
    wide = dict(zip(operand.format.levels[-1].arrays, operand.bits[-1], strict=True))
    narrow = dict(zip(wanted.levels[-1].arrays, appended_bits(wanted, problem.shape)[-1], strict=True))
    return wide["crd"] == narrow["crd"]


def _distinct_and_sorted(problem: Problem, path: tuple[str, ...], wanted: Format, formats: dict[str, Format]) -> bool:
    """Whether what the operands yield for these outermost levels of the result has the order and uniqueness that its
    format claims, or needs: whatever stands above an appended level must come in order, once."""
    lowest = max(n for n, level in enumerate(wanted.levels) if not (level.full or level.branchless))
    for access in problem.accesses:
        format = formats[access.tensor]
        for index, level in zip(level_indices(access, format), format.levels, strict=True):
            above = index in path[:lowest]
            if index in path and not level.ordered and (above or wanted.is_ordered):
                return False
            if index in path and (above or wanted.is_unique) and _repeats(access, index, level, formats):
                return False
    return True


def _repeats(access: Access, index: str, level: Level, formats: dict[str, Format]) -> bool:
    """Whether a loop over the index can meet one coordinate twice: in the last level of a format that allows
    duplicates, or in one whose equal coordinates need not follow each other."""
    format = formats[access.tensor]
    last = level_indices(access, format)[-1] == index
    return (last and not format.is_unique) or not (level.unique or level.ordered)

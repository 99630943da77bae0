"""The result's format: dense or sparse from the expression and the operands' formats only, its levels from
statistics."""

from __future__ import annotations

from itertools import combinations

from scorch.formats import Compressed, Dense, Format, Level, csr, dense
from scorch.ir.graph import level_indices
from scorch.ir.notation import Access
from scorch.schedule.problem import Problem

__all__ = ["candidate_formats", "is_sparse_result"]

DENSE_SHARE = 0.1  # of the rows of a leading dimension must hold something for a dense level to pay


def is_sparse_result(problem: Problem) -> bool:
    """Whether the result is a sparse tensor.

    It is dense where dense operands give it a value at every coordinate. Else it is sparse if one of its indices is
    stored sparsely by an operand, or two sparse operands bring an index each and are multiplied over a third; but not
    if it has just one index from sparse operands and they are reduced over another: a product with a sparse matrix, or
    its row sums, fill the rows that they touch.
    """
    if problem.absent is None:
        return False
    target = set(problem.statement.target.indices)
    stored_sparsely = set()
    for access in problem.sparse:
        format = problem.format(access)
        for index, level in zip(level_indices(access, format), format.levels, strict=True):
            if index in target and not level.full:
                stored_sparsely.add(index)
    if not stored_sparsely:
        return _is_product_of_two(problem)
    shared = target & {v for a in problem.sparse for v in a.indices}
    if len(shared) > 1:
        return True
    return all(set(a.indices) <= target for a in problem.sparse if shared & set(a.indices))


def _is_product_of_two(problem: Problem) -> bool:
    """Whether two sparse operands that share a reduced index each have a result index that the other lacks."""
    target = set(problem.statement.target.indices)
    for left, right in combinations(problem.sparse, 2):
        a, b = set(left.indices), set(right.indices)
        if (a & b) - target and (a - b) & target and (b - a) & target:
            return True
    return False


def candidate_formats(problem: Problem) -> list[Format]:
    """Formats that the result may take, the preferred one first."""
    if problem.wanted is not None:
        return [problem.wanted]
    target = problem.statement.target
    if not is_sparse_result(problem):
        return [dense(len(target.indices))]
    natural = tuple(range(len(target.indices)))
    found = [Format(_levels(problem, natural), natural)]
    for access in problem.sparse:
        if set(access.indices) == set(target.indices):
            format = problem.format(access)
            order = tuple(target.indices.index(v) for v in level_indices(access, format))
            found.insert(0, Format(format.levels, order))
        elif above := _levels_above(problem, access):
            found.append(above)
    return list(dict.fromkeys(found))


def _levels_above(problem: Problem, access: Access) -> Format | None:
    """The format that takes an operand's levels down to where it is reduced, and dense ones for what it lacks; None if
    no index of a sparse level is left."""
    target, format = problem.statement.target.indices, problem.format(access)
    path = level_indices(access, format)
    depth = next((n for n, v in enumerate(path) if v not in target), len(path))
    rest = [v for v in target if v not in path]
    above = format.levels[:depth]
    if all(level.full for level in above) or not all(level.unique for level in above):
        return None
    walked = {v for other in problem.sparse for v in other.indices}
    if depth + len(rest) != len(target) or walked & set(rest):
        return None  # what another operand stores sparsely would be padded
    order = tuple(target.index(v) for v in (*path[:depth], *rest))
    return Format((*above, *(Dense() for _ in rest)), order)


def _levels(problem: Problem, order: tuple[int, ...]) -> tuple[Level, ...]:
    """A level a dimension: dense where most coordinates will be there, compressed elsewhere."""
    indices = [problem.statement.target.indices[d] for d in order]
    levels: list[Level] = []
    for depth, index in enumerate(indices):
        walked = any(
            not problem.format(a).levels[level_indices(a, problem.format(a)).index(index)].full
            for a in problem.sparse
            if index in a.indices
        )
        if (not walked and all(level.full for level in levels)) or not any(index in a.indices for a in problem.sparse):
            levels.append(Dense())
        else:
            here = problem.entries((index,)) / max(1, problem.extents[index])
            leading = depth == 0 and len(indices) > 1 and here > DENSE_SHARE
            levels.append(Dense() if leading else Compressed())
    if all(level.full for level in levels):
        return csr.levels if len(levels) == 2 else (*levels[:-1], Compressed())
    return tuple(levels)

"""The iteration graph: the index variables of a statement, and the order that the operands' level trees force on them.

A level that locates (dense) can be entered whenever its index is known. Any other level is reached only from its
parent's position, so the indices of all levels above it must be bound before its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from scorch.formats import Format
from scorch.ir.notation import Access, Assign

__all__ = ["IterationGraph", "build_graph", "level_indices", "may_visit_nothing", "walks"]


@dataclass(frozen=True, slots=True)
class IterationGraph:
    """Index variables with their extents, and edges (before, after, access that wants it).

    >>> from scorch.formats import csr
    >>> from scorch.ir.einsum import parse_einsum
    >>> s = parse_einsum("ik,kj->ij", [(2, 3), (3, 4)])
    >>> g = build_graph(s, {"A": csr, "B": csr}, {"i": 2, "j": 4, "k": 3})
    >>> print(g)
    i -> k (A[i,k])
    k -> j (B[k,j])
    >>> list(g.orders())
    [('i', 'k', 'j')]
    """

    indices: tuple[str, ...]
    extents: tuple[tuple[str, int], ...]
    edges: tuple[tuple[str, str, Access], ...]

    def conflicts(self, order: tuple[str, ...]) -> tuple[Access, ...]:
        """The accesses whose level tree forbids this loop order."""
        rank = {v: n for n, v in enumerate(order)}
        return tuple(dict.fromkeys(access for before, after, access in self.edges if rank[before] > rank[after]))

    def orders(self) -> Iterator[tuple[str, ...]]:
        """Every loop order that respects all edges; none if they form a cycle."""
        yield from self._extend((), frozenset(self.indices))

    def _extend(self, done: tuple[str, ...], left: frozenset[str]) -> Iterator[tuple[str, ...]]:
        if not left:
            yield done
        for v in self.indices:
            if v in left and not any(after == v and before in left for before, after, _ in self.edges):
                yield from self._extend((*done, v), left - {v})

    def __str__(self) -> str:
        return "\n".join(f"{before} -> {after} ({access})" for before, after, access in self.edges)


def level_indices(access: Access, format: Format) -> tuple[str, ...]:
    """The index of each level of an access, outermost first."""
    return tuple([access.indices[d] for d in format.order])


def walks(access: Access, index: str, format: Format) -> bool:
    """Whether a loop over the index must walk the access's stored coordinates, rather than locate in it.

    >>> from scorch.formats import csr
    >>> A = Access("A", ("i", "k"))
    >>> walks(A, "i", csr), walks(A, "k", csr), walks(A, "j", csr)
    (False, True, False)
    """
    return index in access.indices and not format.levels[level_indices(access, format).index(index)].locates


def may_visit_nothing(accesses: Iterable[Access], index: str, formats: Mapping[str, Format]) -> bool:
    """Whether a loop can find no coordinate: not if it walks the children of nodes that are there because of these.

    >>> from scorch.formats import csf, csr
    >>> T, A = Access("T", ("i", "j", "k")), Access("A", ("i", "j"))
    >>> [may_visit_nothing([T], v, {"T": csf(3)}) for v in "ijk"]
    [True, False, False]
    >>> may_visit_nothing([A], "j", {"A": csr}), may_visit_nothing([T, A], "j", {"T": csf(3), "A": csr})
    (True, True)
    """
    walked = [a for a in accesses if walks(a, index, formats[a.tensor])]
    if len(walked) != 1:
        return bool(walked)
    (access,) = walked
    format = formats[access.tensor]
    depth = level_indices(access, format).index(index)
    return depth == 0 or format.levels[depth - 1].full


def build_graph(statement: Assign, formats: Mapping[str, Format], extents: Mapping[str, int]) -> IterationGraph:
    """The graph of a statement over operands of these formats."""
    edges: list[tuple[str, str, Access]] = []
    for access in statement.accesses:
        format = formats[access.tensor]
        path = level_indices(access, format)
        for depth, level in enumerate(format.levels):
            if not level.locates:
                edges += [(above, path[depth], access) for above in path[:depth]]
    return IterationGraph(statement.indices, tuple((v, extents[v]) for v in statement.indices), tuple(edges))

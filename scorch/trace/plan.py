"""Which of the calls that were put off become statements together, and which run as they are.

Calls are joined to the one that alone reads them where that is of use: products of a matrix chain, what follows a
product with a sparse matrix, products that are read where a sparse tensor has entries only, and what is done with the
rows of a sparse tensor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from scorch.ir.notation import Apply, Assign, Expr, Literal, has_vector_form
from scorch.ir.plan import Alternative
from scorch.ir.statement import ABSENT
from scorch.trace.graph import Graph, Ref
from scorch.trace.node import Contract, Map, Node, Softmax, Sum
from scorch.trace.write import written

__all__ = ["AsIs", "Program", "Step", "Together", "plan"]


@dataclass(frozen=True)
class AsIs:
    """A call that torch or Scorch runs as it was written."""

    node: int


@dataclass(frozen=True)
class Together:
    """Calls that become statements; `node` is the last of them, whose result they have.

    `operands` names what the statements read; `orders` are the orders of multiplication that were looked at; by `call`
    `scorch.recall` knows the step.
    """

    node: int
    members: tuple[int, ...]
    statements: tuple[Assign, ...]
    operands: tuple[tuple[str, Ref], ...]
    orders: tuple[Alternative, ...] = ()
    call: object = field(default_factory=object, compare=False, repr=False)


Step: TypeAlias = "AsIs | Together"


@dataclass(frozen=True)
class Program:
    """Steps in the order in which they run."""

    steps: tuple[Step, ...]


def plan(graph: Graph, wanted: frozenset[int], fuse: bool) -> Program:
    """The steps that compute the wanted nodes of a graph."""
    leaders = _leaders(graph, wanted, fuse)
    steps: list[Step] = []
    for n in sorted(set(leaders.values())):
        members = tuple(sorted(m for m, leader in leaders.items() if leader == n))
        steps.append(_step(graph, n, members))
    return Program(tuple(steps))


def _step(graph: Graph, leader: int, members: tuple[int, ...]) -> Step:
    if len(members) == 1 and not _is_theirs(graph, leader):
        return AsIs(leader)
    statements, operands, orders = written(graph, leader, frozenset(members))
    return Together(leader, members, statements, operands, orders)


def _is_theirs(graph: Graph, n: int) -> bool:
    """Whether a node multiplies one of torch's own sparse tensors, which Scorch does faster."""
    return isinstance(graph.nodes[n].form, Contract) and any(graph.is_theirs(ref) for ref in graph.operands[n])


def _leaders(graph: Graph, wanted: frozenset[int], fuse: bool) -> dict[int, int]:
    """For each node the last one of those that it is joined to."""
    leaders: dict[int, int] = {}
    for n in reversed(range(len(graph.nodes))):
        readers = graph.readers[n]
        own = {leaders[reader] for reader in readers}
        if n in wanted or len(own) != 1 or not all(_joins(graph, n, reader, leaders, fuse) for reader in readers):
            leaders[n] = n
        else:
            leaders[n] = own.pop()
    return leaders


def _joins(graph: Graph, n: int, reader: int, leaders: Mapping[int, int], fuse: bool) -> bool:
    """Whether a node becomes part of the statements of one that reads it."""
    first, then = graph.nodes[n], graph.nodes[reader]
    if first.recorded != then.recorded:
        return False
    match first.form, then.form:
        case Contract(), Contract():
            return _is_chain(graph, n, reader)
        case _, Softmax() | Sum():
            return _is_rows(first)
        case ((Map() | Softmax()), Contract()):
            return fuse and not then.recorded and _is_rows(first)
        case Contract(), Map():
            if _is_sampled(graph, n, reader, leaders):
                return True
            return _follows(graph, n, reader, fuse) and _reaches(graph, n)
        case Map(), Map():
            if first.sparse or _is_sampled(graph, n, reader, leaders):
                return then.sparse and _is_light(first)
            return _follows(graph, n, reader, fuse) and _touches(graph, n)
    return False


def _is_rows(node: Node) -> bool:
    """Whether a node is a sparse tensor with the pattern of an operand."""
    return node.sparse and node.like is not None and not isinstance(node.form, Contract) and _is_light(node)


def _is_light(node: Node) -> bool:
    """Whether what is done with each value has a form in SIMD, so that torch is not faster."""
    return not isinstance(node.form, Map) or has_vector_form(node.form.expr)


def _is_chain(graph: Graph, n: int, reader: int) -> bool:
    """Whether two products may become one whose order is chosen: matrices, at least one of them sparse."""
    first, then = graph.nodes[n], graph.nodes[reader]
    refs = (*graph.operands[n], *graph.operands[reader])
    matrices = len(first.shape) == len(then.shape) == 2 and all(len(graph.shape(ref)) == 2 for ref in refs)
    return matrices and len(graph.readers[n]) == 1 and any(map(graph.is_sparse, refs)) and not then.sparse


def _is_sampled(graph: Graph, n: int, reader: int, leaders: Mapping[int, int]) -> bool:
    """Whether a dense product, or a scaling of one, is read only where a sparse tensor has entries."""
    first, then = graph.nodes[n], graph.nodes[reader]
    if first.sparse or first.shape != then.shape or not isinstance(then.form, Map) or not _is_scaling(then.form.expr):
        return False
    if isinstance(first.form, Map) and not _is_scaling(first.form.expr):
        return False
    if then.sparse:
        return then.like is not None
    above = graph.readers[reader]
    return len(above) == 1 and leaders[reader] != reader and _is_sampled(graph, reader, above[0], leaders)


def _is_scaling(expr: Expr) -> bool:
    """Whether an expression is a product of what it reads and constants, perhaps at some places only."""
    if isinstance(expr, Apply):
        if expr.op == "where" and expr.args[2] == ABSENT:
            return _is_scaling(expr.args[1])
        return expr.op == "mul" and all(map(_is_scaling, expr.args))
    return True


def _follows(graph: Graph, n: int, reader: int, fuse: bool) -> bool:
    """Whether a reader does something with each value of a dense result where it is written."""
    first, then = graph.nodes[n], graph.nodes[reader]
    same = first.shape == then.shape and not first.sparse and not then.sparse
    return fuse and not then.recorded and same and _is_light(then) and not _is_constant(then)


def _is_constant(node: Node) -> bool:
    return isinstance(node.form, Map) and isinstance(node.form.expr, Literal)


def _touches(graph: Graph, n: int) -> bool:
    """Whether a dense function of each value reads a sparse tensor, or what follows a product with one."""
    shape = graph.nodes[n].shape
    return any(graph.is_sparse(ref) or _reaches(graph, graph.node(ref), shape) for ref in graph.operands[n])


def _reaches(graph: Graph, n: int | None, shape: tuple[int, ...] | None = None) -> bool:
    """Whether a node is a product with a sparse tensor, or a function of each value that follows one of its shape."""
    if n is None or shape not in (None, graph.nodes[n].shape):
        return False
    form, refs = graph.nodes[n].form, graph.operands[n]
    if isinstance(form, Map):
        return _touches(graph, n)
    if not isinstance(form, Contract):
        return False
    chained = (m for m in map(graph.node, refs) if m is not None and isinstance(graph.nodes[m].form, Contract))
    return any(map(graph.is_sparse, refs)) or any(_is_chain(graph, m, n) for m in chained)

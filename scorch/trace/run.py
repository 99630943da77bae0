"""Computing what was put off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any, NamedTuple, Protocol

import torch

from scorch import autograd, engine, recall
from scorch.engine import Observer
from scorch.errors import ScorchError
from scorch.formats import Storage
from scorch.operand import Stored, as_storage, bind
from scorch.tensor import Tensor
from scorch.trace.graph import Graph, Leaf, Ref, graph_of
from scorch.trace.node import Call, Contract, Node, Sum
from scorch.trace.plan import AsIs, Program, Step, Together, plan

__all__ = ["Evaluated", "Told", "evaluate", "put", "steps"]


class Told(Protocol):
    """Who is told what is done."""

    def put_off(self, node: Node) -> None:
        """A call is put off."""

    def ran(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        """A call ran as it is."""

    def step(self, graph: Graph, step: Step) -> Observer:
        """A step is about to run; who observes its statements."""

    def refused(self, error: ScorchError) -> None:
        """The statements of that step were refused, so that its calls run as they are."""


class Evaluated(NamedTuple):
    """A graph, the program that computed it, and its calls, of which nodes let go when they are done."""

    graph: Graph
    program: Program
    calls: tuple[Call, ...]

    @property
    def result(self) -> Any:
        """What the last step made."""
        return self.graph.nodes[self.program.steps[-1].node].value


def evaluate(targets: Sequence[Node], looked_at: Set[Node], fuse: bool, told: Told | None = None) -> Evaluated:
    """Compute nodes, and with them those that they need and that may be looked at later, if computing them again would
    cost a product, or part them from the graph of differentiation. What was run for that."""
    graph = graph_of(targets)
    wanted = frozenset(n for n, node in enumerate(graph.nodes) if node in targets or _is_kept(node, looked_at))
    key = ("trace", graph.key, wanted, fuse, engine.settings())
    program: Program | None = engine.find(key)
    if program is None:
        program = plan(graph, wanted, fuse)
        engine.remember(key, program, [as_storage(x) for x in graph.leaves if _is_sparse(x)])
    calls = tuple([node.call for node in graph.nodes])
    for n, value in steps(graph, program, told).items():
        graph.nodes[n].done(value)
    return Evaluated(graph, program, calls)


def steps(graph: Graph, program: Program, told: Told | None = None) -> dict[int, Any]:
    """The results of the steps of a program, by node."""
    made: dict[int, Any] = {}
    for step in program.steps:
        made[step.node] = _run(step, graph, made, told)
    return made


def _is_kept(node: Node, looked_at: Set[Node]) -> bool:
    return node in looked_at and (node.recorded or isinstance(node.form, Contract | Sum))


def _is_sparse(x: Any) -> bool:
    return isinstance(x, Stored) or x.layout is not torch.strided


def _run(step: Step, graph: Graph, made: dict[int, Any], told: Told | None) -> Any:
    with torch.set_grad_enabled(graph.nodes[step.node].recorded):
        observe = None if told is None else told.step(graph, step)
        if isinstance(step, AsIs):
            return _as_is(step.node, graph, made)
        try:
            return _together(step, graph, made, observe)
        except ScorchError as error:
            if told is not None:
                told.refused(error)
            return _one_by_one(step, graph, made)


def _as_is(n: int, graph: Graph, made: dict[int, Any]) -> Any:
    call = graph.nodes[n].call
    known = {id(graph.nodes[m]): value for m, value in made.items()}
    return call.function(*put(call.args, graph.leaves, known), **put(call.kwargs, graph.leaves, known))


def put(value: Any, leaves: Sequence[Any], known: Mapping[int, Any]) -> Any:
    """Arguments with results in place of nodes, and tensors in place of leaves."""
    if isinstance(value, Leaf):
        return leaves[value.number]
    if isinstance(value, Node):
        return value.value if value.is_done else known[id(value)]
    if type(value) is dict:
        return {key: put(part, leaves, known) for key, part in value.items()}
    if type(value) in (list, tuple):
        return type(value)(put(part, leaves, known) for part in value)
    return value


def _one_by_one(step: Together, graph: Graph, made: dict[int, Any]) -> Any:
    """The calls of a step as they were written: the statements were refused."""
    own = dict(made)
    for n in step.members:
        own[n] = _as_is(n, graph, own)
    return own[step.node]


def _together(step: Together, graph: Graph, made: dict[int, Any], observe: Observer | None) -> Any:
    node = graph.nodes[step.node]
    given = [_operand(ref, graph, made) for _, ref in step.operands]
    result = recall.run(step.call, given) if observe is None else None
    if result is None:
        operands = {name: as_storage(x) for (name, _), x in zip(step.operands, given, strict=True)}
        result = autograd.compute(step.statements, operands, observe=observe)
        bound = bind(given) if observe is None else None
        replay = None if bound is None else engine.find_replay(step.statements, operands)
        if bound is not None and replay is not None:
            recall.keep(step.call, given, bound[0], replay)
    if isinstance(result, Storage):
        made_sparse = Tensor(result)
        return made_sparse if node.sparse else made_sparse.to_dense().reshape(node.shape)
    return result if tuple(result.shape) == node.shape else result.reshape(node.shape)


def _operand(ref: Ref, graph: Graph, made: dict[int, Any]) -> Any:
    """An operand without its extents of 1, which notation leaves out."""
    value = made[ref[1]] if ref[0] == "node" else graph.leaves[ref[1]]
    if isinstance(value, torch.Tensor) and value.layout is torch.strided and 1 in value.shape:
        value = value.squeeze()
    return value

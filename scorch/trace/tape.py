"""What a recorded call ran, to be run again on other tensors of the same kinds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from scorch import engine
from scorch.engine.replay import joined
from scorch.operand import Stored, as_storage
from scorch.tensor import Tensor
from scorch.trace.graph import Leaf
from scorch.trace.node import Call, Node
from scorch.trace.plan import AsIs
from scorch.trace.run import Evaluated, steps

__all__ = ["Tape", "is_dense", "replay", "taped"]

_CONSTANTS = (int, float, bool, str, type(None), torch.dtype)


@dataclass(frozen=True)
class Tape:
    """The steps of a program over a graph that holds no tensor; `places` are those of its leaves among the operands."""

    evaluated: Evaluated
    places: tuple[int, ...]

    def __call__(self, operands: Sequence[Any]) -> Any:
        """The last step's result."""
        graph = replace(self.evaluated.graph, leaves=tuple([operands[place] for place in self.places]))
        return steps(graph, self.evaluated.program)[self.evaluated.program.steps[-1].node]


def taped(operands: Sequence[Any], evaluated: Evaluated) -> Tape | None:
    """A program that was run on these operands alone, without them; None if it read anything else."""
    graph, calls = evaluated.graph, evaluated.calls
    places = {id(x): n for n, x in enumerate(operands)}
    if any(id(leaf) not in places for leaf in graph.leaves):
        return None
    leaves = {id(leaf): Leaf(n) for n, leaf in enumerate(graph.leaves)}
    nodes: dict[int, Node] = {}
    for node, call in zip(graph.nodes, calls, strict=True):
        try:
            args, kwargs = (_without_tensors(part, nodes, leaves) for part in (call.args, call.kwargs))
        except LookupError:
            return None
        nodes[id(node)] = replace(node, operands=(), call=Call(call.function, args, kwargs), like=None, value=None)
    kept = replace(graph, nodes=tuple(nodes.values()), leaves=())
    return Tape(Evaluated(kept, evaluated.program, ()), tuple([places[id(leaf)] for leaf in graph.leaves]))


def _without_tensors(value: Any, nodes: dict[int, Node], leaves: dict[int, Leaf]) -> Any:
    """Arguments with nodes of the tape in place of those recorded, and numbers in place of tensors; LookupError where
    they hold anything but those and constants."""
    if isinstance(value, Node):
        return nodes[id(value)]
    if type(value) is dict:
        return {key: _without_tensors(part, nodes, leaves) for key, part in value.items()}
    if type(value) in (list, tuple):
        return type(value)([_without_tensors(part, nodes, leaves) for part in value])
    return value if isinstance(value, _CONSTANTS) else leaves[id(value)]


def replay(operands: Sequence[Any], evaluated: Evaluated) -> engine.Replay | None:
    """The kernels alone of a program that was run on these operands; None if it did more than run kernels on them."""
    graph, program = evaluated.graph, evaluated.program
    places = {id(x): n for n, x in enumerate(operands)}
    made: dict[int, int] = {}
    parts, count = [], len(operands)
    if not _are_full(graph.leaves):
        return None
    for step in program.steps:
        value = graph.nodes[step.node].value
        if isinstance(step, AsIs) or not _are_full([value]):
            return None
        storages, given = {}, []
        for name, (kind, n) in step.operands:
            storages[name] = as_storage(graph.nodes[n].value if kind == "node" else graph.leaves[n])
            given.append(made[n] if kind == "node" else places[id(graph.leaves[n])])
        found = engine.find_replay(step.statements, storages)
        if found is None or graph.nodes[step.node].sparse != isinstance(value, Tensor):
            return None
        parts.append((found, given))
        count += len(found.steps)
        made[step.node] = count - 1
    return joined(len(operands), parts)


def is_dense(x: Any) -> bool:
    """Whether an operand is a dense torch tensor."""
    return isinstance(x, torch.Tensor) and not isinstance(x, Stored) and x.layout is torch.strided


def _are_full(tensors: Iterable[Any]) -> bool:
    """Whether no dense tensor has an extent of 1, which notation leaves out: statements read it in another shape."""
    return not any(1 in x.shape for x in tensors if is_dense(x))

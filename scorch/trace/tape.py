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
from scorch.trace.run import Evaluated, put, steps

__all__ = ["Tape", "is_dense", "replay", "taped"]

_CONSTANTS = (int, float, bool, str, type(None), type(...), torch.dtype)


@dataclass(frozen=True)
class Tape:
    """The steps of a program over a graph that holds no tensor; `places` are those of its leaves among the operands and
    what calls make of these before, `rearranged`, one after the other."""

    evaluated: Evaluated
    places: tuple[int, ...]
    rearranged: tuple[Call, ...] = ()

    def __call__(self, operands: Sequence[Any]) -> Any:
        """The last step's result."""
        if self.rearranged:
            operands = list(operands)
            for call in self.rearranged:
                operands.append(call.function(*put(call.args, operands, {}), **put(call.kwargs, operands, {})))
        graph = replace(self.evaluated.graph, leaves=tuple([operands[place] for place in self.places]))
        return steps(graph, self.evaluated.program)[self.evaluated.program.steps[-1].node]


def taped(operands: Sequence[Any], rearranged: Sequence[tuple[Any, Call]], evaluated: Evaluated) -> Tape | None:
    """A program that was run on these operands and what was rearranged of them alone, without them; None if it read
    anything else."""
    graph, calls = evaluated.graph, evaluated.calls
    places = {id(x): n for n, x in enumerate(operands)}
    before: list[Call] = []
    for made, call in rearranged:
        source, *rest = call.args
        try:
            how = _kept(Call(call.function, tuple(rest), call.kwargs), {}, {})
            before.append(replace(how, args=(Leaf(places[id(source)]), *how.args)))
        except LookupError:
            continue  # of another tensor, or by the values of one: if its result is read, that is found out below
        places.setdefault(id(made), len(operands) + len(before) - 1)
    if any(id(leaf) not in places for leaf in graph.leaves):
        return None
    leaves = {id(leaf): Leaf(n) for n, leaf in enumerate(graph.leaves)}
    nodes: dict[int, Node] = {}
    for node, call in zip(graph.nodes, calls, strict=True):
        try:
            nodes[id(node)] = replace(node, operands=(), call=_kept(call, nodes, leaves), like=None, value=None)
        except LookupError:
            return None
    kept = replace(graph, nodes=tuple(nodes.values()), leaves=())
    read = tuple([places[id(leaf)] for leaf in graph.leaves])
    return Tape(Evaluated(kept, evaluated.program, ()), read, tuple(before))


def _kept(call: Call, nodes: dict[int, Node], leaves: dict[int, Leaf]) -> Call:
    """A call without its tensors."""
    args, kwargs = (_without_tensors(part, nodes, leaves) for part in (call.args, call.kwargs))
    return Call(call.function, args, kwargs)


def _without_tensors(value: Any, nodes: dict[int, Node], leaves: dict[int, Leaf]) -> Any:
    """Arguments with nodes of the tape in place of those recorded, and numbers in place of tensors; LookupError where
    they hold anything but those and constants."""
    if isinstance(value, Node):
        return nodes[id(value)]
    if type(value) is dict:
        return {key: _without_tensors(part, nodes, leaves) for key, part in value.items()}
    if type(value) in (list, tuple):
        return type(value)([_without_tensors(part, nodes, leaves) for part in value])
    if isinstance(value, slice):
        return slice(*(_without_tensors(part, nodes, leaves) for part in (value.start, value.stop, value.step)))
    return value if isinstance(value, _CONSTANTS) else leaves[id(value)]


def replay(
    operands: Sequence[Any], rearranged: Sequence[tuple[Any, Call]], evaluated: Evaluated
) -> engine.Replay | None:
    """The kernels alone of a program that was run on these operands, or on the same memory with its dimensions in
    another order; None if it did more than run kernels on them."""
    graph, program = evaluated.graph, evaluated.program
    places = {id(x): n for n, x in enumerate(operands)}
    for view, call in rearranged:
        source = call.args[0]
        if id(source) in places and _is_turned(view, source):
            places.setdefault(id(view), places[id(source)])
    made: dict[int, int] = {}
    parts, count = [], len(operands)
    if any(id(leaf) not in places for leaf in graph.leaves) or not _are_full(graph.leaves):
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


def _is_turned(made: torch.Tensor, source: torch.Tensor) -> bool:
    """Whether a tensor is another one with its dimensions in another order: kernels are given the same memory."""
    strides = made.stride()
    order = sorted(range(made.ndim), key=lambda d: -strides[d])
    same = made.data_ptr() == source.data_ptr() and made.shape.numel() == source.shape.numel()
    return same and source.is_contiguous() and made.permute(order).is_contiguous()


def is_dense(x: Any) -> bool:
    """Whether an operand is a dense torch tensor."""
    return isinstance(x, torch.Tensor) and not isinstance(x, Stored) and x.layout is torch.strided


def _are_full(tensors: Iterable[Any]) -> bool:
    """Whether no dense tensor has an extent of 1, which notation leaves out: statements read it in another shape."""
    return not any(1 in x.shape for x in tensors if is_dense(x))

"""The calls that a result needs, in the order in which they were made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch

from scorch.operand import Stored, as_storage
from scorch.trace.node import Node, is_sparse

__all__ = ["Graph", "Leaf", "Ref", "graph_of"]


@dataclass(frozen=True, slots=True)
class Leaf:
    """In place of a leaf of a graph, by its number, in a call that is kept without its tensors."""

    number: int


Ref: TypeAlias = tuple[str, int]
"""("node", n) or ("leaf", n): a node of the graph, or a tensor that is there."""


@dataclass(frozen=True)
class Graph:
    """Nodes that are put off, the tensors that they read, and who reads whom."""

    nodes: tuple[Node, ...]
    leaves: tuple[Any, ...]
    operands: tuple[tuple[Ref, ...], ...]
    readers: tuple[tuple[int, ...], ...] = field(default=())

    def node(self, ref: Ref) -> int | None:
        """The number of the node that is meant, if it is one."""
        return ref[1] if ref[0] == "node" else None

    def operand(self, ref: Ref) -> Any:
        """The node or tensor that is meant."""
        return self.nodes[ref[1]] if ref[0] == "node" else self.leaves[ref[1]]

    def shape(self, ref: Ref) -> tuple[int, ...]:
        """Its shape."""
        return tuple(self.operand(ref).shape)

    def is_sparse(self, ref: Ref) -> bool:
        """Whether it is sparse."""
        return is_sparse(self.operand(ref))

    def is_theirs(self, ref: Ref) -> bool:
        """Whether it is a torch.sparse tensor."""
        found = self.operand(ref)
        return isinstance(found, torch.Tensor) and found.layout is not torch.strided

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for graphs that one program serves."""
        calls = [(node.form, refs, node.recorded) for node, refs in zip(self.nodes, self.operands, strict=True)]
        return tuple(calls), tuple(map(_key, self.leaves))


def graph_of(targets: Sequence[Node]) -> Graph:
    """The graph of what the targets need."""
    nodes = tuple(sorted(_needed(targets), key=lambda node: node.number))
    places = {id(node): n for n, node in enumerate(nodes)}
    leaves: dict[int, tuple[int, Any]] = {}
    operands: list[tuple[Ref, ...]] = []
    for node in nodes:
        operands.append(tuple(_ref(x, places, leaves) for x in node.operands))
    readers: list[list[int]] = [[] for _ in nodes]
    for n, refs in enumerate(operands):
        for kind, place in refs:
            if kind == "node":
                readers[place].append(n)
    return Graph(nodes, tuple(x for _, x in leaves.values()), tuple(operands), tuple(map(tuple, readers)))


def _needed(targets: Sequence[Node]) -> list[Node]:
    found: dict[int, Node] = {}
    left = [node for node in targets if not node.is_done]
    while left:
        node = left.pop()
        if id(node) not in found:
            found[id(node)] = node
            left += [x for x in node.operands if isinstance(x, Node) and not x.is_done]
    return list(found.values())


def _ref(x: Any, places: dict[int, int], leaves: dict[int, tuple[int, Any]]) -> Ref:
    if isinstance(x, Node) and not x.is_done:
        return "node", places[id(x)]
    value = x.value if isinstance(x, Node) else x
    place, _ = leaves.setdefault(id(value), (len(leaves), value))
    return "leaf", place


def _key(leaf: Any) -> object:
    if isinstance(leaf, Stored):
        return leaf._storage.key
    if leaf.layout is not torch.strided:
        return as_storage(leaf).key
    return tuple(leaf.shape), leaf.dtype

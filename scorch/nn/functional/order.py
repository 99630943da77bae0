"""Whether a graph layer sums over neighbours or changes features first."""

from __future__ import annotations

from typing import Any

import torch

import scorch
from scorch import engine
from scorch.nn import structure
from scorch.nn.functional.linear import is_sparse
from scorch.operand import Stored, as_storage
from scorch.runtime import threads
from scorch.schedule.path import priced_pairs
from scorch.trace.node import Contract, contraction, described

__all__ = ["sums_first"]

_LAYER = Contract((("i", "j"), ("j", "f"), ("o", "f")), ("i", "o"))
_HEADS = Contract((("i", "j", "h"), ("j", "f"), ("h", "o", "f")), ("i", "h", "o"))


def sums_first(adjacency: Any, x: Any, weight: torch.Tensor) -> bool:
    """Whether (A x) weight.T is expected to take less time than A (x weight.T), by the prices of the schedule.

    `x` is (nodes, features), dense or sparse; `weight` (features out, features), or (heads, features out, features)
    where each head has its own values of A. Decided once for a pattern of A and of x; by the numbers of features where
    torch.compile traces.

    >>> A = scorch.tensor(torch.eye(50), "csr")
    >>> sums_first(A, torch.ones(50, 8), torch.ones(64, 8)), sums_first(A, torch.ones(50, 64), torch.ones(8, 64))
    (True, False)
    """
    if torch.compiler.is_compiling():
        return not is_sparse(x) and weight.shape[-2] > weight.shape[-1]
    operands = adjacency, x if isinstance(x, Stored | torch.Tensor) else scorch.tensor(x), weight
    key = ("sums first", *map(_key, operands), engine.settings())
    found: bool | None = engine.find(key)
    if found is None:
        found = _priced(*operands)
        engine.remember(key, found, [as_storage(operand) for operand in operands if is_sparse(operand)])
    return found


def _priced(adjacency: Any, x: Any, weight: torch.Tensor) -> bool:
    form, first = _LAYER, adjacency
    if weight.ndim == 3:
        storage = as_storage(adjacency)
        form, first = _HEADS, structure.with_ones(structure.headed(storage.pattern, len(weight)), adjacency.dtype)
    problem = contraction(form, [described(each) for each in (first, x, weight)], weight.dtype, threads.available())
    costs = priced_pairs(problem)
    return costs[0, 1] < costs[1, 2]


def _key(operand: Any) -> object:
    if isinstance(operand, Stored) or is_sparse(operand):
        return as_storage(operand).key
    return tuple(operand.shape), operand.dtype

"""scorch.Tensor in torch's trees."""

from __future__ import annotations

import pytest
import torch
from torch.utils import _pytree as pytree

import scorch

A = scorch.tensor([[0.0, 2.0], [1.0, 0.0]], "csr")


def test_values_are_leaves_and_patterns_structure() -> None:
    leaves, structure = pytree.tree_flatten({"A": A, "x": torch.ones(2)})
    assert [leaf.tolist() for leaf in leaves] == [[2.0, 1.0], [1.0, 1.0]]
    assert pytree.tree_flatten({"A": A.with_values([3.0, 4.0]), "x": torch.ones(2)})[1] == structure
    assert pytree.tree_flatten({"A": A.T, "x": torch.ones(2)})[1] != structure
    again = pytree.tree_unflatten(leaves, structure)["A"]
    assert isinstance(again, scorch.Tensor)
    assert again._storage.pattern is A._storage.pattern


def test_keys() -> None:
    ((path, _),), _ = pytree.tree_flatten_with_path([A])
    assert pytree.keystr(path) == "[0].values"


def test_fills_and_maps() -> None:
    filled = scorch.from_coo([[0]], [1.0], (3,), fill=5.0)
    mapped = pytree.tree_map(lambda x: x.double(), filled)
    assert mapped.fill == 5.0
    assert mapped.to_dense().tolist() == [1.0, 5.0, 5.0]


def test_values_of_another_number_fail_clearly() -> None:
    _, structure = pytree.tree_flatten(A)
    with pytest.raises(scorch.ShapeError, match="stores 2 values, got 3"):
        pytree.tree_unflatten([torch.ones(3)], structure)

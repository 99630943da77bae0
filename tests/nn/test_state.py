"""State dicts of layers with sparse weights: other patterns are taken over, other shapes are refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

import scorch
from scorch import nn as snn

Make = Callable[[], torch.nn.Module]
OTHER_SHAPES: dict[str, tuple[Make, Make, str, str]] = {
    "linear, wider": (lambda: snn.Linear(4, 2), lambda: snn.Linear(5, 2), r"\(2, 5\)", r"\(2, 4\)"),
    "linear, narrower": (lambda: snn.Linear(5, 2), lambda: snn.Linear(4, 2), r"\(2, 4\)", r"\(2, 5\)"),
    "linear, longer": (lambda: snn.Linear(4, 2), lambda: snn.Linear(4, 3), r"\(3, 4\)", r"\(2, 4\)"),
    "conv": (lambda: snn.Conv2d(2, 4, 3), lambda: snn.Conv2d(3, 4, 3), r"\(4, 3, 3, 3\)", r"\(4, 2, 3, 3\)"),
    "conv, same matrix": (lambda: snn.Conv2d(4, 8, 1), lambda: snn.Conv2d(1, 8, 2), r"\(8, 1, 2, 2\)", r"8, 4, 1, 1"),
    "embedding": (
        lambda: snn.Embedding(4, 8, sparsity=0.5),
        lambda: snn.Embedding(4, 6, sparsity=0.5),
        r"\(4, 6\)",
        r"\(4, 8\)",
    ),
    "bag": (
        lambda: snn.EmbeddingBag(4, 8, sparsity=0.5),
        lambda: snn.EmbeddingBag(4, 6, sparsity=0.5),
        r"\(4, 6\)",
        r"\(4, 8\)",
    ),
}


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("name", OTHER_SHAPES)
def test_a_state_of_another_shape_is_refused_and_changes_no_weight(name: str, strict: bool) -> None:
    make, other, theirs, ours = OTHER_SHAPES[name]
    model = torch.nn.Sequential(make())
    before = {key: x.clone() for key, x in model.state_dict().items() if "weight" in key}
    message = rf"size mismatch for 0\.weight: .*shape {theirs} from checkpoint.*model is .*{ours}.*make the layer with"
    with pytest.raises(RuntimeError, match=message):
        model.load_state_dict(torch.nn.Sequential(other()).state_dict(), strict=strict)
    after = model.state_dict()
    assert all(torch.equal(after[key], x) for key, x in before.items())


SPARSE: dict[str, Callable[[float], torch.nn.Module]] = {
    "linear": lambda sparsity: snn.Linear(6, 4, sparsity=sparsity),
    "conv": lambda sparsity: snn.Conv2d(2, 4, 3, sparsity=sparsity),
    "embedding": lambda sparsity: snn.Embedding(6, 4, sparsity=sparsity),
    "bag": lambda sparsity: snn.EmbeddingBag(6, 4, sparsity=sparsity),
}


@pytest.mark.parametrize("name", SPARSE)
def test_a_state_with_another_pattern_is_taken_over(name: str) -> None:
    source, target = SPARSE[name](0.5), SPARSE[name](0.9)
    target.weight().values.sum().backward()
    target.load_state_dict(source.state_dict())
    assert torch.equal(target.weight().to_dense(), source.weight().to_dense())
    assert target.weight.values.grad is None  # of the entries that it had
    assert target.weight.crd1.data_ptr() != source.weight.crd1.data_ptr()


def test_a_transposed_weight_is_refused() -> None:
    rows, cols = (snn.Linear.from_weight(scorch.tensor(torch.eye(3), format)) for format in ("csr", "csc"))
    with pytest.raises(RuntimeError, match=r"format mismatch for weight: .*order \(1, 0\).*csr.*format that was saved"):
        rows.load_state_dict(cols.state_dict())


def test_states_without_a_shape_are_of_older_versions() -> None:
    source, target = snn.Linear(6, 4, sparsity=0.5), snn.Linear(6, 4, sparsity=0.9)
    old = {key: x for key, x in source.state_dict().items() if key not in ("weight.shape", "weight.order")}
    target.load_state_dict(old)
    assert torch.equal(target.weight().to_dense(), source.weight().to_dense())


def test_missing_and_unexpected_names_are_told_as_ever() -> None:
    layer = snn.Linear(6, 4, sparsity=0.5)
    state = layer.state_dict()
    with pytest.raises(RuntimeError, match=r'Unexpected key\(s\) in state_dict: "weight.more"'):
        layer.load_state_dict({**state, "weight.more": torch.ones(1)})
    del state["weight.crd1"]
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "weight.crd1"'):
        snn.Linear(6, 4, sparsity=0.9).load_state_dict(state)
    values = {"weight.values": torch.zeros(12)}
    assert layer.load_state_dict(values, strict=False).missing_keys == ["bias", "weight.pos1", "weight.crd1"]
    assert not layer.weight().to_dense().any()


def test_a_layer_without_memory_takes_a_state_by_assignment() -> None:
    source = snn.Linear(6, 4, sparsity=0.5)
    target = snn.Linear(6, 4, sparsity=0.9).to("meta")
    target.load_state_dict(source.state_dict(), assign=True)
    x = torch.rand(2, 6)
    torch.testing.assert_close(target(x), source(x))


def test_a_damaged_state_changes_nothing() -> None:
    layer = snn.Linear(6, 4, sparsity=0.5)
    before, state = layer.weight().to_dense(), layer.state_dict()
    state["weight.crd1"] = state["weight.crd1"] + 100
    with pytest.raises(RuntimeError, match=r"the state of weight\. is no csr tensor"):
        layer.load_state_dict(state)
    assert torch.equal(layer.weight().to_dense(), before)

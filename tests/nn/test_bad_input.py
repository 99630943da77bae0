"""What layers and gradients refuse, and how they say so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import scorch
from scorch import nn as snn
from scorch.errors import DtypeError, FormatError, NotationError, ShapeError, UnsupportedError
from scorch.nn import models
from scorch.nn.attention import Block, Causal, Global, Window

DENSE = torch.rand(4, 4, generator=torch.Generator().manual_seed(0)) * (torch.arange(16).view(4, 4) % 3 == 0)
A = scorch.tensor(DENSE, "csr")
X = torch.rand(4, 4)
LAYERS: dict[str, tuple[Callable[[], torch.nn.Module], tuple[Any, ...]]] = {
    "linear": (lambda: snn.Linear(4, 2, sparsity=0.5), ()),
    "bag": (lambda: snn.EmbeddingBag(4, 2), ()),
    "gcn": (lambda: snn.GCNConv(4, 2), (A,)),
    "sage": (lambda: snn.SAGEConv(4, 2), (A,)),
    "gat": (lambda: snn.GATConv(4, 2), (A,)),
    "attention": (lambda: snn.SparseAttention(4, 2, Window(1)), ()),
}


# --- number types -----------------------------------------------------------------------------------------


def test_integers_have_no_gradient() -> None:
    counts = scorch.tensor((DENSE > 0).int(), "csr")
    with pytest.raises(DtypeError, match=r"int32 have no gradient; convert them with A\.to\(torch\.float32\)"):
        counts.requires_grad_()
    with pytest.raises(DtypeError, match=r"pass weight\.to\(torch\.float32\)"):
        snn.Linear.from_weight(counts)


def test_an_integer_operand_passes_gradients_to_the_others() -> None:
    x = X.clone().requires_grad_()
    (scorch.tensor((DENSE > 0).int(), "csr") @ x).sum().backward()
    assert torch.equal(x.grad, (DENSE > 0).float().sum(0)[:, None].expand(4, 4))


# --- changes in place -------------------------------------------------------------------------------------


def test_values_changed_between_forward_and_backward() -> None:
    values, x = (A.values * 1).requires_grad_() * 1, X.clone().requires_grad_()
    y = A.with_values(values) @ x
    with torch.no_grad():
        values.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_a_pattern_changed_between_forward_and_backward() -> None:
    matrix, x = scorch.tensor(DENSE.clone(), "csr"), X.clone().requires_grad_()
    y = matrix @ x
    matrix.level_arrays[1]["crd"][0] += 1
    with pytest.raises(FormatError, match=r"crd of level 1 was changed in place.*patterns don't change"):
        y.sum().backward()


def test_loading_a_state_is_no_change_of_the_matrix_that_a_layer_was_made_of() -> None:
    matrix, x = scorch.tensor(DENSE.clone(), "csr"), X.clone().requires_grad_()
    layer = snn.Linear.from_weight(matrix)
    y = matrix @ x
    layer.load_state_dict(snn.Linear.from_weight(DENSE.t().contiguous()).state_dict())
    y.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(layer(X), X @ DENSE)


def test_methods_in_place_say_how_to_write_it() -> None:
    with pytest.raises(UnsupportedError, match=r"pattern of a scorch\.Tensor doesn't change"):
        A[0, 1] = 5.0


def test_an_optimiser_step_and_new_memory_are_seen_by_the_next_call() -> None:
    layer = snn.Linear.from_weight(DENSE)
    with torch.no_grad():
        layer(X)
        layer.weight.values.mul_(2)
        torch.testing.assert_close(layer(X), X @ (2 * DENSE).t())
        layer.weight.values.data = layer.weight.values.data * 2
        torch.testing.assert_close(layer(X), X @ (4 * DENSE).t())


# --- devices ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("grad", [True, False])
def test_layers_say_that_scorch_runs_on_cpu(name: str, grad: bool) -> None:
    make, graph = LAYERS[name]
    with torch.set_grad_enabled(grad):
        with pytest.raises(UnsupportedError, match=r"Scorch runs on CPU.*on meta"):
            make()(X.to("meta"), *graph)
        with pytest.raises(UnsupportedError, match=r"Scorch runs on CPU.*on meta"):
            make().to("meta")(X, *graph)


def test_graphs_on_another_device() -> None:
    with pytest.raises(UnsupportedError, match="Scorch runs on CPU"):
        snn.adjacency(torch.zeros(2, 3, dtype=torch.int64, device="meta"))


# --- shapes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gcn", "sage", "gat"])
@pytest.mark.parametrize("x", [torch.rand(4, 5), torch.rand(4), torch.tensor(1.0), torch.rand(4, 4, 4), None, [1.0]])
def test_features_of_another_shape(name: str, x: Any) -> None:
    make, graph = LAYERS[name]
    with pytest.raises(ShapeError, match=r"a graph layer takes features \(nodes, 4\), this is"):
        make()(x, *graph)


@pytest.mark.parametrize("name", ["gcn", "sage", "gat"])
def test_features_of_numpy(name: str) -> None:
    make, graph = LAYERS[name]
    layer = make()
    torch.testing.assert_close(layer(X.numpy(), *graph), layer(X, *graph))


@pytest.mark.parametrize("x", [torch.tensor(1.0), None, [1.0]])
def test_inputs_without_features(x: Any) -> None:
    with pytest.raises(ShapeError, match=r"the input is \(\.\.\., 4\), a tensor; this .* has no shape"):
        snn.Linear(4, 2)(x)


@pytest.mark.parametrize("x", [torch.rand(2, 3, 5), torch.rand(4)])
def test_sequences_of_another_width(x: torch.Tensor) -> None:
    with pytest.raises(ShapeError, match=r"attention takes \(batch, length, 4\), the input is"):
        snn.SparseAttention(4, 2, Window(1))(x)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Window(-1), "radius is a whole number from 0 on, not -1"),
        (lambda: Window(1.5), "radius is a whole number"),  # type: ignore[arg-type]
        (lambda: Block(0), "size is a whole number from 1 on, not 0"),
        (lambda: Block(2, neighbours=-1), "neighbours is a whole number"),
        (lambda: Block(2, random=-1), "random is a whole number"),
        (lambda: Global(-1), "count is a whole number"),
        (lambda: Window(1) | 3, "a int is no mask"),  # type: ignore[operator]
        (lambda: Causal(3), "a int is no mask"),  # type: ignore[arg-type]
        (lambda: snn.SparseAttention(4, 0, Window(1)), "4 features cannot be divided among 0 heads"),
        (lambda: snn.Linear.from_weight(DENSE, torch.rand(7)), r"the weight has 4 outputs, the bias is \(7,\)"),
        (lambda: snn.Conv2d(2, 3, 3, stride=0), "kernel_size, stride and dilation are 1 at least"),
        (lambda: snn.Conv2d(2, 3, 0), "kernel_size, stride and dilation are 1 at least"),
        (lambda: snn.prune.Block(0, 1), "a block has at least one entry, not 0 x 1"),
        (lambda: models.mlp([3, 2, 2], activation="foo"), "there is no activation 'foo' here; there are relu"),
    ],
)
def test_settings_that_mean_nothing(make: Callable[[], Any], message: str) -> None:
    with pytest.raises((ShapeError, FormatError, NotationError), match=message):
        make()


def test_more_tokens_than_positions() -> None:
    model = models.bigbird(100, 2, longest=8)
    with pytest.raises(ShapeError, match="the model takes up to 8 tokens, these are 9"):
        model(torch.ones(1, 9, dtype=torch.int64))


@pytest.mark.parametrize("offsets", [[1, 0], [1], [0, 5]])
def test_offsets_that_do_not_divide_the_indices(offsets: list[int]) -> None:
    with pytest.raises(ShapeError, match="offsets begin at 0 and grow to at most 2, the number of indices"):
        snn.EmbeddingBag(4, 2)(torch.tensor([0, 1]), torch.tensor(offsets))


def test_indices_of_other_kinds() -> None:
    with pytest.raises(ShapeError, match="indices and offsets have one dimension, these have 2 and 1"):
        snn.EmbeddingBag(4, 2)(torch.tensor([[0, 1]]), torch.tensor([0]))
    with pytest.raises(DtypeError, match=r"indices are integers, not torch\.float32"):
        snn.EmbeddingBag(4, 2)(torch.tensor([0, 1]), torch.tensor([0.0]))
    with pytest.raises(DtypeError, match="indices are a tensor of integers, not a list"):
        snn.Embedding(4, 2)([1, 2])


def test_sequences_without_positions() -> None:
    layer = snn.SparseAttention(4, 2, Block(2, random=1) | Global(1))
    assert layer(torch.rand(2, 0, 4)).shape == (2, 0, 4)


# --- conversion -------------------------------------------------------------------------------------------


def test_a_layer_that_cannot_be_converted_stays_and_is_reported() -> None:
    class Odd(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.rest = torch.nn.Linear(4, 4), torch.nn.Bilinear(4, 4, 2)

        def forward(self, x: torch.Tensor) -> Any:
            hidden = self.first(x)
            return self.rest(hidden, hidden)

    model = Odd()
    sparse = snn.convert(model, example_inputs=X, measure=False)
    assert type(sparse.first) is torch.nn.Linear
    report = str(sparse.conversion)
    assert "first" in report
    assert "rest" in report
    torch.testing.assert_close(sparse(X), model(X))

"""Layers as modules of torch: what users do with any module, they do with these."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parameters_to_vector
from torch.nn.utils import prune as torch_prune
from torch.utils.checkpoint import checkpoint

import scorch
from scorch import nn as snn
from scorch.errors import DtypeError, FormatError, NotationError, ShapeError, UnsupportedError
from scorch.nn.attention import Window

N = 6
GRAPH = scorch.tensor((torch.arange(N * N).view(N, N) % 4 == 1).float(), "csr")
Inputs = Callable[[torch.dtype], tuple[Any, ...]]
LAYERS: dict[str, tuple[Callable[[], nn.Module], Inputs]] = {
    "linear": (lambda: snn.Linear(N, 4, sparsity=0.5), lambda dtype: (torch.rand(3, N, dtype=dtype),)),
    "conv": (lambda: snn.Conv2d(2, 4, 3, sparsity=0.5), lambda dtype: (torch.rand(2, 2, 5, 5, dtype=dtype),)),
    "embedding": (lambda: snn.Embedding(N, 4, sparsity=0.5), lambda _: (torch.tensor([1, 2]),)),
    "bag": (
        lambda: snn.EmbeddingBag(N, 4, sparsity=0.5, bias=True),
        lambda _: (torch.tensor([1, 2]), torch.tensor([0])),
    ),
    "gcn": (lambda: snn.GCNConv(N, 4), lambda dtype: (torch.rand(N, N, dtype=dtype), GRAPH)),
    "sage": (lambda: snn.SAGEConv(N, 4), lambda dtype: (torch.rand(N, N, dtype=dtype), GRAPH)),
    "sage max": (lambda: snn.SAGEConv(N, 4, "max"), lambda dtype: (torch.rand(N, N, dtype=dtype), GRAPH)),
    "gat": (lambda: snn.GATConv(N, 4, heads=2), lambda dtype: (torch.rand(N, N, dtype=dtype), GRAPH)),
    "gin": (lambda: snn.GINConv(nn.Linear(N, 4)), lambda dtype: (torch.rand(N, N, dtype=dtype), GRAPH)),
    "attention": (lambda: snn.SparseAttention(N, 2, Window(1)), lambda dtype: (torch.rand(2, 5, N, dtype=dtype),)),
}
SPARSE = ("linear", "conv", "embedding", "bag")
every_layer = pytest.mark.parametrize("name", LAYERS)
every_sparse_weight = pytest.mark.parametrize("name", SPARSE)


def made(name: str, dtype: torch.dtype = torch.float32) -> tuple[nn.Module, tuple[Any, ...]]:
    make, inputs = LAYERS[name]
    return make().to(dtype), inputs(dtype)


def saved_and_loaded(layer: nn.Module, name: str) -> nn.Module:
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    other = LAYERS[name][0]()
    other.load_state_dict(torch.load(file, weights_only=True))
    return other


@every_layer
def test_copies_compute_the_same(name: str) -> None:
    layer, inputs = made(name)
    wanted = layer(*inputs)
    wanted.sum().backward()
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), saved_and_loaded(layer, name)):
        torch.testing.assert_close(other(*inputs), wanted)


@every_layer
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16], ids=str)
def test_number_types_and_their_gradients(name: str, dtype: torch.dtype) -> None:
    layer, inputs = made(name, dtype)
    result = layer(*inputs)
    assert result.dtype is dtype
    result.float().sum().backward()
    assert all(p.grad is not None and p.grad.dtype is dtype for p in layer.parameters())


@every_layer
def test_training_by_any_optimiser(name: str) -> None:
    for make in (lambda p: torch.optim.SGD(p, 0.01, momentum=0.9), torch.optim.AdamW, torch.optim.Adagrad):
        layer, inputs = made(name)
        optimiser, before = make(layer.parameters()), copy.deepcopy(layer.state_dict())
        for _ in range(2):
            optimiser.zero_grad()
            layer(*inputs).square().sum().backward()
            optimiser.step()
        after = layer.state_dict()
        assert any(not torch.equal(after[key], x) for key, x in before.items())
        assert all(torch.equal(after[key], x) for key, x in before.items() if not x.is_floating_point())


@every_layer
def test_frozen_and_in_other_modes(name: str) -> None:
    layer, inputs = made(name)
    wanted = layer(*inputs).detach()
    with torch.inference_mode():
        torch.testing.assert_close(layer.eval()(*inputs), wanted)
    checkpoint(layer.train(), *inputs, use_reentrant=False).sum().backward()
    assert all(p.grad is not None for p in layer.parameters())
    frozen = layer.requires_grad_(False)(*inputs)
    assert not frozen.requires_grad
    torch.testing.assert_close(frozen, wanted)


@every_layer
def test_function_transforms_over_parameters(name: str) -> None:
    layer, inputs = made(name)
    parameters = {key: p.detach() for key, p in layer.named_parameters()}

    def loss(given: dict[str, torch.Tensor]) -> torch.Tensor:
        return torch.func.functional_call(layer, given, inputs).square().sum()

    layer(*inputs).square().sum().backward()
    wanted = {key: p.grad for key, p in layer.named_parameters()}
    torch.testing.assert_close(torch.func.grad(loss)(parameters), wanted)
    several = {key: torch.stack([p, 2 * p]) for key, p in parameters.items()}
    losses = torch.func.vmap(loss)(several)
    torch.testing.assert_close(losses[1], loss({key: 2 * p for key, p in parameters.items()}))
    torch.testing.assert_close(layer(*inputs).square().sum(), losses[0])


@every_layer
def test_inputs_that_are_not_contiguous(name: str) -> None:
    layer, (x, *rest) = made(name)
    spread = torch.stack([x, x], -1)[..., 0]
    assert not spread.is_contiguous()
    torch.testing.assert_close(layer(spread, *rest), layer(x, *rest))
    with torch.no_grad():
        torch.testing.assert_close(layer(spread, *rest), layer(x, *rest))


@every_sparse_weight
def test_a_pattern_survives_new_memory(name: str) -> None:
    layer, inputs = made(name)
    wanted = layer(*inputs)
    state = copy.deepcopy(layer.state_dict())
    emptied = layer.to("meta").to_empty(device="cpu")
    assert all(torch.equal(emptied.state_dict()[key], x) for key, x in state.items() if not x.is_floating_point())
    emptied.load_state_dict(state)
    torch.testing.assert_close(emptied(*inputs), wanted)


@every_sparse_weight
def test_layers_are_made_while_another_device_is_the_default(name: str) -> None:
    source, inputs = made(name)
    with torch.device("meta"):
        layer = LAYERS[name][0]()
    layer.to_empty(device="cpu").load_state_dict(source.state_dict())
    torch.testing.assert_close(layer(*inputs), source(*inputs))


def test_values_pruned_by_torch_stay_zero_while_they_are_trained() -> None:
    layer, (x,) = made("linear")
    torch_prune.l1_unstructured(layer.weight, "values", amount=0.5)
    optimiser = torch.optim.SGD(layer.parameters(), 0.1)
    for _ in range(2):
        layer(x).square().sum().backward()
        optimiser.step()
        assert int((layer.weight().values == 0).sum()) == 6
    other, _ = made("linear")
    torch_prune.identity(other.weight, "values")
    other.load_state_dict(layer.state_dict())
    torch.testing.assert_close(other(x), layer(x))


def test_a_recurrent_cell() -> None:
    inner, outer = snn.Linear(N, 4, sparsity=0.5, bias=False), snn.Linear(4, 4, sparsity=0.5)
    A, B = (layer.weight().to_dense().detach().requires_grad_() for layer in (inner, outer))
    x, h, wanted = torch.rand(3, 2, N), torch.zeros(2, 4), torch.zeros(2, 4)
    for step in x:
        h = torch.tanh(inner(step) + outer(h))
        wanted = torch.tanh(step @ A.T + wanted @ B.T + outer.bias)
    torch.testing.assert_close(h, wanted)
    h.sum().backward()
    wanted.sum().backward()
    for layer, dense in ((inner, A), (outer, B)):
        rows, cols = layer.weight().coords()
        torch.testing.assert_close(layer.weight.values.grad, dense.grad[rows, cols])  # type: ignore[index]


@pytest.mark.parametrize("name", ["gcn", "sage", "gat"])
def test_weights_in_one_row_where_torch_asks_for_that(name: str) -> None:
    layer, inputs = made(name)
    for weight in layer.parameters():
        weight.data = weight.data.contiguous()  # as the documentation says
    parameters_to_vector(layer.parameters())
    optimiser = torch.optim.LBFGS(layer.parameters(), max_iter=2)

    def closure() -> float:
        optimiser.zero_grad()
        loss = layer(*inputs).square().sum()
        loss.backward()
        return loss.item()

    before = optimiser.step(closure)
    assert closure() < before  # type: ignore[operator]


# --- what is refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda name: snn.Linear(4, 2, activation=name),
        lambda name: snn.Linear.from_weight(torch.eye(3), activation=name),
        lambda name: snn.Conv2d(1, 2, 3, activation=name),
        lambda name: snn.Conv2d.from_dense(nn.Conv2d(1, 2, 3), name),
        lambda name: snn.EmbeddingBag(4, 2, activation=name),
        lambda name: snn.GCNConv(4, 2, activation=name),
        lambda name: snn.SAGEConv(4, 2, activation=name),
        lambda name: snn.GATConv(4, 2, activation=name),
    ],
)
@pytest.mark.parametrize("activation", ["rleu", 3])
def test_an_unknown_activation_is_refused_at_once(make: Callable[[Any], nn.Module], activation: Any) -> None:
    with pytest.raises(NotationError, match=f"there is no activation {activation!r}; there are relu"):
        make(activation)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: snn.Linear(2.5, 4), ShapeError, r"whole numbers of rows and columns, from 0 on, not \(4, 2\.5\)"),
        (lambda: snn.Linear(6, -1), ShapeError, r"whole numbers of rows and columns, from 0 on, not \(-1, 6\)"),
        (lambda: snn.Embedding(None, 4, sparsity=0.5), ShapeError, "whole numbers of rows and columns"),
        (lambda: snn.Linear(6, 4, sparsity="0.5"), FormatError, r"sparsity is a share in \[0, 1\), got '0\.5'"),
        (lambda: snn.Linear(6, 4, dtype=torch.int32), DtypeError, r"int32 has no gradient: pass dtype=torch\.float32"),
        (lambda: snn.Linear.from_weight(torch.rand(3)), ShapeError, r"\(out_features, in_features\), this is \(3,\)"),
        (
            lambda: snn.Linear.from_dense(nn.Conv2d(1, 1, 1)),
            UnsupportedError,
            r"takes a torch\.nn\.Linear, not a Conv2d",
        ),
        (lambda: snn.Conv2d.from_dense(nn.Linear(2, 2)), UnsupportedError, r"takes a torch\.nn\.Conv2d, not a Linear"),
        (lambda: snn.Linear(6, 4)(torch.rand(2, 3, 6).to_sparse()), ShapeError, r"\(batch, 6\), this is \(2, 3, 6\)"),
        (lambda: snn.Conv2d(2, 4, 3)(torch.rand(2, 2, 2)), ShapeError, r"\(3, 3\).* is larger than images \(2, 2\)"),
        (lambda: snn.Conv2d(2, 4, 3)(torch.rand(3, 5)), ShapeError, r"2 channels of .* the input is \(3, 5\)"),
        (lambda: snn.Conv2d(2, 4, 3)([1.0]), ShapeError, "2 channels of .* the input is a list"),
        (lambda: snn.Conv2d(2, 4, 3)(torch.rand(2, 5, 5, device="meta")), UnsupportedError, "Scorch runs on CPU"),
        (lambda: snn.SparseAttention(4, 2, Window(1))([1.0]), ShapeError, "attention takes .* the input is a list"),
    ],
)
def test_one_clear_error(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool], ids=str)
def test_images_of_integers(dtype: torch.dtype) -> None:
    layer, images = snn.Conv2d(2, 4, 3, sparsity=0.5), torch.randint(2, (2, 2, 5, 5)).to(dtype)
    torch.testing.assert_close(layer(images), layer(images.float()))
    torch.testing.assert_close(layer(images.numpy()), layer(images.float()))

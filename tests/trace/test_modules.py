"""Compiled modules: parameters, modes, copies, pickles, and what contains them."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

import scorch
from scorch import nn as snn
from tests.trace.cases import same


class Layer(nn.Module):
    def __init__(self, features: int = 12) -> None:
        super().__init__()
        self.linear = nn.Linear(features, features)
        self.dropout = nn.Dropout(0.5)
        self.register_buffer("calls", torch.zeros(()))
        self.scale = 1.0

    def forward(self, A: Any, X: Any) -> Any:
        self.calls += 1
        return torch.relu(A @ self.dropout(self.linear(X))) * self.scale


class Pruned(nn.Module):
    """A multilayer perceptron with a sparse weight, a bias, an activation and a residual connection."""

    def __init__(self, weight: Any, bias: Any) -> None:
        super().__init__()
        self.values = nn.Parameter(weight.values.clone())
        self.weight = weight
        self.bias = nn.Parameter(bias.clone())
        self.norm = nn.BatchNorm1d(len(bias))

    def forward(self, X: Any) -> Any:
        h = nn.functional.silu(nn.functional.linear(X, self.weight.with_values(self.values), self.bias))
        return self.norm(h + X)


@scorch.compile
class Decorated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(12, 12))

    def forward(self, A: Any, X: Any) -> Any:
        return torch.relu(A @ (X @ self.weight))


class Methods:
    def __init__(self, scale: float) -> None:
        self.scale = scale

    @scorch.compile
    def run(self, A: Any, X: Any) -> Any:
        return A @ X * self.scale


@scorch.compile
def at_top(A: Any, X: Any) -> Any:
    return torch.relu(A @ X)


def test_a_module_shares_its_parameters(t: SimpleNamespace) -> None:
    model = Layer().eval()
    compiled = scorch.compile(model)
    assert compiled is not model
    assert isinstance(compiled, Layer)
    assert list(compiled.state_dict()) == list(model.state_dict())
    same(compiled(t.A, t.X), model(t.A, t.X))
    with torch.no_grad():
        model.linear.weight.mul_(2)
        model.linear.bias = nn.Parameter(torch.ones(12))
    same(compiled(t.A, t.X), model(t.A, t.X))
    assert model.calls == 4
    compiled.scale = model.scale = 3.0
    same(compiled(t.A, t.X), model(t.A, t.X))


def test_training_and_evaluation(t: SimpleNamespace) -> None:
    compiled, model = scorch.compile(Layer()), Layer()
    model.load_state_dict(compiled.state_dict())
    for mode in (True, False, True):
        compiled.train(mode)
        model.train(mode)
        torch.manual_seed(3)
        found = compiled(t.A, t.X)
        torch.manual_seed(3)
        same(found, model(t.A, t.X))


def test_batch_norm_keeps_its_statistics(t: SimpleNamespace) -> None:
    model = Pruned(t.A, t.u)
    compiled = scorch.compile(copy.deepcopy(model))
    for X in (t.X, t.Y):
        same(compiled(X), model(X))
    same(compiled.norm.running_mean, model.norm.running_mean)
    compiled.eval()
    model.eval()
    same(compiled(t.Z), model(t.Z))
    with torch.no_grad():
        explained = scorch.explain(compiled, t.Z)
    assert explained.name == "Pruned"
    assert len(explained.kernels) == 1  # product, bias and activation


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_have_parameters_of_their_own(duplicate: Any, t: SimpleNamespace) -> None:
    compiled = scorch.compile(Layer().eval())
    other = duplicate(compiled)
    before = compiled(t.A, t.X)
    same(other(t.A, t.X), before)
    with torch.no_grad():
        other.linear.weight.zero_()
        other.linear.bias.fill_(1)
    same(other(t.A, t.X), torch.relu(t.A @ torch.ones(12, 12)))
    same(compiled(t.A, t.X), before)
    assert other.forward.args[0] is other


def test_saved_and_loaded(tmp_path: Path, t: SimpleNamespace) -> None:
    compiled = scorch.compile(Layer().eval())
    torch.save(compiled, tmp_path / "model.pt")
    same(torch.load(tmp_path / "model.pt", weights_only=False)(t.A, t.X), compiled(t.A, t.X))


def test_in_a_sequential_and_as_a_part(t: SimpleNamespace) -> None:
    inner = scorch.compile(Pruned(t.A, t.u).eval())
    model = nn.Sequential(nn.Linear(12, 12), inner, nn.ReLU(inplace=True), nn.Linear(12, 3))
    plain = nn.Sequential(model[0], Pruned(t.A, t.u).eval(), nn.ReLU(), model[3])
    same(model(t.X), plain(t.X))
    same(scorch.compile(model)(t.X), plain(t.X))
    assert [name for name, _ in model.named_parameters()] == [name for name, _ in plain.named_parameters()]


def test_number_types_and_hooks(t: SimpleNamespace) -> None:
    compiled = scorch.compile(Layer().eval()).double()
    seen: list[torch.Size] = []
    compiled.register_forward_hook(lambda module, given, result: seen.append(result.shape))
    found = compiled(t.A.to(torch.float64), t.X.double())
    assert found.dtype is torch.float64
    assert seen == [found.shape]


def test_a_decorated_class_and_methods(t: SimpleNamespace) -> None:
    model = Decorated()
    same(model(t.A, t.X), torch.relu(t.A @ (t.X @ torch.ones(12, 12))))
    with torch.no_grad():
        assert len(scorch.explain(model, t.A, t.X).kernels) == 1
    one, two = Methods(2.0), Methods(3.0)
    same(one.run(t.A, t.X), t.A @ t.X * 2)
    same(two.run(t.A, t.X), t.A @ t.X * 3)
    assert scorch.explain(one.run, t.A, t.X).name == "run"
    same(pickle.loads(pickle.dumps(at_top))(t.A, t.X), torch.relu(t.A @ t.X))


@pytest.mark.parametrize(
    "layer",
    [
        lambda: snn.Linear(12, 12, sparsity=0.7, activation="relu"),
        lambda: snn.GCNConv(12, 5, activation="relu"),
        lambda: snn.SAGEConv(12, 5, "mean"),
        lambda: snn.GATConv(12, 4, heads=2),
        lambda: snn.GINConv(nn.Linear(12, 5)),
        lambda: snn.EmbeddingBag(12, 4, bias=True),
    ],
)
def test_layers_of_scorch(layer: Any, t: SimpleNamespace) -> None:
    model = layer().eval()
    given = {"Linear": (t.X,), "EmbeddingBag": (t.A,)}.get(type(model).__name__, (t.X, t.M))
    compiled = scorch.compile(model)
    same(compiled(*given), model(*given))
    assert scorch.explain(model, *given).eager is None
    for m in (model, compiled):
        m.zero_grad()
    compiled(*given).square().sum().backward()
    found = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    model(*given).square().sum().backward()
    for gradient, parameter in zip(found, model.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad, atol=1e-4, rtol=1e-4)


def test_a_sparse_layer_is_one_operation() -> None:
    layers = nn.Sequential(snn.Linear(12, 8, sparsity=0.5, activation="relu"), snn.Linear(8, 4, sparsity=0.5)).eval()
    compiled, x = scorch.compile(layers), torch.rand(1, 12)
    with torch.no_grad():
        same(compiled(x), layers(x))
        explained = scorch.explain(compiled, x)
    assert [line.split(" = ")[1].split("(")[0] for line in explained.original] == ["sparse_product", "sparse_product"]
    assert "activation='relu', by_row=True)  float32 8" in explained.original[0]


def test_to_ask_a_tensor_is_no_operation() -> None:
    def asks(x: torch.Tensor) -> torch.Tensor:
        assert (x.dim(), x.size(0), x.numel(), x.is_contiguous(), x.is_floating_point()) == (2, 3, 6, True, True)
        assert (x.shape, x.dtype, x.layout, x.requires_grad) == ((3, 2), torch.float32, torch.strided, False)
        return x.contiguous() + 1

    explained = scorch.explain(scorch.compile(asks), torch.ones(3, 2))
    assert [line.split(" = ")[1].split("(")[0] for line in explained.original] == ["add"]

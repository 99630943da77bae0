from __future__ import annotations

import copy
import io
import pickle
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import prune as torch_prune

import scorch
from scorch import nn as snn
from scorch import recall
from scorch.errors import NotationError, ScorchError, ShapeError, UnsupportedError
from scorch.nn import Linear
from scorch.nn.bare import called, called_in_parts, fed_forward


def dense_of(layer: Linear) -> torch.Tensor:
    return layer.weight().to_dense().detach()


@pytest.mark.parametrize("shape", [(5, 6), (6,), (2, 3, 6), (0, 6)])
@pytest.mark.parametrize("activation", [None, "relu", "gelu", torch.sin])
def test_equals_the_dense_layer(shape: tuple[int, ...], activation: object) -> None:
    layer = Linear(6, 4, sparsity=0.5, activation=activation)  # type: ignore[arg-type]
    nn.init.normal_(layer.bias)  # type: ignore[arg-type]
    x = torch.randn(shape)
    expected = nn.functional.linear(x, dense_of(layer), layer.bias)
    function = {None: lambda y: y, "relu": torch.relu, "gelu": nn.functional.gelu}.get(activation, activation)  # type: ignore[call-overload]
    with torch.no_grad():
        torch.testing.assert_close(layer(x), function(expected))


def test_sparse_input_and_sparse_weight() -> None:
    layer = Linear(6, 4, bias=False, sparsity=0.5)
    x = torch.randn(5, 6) * (torch.rand(5, 6) < 0.5)
    with torch.no_grad():
        torch.testing.assert_close(layer(x.to_sparse_csr()), x @ dense_of(layer).T)
        torch.testing.assert_close(layer(scorch.tensor(x, "coo")), x @ dense_of(layer).T)


def test_keeps_what_is_not_zero_of_a_dense_layer() -> None:
    dense = nn.Linear(6, 4)
    torch_prune.l1_unstructured(dense, "weight", amount=0.5)
    layer = Linear.from_dense(dense)
    assert layer.weight().nnz == 12
    torch.testing.assert_close(dense_of(layer), dense.weight.detach())
    x = torch.randn(3, 6)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), dense(x))


def test_state_dict_brings_the_pattern_along() -> None:
    source, target = Linear(6, 4, sparsity=0.5), Linear(6, 4, sparsity=0.9)
    before = target.weight()
    levels = [{name: array.clone() for name, array in level.items()} for level in before.level_arrays]
    target.load_state_dict(source.state_dict())
    torch.testing.assert_close(dense_of(target), dense_of(source))
    for kept, level in zip(levels, before.level_arrays, strict=True):
        for name in kept:
            torch.testing.assert_close(level[name], kept[name])


def test_loading_the_same_number_of_entries_leaves_other_tensors_alone() -> None:
    matrix = scorch.tensor(torch.eye(3), "csr")
    layer = Linear.from_weight(matrix)
    layer.load_state_dict(Linear.from_weight(torch.eye(3).flip(0)).state_dict())
    torch.testing.assert_close(matrix.to_dense(), torch.eye(3))
    torch.testing.assert_close(dense_of(layer), torch.eye(3).flip(0))


def test_a_damaged_pattern_is_refused() -> None:
    layer = Linear(6, 4, sparsity=0.5)
    state = layer.state_dict()
    state["weight.crd1"] = state["weight.crd1"] + 100
    with pytest.raises(RuntimeError, match=r"the state of weight\. is no csr tensor"):
        layer.load_state_dict(state)


@pytest.mark.parametrize("way", ["deepcopy", "pickle", "save", "state"])
def test_copies_are_equal_and_independent(way: str) -> None:
    layer = Linear(6, 4, sparsity=0.5, activation="relu")
    layer(torch.ones(2, 6))
    file = io.BytesIO()
    if way == "deepcopy":
        other = copy.deepcopy(layer)
    elif way == "pickle":
        other = pickle.loads(pickle.dumps(layer))
    elif way == "save":
        torch.save(layer, file)
        other = torch.load(io.BytesIO(file.getvalue()), weights_only=False)
    else:
        torch.save(layer.state_dict(), file)
        other = Linear(6, 4, sparsity=0.5, activation="relu")
        other.load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    torch.testing.assert_close(dense_of(other), dense_of(layer))
    with torch.no_grad():
        other.weight.values.zero_()
    assert dense_of(layer).any()


def test_number_types() -> None:
    layer = Linear(6, 4, sparsity=0.5).to(torch.float64)
    assert layer.weight().dtype is torch.float64
    assert layer.weight.crd1.dtype in (torch.int32, torch.int64)
    assert layer(torch.ones(2, 6, dtype=torch.float64)).dtype is torch.float64


def test_other_devices_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="runs on CPU"):
        Linear(6, 4).to("meta")(torch.ones(2, 6))


def test_wrong_sizes_and_names() -> None:
    with pytest.raises(ShapeError, match="the input has 5 features, the weight takes 6"):
        Linear(6, 4)(torch.ones(2, 5))
    with pytest.raises(NotationError, match="no activation 'step'; there are relu"):
        Linear(6, 4, activation="step")(torch.ones(2, 6))
    with pytest.raises(ValueError, match="sparsity is a share"):
        Linear(6, 4, sparsity=1.5)


class Samples(torch.utils.data.Dataset[torch.Tensor]):
    """What a worker makes by running the layer."""

    def __init__(self, layer: Linear) -> None:
        self.layer = layer

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> torch.Tensor:
        with torch.no_grad():
            return self.layer(torch.full((6,), float(index)))


def test_data_loader_workers() -> None:
    layer = Linear(6, 4, sparsity=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking a process that has threads
        workers = {"num_workers": 2, "multiprocessing_context": "fork"}
        loader = torch.utils.data.DataLoader(Samples(layer), batch_size=2, **workers)  # type: ignore[arg-type]
        rows = torch.cat(list(loader))
    with torch.no_grad():
        torch.testing.assert_close(rows, layer(torch.arange(4.0)[:, None].expand(4, 6)).contiguous())


def _named(activation: Any) -> str:
    return getattr(activation, "__name__", str(activation))


class TestAgain:
    """A call that comes again takes a shorter way, whose operands and result are views of the kernel's."""

    @pytest.fixture(autouse=True)
    def compiled(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setattr(recall, "_calls", {})
        with scorch.config.using(jit=True):
            yield

    @staticmethod
    def layer(frozen: bool = False, activation: Any = "relu") -> snn.Linear:
        torch.manual_seed(0)
        made = snn.Linear(9, 7, sparsity=0.5, activation=activation)
        with torch.no_grad():
            made.bias.copy_(torch.rand(7))
        if frozen:
            snn.freeze(made)
        return made

    @staticmethod
    def views() -> list[Any]:
        return [entry for call, found in recall._calls.items() if call[0] == "viewed" for entry in found]

    @staticmethod
    def wanted(layer: snn.Linear, x: torch.Tensor) -> torch.Tensor:
        value = nn.functional.linear(x, layer.weight().to_dense(), layer.bias)
        named = {"relu": torch.relu, "gelu": nn.functional.gelu, None: lambda value: value}
        return named.get(layer.activation, layer.activation)(value)

    @pytest.mark.parametrize("frozen", [False, True])
    @pytest.mark.parametrize("activation", ["relu", None, "gelu", nn.functional.mish], ids=_named)
    @pytest.mark.parametrize("samples", [1, 2, 5])
    @pytest.mark.parametrize("by_feature", [False, True])
    def test_results_and_their_layout_stay(self, frozen: bool, activation: Any, samples: int, by_feature: bool) -> None:
        layer, strides = self.layer(frozen, activation), set()
        with torch.no_grad():
            for _ in range(14):
                x = torch.rand(9, samples).t() if by_feature else torch.rand(samples, 9)
                found = layer(x)
                torch.testing.assert_close(found, self.wanted(layer, x))
                strides.add((found.shape, found.stride()))
        assert len(strides) == 1
        assert bool(self.views()) == (not callable(activation) and (samples == 1 or by_feature))

    def test_what_is_unlike_takes_the_long_way(self) -> None:
        layer = self.layer()
        with torch.no_grad():
            for _ in range(12):
                layer(torch.rand(1, 9))
            assert self.views()
            for x in (torch.rand(1, 18)[:, ::2], torch.rand(3, 9), torch.rand(9, 3).t(), torch.rand(2, 1, 9)):
                torch.testing.assert_close(layer(x), self.wanted(layer, x))
            assert layer(torch.rand(1, 9).double()).dtype == torch.float64
            with pytest.raises(ShapeError, match="features"):
                layer(torch.rand(1, 8))
        x = torch.rand(1, 9, requires_grad=True)
        layer(x).sum().backward()
        assert x.grad is not None
        assert layer.weight.values.grad is not None

    def test_a_weight_that_changes_is_read_anew(self) -> None:
        layer, x = self.layer(), torch.rand(1, 9)
        with torch.no_grad():
            for _ in range(12):
                layer(x)
            layer.weight.values.mul_(-2)
            layer.bias.add_(1)
            torch.testing.assert_close(layer(x), self.wanted(layer, x))

    def test_a_frozen_weight_that_changed_is_refused(self) -> None:
        layer, x = self.layer(frozen=True), torch.rand(1, 9)
        with torch.no_grad():
            for _ in range(12):
                layer(x)
            assert self.views()
            layer.weight.values.mul_(2)
            with pytest.raises(ScorchError, match="changed in place"):
                layer(x)

    def test_only_a_few_shapes_are_kept(self) -> None:
        layer = self.layer()
        with torch.no_grad():
            for samples in range(2, 9):
                for _ in range(12):
                    x = torch.rand(9, samples).t()
                    torch.testing.assert_close(layer(x), self.wanted(layer, x))
        assert len(self.views()) == recall.MOST


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("activation", [None, "relu", "gelu", "elu", "tanh", "silu", nn.functional.mish], ids=_named)
@pytest.mark.parametrize("shape", [(9,), (5, 9), (2, 3, 9)], ids=str)
def test_dense_weights_with_what_follows(shape: tuple[int, ...], activation: Any, dtype: torch.dtype) -> None:
    x, weight, bias = torch.randn(*shape).to(dtype), torch.randn(4, 9).to(dtype), torch.randn(4).to(dtype)
    value = nn.functional.linear(x, weight, bias)
    function = getattr(torch, str(activation), None) or getattr(nn.functional, str(activation), activation)
    wanted = value if activation is None else function(value)
    rough = {"rtol": 2e-2, "atol": 2e-2} if dtype is torch.bfloat16 else {}
    torch.testing.assert_close(snn.functional.linear(x, weight, bias, activation), wanted, **rough)
    leaf = x.clone().requires_grad_()
    torch.testing.assert_close(snn.functional.linear(leaf, weight, bias, activation).detach(), wanted, **rough)


def test_feed_forward_nets_that_are_not_bare_are_called() -> None:
    net = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4))
    x, seen = torch.randn(3, 4), []
    with torch.no_grad():
        torch.testing.assert_close(fed_forward(net, x), net(x))
        net[1].register_forward_hook(lambda module, args, result: seen.append(result.shape))
        torch.testing.assert_close(fed_forward(net, x), net(x))
        assert seen == [(3, 8), (3, 8)]
        other = nn.Sequential(net[0], nn.ReLU(), net[2])
        torch.testing.assert_close(fed_forward(other, x), other(x))


def test_layers_of_torch_keep_the_type_that_autocast_gives_them() -> None:
    layer, x = nn.Linear(4, 8), torch.randn(3, 4)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert called(layer, x, "gelu").dtype is torch.bfloat16
    with torch.no_grad():
        assert called(layer, x, "gelu").dtype is torch.float32


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("batch", [(), (7,), (2, 3), (0, 3)])
def test_features_in_parts(batch: tuple[int, ...], dtype: torch.dtype, bias: bool) -> None:
    layer = torch.nn.Linear(20, 12, bias=bias, dtype=dtype)
    x = torch.randn(*batch, 20, dtype=dtype)
    expected = layer(x).unflatten(-1, (4, 3)).movedim(-2, 0)
    recorded = called_in_parts(layer, x, 4)
    torch.testing.assert_close(recorded, expected)
    assert recorded.requires_grad
    with torch.no_grad():
        torch.testing.assert_close(called_in_parts(layer, x, 4), expected.detach(), rtol=2e-2, atol=2e-2)
    layer.register_forward_hook(lambda module, given, made: made + 1)
    torch.testing.assert_close(called_in_parts(layer, x, 4), expected + 1)

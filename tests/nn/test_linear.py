from __future__ import annotations

import copy
import io
import pickle
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import prune as torch_prune

import scorch
from scorch.errors import NotationError, ShapeError, UnsupportedError
from scorch.nn import Linear


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

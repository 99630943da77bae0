"""Sparse layers one after the other: in one kernel or apart, the results are those of torch's Sequential."""

from __future__ import annotations

import copy
import pickle
from itertools import pairwise

import pytest
import torch
from torch import nn

import scorch
from scorch.errors import ShapeError
from scorch.nn import Linear, Sequential, functional
from scorch.nn.functional import Link
from scorch.schedule import chain, fuse
from scorch.schedule.machine import host

CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def net_of(*widths: int, sparsity: float = 0.9, **options: object) -> Sequential:
    made = torch.Generator().manual_seed(0)
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layer = Linear(inputs, outputs, sparsity=sparsity, generator=made, **options)  # type: ignore[arg-type]
        with torch.no_grad():
            if layer.bias is not None:
                layer.bias.uniform_(-1, 1)
        layers += [layer, nn.ReLU()]
    return Sequential(*layers[:-1]).eval()


def apart(net: nn.Sequential, x: torch.Tensor) -> torch.Tensor:
    return nn.Sequential(*net)(x)


@pytest.fixture
def chained(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Plans of chains that were made, each of them taken, however little there is to do."""
    made: list[object] = []

    def plan(links: object) -> object:
        found = fuse.plan_chain(links)  # type: ignore[arg-type]
        made.append(found)
        return found

    monkeypatch.setattr(chain, "serial_below", lambda prices: 0.0)
    monkeypatch.setattr(fuse, "_chain_plan", plan)
    monkeypatch.setattr(fuse, "CALL", 1e6)
    return made


@pytest.mark.parametrize("samples", [2, 16, 17, 40, 100])
@pytest.mark.parametrize("bias", [True, False])
def test_layers_of_a_batch(samples: int, bias: bool, chained: list[object]) -> None:
    net = net_of(30, 50, 20, 14, bias=bias)
    x = torch.randn(samples, 30)
    with torch.no_grad(), scorch.config.using(threads=2):
        torch.testing.assert_close(net(x), apart(net, x), **CLOSE)
        torch.testing.assert_close(net(x), apart(net, x), **CLOSE)
    assert any(chained) == (samples > host().bits // 32)  # a vector for each thread


def test_a_batch_compiled() -> None:
    net = net_of(300, 700, 500, 300)
    with torch.no_grad(), scorch.config.using(threads=2, jit=True):
        for samples in (256, 100):
            x = torch.randn(samples, 300)
            for _ in range(12):  # the way through a call that comes again is another one
                torch.testing.assert_close(net(x), apart(net, x), **CLOSE)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("layout", ["rows", "columns", "parts", "deep"])
def test_any_layout_of_the_samples(layout: str, dtype: torch.dtype, chained: list[object]) -> None:
    net = net_of(30, 50, 40).to(dtype)
    x = {
        "rows": torch.randn(60, 30, dtype=dtype),
        "columns": torch.randn(30, 60, dtype=dtype).t(),
        "parts": torch.randn(120, 60, dtype=dtype)[::2, ::2],
        "deep": torch.randn(4, 15, 30, dtype=dtype),
    }[layout]
    with torch.no_grad(), scorch.config.using(threads=2):
        found = net(x)
        torch.testing.assert_close(found, apart(net, x), **CLOSE)
    assert any(chained)
    assert found.shape == (*x.shape[:-1], 40)


def test_small_and_single_samples_and_sparse_ones() -> None:
    net = net_of(30, 20, 10)
    with torch.no_grad():
        for x in (torch.randn(30), torch.randn(1, 30), torch.randn(0, 30), torch.eye(30).to_sparse_csr()):
            torch.testing.assert_close(net(x), apart(net, x), **CLOSE)


@pytest.mark.parametrize("kind", ["relu", "gelu", "silu", "sigmoid", "tanh"])
def test_activations_are_taken_along(kind: str, chained: list[object]) -> None:
    module = {"relu": nn.ReLU(), "gelu": nn.GELU(), "silu": nn.SiLU(), "sigmoid": nn.Sigmoid(), "tanh": nn.Tanh()}[kind]
    first, second = net_of(30, 50)[0], net_of(50, 30)[0]
    net = Sequential(first, nn.Dropout(), module, nn.Identity(), second, module).eval()
    x = torch.randn(40, 30)
    with torch.no_grad(), scorch.config.using(threads=2):
        torch.testing.assert_close(net(x), apart(net, x), **CLOSE)
    assert any(chained)


def test_whatever_else_stands_between(chained: list[object]) -> None:
    layers = [net_of(30, 30)[0] for _ in range(5)]
    between = [nn.GELU(approximate="tanh"), nn.LayerNorm(30), nn.Dropout(0.5), nn.Linear(30, 30)]
    net = Sequential(nn.ReLU(), *(m for pair in zip(layers, between, strict=False) for m in pair), layers[-1])
    x = torch.randn(40, 30)
    for mode in (True, False):
        net.train(mode)
        with torch.no_grad(), scorch.config.using(threads=2):
            torch.manual_seed(0)
            found = net(x)
            torch.manual_seed(0)
            torch.testing.assert_close(found, apart(net, x), **CLOSE)


def test_hooks_run() -> None:
    net = net_of(30, 30, 30)
    seen: list[torch.Size] = []
    net[0].register_forward_hook(lambda module, given, made: seen.append(made.shape))
    with torch.no_grad():
        net(torch.randn(40, 30))
    assert seen == [torch.Size([40, 30])]


def test_gradients_are_those_of_the_layers() -> None:
    net = net_of(60, 50, 40)
    x = torch.randn(64, 60, requires_grad=True)
    net(x).square().sum().backward()
    found = [x.grad, *(p.grad for p in net.parameters())]
    x.grad = None
    net.zero_grad()
    apart(net, x).square().sum().backward()
    for mine, other in zip(found, [x.grad, *(p.grad for p in net.parameters())], strict=True):
        torch.testing.assert_close(mine, other, **CLOSE)


def test_new_values_and_frozen_ones(chained: list[object]) -> None:
    net = net_of(30, 50, 30)
    x = torch.randn(40, 30)
    with torch.no_grad(), scorch.config.using(threads=2):
        net(x)
        net[0].weight.values.mul_(2)
        torch.testing.assert_close(net(x), apart(net, x), **CLOSE)
        frozen = scorch.nn.freeze(copy.deepcopy(net))
        torch.testing.assert_close(frozen(x), apart(net, x), **CLOSE)


def test_state_slices_and_copies() -> None:
    net = net_of(30, 20, 10)
    x = torch.randn(40, 30)
    assert type(net[:1]) is Sequential
    again = pickle.loads(pickle.dumps(net))
    other = nn.Sequential(*copy.deepcopy(net))
    other.load_state_dict(net.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(again(x), net(x))
        torch.testing.assert_close(other(x), net(x), **CLOSE)


def test_wrong_numbers_of_features() -> None:
    first, second = net_of(30, 20)[0], net_of(30, 20)[0]
    with torch.no_grad(), pytest.raises(ShapeError, match="20 features, the weight takes 30"):
        Sequential(first, second)(torch.randn(64, 30))
    with torch.no_grad(), pytest.raises(ShapeError, match="7 features, the weight takes 30"):
        Sequential(first, nn.ReLU())(torch.randn(64, 7))


@pytest.mark.parametrize("given", [[1.0, 2.0], 3.0, None])
def test_what_is_no_tensor(given: object) -> None:
    with torch.no_grad(), pytest.raises(ShapeError, match="has no shape"):
        net_of(30, 20, 10)(given)


def test_an_array_of_numpy() -> None:
    net, x = net_of(30, 20, 10), torch.randn(40, 30)
    with torch.no_grad():
        torch.testing.assert_close(net(x.numpy()), apart(net, x), **CLOSE)


def test_links_of_other_kinds() -> None:
    weight, dense = net_of(30, 30)[0].weight(), torch.randn(30, 30)
    x = torch.randn(64, 30)
    with torch.no_grad():
        found = functional.chain(x, [Link(weight, None, torch.cos), Link(dense, torch.ones(30), "relu")])
        expected = torch.relu(torch.cos(x @ weight.to_dense().t()) @ dense.t() + 1)
        torch.testing.assert_close(found, expected, **CLOSE)
        torch.testing.assert_close(functional.chain(x, []), x)
        torch.testing.assert_close(functional.chain(x, [Link(weight)]), x @ weight.to_dense().t(), **CLOSE)


def test_it_compiles_and_is_recorded() -> None:
    net = net_of(60, 50, 40)
    x = torch.randn(64, 60)
    with torch.no_grad():
        expected = net(x)
        torch.testing.assert_close(torch.compile(net, fullgraph=True)(x), expected, **CLOSE)
        torch.testing.assert_close(scorch.compile(net)(x), expected, **CLOSE)


def test_a_gated_network(chained: list[object]) -> None:
    gate, up, down = (
        net_of(*widths, bias=bias)[0] for widths, bias in (((30, 50), True), ((30, 50), False), ((50, 20), True))
    )
    links = [Link(layer.weight(), layer.bias) for layer in (gate, up, down)]
    for activation in ("silu", None, torch.cos):
        for x in (torch.randn(40, 30), torch.randn(2, 20, 30), torch.randn(30)):
            with torch.no_grad(), scorch.config.using(threads=2):
                found = functional.gated(x, links[0]._replace(activation=activation), *links[1:])
                opened = gate(x) if activation is None else functional.epilogue(gate(x), None, activation)
                torch.testing.assert_close(found, down(opened * up(x)), **CLOSE)
    assert sum(plan is not None for plan in chained) == 2  # the samples of any dimensions are those of a matrix
    with torch.no_grad(), pytest.raises(ShapeError, match="50 features, the weight takes 20"):
        functional.gated(torch.randn(40, 30), links[0], links[1], links[2]._replace(weight=net_of(20, 50)[0].weight()))


def test_a_converted_model_shares_kernels() -> None:
    dense = nn.Sequential(nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 256), nn.Sequential(nn.Linear(256, 8)))
    dense.register_forward_hook(lambda module, given, made: made + 1)
    x = torch.randn(64, 256)
    with scorch.config.using(threads=2):
        sparse = scorch.nn.convert(dense, 0.9, example_inputs=x, measure=False, least_gain=0.0)
        assert type(dense) is nn.Sequential
        assert type(sparse) is Sequential
        assert type(sparse[3]) is nn.Sequential  # one layer has nothing to share
        with torch.no_grad():
            torch.testing.assert_close(sparse(x), apart(sparse, x) + 1, **CLOSE)


def test_one_sample_goes_through_small_layers_in_one_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    net = net_of(30, 20, 10)
    plans: list[object] = []
    planned = fuse.plan_sequence
    monkeypatch.setattr(fuse, "plan_sequence", lambda links: plans.append(planned(links)) or plans[-1])
    with torch.no_grad():
        for x in (torch.randn(30), torch.randn(1, 30), torch.randn(1, 1, 30)):
            for _ in range(12):
                found = net(x)
            torch.testing.assert_close(found, apart(net, x), **CLOSE)
            assert found.shape == (*x.shape[:-1], 10)
    assert any(plan is not None for plan in plans)


def test_what_changes_between_calls_is_noticed() -> None:
    net = net_of(30, 20, 10)
    x = torch.randn(5, 30)
    with torch.no_grad():
        net(x)
        net[0].activation = "tanh"
        torch.testing.assert_close(net(x), apart(net, x), **CLOSE)
        net[2] = net_of(20, 12)[0]
        torch.testing.assert_close(net(x), apart(net, x), **CLOSE)
        net.append(nn.Dropout(0.999)).train()
        assert (net(x) == 0).sum() > 25
        net.eval()
        torch.testing.assert_close(net(x), apart(net, x), **CLOSE)
        net[0].forward = lambda given: given[:, :20] + 1
        torch.testing.assert_close(net(x), apart(net, x), **CLOSE)
        del net[0].forward
        handle = net[0].weight.register_forward_hook(lambda module, given, made: made * 2)
        doubled = net(x)
        handle.remove()
        assert not torch.allclose(doubled, net(x))


def test_what_is_remembered_is_in_no_copy_and_no_file() -> None:
    net = net_of(30, 20, 10)
    x = torch.randn(5, 30)
    with torch.no_grad():
        expected = net(x)
        assert net._known is not None
        for made in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
            assert made._known is None
            torch.testing.assert_close(made(x), expected, **CLOSE)

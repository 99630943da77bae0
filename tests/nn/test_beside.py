"""Layers of one input that share a product, sums of two orders, norms, and the decoder block that has all of these."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import scorch
from scorch.errors import ScorchError
from scorch.nn import Linear, freeze, functional
from scorch.nn.functional import Link
from scorch.nn.models import DecoderBlock
from scorch.nn.sequential import called_beside

CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def layers(*outputs: int, bias: bool = False, activation: str | None = None) -> list[Linear]:
    made = [Linear(12, n, bias=bias, sparsity=0.6, activation=activation) for n in outputs]
    for layer in made:
        if layer.bias is not None:
            nn.init.uniform_(layer.bias)
    return [freeze(layer) for layer in made]


@pytest.mark.parametrize("shape", [(12,), (1, 12), (7, 12), (2, 3, 12)])
@pytest.mark.parametrize("bias", [True, False])
def test_frozen_layers_share_a_product(bias: bool, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    several, x = layers(5, 8, 3, bias=bias, activation="relu"), torch.randn(*shape)
    products = []
    linear = functional.beside.__globals__["linear"]
    monkeypatch.setitem(functional.beside.__globals__, "linear", lambda *given: products.append(1) or linear(*given))
    with torch.no_grad():
        found = called_beside(several, x)
        expected = torch.cat([layer(x) for layer in several], -1)
    assert found is not None
    torch.testing.assert_close(found, expected, **CLOSE)
    assert len(products) == 1


def test_the_copy_goes_with_its_weights() -> None:
    before = len([key for key in scorch.engine.kept.programs if key[:1] == ("beside",)])
    several, x = layers(5, 8), torch.randn(3, 12)
    with torch.no_grad():
        for _ in range(3):
            called_beside(several, x)
    held = [key for key in scorch.engine.kept.programs if key[:1] == ("beside",)]
    assert len(held) == before + 1
    del several
    assert len([key for key in scorch.engine.kept.programs if key[:1] == ("beside",)]) == before


def test_a_changed_weight_is_an_error() -> None:
    several, x = layers(5, 8), torch.randn(3, 12)
    with torch.no_grad():
        called_beside(several, x)
        several[1].weight.values.mul_(2)
        with pytest.raises(ScorchError, match="changed in place"):
            called_beside(several, x)


def test_others_are_called_one_by_one() -> None:
    x = torch.randn(3, 12)
    a, b = layers(5, 8)
    with torch.no_grad():
        assert called_beside([a, nn.Linear(12, 8)], x) is None
        assert called_beside([a, Linear(12, 8)], x) is None  # not frozen
        assert called_beside([a], x) is None
        assert called_beside([a, *layers(5, activation="relu")], x) is None
        assert called_beside([a, *layers(5, bias=True)], x) is None
        assert called_beside([a, freeze(Linear(12, 8, bias=False, dtype=torch.float64))], x) is None
        b.register_forward_hook(lambda *_: None)
        assert called_beside([a, b], x) is None
    links = [Link(layer.weight(), None, f) for layer, f in zip(layers(5, 8), ("relu", None), strict=True)]
    expected = torch.cat([link(x) for link in links], -1)
    torch.testing.assert_close(functional.beside(x, links), expected, **CLOSE)


def test_gradients_of_the_input() -> None:
    several, x = layers(5, 8), torch.randn(3, 12, requires_grad=True)
    assert called_beside(several, x) is None
    links = [Link(layer.weight()) for layer in several]
    (grad,) = torch.autograd.grad(functional.beside(x, links).sum(), x)
    (expected,) = torch.autograd.grad(sum(link(x).sum() for link in links), x)
    torch.testing.assert_close(grad, expected, **CLOSE)


# --- sums ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(130, 140), (2, 65, 140), (1, 130, 140)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_sum_of_two_orders(shape: tuple[int, ...], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(*shape, dtype=dtype)
    y = torch.randn(shape[-1], *shape[:-1], dtype=dtype).movedim(0, -1)
    texts = []
    compute = scorch.compute
    monkeypatch.setattr(scorch, "compute", lambda text, **given: texts.append(text) or compute(text, **given))
    found = functional.added(x, y)
    assert torch.equal(found, x + y)
    assert found.is_contiguous()
    assert len(texts) == 1
    assert torch.equal(functional.added(y, x), x + y)
    assert torch.equal(functional.added(x, x), x + x)
    assert torch.equal(functional.added(x, x[..., :1]), x + x[..., :1])
    small = x[..., :2, :2].contiguous()
    assert torch.equal(functional.added(small, small.mT), small + small.mT)
    assert len(texts) == 1
    wanted = x.clone().requires_grad_()
    assert torch.equal(torch.autograd.grad(functional.added(wanted, y).sum(), wanted)[0], torch.ones_like(x))


# --- norms --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("eps", [None, 1e-3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_norm_of_rows(dtype: torch.dtype, eps: float | None) -> None:
    x, weight = torch.randn(2, 9, 33, dtype=dtype), torch.rand(33, dtype=dtype)
    x[0, 0] = 0
    x[0, 1, 3] = torch.inf
    x[1, 1, 3] = torch.nan
    expected = nn.functional.rms_norm(x, (33,), weight, eps)
    torch.testing.assert_close(functional.rms_norm(x, weight, eps), expected, equal_nan=True, rtol=1e-5, atol=1e-6)
    for given in (x.mT.contiguous().mT, x[..., :8], x[0, 0]):
        w = weight[: given.shape[-1]].contiguous()
        expected = nn.functional.rms_norm(given, w.shape, w, eps)
        torch.testing.assert_close(functional.rms_norm(given, w, eps), expected, equal_nan=True, rtol=1e-5, atol=1e-6)
    halves = x.half()
    assert functional.rms_norm(halves, weight.half(), eps).dtype == torch.float16
    wanted = torch.randn(3, 33, dtype=dtype, requires_grad=True)
    assert functional.rms_norm(wanted, weight, eps).requires_grad
    with pytest.raises(RuntimeError):
        functional.rms_norm(x, weight[:5], eps)


# --- the decoder block --------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("length", [1, 5, 40])
def test_a_frozen_decoder_block(batch: int, length: int) -> None:
    torch.manual_seed(0)
    block = DecoderBlock(width=32, heads=4, key_heads=2, hidden=48).eval()
    nn.init.uniform_(block.norm1.weight)
    x = torch.randn(batch, length, 32)
    for p in block.parameters():
        if p.ndim == 2:
            p.data *= torch.rand_like(p) > 0.5
    sparse = copy.deepcopy(block)
    for name in ("query", "key", "value", "out", "gate", "up", "down"):
        setattr(sparse, name, Linear.from_dense(getattr(block, name)))
    with torch.no_grad():
        expected = block(x)
        torch.testing.assert_close(sparse(x), expected, rtol=1e-3, atol=1e-4)
        freeze(sparse)
        for _ in range(2):
            torch.testing.assert_close(sparse(x), expected, rtol=1e-3, atol=1e-4)
    sparse(x.requires_grad_()).sum().backward()
    ours, x.grad = x.grad, None
    block(x).sum().backward()
    torch.testing.assert_close(ours, x.grad, rtol=1e-3, atol=1e-3)

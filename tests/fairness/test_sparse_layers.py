"""FORML over the layers of scorch.nn: through masks, and through compiled sparse kernels."""

import pytest
import torch
from torch import nn

import scorch.nn
from scorch.fairness import FORML, finetune
from scorch.fairness.networks import mlp
from scorch.fairness.training import Settings


@pytest.fixture
def no_jit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels run as Python: nothing is compiled for these few rows."""
    monkeypatch.setattr(scorch.config, "jit", False)


def pruned() -> nn.Module:
    torch.manual_seed(0)
    model = mlp(6, (16,), 2)
    scorch.nn.prune.magnitude(model, 0.75)
    return model


def sparse(x: torch.Tensor) -> nn.Module:
    """The pruned model on sparse kernels, whatever they gain at this size."""
    return scorch.nn.convert(pruned(), example_inputs=x, least_gain=0.0, measure=False)


def data() -> tuple[tuple[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    """24 samples to train on and 24 exemplars."""
    x = torch.randn(48, 6, generator=torch.Generator().manual_seed(1))
    y = (x[:, 0] > 0).long()
    return (x[:24], y[:24]), (x[24:], y[24:])


@pytest.mark.parametrize("backend", ["jvp", "fd"])
def test_masks_of_scorch_stay(backend: str) -> None:
    (x, y), shown = data()
    model = pruned()
    before = {name: mask.clone() for name, mask in scorch.nn.prune.masks(model).items()}
    finetune(model, x, y, exemplars=shown, backend=backend, settings=Settings(epochs=2))
    for name, mask in scorch.nn.prune.masks(model).items():
        assert torch.equal(mask, before[name])
    scorch.nn.prune.remove(model)
    assert scorch.nn.prune.sparsity(model) >= 0.75


@pytest.mark.parametrize("backend", ["jvp", "fd"])
def test_sparse_kernels_train_as_masks_do(backend: str, no_jit: None) -> None:
    (x, y), shown = data()
    model, masked = sparse(x), pruned()
    untrained = model(x).detach()
    assert all(report.converted for report in model.conversion.layers)
    for each in (model, masked):
        finetune(each, x, y, exemplars=shown, backend=backend, settings=Settings(epochs=3, lr=0.01))
    assert not torch.allclose(model(x), untrained, atol=1e-2)
    assert torch.allclose(model(x), masked(x), atol=2e-3)


@pytest.mark.parametrize("backend", ["jvp", "fd"])
def test_influences_through_sparse_kernels(backend: str, no_jit: None) -> None:
    (x, y), (xv, yv) = data()
    batch, shown = (x.double(), y), (xv.double(), yv)
    found = FORML(sparse(x).double(), backend=backend).influence(batch, shown).m
    expected = FORML(pruned().double(), backend="unroll").influence(batch, shown).m
    assert torch.allclose(found, expected, atol=1e-7)

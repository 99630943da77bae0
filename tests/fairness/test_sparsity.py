from typing import Any

import pytest
import torch
from torch import nn

from scorch.fairness import FairnessError, FairnessWarning, finetune
from scorch.fairness.networks import mlp
from scorch.fairness.sparsity import achieved, existing, magnitude
from scorch.fairness.training import Settings


def data() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(80, 6), torch.arange(80) % 2


@pytest.mark.parametrize("scope", ["global", "layer"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.98])
def test_exactly_the_share_is_pruned_and_the_smallest_go(share: float, scope: str) -> None:
    model = mlp(20, (30,), 5)
    largest = model[0].weight.abs().max().item()
    magnitude(model, share, scope)
    assert achieved(model) == pytest.approx(share, abs=0.005)
    assert model[0].weight.abs().max().item() == largest
    assert bool(model[0].bias.any())


@pytest.mark.parametrize("method", ["erm", "forml", "dfr", "meta_weight_net"])
def test_zeros_stay_zero_through_fine_tuning(method: str) -> None:
    x, y = data()
    model = mlp(6, (16,), 2)
    magnitude(model, 0.8, "layer")
    masks = existing(model).masks
    before = model[0].weight.detach().clone()
    tuned = finetune(model, x, y, method=method, settings=Settings(epochs=3, lr=0.01))
    assert tuned is model
    for name, mask in masks.items():
        assert not bool(dict(model.named_parameters())[name][mask == 0].any())
    assert not torch.equal(model[0].weight, before)


@pytest.mark.parametrize("backend", ["jvp", "fd"])
def test_masks_of_torch_are_understood(backend: str) -> None:
    from torch.nn.utils import prune

    x, y = data()
    model = mlp(6, (16,), 2)
    prune.l1_unstructured(model[0], "weight", 0.75)
    finetune(model, x, y, backend=backend, settings=Settings(epochs=2))
    model(x)
    assert int((model[0].weight == 0).sum()) == 72


def test_pruning_in_steps_reaches_the_sparsity(biased: Any) -> None:
    (X, y, s), (Xv, yv, sv), _ = biased
    model = mlp(4, (32,), 2)
    finetune(
        model,
        torch.tensor(X),
        torch.tensor(y),
        exemplars=(torch.tensor(Xv), torch.tensor(yv), sv),
        sensitive_features=s,
        sparsity=0.9,
        prune_steps=3,
        settings=Settings(epochs=5, lr=0.01),
    )
    assert achieved(model) == pytest.approx(0.9, abs=0.01)


def test_a_layer_that_goes_altogether_is_a_warning() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 2))
    with torch.no_grad():
        model[1].weight.mul_(1e-6)
    with pytest.warns(FairnessWarning, match=r"no weight of 1.weight, which cuts the network"):
        magnitude(model, 0.5)


def test_bad_input() -> None:
    x, y = data()
    with pytest.raises(FairnessError, match="share in"):
        magnitude(nn.Linear(2, 2), 1.0)
    with pytest.raises(FairnessError, match="no scope 'row'"):
        magnitude(nn.Linear(2, 2), 0.5, "row")
    with pytest.raises(FairnessError, match="no weight matrix"):
        magnitude(nn.BatchNorm1d(3), 0.5)
    with pytest.raises(FairnessError, match="80 inputs, but 79 labels"):
        finetune(nn.Linear(6, 2), x, y[:79])
    with pytest.raises(FairnessError, match="prune_steps"):
        finetune(nn.Linear(6, 2), x, y, sparsity=0.5, prune_steps=0)

from typing import Any

import pytest
import torch
from torch import nn

from scorch.fairness import FORML, DivergenceError, FairnessError


def data(n: int = 12) -> tuple[Any, Any]:
    torch.manual_seed(0)
    batch = torch.randn(n, 4), torch.arange(n) % 2
    return batch, (torch.randn(8, 4), torch.arange(8) % 2, torch.arange(8) // 4)


@pytest.mark.smoke
@pytest.mark.parametrize("weights", ["online", "additive", "persistent"])
@pytest.mark.parametrize("backend", ["jvp", "fd", "unroll"])
def test_weights_have_mean_one(weights: str, backend: str) -> None:
    batch, exemplars = data()
    found = FORML(nn.Linear(4, 2), weights=weights, backend=backend).weights(batch, exemplars)
    assert found.shape == (12,)
    assert float(found.mean()) == pytest.approx(1)
    assert not found.requires_grad


def test_the_model_is_left_as_it_was() -> None:
    batch, exemplars = data()
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 2))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(3)
    FORML(model).weights(batch, exemplars)
    after_call = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(after_call, torch.rand(1))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_loss_is_the_loss_under_the_weights() -> None:
    batch, exemplars = data()
    model = nn.Linear(4, 2)
    forml = FORML(model)
    loss = forml.loss(batch, exemplars)
    assert loss is not None
    plain = nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")
    expected = (forml.weights(batch, exemplars) * plain).mean()
    assert loss.item() == pytest.approx(expected.item())
    loss.backward()
    assert model.weight.grad is not None


def test_a_step_with_nothing_helpful_is_skipped() -> None:
    model = nn.Linear(4, 2)
    (x, _), _ = data()
    # Exemplars with the training inputs and the opposite labels: every sample harms.
    forml = FORML(model, objective="mean", weights="online", start="zero")
    same = x[:1].repeat(4, 1)
    assert forml.loss((same, torch.zeros(4, dtype=torch.int64)), (same, torch.ones(4, dtype=torch.int64))) is None
    assert forml.skipped == 1


def test_weights_favour_the_group_that_is_behind() -> None:
    torch.manual_seed(0)
    model = nn.Linear(2, 2)
    x = torch.eye(2).repeat(10, 1)
    y = torch.tensor([0, 1] * 10)
    with torch.no_grad():
        model.weight.zero_()
        model.bias.copy_(torch.tensor([2.0, -2.0]))  # class 1 is never predicted
    weights = FORML(model, objective="gap").weights((x, y), (x, y))
    assert float(weights[y == 1].mean()) > float(weights[y == 0].mean())


@pytest.mark.parametrize("columns", [1, 2])
def test_a_single_logit_is_two_classes(columns: int) -> None:
    batch, exemplars = data()
    found = FORML(nn.Linear(4, columns)).weights(batch, exemplars)
    assert found.shape == (12,)


def test_inputs_may_be_several_tensors() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 2)

        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return self.layer(a + b)

    (x, y), (xe, ye, _) = data()
    model = Two()
    positional = FORML(model).weights(((x, x), y), ((xe, xe), ye))
    named = FORML(model).weights(({"a": x, "b": x}, y), ({"a": xe, "b": xe}, ye))
    assert torch.equal(positional, named)


def test_an_image_model() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    x, y = torch.randn(9, 1, 8, 8), torch.arange(9) % 3
    oracle = FORML(model, backend="unroll").weights((x, y), (x, y))
    assert torch.allclose(FORML(model).weights((x, y), (x, y)), oracle, atol=1e-4)


def test_attribute_given_positive_looks_at_positives_only() -> None:
    (x, y), (xe, ye, s) = data()
    model = nn.Linear(4, 2)
    forml = FORML(model, groups="attribute_given_positive")
    changed = xe.clone()
    changed[ye == 0] += 100
    assert torch.allclose(forml.weights((x, y), (xe, ye, s)), forml.weights((x, y), (changed, ye, s)))


def test_one_group_in_the_exemplars_is_plain_training() -> None:
    (x, y), (xe, _, _) = data()
    found = FORML(nn.Linear(4, 2)).weights((x, y), (xe, torch.zeros(8, dtype=torch.int64)))
    assert found.tolist() == pytest.approx([1.0] * 12)


def test_persistent_weights_need_places_in_the_training_set() -> None:
    batch, exemplars = data()
    forml = FORML(nn.Linear(4, 2), weights="persistent", n_samples=30)
    with pytest.raises(FairnessError, match="needs indices="):
        forml.weights(batch, exemplars)
    forml.weights(batch, exemplars, torch.arange(12) + 5)
    assert forml.memory is not None
    assert float(forml.memory.values.mean()) == pytest.approx(1)
    again = FORML(nn.Linear(4, 2), weights="persistent")
    again.load_state_dict(forml.state_dict())
    assert torch.equal(again.memory.values, forml.memory.values)
    with pytest.raises(FairnessError, match="needs n_samples="):
        FORML(nn.Linear(4, 2), weights="persistent").weights(batch, exemplars, torch.arange(12))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"objective": "min"}, "no objective 'min'; there are gap, max"),
        ({"weights": "x"}, "no weights 'x'; there are online"),
        ({"backend": "x"}, "no backend 'x'; there are jvp"),
        ({"loss": "mse"}, "no loss 'mse'"),
        ({"lr": 0}, "must be above 0"),
    ],
)
def test_unknown_options_are_named(option: dict[str, Any], message: str) -> None:
    with pytest.raises(FairnessError, match=message):
        FORML(nn.Linear(2, 2), **option)


def test_shapes_that_do_not_match() -> None:
    (x, y), exemplars = data()
    forml = FORML(nn.Linear(4, 2))
    with pytest.raises(FairnessError, match="batch: 12 inputs, but 11 labels"):
        forml.weights((x, y[:11]), exemplars)
    with pytest.raises(FairnessError, match="exemplars: 8 inputs, but 7 labels"):
        forml.weights((x, y), (exemplars[0], exemplars[1][:7]))
    with pytest.raises(FairnessError, match="rows of sensitive features"):
        forml.weights((x, y), (exemplars[0], exemplars[1], exemplars[2][:5]))
    with pytest.raises(FairnessError, match="class numbers"):
        forml.weights((x, y.float()), exemplars)
    with pytest.raises(FairnessError, match="label 5, but the model has 2 outputs"):
        forml.weights((x, y + 4), exemplars)
    with pytest.raises(FairnessError, match="one number a sample"):
        FORML(nn.Linear(4, 2), loss=nn.functional.cross_entropy).weights((x, y), exemplars)
    with pytest.raises(FairnessError, match="a tuple"):
        forml.weights((x, y), x)
    with pytest.raises(FairnessError, match=r"logits of shape \(samples, classes\)"):
        FORML(nn.Sequential(nn.Linear(4, 4), nn.Unflatten(1, (2, 2)))).weights((x, y), exemplars)


def test_nan_is_an_error_that_says_what_to_do() -> None:
    (x, y), exemplars = data()
    broken = x.clone()
    broken[0, 0] = float("nan")
    with pytest.raises(DivergenceError, match="look for NaN"):
        FORML(nn.Linear(4, 2)).weights((broken, y), exemplars)
    with pytest.raises(DivergenceError, match="lower the learning rate"):
        FORML(nn.Linear(4, 2)).weights((x, y), (exemplars[0] * float("nan"), exemplars[1]))


def test_no_trainable_parameter() -> None:
    (x, y), exemplars = data()
    with pytest.raises(FairnessError, match="nothing to train"):
        FORML(nn.Linear(4, 2).requires_grad_(False)).weights((x, y), exemplars)

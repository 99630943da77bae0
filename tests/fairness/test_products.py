"""Influences read off a backward pass are those of the unrolled look-ahead, and only where that is exact."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from scorch.fairness import FORML, FairnessError
from scorch.fairness import influence as influences
from scorch.fairness.networks import Standardise, mlp, small_cnn
from scorch.fairness.products import is_samplewise, record

CHAINS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "mlp": (lambda: mlp(6, (9, 7), 3), (6,)),
    "cnn": (lambda: small_cnn(1, 8, 8, 3), (1, 8, 8)),
    "one layer": (lambda: nn.Linear(6, 3), (6,)),
    "one logit": (lambda: nn.Linear(6, 1), (6,)),
    "nested": (
        lambda: nn.Sequential(nn.Sequential(nn.Linear(6, 5, bias=False), nn.Tanh()), nn.Linear(5, 3)),
        (6,),
    ),
    "dropout": (lambda: nn.Sequential(nn.Linear(6, 9), nn.Dropout(0.4), nn.ReLU(), nn.Linear(9, 3)), (6,)),
    "standardised": (lambda: nn.Sequential(Standardise(torch.randn(9, 6)), nn.Linear(6, 3)), (6,)),
    "layer norm": (lambda: nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 3)), (6,)),
    "group norm": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2, padding_mode="circular"),
            nn.GroupNorm(2, 4),
            nn.SiLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(16, 3),
        ),
        (2, 8, 8),
    ),
    "sequences": (
        lambda: nn.Sequential(nn.Linear(3, 4), nn.Conv1d(5, 2, 3, dilation=1), nn.Flatten(), nn.Linear(4, 3)),
        (5, 3),
    ),
    "volumes": (lambda: nn.Sequential(nn.Conv3d(1, 2, 2), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)), (1, 3, 3, 3)),
    "unflattened": (lambda: nn.Sequential(nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 3, 6), nn.Flatten()), (6,)),
}  # fmt: skip


def problem(name: str) -> tuple[nn.Module, Any, Any]:
    torch.manual_seed(0)
    make, shape = CHAINS[name]
    model = make().double()
    classes = 2 if name == "one logit" else 3
    batch = torch.randn(14, *shape, dtype=torch.float64), torch.randint(0, classes, (14,))
    return model, batch, (torch.randn(12, *shape, dtype=torch.float64), torch.arange(12) % classes)


def assert_exact(model: nn.Module, batch: Any, exemplars: Any, **options: Any) -> None:
    found = {}
    for backend in ("jvp", "unroll"):
        torch.manual_seed(7)
        found[backend] = FORML(model, backend=backend, **options).weigh(batch, exemplars, live=False)
    size = float(found["unroll"].influence.abs().max())
    assert size > 0
    assert float((found["jvp"].influence - found["unroll"].influence).abs().max()) < 1e-13 * size
    assert torch.equal(found["jvp"].logits, found["unroll"].logits)


@pytest.fixture
def no_forward_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> None:
        raise AssertionError("forward mode was used")

    monkeypatch.setattr(influences, "_directional", refuse)


@pytest.mark.usefixtures("no_forward_mode")
@pytest.mark.parametrize("start", ["uniform", "zero"])
@pytest.mark.parametrize("name", CHAINS)
def test_chains_need_no_forward_mode(name: str, start: str) -> None:
    assert_exact(*problem(name), start=start)


@pytest.mark.usefixtures("no_forward_mode")
def test_uneven_weights_and_weights_of_zero() -> None:
    model, batch, exemplars = problem("cnn")
    weights = torch.rand(14, dtype=torch.float64)
    weights[3:7] = 0
    found, oracle = (
        FORML(model, backend=backend).influence(batch, exemplars, weights / weights.sum()).m
        for backend in ("jvp", "unroll")
    )
    assert torch.allclose(found, oracle, rtol=1e-12, atol=1e-13 * float(oracle.abs().max()))


@pytest.mark.usefixtures("no_forward_mode")
def test_frozen_and_pruned_parameters() -> None:
    model, batch, exemplars = problem("mlp")
    mask = (torch.rand(9, 6) < 0.3).double()
    model.get_parameter("2.weight").requires_grad_(False)
    model.get_parameter("4.bias").requires_grad_(False)
    assert_exact(model, batch, exemplars, masks={"0.weight": mask})


@pytest.mark.usefixtures("no_forward_mode")
def test_a_layer_used_twice_and_a_weight_with_two_holders() -> None:
    torch.manual_seed(0)
    twice = nn.Linear(6, 6)
    tied = nn.Linear(6, 6)
    tied.weight = twice.weight
    model = nn.Sequential(twice, nn.Tanh(), twice, nn.Tanh(), tied, nn.Tanh(), nn.Linear(6, 3)).double()
    _, batch, exemplars = problem("mlp")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert_exact(model, batch, exemplars)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


class Own(nn.Linear):
    """A subclass may do what it likes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x - x.mean(dim=0))


def with_hook() -> nn.Module:
    layer = nn.Linear(6, 3)
    layer.register_forward_pre_hook(lambda module, args: (args[0] - args[0].mean(dim=0),))
    return layer


def with_forward() -> nn.Module:
    layer = nn.Linear(6, 3)
    plain = layer.forward
    layer.forward = lambda x: plain(x - x.mean(dim=0))  # type: ignore[method-assign]
    return layer


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)),
        lambda: nn.Sequential(nn.Linear(6, 4), nn.ReLU(inplace=True), nn.Linear(4, 3)),
        lambda: nn.Sequential(nn.Linear(6, 4), Own(4, 3)),
        lambda: nn.Sequential(nn.Linear(6, 4), nn.Softmax(dim=0), nn.Linear(4, 3)),
        lambda: nn.Sequential(nn.Flatten(0), nn.Unflatten(0, (14, 6)), nn.Linear(6, 3)),
        with_hook,
        with_forward,
    ],
)
def test_other_models_go_through_forward_mode(make: Callable[[], nn.Module]) -> None:
    model = make().double()
    assert not is_samplewise(model)
    _, batch, exemplars = problem("mlp")
    shown = exemplars[0].repeat(2, 1)[:14], exemplars[1].repeat(2)[:14]
    assert_exact(model, batch, shown)


def test_a_layer_normalised_over_the_samples_goes_through_forward_mode() -> None:
    model, batch, exemplars = problem("mlp")
    model = nn.Sequential(nn.LayerNorm((14, 6)), *model.children()).double()
    tape = record(model, dict(model.named_parameters()), batch[0])
    assert tape is not None
    assert not tape.by_sample
    shown = exemplars[0].repeat(2, 1)[:14], exemplars[1].repeat(2)[:14]
    assert_exact(model, batch, shown)


def test_a_loss_of_the_callers_may_mix_samples() -> None:
    def relative(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        losses = nn.functional.cross_entropy(logits, labels, reduction="none")
        return losses / losses.detach().mean() + (losses - losses.mean()) ** 2

    model, batch, exemplars = problem("mlp")
    assert_exact(model, batch, exemplars, loss=relative, start="zero")


def test_no_tape_for_inputs_that_are_no_tensor_and_parameters_outside_the_chain() -> None:
    model = nn.Linear(6, 3)
    parameters = dict(model.named_parameters())
    x = torch.randn(4, 6)
    assert record(model, parameters, (x,)) is None
    assert record(model, {**parameters, "other": nn.Parameter(x)}, x) is None
    assert record(model, parameters, x) is not None


def test_one_wrong_dimension_is_an_error_and_no_influence() -> None:
    with pytest.raises(FairnessError):
        FORML(nn.Linear(6, 3)).weights(
            (torch.randn(4, 2, 6), torch.tensor([0, 1, 2, 0])), (torch.randn(3, 6), torch.arange(3))
        )

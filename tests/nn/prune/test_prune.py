from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import prune as torch_prune

from scorch.errors import NotationError, ShapeError, UnsupportedError
from scorch.nn import prune


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))


def weights(model: nn.Sequential) -> list[torch.Tensor]:
    return [model[0].weight, model[2].weight]


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9, 1.0])
def test_each_layer_has_the_sparsity_that_was_asked_for(share: float) -> None:
    model = network()
    prune.magnitude(model, share)
    for weight in weights(model):
        assert int((weight == 0).sum()) == round(share * weight.numel())


def test_magnitude_takes_the_smallest() -> None:
    model, before = network(), network()
    prune.magnitude(model, 0.5)
    for new, old in zip(weights(model), weights(before), strict=True):
        kept = new != 0
        assert old[~kept].abs().max() <= old[kept].abs().min()
        torch.testing.assert_close(new[kept], old[kept])


def test_globally_the_smallest_of_all_layers() -> None:
    model = network()
    with torch.no_grad():
        model[2].weight.fill_(10)
    prune.magnitude(model, 0.5, scope="global")
    assert prune.sparsity(model) == 0.5
    assert bool((model[2].weight != 0).all())


def test_a_sparsity_for_each_layer() -> None:
    model = network()
    prune.magnitude(model, {"2": 0.75})
    assert [int((w == 0).sum()) for w in weights(model)] == [0, 48]
    assert list(prune.magnitude(model, 0.5, layers=["0"])) == ["0"]


def test_zeros_stay_through_training_and_more_pruning() -> None:
    model = network()
    first = prune.random(model, 0.5, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(3):
        model(torch.randn(4, 8)).square().sum().backward()
        optimizer.step()
    second = prune.random(model, 0.75)
    for name in first:
        assert not bool((second[name] & ~first[name]).any())
    prune.remove(model)
    assert isinstance(model[0].weight, nn.Parameter)
    assert prune.sparsity(model) == 0.75


def test_less_pruning_brings_nothing_back() -> None:
    model = network()
    prune.magnitude(model, 0.75)
    first = prune.masks(model)
    prune.magnitude(model, 0.25)
    assert prune.sparsity(model) == 0.75
    second = prune.magnitude(model, structure=prune.NM(3, 4))
    assert not any(bool((second[name] & ~first[name]).any()) for name in first)


def test_masks_are_removed_from_a_copy_alone() -> None:
    model = network()
    prune.magnitude(model, 0.5)
    prune.remove(copy.deepcopy(model))
    assert prune.sparsity(model) == 0.5
    assert model(torch.ones(1, 8)).shape == (1, 4)


def test_masked_models_can_be_copied_and_saved() -> None:
    model = network()
    prune.magnitude(model, 0.5)
    model(torch.ones(1, 8))
    other = copy.deepcopy(model)
    other.load_state_dict(model.state_dict())
    torch.testing.assert_close(other[0].weight, model[0].weight)


@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (4, 4)])
def test_n_of_m(n: int, m: int) -> None:
    model, before = network(), network()
    prune.magnitude(model, structure=prune.NM(n, m))
    for new, old in zip(weights(model), weights(before), strict=True):
        groups = (new != 0).reshape(-1, m)
        assert bool((groups.sum(1) == n).all())
        largest = old.abs().reshape(-1, m).topk(n).indices
        assert bool(groups.gather(1, largest).all())


def test_blocks_go_as_a_whole() -> None:
    model = network()
    prune.magnitude(model, 0.5, structure=prune.Block(4, 2))
    for weight in weights(model):
        blocks = (weight != 0).reshape(weight.shape[0] // 4, 4, -1, 2).sum((1, 3))
        assert set(blocks.reshape(-1).tolist()) == {0, 8}
        assert int((blocks == 0).sum()) == blocks.numel() // 2


@pytest.mark.parametrize("groups", [1, 2])
def test_wanda_weighs_by_the_input(groups: int) -> None:
    conv = nn.Conv2d(4, 6, 3, padding=1, stride=2, groups=groups)
    x = torch.randn(2, 4, 5, 5)
    expected = torch.zeros_like(conv.weight)
    pixels = nn.functional.unfold(x, 3, padding=1, stride=2).square().sum((0, 2)).sqrt().reshape(4, 3, 3)
    for out in range(6):
        first = (out // (6 // groups)) * (4 // groups)
        expected[out] = conv.weight[out].detach().abs() * pixels[first : first + 4 // groups]
    (kept,) = prune.wanda(conv, 0.5, x).values()
    for row, score in zip(kept.flatten(1), expected.flatten(1), strict=True):
        assert score[~row].max() <= score[row].min()


def test_wanda_compares_within_an_output() -> None:
    layer = nn.Linear(8, 4)
    (kept,) = prune.wanda(layer, 0.5, torch.randn(5, 8)).values()
    assert kept.sum(1).tolist() == [4, 4, 4, 4]


def test_movement_is_minus_weight_times_gradient() -> None:
    model = nn.Linear(8, 4, bias=False)
    batches = [torch.randn(5, 8) for _ in range(3)]
    weight = model.weight.detach().clone().requires_grad_()
    sum((batch @ weight.T).square().sum() for batch in batches).backward()  # type: ignore[union-attr]
    score = -(weight * weight.grad).detach()
    (kept,) = prune.movement(model, 0.5, batches, lambda m, x: m(x).square().sum()).values()
    assert score[~kept].max() <= score[kept].min()


def test_movement_trains_along() -> None:
    model = network()
    prune.magnitude(model, 0.25)
    before = model[0].parametrizations.weight.original.detach().clone()  # type: ignore[union-attr]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    prune.movement(model, 0.5, [torch.randn(5, 8)] * 2, lambda m, x: m(x).square().sum(), optimizer=optimizer)
    assert not before.equal(model[0].parametrizations.weight.original)  # type: ignore[union-attr]
    assert prune.sparsity(model) == 0.5


def test_masks_of_torch_are_taken_over() -> None:
    model = network()
    torch_prune.random_unstructured(model[0], "weight", amount=64)
    theirs = model[0].weight_mask.bool()
    assert prune.masks(model)["0"].equal(theirs)
    ours = prune.magnitude(model, 0.75)
    assert not bool((ours["0"] & ~theirs).any())
    assert not hasattr(model[0], "weight_mask")


def test_gradual_pruning_ends_at_the_target() -> None:
    model = network()
    pruning = prune.Gradual(model, 0.9, steps=4, method=prune.random)
    shares = []
    while not pruning.is_done:
        pruning.step()
        shares.append(prune.sparsity(model))
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(0.9, abs=0.01)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: prune.magnitude(m, 1.5), "a share in"),
        (lambda m: prune.magnitude(m), "a share in"),
        (lambda m: prune.magnitude(m, 0.5, scope="everywhere"), "by layer, row or global"),
        (lambda m: prune.magnitude(m, 0.5, scope="global", structure=prune.Block(2, 2)), "no structure"),
        (lambda m: prune.magnitude(m, 0.9, structure=prune.NM(2, 4)), "2:4 has the sparsity 0.5, not 0.9"),
        (lambda m: prune.magnitude(m, structure=prune.NM(2, 3)), "groups of 3"),
        (lambda m: prune.magnitude(m, 0.5, structure=prune.Block(3, 2)), "blocks of 3 x 2"),
        (lambda m: prune.magnitude(m, 0.5, layers=["1"]), "'1' is no layer that can be pruned"),
        (lambda m: prune.magnitude(nn.ReLU(), 0.5), "no Linear or Conv layer"),
        (lambda m: prune.apply(m, {"0": torch.ones(2, 2)}), "the mask of 0 is"),
        (lambda m: prune.wanda(m, 0.5), "pass example_inputs="),
        (lambda m: prune.movement(m, 0.5), "pass batches= and loss="),
        (lambda m: prune.cubic(0.5, 0), "at least one step"),
    ],
)
def test_mistakes(call: Any, message: str) -> None:
    with pytest.raises((ShapeError, NotationError, UnsupportedError), match=message):
        call(network())

"""Frozen layers: the same results, no training, an error for values that change, and what they were before."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn

import scorch
from scorch.errors import ScorchError
from scorch.nn import Linear, freeze, unfreeze

pytestmark = pytest.mark.usefixtures("plain")


def model() -> nn.Sequential:
    generator = torch.Generator().manual_seed(2)
    first = Linear(24, 16, sparsity=0.5, activation="relu", generator=generator)
    return nn.Sequential(first, nn.LayerNorm(16), Linear(16, 8, sparsity=0.5, generator=generator))


def weights(made: nn.Sequential) -> list[scorch.nn.SparseWeight]:
    return [made[0].weight, made[2].weight]  # type: ignore[union-attr, list-item]


@pytest.mark.usefixtures("for_avx512")
def test_the_same_results_from_copies() -> None:
    made, x = model(), torch.randn(64, 24)
    with torch.no_grad():
        expected = made(x)
        assert freeze(made) is made
        for _ in range(3):
            torch.testing.assert_close(made(x), expected)
            torch.testing.assert_close(made(x[:1]), expected[:1])
    copies = made[0].weight()._storage.copies  # type: ignore[operator, union-attr]
    assert any("grouped" in str(format) for format in copies)
    assert "frozen" in repr(made)


def test_no_gradient_reaches_a_frozen_weight_and_all_others() -> None:
    made, x = freeze(model()), torch.randn(5, 24, requires_grad=True)
    made(x).sum().backward()
    assert x.grad is not None
    assert made[0].bias.grad is not None
    assert [w.values.grad for w in weights(made)] == [None, None]


def test_unfreezing_gives_back_what_was_trained() -> None:
    made = model()
    weights(made)[1].values.requires_grad_(False)
    unfreeze(freeze(freeze(made)))
    assert [w.values.requires_grad for w in weights(made)] == [True, False]
    made(torch.randn(5, 24)).sum().backward()
    assert weights(made)[0].values.grad is not None


def test_changed_values_are_an_error_and_a_loaded_state_is_not() -> None:
    made, other, x = freeze(model()), model(), torch.randn(64, 24)
    with torch.no_grad():
        made(x)
        weights(made)[0].values.mul_(2)
        with pytest.raises(ScorchError, match="changed in place"):
            made(x)
        for weight in weights(other):
            weight.values.add_(1)
        made.load_state_dict(other.state_dict())
        torch.testing.assert_close(made(x), other(x))
        unfreeze(made)
        weights(made)[0].values.zero_()
        assert not made[0](x).count_nonzero()


@pytest.mark.parametrize("again", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_of_a_model_stay_frozen(again) -> None:
    made, x = freeze(model()), torch.randn(64, 24)
    with torch.no_grad():
        expected = made(x)
        other = again(made)
        torch.testing.assert_close(other(x), expected)
        torch.testing.assert_close(made.to(torch.float64)(x.double()).float(), expected)
    assert all(w.is_frozen for w in weights(other))

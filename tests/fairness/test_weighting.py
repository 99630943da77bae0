import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from scorch.fairness.errors import FairnessError
from scorch.fairness.weighting import Persistent, additive, effective_share, online

influences = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20).map(
    lambda values: torch.tensor(values, dtype=torch.float64)
)


@given(influences)
@example(torch.tensor([5e-324], dtype=torch.float64))
def test_weights_are_not_negative_and_have_mean_one_or_are_zero(m: torch.Tensor) -> None:
    for weights in (online(m), additive(m), additive(m, strength=3.0)):
        assert bool((weights >= 0).all())
        assert float(weights.mean()) == pytest.approx(1) or not bool(weights.any())


@given(influences)
def test_strength_zero_is_plain_training(m: torch.Tensor) -> None:
    assert additive(m, strength=0.0).tolist() == pytest.approx([1.0] * len(m))


def test_no_helpful_sample_gives_no_weight() -> None:
    assert online(torch.tensor([-1.0, -2.0])).tolist() == [0.0, 0.0]


def test_tiny_influences_count_as_much_as_large_ones() -> None:
    m = torch.tensor([1.0, -1.0, 3.0])
    assert torch.allclose(additive(1e-30 * m), additive(m))


def test_persistent_weights_add_up_and_keep_their_mean() -> None:
    memory = Persistent(6, step=0.2)
    for _ in range(5):
        memory.update(torch.tensor([0, 1, 2]), torch.tensor([1.0, -1.0, 0.5]))
    assert float(memory.values.mean()) == pytest.approx(1)
    assert memory.values[0] > memory.values[2] > memory.values[5] > memory.values[1]


def test_persistent_weights_check_their_indices() -> None:
    with pytest.raises(FairnessError, match="2 numbers below 3"):
        Persistent(3).update(torch.tensor([0, 3]), torch.tensor([1.0, 1.0]))


def test_effective_share() -> None:
    assert effective_share(torch.zeros(3)) == 0
    assert effective_share(torch.tensor([4.0, 0.0, 0.0, 0.0])) == 0.25


def test_persistent_weights_may_start_elsewhere() -> None:
    memory = Persistent(3, prior=torch.tensor([1.0, 1.0, 4.0]))
    assert memory.values.tolist() == [0.5, 0.5, 2.0]
    with pytest.raises(FairnessError, match="prior must be 3 numbers"):
        Persistent(3, prior=torch.ones(2))

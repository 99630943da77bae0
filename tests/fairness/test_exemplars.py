import pytest
import torch

from scorch.fairness.checks import check_groups
from scorch.fairness.errors import FairnessError, FairnessWarning
from scorch.fairness.exemplars import Exemplars, Sampler, split_off
from scorch.fairness.method import TrainingData


def test_a_split_is_seeded_disjoint_and_has_every_group() -> None:
    labels = torch.tensor([0] * 50 + [1] * 10)
    codes = torch.tensor([0, 1] * 30)[:, None]
    kept, held = split_off(labels, codes, 0.2, torch.Generator().manual_seed(3))
    again = split_off(labels, codes, 0.2, torch.Generator().manual_seed(3))
    assert torch.equal(held, again[1])
    assert sorted([*kept.tolist(), *held.tolist()]) == list(range(60))
    groups = {(int(labels[i]), int(codes[i])) for i in held}
    assert groups == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_a_group_of_one_is_in_both_parts_with_a_warning() -> None:
    with pytest.warns(FairnessWarning, match="1 groups have a single sample"):
        kept, held = split_off(torch.tensor([0, 0, 0, 1]), None, 0.3, torch.Generator())
    assert 3 in kept.tolist()
    assert 3 in held.tolist()


@pytest.mark.parametrize("size", [3, 6, 10, None])
def test_no_group_is_missing_in_a_batch(size: int | None) -> None:
    labels = torch.tensor([0] * 40 + [1] * 3 + [2])
    exemplars = Exemplars(torch.arange(44.0)[:, None], labels).grouped("label")
    sampler = Sampler(exemplars, size, torch.Generator().manual_seed(0))
    for _ in range(80):
        assert set(sampler.draw().y.tolist()) == {0, 1, 2}


def test_every_exemplar_comes_up_before_one_comes_again() -> None:
    exemplars = Exemplars(torch.arange(20.0)[:, None], torch.tensor([0] * 10 + [1] * 10)).grouped("label")
    sampler = Sampler(exemplars, 4, torch.Generator().manual_seed(0))
    seen = torch.cat([sampler.draw().x.ravel() for _ in range(5)])
    assert sorted(seen.tolist()) == list(range(20))


def test_a_sampler_goes_on_where_its_state_was_taken() -> None:
    exemplars = Exemplars(torch.arange(20.0)[:, None], torch.tensor([0] * 10 + [1] * 10)).grouped("label")
    first = Sampler(exemplars, 4, torch.Generator().manual_seed(0))
    first.draw()
    second = Sampler(exemplars, 4, torch.Generator())
    second.load_state_dict(first.state_dict())
    second.generator.set_state(first.generator.get_state())
    for _ in range(40):
        assert torch.equal(first.draw().x, second.draw().x)


def test_positives_must_be_there() -> None:
    with pytest.raises(FairnessError, match="no exemplar is in a group"):
        Exemplars(torch.zeros(2, 1), torch.tensor([0, 0]), torch.tensor([[0], [1]])).grouped("attribute_given_positive")


def test_groups_are_compared_before_training() -> None:
    x, y = torch.zeros(4, 1), torch.tensor([0, 0, 1, 1])
    codes = torch.tensor([[0], [1], [0], [1]])
    data = TrainingData(x, y, 2, codes)
    with pytest.raises(FairnessError, match="no exemplar of the classes number"):
        check_groups(data, Exemplars(x[:2], y[:2]), "label", 1)
    with pytest.raises(FairnessError, match="no exemplar of 1 groups"):
        check_groups(data, Exemplars(x[:3], y[:3], codes[:3]), "label_attribute", 1)
    with pytest.warns(FairnessWarning, match="do not occur in the training data"):
        check_groups(TrainingData(x[:3], y[:3], 2, codes[:3]), Exemplars(x, y, codes), "label_attribute", 1)
    with pytest.warns(FairnessWarning, match="all exemplars are in one group"):
        check_groups(TrainingData(x, y, 2), Exemplars(x, y, torch.zeros(4, 1).long()), "attribute_given_positive", 1)

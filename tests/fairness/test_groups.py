import numpy as np
import pytest
import torch

from scorch.fairness.errors import FairnessError
from scorch.fairness.groups import Attributes, group_ids, resolve
from scorch.fairness.objectives import OBJECTIVES, group_means, objective, surrogate


def test_several_attributes_are_crossed() -> None:
    codes = torch.tensor([[0, 0], [0, 1], [1, 0], [0, 0]])
    ids, rows = group_ids(torch.tensor([0, 0, 0, 1]), codes)
    assert ids.tolist() == [0, 1, 2, 3]
    assert rows.tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]]


def test_grouping_by_label_ignores_attributes() -> None:
    assert group_ids(torch.tensor([2, 5]), torch.tensor([[0], [1]]), "label")[0].tolist() == [0, 1]


@pytest.mark.parametrize(
    "sensitive",
    [["a", "b", "a"], np.array([["a"], ["b"], ["a"]]), torch.tensor([3, 7, 3]), {"sex": ["f", "m", "f"]}],
)
def test_attributes_are_read_from_many_things(sensitive: object) -> None:
    assert Attributes.encode(sensitive).codes.ravel().tolist() == [0, 1, 0]


def test_a_data_frame_gives_its_names() -> None:
    pandas = pytest.importorskip("pandas")
    found = Attributes.encode(pandas.DataFrame({"sex": ["f", "m"], "age": [1, 2]}))
    assert found.labels() == ["sex=f, age=1", "sex=m, age=2"]


def test_codes_of_a_second_set_agree_with_the_first() -> None:
    first = Attributes.encode(["m", "f"])
    second = Attributes.encode(["m", "x"], like=first)
    assert second.codes.ravel().tolist() == [1, 2]


@pytest.mark.parametrize(
    ("sensitive", "message"),
    [([None, "a"], "missing values"), ([1.0, float("nan")], "missing values"), (np.zeros((2, 2, 2)), "3 dimensions")],
)
def test_what_cannot_be_attributes(sensitive: object, message: str) -> None:
    with pytest.raises(FairnessError, match=message):
        Attributes.encode(sensitive)


def test_unknown_groupings_and_missing_attributes_are_named() -> None:
    with pytest.raises(FairnessError, match="no grouping 'sex'; there are auto"):
        resolve("sex", True)
    with pytest.raises(FairnessError, match="needs sensitive features"):
        resolve("label_attribute", False)


def test_group_means_leave_out_absent_groups() -> None:
    means = group_means(torch.tensor([1.0, 2.0, 6.0]), torch.tensor([1, 1, 4]))
    assert means.tolist() == [1.5, 6.0]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_equal_groups_have_no_gap_and_their_own_maximum(name: str) -> None:
    value = float(objective(name, torch.full((3,), 0.4)))
    assert value == pytest.approx(0.0 if name == "gap" else 0.4)


def test_unknown_objectives_and_surrogates_are_named() -> None:
    with pytest.raises(FairnessError, match="no objective 'min'; there are gap"):
        objective("min", torch.ones(2))
    with pytest.raises(FairnessError, match="no surrogate 'hinge'; there are ce, tpr"):
        surrogate("hinge")


def test_all_samples_may_be_one_group() -> None:
    assert group_ids(torch.tensor([0, 1, 1]), None, "all")[0].tolist() == [0, 0, 0]
    assert resolve("all", False) == "all"

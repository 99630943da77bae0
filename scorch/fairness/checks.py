"""What can be wrong with groups before training starts, and what to do about it."""

from __future__ import annotations

import warnings

import torch

from scorch.fairness.errors import FairnessError, FairnessWarning
from scorch.fairness.exemplars import Exemplars
from scorch.fairness.groups import group_ids
from scorch.fairness.method import TrainingData

__all__ = ["check_groups"]


def check_groups(data: TrainingData, exemplars: Exemplars, grouping: str, positive: int) -> None:
    """Compare the groups of the training data with those of the exemplars.

    Raises FairnessError for a class without exemplars and for a group (label, attributes) that the training
    data has and the exemplars don't; warns with FairnessWarning if only the exemplars have it, or if all of
    them are in one group.
    """
    _check_classes(data, exemplars)
    if grouping == "all":
        return
    if exemplars.codes is not None and data.codes is not None and grouping != "label":
        if exemplars.codes.shape[1] != data.codes.shape[1]:
            raise FairnessError(
                f"the exemplars have {exemplars.codes.shape[1]} sensitive features, "
                f"the training data {data.codes.shape[1]}"
            )
        _check_attributes(data, exemplars, grouping, positive)
    ids = exemplars.grouped(grouping, positive).ids
    assert ids is not None
    if len(torch.unique(ids[ids >= 0])) == 1:
        warnings.warn(
            "all exemplars are in one group: there is no gap to close; give exemplars of the other groups, or "
            "sensitive features with them",
            FairnessWarning,
            stacklevel=3,
        )


def _check_classes(data: TrainingData, exemplars: Exemplars) -> None:
    missing = sorted(set(data.y.tolist()) - set(exemplars.y.tolist()))
    if missing:
        raise FairnessError(
            f"there is no exemplar of the classes number {missing[:10]}; add some, or let exemplars=None split them off"
        )


def _check_attributes(data: TrainingData, exemplars: Exemplars, grouping: str, positive: int) -> None:
    trained = _rows(data.y, data.codes, grouping, positive)
    shown = _rows(exemplars.y, exemplars.codes, grouping, positive)
    missing = sorted(trained - shown)
    if missing:
        raise FairnessError(
            f"there is no exemplar of {len(missing)} groups of the training data, the first (label number, attribute "
            f"numbers) {missing[0]}; add exemplars of it, or merge rare values of the attribute"
        )
    unseen = sorted(shown - trained)
    if unseen:
        warnings.warn(
            f"{len(unseen)} groups of the exemplars do not occur in the training data, the first (label number, "
            f"attribute numbers) {unseen[0]}; no weighting can teach what is not there: exemplars must lie within "
            "the training distribution",
            FairnessWarning,
            stacklevel=4,
        )


def _rows(labels: torch.Tensor, codes: torch.Tensor | None, grouping: str, positive: int) -> set[tuple[int, ...]]:
    return {tuple(row) for row in group_ids(labels, codes, grouping, positive)[1].tolist()}

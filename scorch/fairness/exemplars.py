"""The small held-out set that says on which distribution fairness is wanted: reading, splitting off, sampling."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import torch

from scorch.fairness.errors import FairnessError, FairnessWarning
from scorch.fairness.groups import Attributes, group_ids

__all__ = ["Exemplars", "Sampler", "read_exemplars", "split_off"]


@dataclass(frozen=True)
class Exemplars:
    """Inputs `x`, labels `y` (n,) int64, attribute codes (n, k) or None, and group numbers (n,) once known."""

    x: Any
    y: torch.Tensor
    codes: torch.Tensor | None = None
    ids: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: torch.Tensor) -> Exemplars:
        return Exemplars(
            take(self.x, index),
            self.y[index],
            None if self.codes is None else self.codes[index],
            None if self.ids is None else self.ids[index],
        )

    def grouped(self, grouping: str, positive: int = 1) -> Exemplars:
        """The same with group numbers; raises FairnessError if no exemplar is in a group."""
        if self.ids is not None:
            return self
        ids, _ = group_ids(self.y, self.codes, grouping, positive)
        if not bool((ids >= 0).any()):
            raise FairnessError(
                f"no exemplar is in a group: grouping {grouping!r} with positive label {positive} leaves none of "
                f"the {len(self)}; add exemplars of that label, or choose another grouping"
            )
        return replace(self, ids=ids)


def read_exemplars(given: Any) -> Exemplars:
    """Exemplars from (x, y) or (x, y, sensitive) of tensors; one that is an Exemplars already is returned.

    Raises FairnessError for another number of parts and for lengths that differ.

    >>> read_exemplars((torch.zeros(3, 2), torch.tensor([0, 1, 1]), ["a", "b", "a"])).codes.ravel().tolist()
    [0, 1, 0]
    """
    if isinstance(given, Exemplars):
        return given
    if not isinstance(given, tuple | list) or len(given) not in (2, 3):
        raise FairnessError("exemplars are a tuple (inputs, labels) or (inputs, labels, sensitive features)")
    x, y = given[0], torch.as_tensor(given[1])
    codes = None
    if len(given) == 3 and given[2] is not None:
        sensitive = given[2]
        whole = isinstance(sensitive, torch.Tensor) and not sensitive.dtype.is_floating_point
        codes = sensitive.reshape(len(sensitive), -1).long() if whole else Attributes.encode(sensitive).codes
        if len(codes) != len(y):
            raise FairnessError(f"{len(y)} exemplar labels, but {len(codes)} rows of sensitive features")
    check_labels(x, y, "exemplars")
    return Exemplars(x, y.long(), codes)


def check_labels(x: Any, y: torch.Tensor, what: str) -> None:
    """Raise FairnessError unless `y` holds one whole number a sample of `x`, and there is a sample."""
    if y.ndim != 1 or y.dtype.is_floating_point or y.dtype.is_complex:
        raise FairnessError(
            f"labels of the {what} must be a vector of class numbers, got shape {tuple(y.shape)}, {y.dtype}"
        )
    if isinstance(x, torch.Tensor) and len(x) != len(y):
        raise FairnessError(f"{what}: {len(x)} inputs, but {len(y)} labels")
    if len(y) == 0:
        raise FairnessError(f"the {what} are empty")


def take(x: Any, index: torch.Tensor) -> Any:
    """Rows of a tensor, or of each tensor in a tuple or dict of them."""
    if isinstance(x, dict):
        return {name: value[index] for name, value in x.items()}
    return tuple(value[index] for value in x) if isinstance(x, tuple) else x[index]


def split_off(
    labels: torch.Tensor, codes: torch.Tensor | None, fraction: float, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices (kept, held out): `fraction` of each group (label, attributes), at least one sample of each.

    A group of one sample is in both parts, with a FairnessWarning: without it its fairness could not be seen.

    >>> kept, held = split_off(torch.tensor([0] * 8 + [1] * 2), None, 0.25, torch.Generator().manual_seed(0))
    >>> len(kept), len(held)
    (7, 3)
    """
    if not 0 < fraction < 1:
        raise FairnessError(f"exemplar_fraction must be between 0 and 1, got {fraction}")
    ids, _ = group_ids(labels, codes)
    kept, held, alone = [], [], 0
    for group in range(int(ids.max()) + 1):
        members = torch.nonzero(ids == group).ravel()
        members = members[torch.randperm(len(members), generator=generator)]
        count = max(1, round(fraction * len(members)))
        held.append(members[:count])
        kept.append(members[count:] if len(members) > 1 else members)
        alone += len(members) == 1
    if alone:
        warnings.warn(
            f"{alone} groups have a single sample, which is now both trained on and an exemplar; "
            "give exemplars= with more of them",
            FairnessWarning,
            stacklevel=2,
        )
    return torch.cat(kept).sort().values, torch.cat(held).sort().values


class Sampler:
    """Mini-batches of exemplars with the same number from every group, so that no group is ever missing.

    `size` is the number of exemplars in a batch, None for all of them each time. Each group is gone through in
    a random order, then in another one.

    >>> ex = Exemplars(torch.arange(6.0)[:, None], torch.tensor([0, 0, 0, 0, 1, 1])).grouped("label")
    >>> Sampler(ex, 4, torch.Generator().manual_seed(0)).draw().y.tolist()
    [0, 0, 1, 1]
    """

    _AHEAD = (
        32  # batches whose members are drawn at once, because a draw a group and step would cost as much as training
    )

    def __init__(self, exemplars: Exemplars, size: int | None, generator: torch.Generator) -> None:
        assert exemplars.ids is not None
        self.exemplars = exemplars
        self.generator = generator
        present = torch.unique(exemplars.ids[exemplars.ids >= 0]).tolist()
        self._members = [torch.nonzero(exemplars.ids == group).ravel() for group in present]
        self._each = None if size is None or size >= len(exemplars) else max(1, size // len(present))
        self._waiting = torch.zeros(0, 0, dtype=torch.int64)

    def draw(self) -> Exemplars:
        """The next batch."""
        if self._each is None:
            return self.exemplars
        if not len(self._waiting):
            self._waiting = torch.cat([self._order(members, self._each) for members in self._members], dim=1)
        drawn, self._waiting = self._waiting[0], self._waiting[1:]
        return self.exemplars[drawn]

    def _order(self, members: torch.Tensor, each: int) -> torch.Tensor:
        """Members of a group for the batches ahead, (batches, each); no more in a batch than there are."""
        each = min(each, len(members))
        rounds = -(-self._AHEAD * each // len(members))
        shuffled = [members[torch.randperm(len(members), generator=self.generator)] for _ in range(rounds)]
        return torch.cat(shuffled)[: self._AHEAD * each].reshape(self._AHEAD, each)

    def state_dict(self) -> dict[str, Any]:
        """The batches drawn and not used yet, for a checkpoint."""
        return {"waiting": self._waiting}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self._waiting = state["waiting"]

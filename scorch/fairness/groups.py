"""Which group a sample belongs to: its class, its class and attributes, or its attributes if it is positive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from scorch.fairness.errors import FairnessError

__all__ = ["GROUPINGS", "Attributes", "group_ids", "resolve"]

GROUPINGS = ("auto", "label", "label_attribute", "attribute_given_positive", "all")


@dataclass(frozen=True)
class Attributes:
    """Sensitive attributes as integers.

    `codes` is (n, k) int64, one column an attribute; `values[c][code]` is what the user wrote, `names[c]` the
    name of the column.

    >>> a = Attributes.encode(["f", "m", "f"])
    >>> a.codes.ravel().tolist(), a.labels()
    ([0, 1, 0], ['f', 'm', 'f'])
    """

    codes: torch.Tensor
    values: tuple[tuple[Any, ...], ...]
    names: tuple[str, ...]

    @classmethod
    def encode(cls, sensitive: Any, like: Attributes | None = None) -> Attributes:
        """Read a column, several columns, or a data frame; with `like`, in the codes that it uses.

        Values that `like` has not seen get new codes after its own. Raises FairnessError for more than two
        dimensions and for missing values.
        """
        names = tuple(map(str, getattr(sensitive, "columns", ())))
        columns = _columns(sensitive)
        if like is not None and len(columns) != len(like.values):
            raise FairnessError(f"expected {len(like.values)} sensitive attributes, got {len(columns)}")
        codes, values = [], []
        for number, column in enumerate(columns):
            found = sorted(set(column.tolist()), key=lambda v: (str(type(v)), v))
            known = like.values[number] if like is not None else ()
            merged = (*known, *(v for v in found if v not in set(known)))
            position = {value: code for code, value in enumerate(merged)}
            codes.append([position[value] for value in column.tolist()])
            values.append(merged)
        if not names:
            names = like.names if like is not None else tuple(f"attribute_{c}" for c in range(len(columns)))
        return cls(torch.tensor(codes, dtype=torch.int64).reshape(len(columns), -1).T, tuple(values), names)

    def __len__(self) -> int:
        return self.codes.shape[0]

    def __getitem__(self, index: Any) -> Attributes:
        return Attributes(self.codes[index], self.values, self.names)

    def labels(self) -> list[str]:
        """A name for each sample's combination of values; one attribute's value stands alone."""
        if len(self.values) == 1:
            return [str(self.values[0][code]) for code in self.codes[:, 0].tolist()]
        return [
            ", ".join(f"{name}={values[code]}" for name, values, code in zip(self.names, self.values, row, strict=True))
            for row in self.codes.tolist()
        ]


def _columns(sensitive: Any) -> list[np.ndarray[Any, Any]]:
    """The columns of whatever was given, as one-dimensional arrays."""
    if isinstance(sensitive, torch.Tensor):
        sensitive = sensitive.detach().cpu().numpy()
    if isinstance(sensitive, dict):
        sensitive = np.stack([np.asarray(column, dtype=object) for column in sensitive.values()], axis=1)
    table = np.asarray(sensitive)
    if table.ndim not in (1, 2):
        raise FairnessError(f"sensitive features are a column or a table, got {table.ndim} dimensions")
    columns = [table] if table.ndim == 1 else list(table.T)
    for column in columns:
        if any(value is None or value != value for value in column.tolist()):
            raise FairnessError(
                "sensitive features have missing values; drop these samples or give the missing a value of its own"
            )
    return columns


def resolve(grouping: str, with_attributes: bool) -> str:
    """The grouping that "auto" stands for; raises FairnessError for one that needs attributes without them.

    >>> resolve("auto", True), resolve("auto", False)
    ('label_attribute', 'label')
    """
    if grouping not in GROUPINGS:
        raise FairnessError(f"there is no grouping {grouping!r}; there are {', '.join(GROUPINGS)}")
    if grouping == "auto":
        return "label_attribute" if with_attributes else "label"
    if grouping not in ("label", "all") and not with_attributes:
        raise FairnessError(f"groups={grouping!r} needs sensitive features, none were given")
    return grouping


def group_ids(
    labels: torch.Tensor, codes: torch.Tensor | None, grouping: str = "auto", positive: int = 1
) -> tuple[torch.Tensor, torch.Tensor]:
    """Number the groups that occur among (n,) labels and (n, k) attribute codes.

    Gives (n,) group numbers, -1 for a sample in no group, and the (groups, 1 + k) rows (label, attributes)
    that they stand for. In "attribute_given_positive" only samples of the class `positive` are in a group; in "all"
    every sample is in the same one, and the row says nothing.

    >>> group_ids(torch.tensor([0, 1, 1]), torch.tensor([[0], [0], [1]]))[0].tolist()
    [0, 1, 2]
    >>> group_ids(torch.tensor([0, 1, 1]), torch.tensor([[0], [0], [1]]), "attribute_given_positive")[0].tolist()
    [-1, 0, 1]
    """
    kind = resolve(grouping, codes is not None)
    columns = torch.zeros_like(labels)[:, None] if kind == "all" else labels[:, None]
    if kind not in ("label", "all"):
        assert codes is not None  # `resolve` raised otherwise
        columns = torch.cat([columns, codes.reshape(len(labels), -1).to(labels)], dim=1)
    inside = torch.ones_like(labels, dtype=torch.bool)
    if kind == "attribute_given_positive":
        inside = labels == positive
    ids = torch.full_like(labels, -1)
    rows, ids[inside] = torch.unique(columns[inside], dim=0, return_inverse=True)
    return ids, rows

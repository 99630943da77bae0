"""UCI Adult income, sex as the sensitive attribute, from fairness/adult.csv.gz of a data folder."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from scorch.fairness.bench.split import MissingDataError, Part, Split, at_random, partition, per_group
from scorch.fairness.counts import Table

__all__ = ["clean", "corrupted"]

_TEST_SEED = 20_241
_LEFT_OUT = ["income-per-year", "fnlwgt", "education"]  # the label, the survey's weight, the twin of education-num


@cache
def _parts(file: Path) -> tuple[Part, Part]:
    """The pool and the test part (30 %)."""
    import pandas

    if not file.is_file():
        raise MissingDataError(f"Adult needs {file}")
    table = pandas.read_csv(file)
    labels = table["income-per-year"].str.contains(">50K").to_numpy().astype(np.int64)
    inputs = pandas.get_dummies(table.drop(columns=_LEFT_OUT)).to_numpy(np.float32)
    whole = Part(inputs, labels, table["sex"].to_numpy().astype(str))
    test, pool = partition(whole.groups(), [0.3], np.random.default_rng(_TEST_SEED))
    return whole[pool], whole[test]


def clean(data: Path, seed: int, *, exemplars: int = 1000, balanced: bool = False, limit: int | None = None) -> Split:
    """`exemplars` people as they come, or as many of every group (income, sex) if `balanced`; 15 % for validation.

    At most `limit` training samples. Raises MissingDataError if the file is not there.
    """
    return _split(data, seed, exemplars, balanced, limit)[0]


def corrupted(
    data: Path,
    seed: int,
    *,
    exemplars: int = 1000,
    balanced: bool = False,
    limit: int | None = None,
    share: float = 0.5,
) -> Split:
    """The same with the share `share` of the high-income women of the training data relabelled."""
    split, rng = _split(data, seed, exemplars, balanced, limit)
    train = split.train
    assert train.s is not None
    flipped = (train.y == 1) & (train.s == "Female") & (rng.random(len(train)) < share)
    labels: Table = np.where(flipped, 0, train.y)
    return Split(Part(train.x, labels, train.s), split.exemplars, split.validation, split.test)


def _split(
    data: Path, seed: int, exemplars: int, balanced: bool, limit: int | None
) -> tuple[Split, np.random.Generator]:
    pool, test = _parts(data / "fairness" / "adult.csv.gz")
    rng = np.random.default_rng(seed)
    groups = pool.groups()
    each = exemplars // len(np.unique(groups))
    shown, rest = per_group(groups, each, rng) if balanced else at_random(groups, exemplars, rng)
    remaining = pool[rest]
    checked, rest = partition(remaining.groups(), [0.15], rng)
    train = remaining[rest]
    if limit is not None:
        train = train[np.sort(rng.permutation(len(train))[:limit])]
    return Split(train, pool[shown], remaining[checked], test), rng

"""scikit-learn's handwritten digits, 8 x 8: with a long tail, and with wrong labels."""

from __future__ import annotations

from functools import cache

import numpy as np

from scorch.fairness.bench.split import Part, Split, long_tail, partition, per_group

__all__ = ["long_tailed", "noisy"]

_TEST_SEED = 20_240  # of the test part, the same in all runs


@cache
def _parts() -> tuple[Part, Part]:
    """The pool and the test part (30 %)."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    whole = Part((pixels / 16).astype(np.float32), labels.astype(np.int64))
    test, pool = partition(whole.y, [0.3], np.random.default_rng(_TEST_SEED))
    return whole[pool], whole[test]


def _split(seed: int) -> tuple[Part, Part, Part, Part, np.random.Generator]:
    pool, test = _parts()
    rng = np.random.default_rng(seed)
    shown, rest = per_group(pool.y, 10, rng)
    remaining = pool[rest]
    checked, rest = per_group(remaining.y, 20, rng)
    return remaining[rest], pool[shown], remaining[checked], test, rng


def long_tailed(seed: int, ratio: float = 10) -> Split:
    """10 exemplars a class; of the last class ten times fewer training samples than of the first."""
    train, exemplars, validation, test, rng = _split(seed)
    return Split(train[long_tail(train.y, ratio, len(train), rng)], exemplars, validation, test)


def noisy(seed: int, share: float = 0.4) -> Split:
    """10 clean exemplars a class; the share `share` of the training labels is replaced by random ones."""
    train, exemplars, validation, test, rng = _split(seed)
    wrong = rng.random(len(train)) < share
    labels = np.where(wrong, rng.integers(0, 10, len(train)), train.y)
    return Split(Part(train.x, labels), exemplars, validation, test)

"""A small problem on which plain training neglects a group."""

from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="session")
def biased() -> Any:
    """Train, exemplars and test, each (X, y, s): in the small group "b" another feature carries the label."""

    def draw(n: int, share: float, seed: int) -> Any:
        rng = np.random.default_rng(seed)
        s = np.where(rng.random(n) < share, "b", "a")
        y = rng.integers(0, 2, n)
        X = rng.normal(size=(n, 4)).astype(np.float32)
        X[:, 0] += np.where(s == "a", 3 * (y - 0.5), 0)
        X[:, 1] += np.where(s == "b", 3 * (y - 0.5), 0)
        X[:, 2] = s == "b"
        return X, y, s

    return draw(1500, 0.05, 0), draw(200, 0.5, 1), draw(2000, 0.5, 2)

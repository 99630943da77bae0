"""Is a block format worth trying on this matrix?"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["block_size"]

_SIZES = (16, 8, 4, 3, 2)
_LEAST_FILL = 0.5


def block_size(a: Any) -> int | None:
    """The largest square block that divides the shape and is at least half full on average, or None.

    >>> from scipy import sparse
    >>> block_size(sparse.csr_array(np.kron(np.eye(3), np.ones((4, 4)))))
    4
    """
    rows = np.repeat(np.arange(a.shape[0], dtype=np.int64), np.diff(a.indptr))
    for size in _SIZES:
        if a.shape[0] % size or a.shape[1] % size or not a.nnz:
            continue
        blocks = len(np.unique(rows // size * (a.shape[1] // size) + a.indices // size))
        if a.nnz >= _LEAST_FILL * blocks * size * size:
            return size
    return None

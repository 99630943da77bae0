"""How much a product takes, known before it is computed."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["products"]


def products(a: Any, b: Any) -> int:
    """The number of multiply-adds of a @ b, two scipy CSR arrays.

    >>> import scipy.sparse
    >>> products(scipy.sparse.eye_array(3, format="csr"), scipy.sparse.eye_array(3, format="csr"))
    3
    """
    return int(np.diff(b.indptr).astype(np.int64)[a.indices].sum())

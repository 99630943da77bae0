"""Do results agree? Every entry is compared, with a tolerance that follows the sizes of its terms."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy import sparse

__all__ = ["Expected", "canonical", "expect", "mistake", "rows_unsorted"]

# Float32 sums of some ten thousand terms differ by their order by about 1e-5 of the sum of absolute terms.
TOLERANCE = 1e-4
_CHUNK = 4_000_000

Expected = tuple[Any, Any]


def expect(reference: Any, operands: tuple[Any, ...], by_largest: bool = False) -> Expected:
    """The expected result, and the scale of its rounding errors: the same sum over absolute values.

    `by_largest`: instead the largest entry, everywhere, for results that are no sum of products.
    """
    if by_largest:
        result = canonical(reference(*operands))
        return result, np.full_like(result, np.abs(result).max())
    # Of copies: abs() of a scipy COO array sorts the array itself, and some cases measure the sorting.
    sizes = (abs(operand.copy()) for operand in operands)
    return canonical(reference(*operands)), canonical(reference(*sizes))


def canonical(result: Any) -> Any:
    """A result as a numpy array, or as a scipy CSR array when it is sparse.

    >>> canonical(torch.eye(2).to_sparse_csr()).nnz
    2
    """
    if isinstance(result, torch.Tensor):
        return result.numpy() if result.layout == torch.strided else _from_torch(result)
    if sparse.issparse(result):
        return sparse.csr_array(result)
    if hasattr(result, "to_scipy"):
        return sparse.csr_array(result.to_scipy())
    return np.asarray(result)


def mistake(result: Any, expected: Expected) -> str:
    """Why a canonical result is wrong, or an empty string.

    >>> one = np.ones((2, 2), np.float32)
    >>> mistake(one, (one, one)), mistake(one * 2, (one, one))
    ('', 'differs by 1 at (0, 0)')
    """
    reference, scale = expected
    if tuple(result.shape) != tuple(reference.shape):
        return f"shape {tuple(result.shape)}, expected {tuple(reference.shape)}"
    if sparse.issparse(reference) or sparse.issparse(result):
        return _sparse_mistake(*(sparse.csr_array(value) for value in (result, reference, scale)))
    return _dense_mistake(result, reference, scale)


def rows_unsorted(result: Any) -> bool:
    """Whether a sparse result leaves the columns of some row out of order."""
    if isinstance(result, torch.Tensor):
        return result.layout == torch.sparse_csr and not _from_torch(result).has_sorted_indices
    if hasattr(result, "to_scipy"):
        result = result.to_scipy()
    return sparse.issparse(result) and result.format == "csr" and not result.has_sorted_indices


def _from_torch(result: torch.Tensor) -> Any:
    shape = tuple(result.shape)
    if result.layout == torch.sparse_csr:
        arrays = (result.values(), result.col_indices(), result.crow_indices())
        return sparse.csr_array(tuple(array.numpy() for array in arrays), shape=shape)
    if result.layout == torch.sparse_csc:
        arrays = (result.values(), result.row_indices(), result.ccol_indices())
        return sparse.csr_array(sparse.csc_array(tuple(array.numpy() for array in arrays), shape=shape))
    if result.layout != torch.sparse_coo:
        result = result.to_sparse()
    coo = result.coalesce()
    return sparse.csr_array(sparse.coo_array((coo.values().numpy(), coo.indices().numpy()), shape=shape))


def _dense_mistake(result: Any, reference: Any, scale: Any) -> str:
    # In pieces: a wide result takes hundreds of megabytes, its temporaries several times as much.
    step = max(1, _CHUNK // max(1, result[:1].size))
    for start in range(0, len(result), step):
        part = slice(start, start + step)
        error = np.abs(result[part] - reference[part])
        bad = ~(error <= TOLERANCE * scale[part])  # not `>`: a NaN must count as wrong
        if bad.any():
            place = tuple(map(int, np.argwhere(bad)[0]))
            where = (place[0] + start, *place[1:])
            return f"differs by {error[place]:.3g} at {where}"
    return ""


def _sparse_mistake(result: Any, reference: Any, scale: Any) -> str:
    over = sparse.coo_array(abs(result - reference) - TOLERANCE * scale)
    bad = ~(over.data <= 0)
    if not bad.any():
        return ""
    where = tuple(int(axis[bad][0]) for axis in over.coords)
    return f"differs by more than {TOLERANCE:g} of its terms at {where}"

"""Whether two results agree: the largest difference, relative to what rounding may do."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

__all__ = ["difference", "flat", "plain"]

# Below about 1e-38 float32 loses digits and then everything, so sums of such products have no relative error to
# speak of. A scale smaller than this one, which leaves room for a hundred million of them, counts as this one.
_SMALLEST = 1e-30


def difference(result: Any, reference: Any, scale: Any) -> float:
    """The largest |result - reference| / scale over all entries, inf where scale is 0 and the two differ.

    All three are 2-d or 1-d: numpy arrays, or scipy csr matrices for a sparse result. `scale` is the same
    product of the operands' absolute values: the error of a sum is bounded by a small multiple of eps times
    that, so that cancellation neither raises an alarm nor hides a wrong entry behind a large one elsewhere.
    Entries of a scale that float32 cannot resolve are measured against the smallest that it can.
    Source: Higham, "Accuracy and Stability of Numerical Algorithms", section 3.1.

    >>> difference(np.array([1.0, 2.5]), np.array([1.0, 2.0]), np.array([1.0, 2.0]))
    0.25
    >>> difference(np.array([1.0]), np.array([0.0]), np.array([0.0]))
    inf
    """
    if sp.issparse(reference) and not sp.issparse(result):
        result = sp.csr_array(np.reshape(result, (len(result), reference.shape[1])))
    if tuple(result.shape) != tuple(reference.shape):
        return float("inf")
    if sp.issparse(reference):
        return _sparse(result, reference, scale)
    gap = np.abs(np.asarray(result, dtype=np.float64) - reference)
    return _largest(gap.reshape(-1), np.asarray(scale, dtype=np.float64).reshape(-1))


def _sparse(result: Any, reference: Any, scale: Any) -> float:
    gap = abs(sp.csr_array(result.astype(np.float64) - reference))
    gap.eliminate_zeros()
    # Where the scale is 0 or absent, `multiply` would drop the gap: count what is left.
    inverse = scale.copy()
    inverse.eliminate_zeros()
    inverse.data = 1.0 / np.maximum(inverse.data, _SMALLEST)
    relative = sp.csr_array(gap.multiply(inverse))
    if relative.nnz < gap.nnz:
        return float("inf")
    return _largest(relative.data, np.ones(relative.nnz))


def _largest(gap: Any, scale: Any) -> float:
    if gap.size == 0:
        return 0.0
    if np.isnan(gap).any():
        return float("inf")
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(gap == 0, 0.0, gap / np.where(scale > 0, np.maximum(scale, _SMALLEST), 0.0))
    return float(relative.max())


def plain(result: Any) -> Any:
    """A result of any library as a numpy array, or as a csr matrix of (first dimension, all others)."""
    if isinstance(result, torch.Tensor):
        return _from_torch(result)
    if isinstance(result, np.ndarray) or sp.issparse(result):
        return result
    return flat(result.coords().numpy(), result.values.detach().reshape(-1).numpy(), tuple(result.shape))


def _from_torch(result: torch.Tensor) -> Any:
    if result.layout is torch.strided:
        return result.detach().numpy()
    if result.layout is torch.sparse_csr:
        arrays = (result.values().numpy(), result.col_indices().numpy(), result.crow_indices().numpy())
        return sp.csr_array(arrays, shape=tuple(result.shape))
    whole = result.coalesce()
    return flat(whole.indices().numpy(), whole.values().numpy(), tuple(whole.shape))


def flat(coords: Any, values: Any, shape: tuple[int, ...]) -> Any:
    """Coordinates (ndim, nnz) as a csr matrix whose columns number the places of all dimensions but the
    first.

    For one dimension a numpy array.

    >>> flat(np.array([[0, 1], [1, 0], [1, 2]]), np.array([5.0, 7.0]), (2, 2, 3)).toarray()[:, 2:5]
    array([[0., 0., 5.],
           [7., 0., 0.]])
    """
    if len(shape) == 1:
        dense = np.zeros(shape, dtype=values.dtype)
        np.add.at(dense, coords[0], values)
        return dense
    column = np.zeros(values.size, dtype=np.int64)
    width = 1
    for extent, coordinate in zip(shape[1:], coords[1:], strict=True):
        column, width = column * extent + coordinate, width * extent
    return sp.coo_array((values, (coords[0].astype(np.int64), column)), shape=(shape[0], width)).tocsr()

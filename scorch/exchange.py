"""What torch and scipy see of a Storage: their own tensors and arrays, sharing memory where they can."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch

from scorch.errors import DtypeError, ShapeError, UnsupportedError
from scorch.formats import Format, Storage, coo, csc, csr, dense, dtypes
from scorch.formats.coordinates import coordinates
from scorch.formats.storage import Array

if TYPE_CHECKING:
    import scipy.sparse

    ScipyArray: TypeAlias = (
        "scipy.sparse.csr_array | scipy.sparse.csc_array | scipy.sparse.bsr_array | scipy.sparse.coo_array"
    )

__all__ = ["dense_view", "permuted", "reformatted", "shaped_values", "stored_order", "to_dense", "to_scipy", "to_torch"]

_COMPRESSED = {torch.sparse_csr: csr, torch.sparse_csc: csc}
_BLOCKED = {torch.sparse_bsr: csr, torch.sparse_bsc: csc}  # the format of the blocks' coordinates


def reformatted(storage: Storage, format: Format) -> Storage:
    """The Storage in another format; itself if it has that format."""
    if storage.pattern.format == format:
        return storage
    from scorch.convert import reformat  # the compiler, which most exchanges don't need

    made: Storage = reformat(storage, format)
    return made


def dense_view(storage: Storage) -> torch.Tensor:
    """The torch tensor of a dense Storage, without a copy."""
    pattern, values = storage.pattern, storage.values
    if tuple(values.shape) == pattern.shape:
        return values
    order = pattern.format.order
    stored = values.reshape([pattern.shape[dimension] for dimension in order])
    return stored.permute(tuple(np.argsort(order).tolist()))


def stored_order(storage: Storage) -> torch.Tensor:
    """The values as one dimension, in stored order, without a copy."""
    values, format = storage.values, storage.pattern.format
    if values.ndim == 1:
        return values  # itself, not a view of it, which would have no gradient
    if format.is_dense and values.ndim == format.ndim:
        values = values.permute(format.order)
    return values.reshape(-1)


def shaped_values(storage: Storage) -> torch.Tensor:
    """The values in stored order; those of a block format by blocks: (blocks, r, c), or as their insides are stored."""
    format, pattern, values = storage.pattern.format, storage.pattern, stored_order(storage)
    if not format.blocks:
        return values
    if format.order[format.ndim :] == tuple(range(format.ndim, len(format.order))):
        return values.reshape(pattern.positions[format.ndim - 1], *format.blocks)
    return values.reshape(
        pattern.positions[format.ndim - 1], *(pattern.stored_shape[d] for d in format.order[format.ndim :])
    )


def _block_values(storage: Storage) -> torch.Tensor:
    """The values as (blocks, r, c), however the insides of blocks are stored."""
    format, values = storage.pattern.format, shaped_values(storage)
    inner = format.order[format.ndim :]
    if inner != tuple(sorted(inner)):
        values = values.permute(0, *(1 + inner.index(d) for d in sorted(inner)))
    return values.reshape(len(values), *format.blocks)


def permuted(storage: Storage, dims: Sequence[int]) -> Storage:
    """The Storage with dimension dims[d] as its d-th, on the same memory: only the format's order changes."""
    ndim = storage.pattern.format.ndim
    order = tuple(dim + ndim if dim < 0 else dim for dim in dims)
    if sorted(order) != list(range(ndim)):
        raise ShapeError(f"{tuple(dims)} is no permutation of the tensor's {ndim} dimensions")
    values = storage.values
    if storage.pattern.format.is_dense:
        values = dense_view(storage).permute(order)
    return Storage(storage.pattern.permuted(order), values, storage.fill)


def to_dense(storage: Storage) -> torch.Tensor:
    """A dense torch tensor; the memory of the Storage if its format is dense."""
    if not storage.pattern.format.is_dense:
        storage = reformatted(storage, dense(storage.pattern.format.ndim))
    return dense_view(storage)


def to_torch(storage: Storage, layout: torch.layout | None = None) -> torch.Tensor:
    """The torch tensor of a layout; by default csr, csc, bsr, bsc and dense stay so, and other formats become coo."""
    format = storage.pattern.format
    if layout is None:
        layout = _own_layout(format)
    if layout is torch.strided:
        return to_dense(storage)
    _check_fill(storage, "torch.sparse")
    if layout in _COMPRESSED:
        return _to_torch_compressed(storage, layout)
    if layout in _BLOCKED:
        return _to_torch_blocked(storage, layout)
    if layout is not torch.sparse_coo:
        raise UnsupportedError(f"to_torch makes strided, sparse_coo, csr, csc, bsr and bsc tensors, not {layout}")
    if format.ndim == 0:
        return dense_view(storage).to_sparse()
    storage = _sorted_by_dimension(storage)
    indices = torch.from_numpy(coordinates(storage.pattern))
    shape = storage.pattern.shape
    return torch.sparse_coo_tensor(indices, stored_order(storage), shape, is_coalesced=True, check_invariants=False)


def _own_layout(format: Format) -> torch.layout:
    if format.is_dense:
        return torch.strided
    known = _BLOCKED if format.blocks else _COMPRESSED
    return next((layout for layout, grid in known.items() if format.grid.sorted == grid), torch.sparse_coo)


def _check_fill(storage: Storage, library: str) -> None:
    if storage.fill != 0:
        raise UnsupportedError(f"{library} has no fill value, and this tensor's is {storage.fill}; use to_dense()")


def _sorted_by_dimension(storage: Storage) -> Storage:
    """A Storage whose values are in the lexicographic order of their coordinates, each stored once."""
    format = storage.pattern.format
    if format.is_ordered and format.is_unique and format.order == tuple(range(format.ndim)):
        return storage
    return reformatted(storage, coo(format.ndim))


def _to_torch_compressed(storage: Storage, layout: torch.layout) -> torch.Tensor:
    target = _COMPRESSED[layout]
    if storage.pattern.format.ndim != 2:
        raise ShapeError(f"{layout} holds matrices; the tensor's shape is {storage.pattern.shape}")
    storage = reformatted(storage, target)
    pos, crd = (torch.from_numpy(array) for array in _same_index_type(storage))
    make = torch.sparse_csr_tensor if layout is torch.sparse_csr else torch.sparse_csc_tensor
    return make(pos, crd, stored_order(storage), storage.pattern.shape, check_invariants=False)


def _to_torch_blocked(storage: Storage, layout: torch.layout) -> torch.Tensor:
    format = storage.pattern.format
    if not format.blocks or format.ndim != 2:
        raise UnsupportedError(f"{layout} needs the size of its blocks: use .to('bsr(r, c)').to_torch()")
    grid = _BLOCKED[layout]
    storage = reformatted(
        storage, storage.pattern.format if format.grid == grid else Format(grid.levels, grid.order, format.blocks)
    )
    pos, crd = (torch.from_numpy(array) for array in _same_index_type(storage))
    make = torch.sparse_bsr_tensor if layout is torch.sparse_bsr else torch.sparse_bsc_tensor
    return make(pos, crd, _block_values(storage), storage.pattern.shape, check_invariants=False)


def _same_index_type(storage: Storage) -> tuple[Array, Array]:
    """pos and crd of a csr or csc Storage in one integer type, that of crd if it can be."""
    pos, crd = storage.pattern.arrays[1]["pos"], storage.pattern.arrays[1]["crd"]
    if pos.dtype == crd.dtype:
        return pos, crd
    if storage.pattern.nnz <= np.iinfo(crd.dtype).max:
        return pos.astype(crd.dtype), crd
    return pos, crd.astype(pos.dtype)


def to_scipy(storage: Storage) -> ScipyArray:
    """A csr_array or csc_array for csr and csc, sorted or not, a bsr_array for bsr, else a coo_array; gradients stay
    behind."""
    import scipy.sparse

    format = storage.pattern.format
    _check_fill(storage, "scipy.sparse")
    if storage.dtype in dtypes.HALVES:
        raise DtypeError(f"scipy.sparse has no arrays of {storage.dtype}; use .to('float32').to_scipy()")
    if format.is_dense:
        raise UnsupportedError(
            "scipy.sparse has no dense arrays; use to_dense().numpy(), or .to('csr') or .to('coo') first"
        )
    if format.blocks and format.grid == csr:
        pos, crd = _same_index_type(storage)
        blocks = _block_values(storage).detach().numpy()
        return scipy.sparse.bsr_array((blocks, crd, pos), shape=storage.pattern.shape)
    if format.sorted in (csr, csc):
        kind = scipy.sparse.csr_array if format.sorted == csr else scipy.sparse.csc_array
        result: Any = kind(storage.pattern.shape, dtype=storage.vals.dtype)
        # Assigned, not passed to the constructor, which would copy 64-bit indices into 32-bit ones.
        result.indptr, result.indices = _same_index_type(storage)
    else:
        storage = _sorted_by_dimension(storage)
        result = scipy.sparse.coo_array(storage.pattern.shape, dtype=storage.vals.dtype)
        result.coords = tuple(coordinates(storage.pattern))
    result.data = storage.vals
    if not (format.is_ordered and format.is_unique) and format.sorted in (csr, csc):
        result.has_sorted_indices = result.has_canonical_format = False
    else:
        result.has_canonical_format = True
    return result

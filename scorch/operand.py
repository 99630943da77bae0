"""Operands: whatever the front doors accept, as a Storage, without a copy wherever the layout allows."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
import torch.utils.dlpack

from scorch import autograd
from scorch.errors import DtypeError, FormatError, ShapeError, UnsupportedError
from scorch.formats import Format, Pattern, Storage, bsr, coo, csc, csr, dtypes
from scorch.formats.coordinates import Packing, pack
from scorch.formats.levels import Compressed, Dense
from scorch.formats.storage import Array, Values, bindable

__all__ = ["Stored", "as_storage", "bind", "dense_from_numpy", "is_plain_dense", "is_plain_view"]

_CPU = 1  # kDLCPU of the DLPack specification
_ROW_MAJOR = {torch.sparse_csr: True, torch.sparse_csc: False, torch.sparse_bsr: True, torch.sparse_bsc: False}
_BLOCKED = {torch.sparse_bsr, torch.sparse_bsc}


class Stored:
    """Whatever holds a Storage; scorch.Tensor does."""

    _storage: Storage


def as_storage(x: object) -> Storage:
    """The Storage of an operand: scorch, torch (dense, coo, csr, csc), scipy.sparse, numpy, DLPack, lists
    of numbers, and lists of sparse tensors, which become a batch.

    Memory is shared wherever the layout allows. Unsorted or duplicated csr and csc keep their arrays, under a
    format that says so; an uncoalesced coo is coalesced. A torch.sparse tensor is wrapped once: the next call
    with the same, unchanged object costs about a microsecond. Changes that torch's version counter doesn't
    see, made to the index arrays through numpy or through the tensors from which it was built, are not
    detected.

    Raises FormatError for index arrays that don't fit together, DtypeError for number types that Scorch
    doesn't compute with, ShapeError for ragged lists, UnsupportedError for other devices and layouts.

    >>> as_storage(torch.eye(3).to_sparse_csr()).pattern
    Pattern(shape=(3, 3), format=csr, nnz=3)
    """
    if isinstance(x, Stored):  # asked first: what stands for a torch tensor says that it is one
        return x._storage
    if isinstance(x, torch.Tensor):
        return _from_torch(x)
    if isinstance(x, Storage):
        return x
    if isinstance(x, np.ndarray | np.generic):
        return Storage.from_dense(dense_from_numpy(np.asanyarray(x)))
    # Who has not imported scipy.sparse cannot pass one of its arrays.
    scipy_sparse = sys.modules.get("scipy.sparse")
    if scipy_sparse is not None and scipy_sparse.issparse(x):
        return _from_scipy(x)
    return _from_other(x)


def bind(operands: Iterable[Any]) -> tuple[tuple[object, ...], list[Values]] | None:
    """What a program's key needs of each operand, and their values: the short way on every call. None if torch
    wants the operation recorded, to differentiate or to transform it.

    Operands with equal keys have the same shape, structure and number type.
    """
    if autograd.transforming() and any(isinstance(x, Stored | torch.Tensor) for x in operands):
        return None
    recording = torch.is_grad_enabled()
    keys: list[object] = []
    vals: list[Values] = []
    for x in operands:
        if type(x) in _DENSE and x.layout is _STRIDED:
            if recording and x.requires_grad:
                return None
            if x.dtype in _PLAIN and x.is_contiguous() and x.is_cpu and not x.is_neg():
                keys.append((x.shape, x.dtype))
                vals.append(x)
                continue
        storage = x._storage if isinstance(x, Stored) else as_storage(x)
        if recording and storage.values.requires_grad:
            return None
        keys.append(storage.key)
        vals.append(storage.vals)
    return tuple(keys), vals


def is_plain_dense(x: Any) -> bool:
    """Whether kernels read an operand's memory just as it is: the address of its first value is all that they need.

    >>> is_plain_dense(torch.ones(2, 3)), is_plain_dense(torch.ones(2, 3).T)
    (True, False)
    """
    return is_plain_view(x) and bool(x.is_contiguous())


def is_plain_view(x: Any) -> bool:
    """Whether an operand is a dense tensor on memory that holds its values as kernels read them, in any order.

    >>> is_plain_view(torch.ones(2, 3).T), is_plain_view(torch.ones(2, 3).to_sparse())
    (True, False)
    """
    return type(x) in _DENSE and x.layout is _STRIDED and x.dtype in _PLAIN and x.is_cpu and not x.is_neg()


_STRIDED = torch.strided
_DENSE = frozenset({torch.Tensor, torch.nn.Parameter})
_PLAIN = frozenset(
    map(
        dtypes.to_torch, (name for name in dtypes.NAMES if not name.startswith("complex") and name not in dtypes.HALVES)
    )
)


# --- torch ------------------------------------------------------------------------------------------------


class _Wrapped:
    """What is remembered of a torch.sparse tensor; `storage` is None if its values are taken anew."""

    __slots__ = ("nnz", "packing", "ref", "storage", "version")

    def __init__(self, x: torch.Tensor, packing: Packing, storage: Storage | None) -> None:
        key = id(x)
        self.ref = weakref.ref(x, lambda ref: _forget(key, ref))
        self.version = x._version
        self.nnz = x._nnz()
        self.packing = packing
        self.storage = storage


_wrapped: dict[int, _Wrapped] = {}


def _forget(key: int, ref: weakref.ref[torch.Tensor]) -> None:
    known = _wrapped.get(key)
    if known is not None and known.ref is ref:
        del _wrapped[key]


def _from_torch(x: torch.Tensor) -> Storage:
    known = _wrapped.get(id(x))
    if known is not None and known.ref() is x and known.version == x._version and known.nnz == x._nnz():
        if known.storage is not None and not x.requires_grad:
            return known.storage
        return _with_values(x, known.packing)
    _check_torch(x)
    if x.layout is torch.strided:
        return Storage.from_dense(x.resolve_conj().resolve_neg() if x.is_conj() or x.is_neg() else x)
    if x.layout is torch.sparse_coo and not x.is_coalesced() and x.requires_grad:
        x = x.coalesce()  # torch gives the values of an uncoalesced tensor no gradient
    packing = _pattern_of_torch(x)
    storage = _with_values(x, packing)
    if not x.is_inference():
        _wrapped[id(x)] = _Wrapped(x, packing, storage if _is_alias(storage, packing) else None)
    return storage


def _check_torch(x: torch.Tensor) -> None:
    if not x.is_cpu:
        raise UnsupportedError(f"Scorch runs on CPU; the operand is on {x.device}: pass tensor.cpu()")
    dtypes.name_of(x.dtype)
    if x.layout not in (torch.strided, torch.sparse_coo, *_ROW_MAJOR):
        raise UnsupportedError(f"operands of layout {x.layout} are not supported; convert with .to_dense()")


def _with_values(x: torch.Tensor, packing: Packing) -> Storage:
    # Values of a detached alias: those of x itself hold on to x, which would then never leave `_wrapped`.
    source = x if x.requires_grad else x.detach()
    return Storage(packing.pattern, packing.gather(_values_of(source)))


def _values_of(x: torch.Tensor) -> torch.Tensor:
    return x._values() if x.layout is torch.sparse_coo and not x.is_coalesced() else x.values()


def _is_alias(storage: Storage, packing: Packing) -> bool:
    """Whether a Storage shares its values with its source, so that it serves again after they change."""
    values = storage.values
    return packing.is_direct and not values.requires_grad and storage.vals.ctypes.data == values.data_ptr()


def _pattern_of_torch(x: torch.Tensor) -> Packing:
    x = x.detach()
    if x.layout is torch.sparse_coo:
        return _pattern_of_coo(x)
    row_major = _ROW_MAJOR[x.layout]
    outer, inner = (x.crow_indices(), x.col_indices()) if row_major else (x.ccol_indices(), x.row_indices())
    pos, crd = outer.numpy(), inner.numpy()
    batch = pos.ndim - 1
    trailing = x.dense_dim()
    if batch:
        pos, crd = _flat_batches(pos, crd), crd.reshape(-1)
    order = list(range(x.ndim))
    if not row_major:
        order[batch], order[batch + 1] = batch + 1, batch
    levels = (*(Dense() for _ in range(batch + 1)), Compressed(), *(Dense() for _ in range(trailing)))
    arrays: list[dict[str, Array]] = [{} for _ in levels]
    arrays[batch + 1] = {"pos": pos, "crd": crd}
    format = Format(levels, tuple(order))
    if x.layout in _BLOCKED:
        format, arrays = _in_blocks(x, batch, format, arrays)
    pattern = _ordered_if_it_is(tuple(x.shape), format, arrays)
    _check_values(x.values().shape[: batch + 1].numel(), len(crd))
    return Packing(pattern, None, None)


def _in_blocks(
    x: torch.Tensor, batch: int, grid: Format, arrays: list[dict[str, Array]]
) -> tuple[Format, list[dict[str, Array]]]:
    """The format of a torch tensor in blocks, given that of their coordinates."""
    if x.dense_dim():
        raise UnsupportedError("blocks of a tensor with dense dimensions are not supported; convert with .to_dense()")
    rows, columns = x.values().shape[-2:]
    format = Format(grid.levels, grid.order, (*(1 for _ in range(batch)), rows, columns))
    return format, [*arrays, *({} for _ in range(len(format.levels) - len(arrays)))]


def _flat_batches(pos: Array, crd: Array) -> Array:
    """One `pos` for all batches; torch stores one a batch, each counting from 0."""
    each = crd.shape[-1]
    pos = pos.reshape(-1, pos.shape[-1])
    if len(pos) and ((pos[:, 0] != 0).any() or (pos[:, -1] != each).any()):
        raise FormatError(
            f"each batch's compressed indices must run from 0 to {each}, the number of coordinates of a batch"
        )
    starts = np.arange(len(pos), dtype=np.int64)[:, None] * each
    return np.append((pos[:, :-1] + starts).reshape(-1), np.int64(len(pos) * each))


def _pattern_of_coo(x: torch.Tensor) -> Packing:
    indices, values = x._indices(), x._values()
    _check_values(len(values), indices.shape[1])
    if x.sparse_dim() == 0:
        raise UnsupportedError("a sparse tensor without sparse dimensions is not supported; convert with .to_dense()")
    return pack(indices, tuple(x.shape), x.dense_dim())


def _ordered_if_it_is(shape: tuple[int, ...], format: Format, arrays: list[dict[str, Array]]) -> Pattern:
    """The pattern in `format`, or, if coordinates are unsorted or repeated, in the format that says so."""
    try:
        return Pattern(shape, format, arrays)
    except FormatError:
        if format.levels[-1].full:
            raise  # a dense level cannot stand below repeated coordinates
    loose = Compressed(ordered=False, unique=False)
    levels = tuple(level if level.full else loose for level in format.levels)
    return Pattern(shape, Format(levels, format.order, format.blocks), arrays)


def _check_values(values: int, coordinates: int) -> None:
    if values != coordinates:
        raise FormatError(f"there are {coordinates} coordinates but {values} values")


# --- numpy, scipy, DLPack, Python -------------------------------------------------------------------------


def dense_from_numpy(array: Array) -> torch.Tensor:
    """A torch tensor on the memory of a numpy array; a copy if no order of dimensions makes it contiguous.

    Raises DtypeError for number types that Scorch doesn't compute with.

    >>> fortran = np.asfortranarray(np.ones((2, 3)))
    >>> dense_from_numpy(fortran).data_ptr() == fortran.ctypes.data
    True
    """
    if isinstance(array, np.ma.MaskedArray):
        raise UnsupportedError("masked arrays are not supported; pass array.filled(value)")
    dtypes.name_of(array.dtype)
    array = np.asarray(array)
    if array.ndim == 0:
        return torch.from_numpy(array.reshape(1).astype(array.dtype.newbyteorder("="))).reshape(())
    order = sorted(range(array.ndim), key=lambda d: (-array.strides[d], d))
    moved = torch.from_numpy(bindable(array.transpose(order)))
    return moved.permute(tuple(np.argsort(order).tolist()))


def _from_scipy(x: Any) -> Storage:
    dtypes.name_of(x.dtype)
    if x.format == "coo":
        return _from_scipy_coo(x)
    if x.ndim == 1:
        return _from_scipy_coo(x.tocoo())
    if x.format not in ("csr", "csc", "bsr"):
        x = x.tocsr()
    indptr, indices, data = np.asarray(x.indptr), np.asarray(x.indices), np.asarray(x.data)
    if len(indptr) and 0 <= indptr[-1] < len(indices):
        # scipy lets the arrays be longer than what indptr says.
        indices, data = indices[: indptr[-1]], data[: indptr[-1]]
    _check_values(len(data), len(indices))
    arrays: list[dict[str, Array]] = [{}, {"pos": indptr, "crd": indices}]
    format = csr if x.format == "csr" else csc if x.format == "csc" else bsr(x.blocksize)
    arrays += [{} for _ in range(len(format.levels) - 2)]
    if format.blocks and not x.has_canonical_format:
        return _from_scipy(x.tocsr())
    pattern = _ordered_if_it_is(x.shape, format, arrays)
    return Storage(pattern, torch.from_numpy(bindable(data)))


def _from_scipy_coo(x: Any) -> Storage:
    rows = [bindable(np.asarray(row)) for row in x.coords]
    _check_values(len(x.data), len(rows[0]))
    values = torch.from_numpy(bindable(x.data))
    arrays: list[dict[str, Array]] = [{"crd": row} for row in rows]
    arrays[0]["pos"] = np.array([0, len(values)], dtype=np.int64)
    try:
        # Sorted coordinates, the usual case, are taken as they are; stacking them for `pack` would copy.
        return Storage(Pattern(x.shape, coo(x.ndim), arrays), values)
    except FormatError:
        packing = pack(torch.from_numpy(np.stack(rows)), x.shape)
        return Storage(packing.pattern, packing.gather(values))


def _is_sparse(x: object) -> bool:
    if isinstance(x, torch.Tensor):
        return x.layout is not torch.strided
    scipy_sparse = sys.modules.get("scipy.sparse")
    return isinstance(x, Stored) or (scipy_sparse is not None and bool(scipy_sparse.issparse(x)))


def _from_other(x: Any) -> Storage:
    if hasattr(x, "__dlpack__"):
        device = x.__dlpack_device__()
        if device[0] != _CPU:
            raise UnsupportedError(f"Scorch runs on CPU; the operand's DLPack device is {tuple(device)}")
        return _from_torch(torch.utils.dlpack.from_dlpack(x))
    if hasattr(x, "__array__"):
        return Storage.from_dense(dense_from_numpy(np.asarray(x)))
    if not isinstance(x, bool | int | float | complex | list | tuple):
        raise DtypeError(
            f"cannot use a {type(x).__name__} as a tensor; pass a torch, numpy, scipy.sparse or scorch tensor, or lists"
        )
    if isinstance(x, list | tuple) and any(map(_is_sparse, x)):
        from scorch.batches import stacked  # mutual: its items are operands too

        return stacked([as_storage(item) for item in x])
    try:
        return _from_torch(torch.tensor(x))
    except (ValueError, TypeError, RuntimeError) as error:
        kind = ShapeError if "length" in str(error) else DtypeError
        raise kind(f"cannot make a tensor of the nested {type(x).__name__}: {error}") from None

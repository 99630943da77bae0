"""torch.sparse in every layout that supports the operation: coo, csr (int32, int64 indices), csc, bsr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from asv_benchmarks.compare import check, tasks
from asv_benchmarks.compare.model import Contender, LeftOut, Peer

from .blocks import block_size
from .work import products

__all__ = ["PEER", "coo", "csc", "csr"]

# A gathered operand larger than this (in elements) is left out: it would not be anybody's choice.
_GATHER_ELEMENTS = 2**28

# torch 2.13 never gives back the result of a product of two CSR or CSC tensors (8 bytes an entry a call, seen in the
# memory of the process); of large ones only the fastest layout is called.
_LEAKING = ("torch csr64", "torch csc")
_LARGE_PRODUCT = 10_000_000  # multiply-adds


def coo(a: Any) -> torch.Tensor:
    """A scipy array as a torch COO tensor, marked as coalesced when it is in canonical form."""
    a = a.tocoo() if a.format != "coo" else a
    index = torch.from_numpy(np.stack(a.coords).astype(np.int64))
    ready = bool(a.has_canonical_format)
    return torch.sparse_coo_tensor(index, torch.from_numpy(a.data), a.shape, is_coalesced=ready, check_invariants=False)


def csr(a: Any, index: type = np.int64) -> torch.Tensor:
    """A scipy CSR array as a torch CSR tensor with int32 or int64 indices."""
    pos, crd = (torch.from_numpy(array.astype(index)) for array in (a.indptr, a.indices))
    return torch.sparse_csr_tensor(pos, crd, torch.from_numpy(a.data), size=a.shape, check_invariants=False)


def csc(a: Any) -> torch.Tensor:
    """A scipy CSR array as a torch CSC tensor."""
    turned = a.tocsc()
    pos, crd = (torch.from_numpy(array.astype(np.int64)) for array in (turned.indptr, turned.indices))
    return torch.sparse_csc_tensor(pos, crd, torch.from_numpy(turned.data), size=a.shape, check_invariants=False)


def _bsr(a: Any) -> torch.Tensor:
    size = block_size(a)
    if size is None:
        raise LeftOut("no block size is half full")
    blocks = a.tobsr((size, size))
    pos, crd = (torch.from_numpy(array.astype(np.int64)) for array in (blocks.indptr, blocks.indices))
    return torch.sparse_bsr_tensor(pos, crd, torch.from_numpy(blocks.data), size=a.shape, check_invariants=False)


_LAYOUTS: dict[str, Callable[[Any], torch.Tensor]] = {
    "torch coo": coo,
    "torch csr32": lambda a: csr(a, np.int32),
    "torch csr64": csr,
    "torch csc": csc,
    "torch bsr": _bsr,
}
_SPARSE_PAIRS = ("torch coo", "torch csr32", "torch csr64", "torch csc")


def _times_dense(layout: Callable[[Any], torch.Tensor], a: Any, b: Any) -> Callable[[], Callable[[], Any]]:
    def build() -> Callable[[], Any]:
        left, right = layout(a), torch.from_numpy(b)
        return lambda: left @ right

    return build


def _spmm(a: Any, b: Any) -> Iterator[Contender]:
    for label, layout in _LAYOUTS.items():
        yield Contender(label, _times_dense(layout, a, b))


def _two(
    layout: Callable[[Any], torch.Tensor], a: Any, b: Any, call: Callable[[Any, Any], Any]
) -> Callable[[], Callable[[], Any]]:
    def build() -> Callable[[], Any]:
        left, right = layout(a), layout(b)
        return lambda: call(left, right)

    return build


def _spmspm(a: Any, b: Any) -> Iterator[Contender]:
    for label in _SPARSE_PAIRS:
        if label not in _LEAKING or products(a, b) <= _LARGE_PRODUCT:
            yield Contender(label, _two(_LAYOUTS[label], a, b, torch.matmul))


def _add(a: Any, b: Any) -> Iterator[Contender]:
    for label in _SPARSE_PAIRS[:3]:
        yield Contender(label, _two(_LAYOUTS[label], a, b, torch.add))


def _multiply(a: Any, b: Any) -> Iterator[Contender]:
    for label in _SPARSE_PAIRS[:3]:
        yield Contender(label, _two(_LAYOUTS[label], a, b, torch.mul))


def _sampled(mask: Any, q: Any, kt: torch.Tensor, index: type) -> Callable[[], Callable[[], Any]]:
    def build() -> Callable[[], Any]:
        pattern, left = csr(mask, index), torch.from_numpy(q)
        return lambda: torch.sparse.sampled_addmm(pattern, left, kt, beta=0.0)

    return build


def _sddmm(mask: Any, q: Any, k: Any) -> Iterator[Contender]:
    right = torch.from_numpy(k)
    # mat2 is d x n: the transposed view of what a model holds, and a copy in that order, for MKL's sake.
    yield Contender("torch csr32", _sampled(mask, q, right.T, np.int32))
    yield Contender("torch csr64", _sampled(mask, q, right.T, np.int64))
    yield Contender("torch csr32 K^T", _sampled(mask, q, right.T.contiguous(), np.int32))

    def gather() -> Callable[[], Any]:
        if mask.nnz * q.shape[1] > _GATHER_ELEMENTS:
            raise LeftOut("the gathered rows would take more than 1 GiB each")
        rows, cols = coo(mask).indices()
        values, left = torch.from_numpy(mask.data), torch.from_numpy(q)
        return lambda: values * (left[rows] * right[cols]).sum(-1)

    def as_matrix(values: torch.Tensor) -> Any:
        result = mask.copy()
        result.data = values.numpy()
        return result

    yield Contender("torch gather", gather, result=as_matrix)


def _coo_to_csr(a: Any) -> Iterator[Contender]:
    def build() -> Callable[[], Any]:
        source = coo(a)
        return source.to_sparse_csr

    yield Contender("torch", build)


def _csr_to_csc(a: Any) -> Iterator[Contender]:
    for label in ("torch csr32", "torch csr64"):
        yield Contender(label, _transposer(_LAYOUTS[label], a))


def _transposer(layout: Callable[[Any], torch.Tensor], a: Any) -> Callable[[], Callable[[], Any]]:
    def build() -> Callable[[], Any]:
        source = layout(a)
        return source.to_sparse_csc

    return build


def _sorted_rows(a: Any, b: Any) -> Iterator[Contender]:
    """MKL's product followed by a sort of each row, for readers who need sorted rows."""

    def build() -> Callable[[], Any]:
        left, right = csr(a, np.int32), csr(b, np.int32)

        def call() -> Any:
            product = check.canonical(left @ right)
            product.sort_indices()
            return product

        return call

    yield Contender("torch csr32 + sort", build)


def _spmspm_all(a: Any, b: Any) -> Iterator[Contender]:
    yield from _spmspm(a, b)
    yield from _sorted_rows(a, b)


PEER = Peer(
    name="torch.sparse",
    operations={
        "spmm": _spmm,
        "spmm_weight": _spmm,
        "spmv": _spmm,
        "spmspm": _spmspm_all,
        "spmspm_unsorted": _spmspm,
        "sddmm": _sddmm,
        "coo_to_csr": _coo_to_csr,
        "shuffled_to_csr": _coo_to_csr,
        "csr_to_csc": _csr_to_csc,
        "add": _add,
        "multiply": _multiply,
        "small": _spmm,
        **tasks.SPARSE,
    },
    modules=("torch",),
    set_threads=torch.set_num_threads,
)

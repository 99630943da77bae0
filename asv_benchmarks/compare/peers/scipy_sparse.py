"""scipy.sparse: CSR, and BSR where blocks are full enough. It runs on one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from asv_benchmarks.compare.model import Contender, LeftOut, Peer
from asv_benchmarks.compare.tasks import algebra, tensors

from .blocks import block_size

__all__ = ["PEER"]

_GATHER_ELEMENTS = 2**28


def _call(function: Callable[[], Any]) -> Callable[[], Callable[[], Any]]:
    return lambda: function


def _times(a: Any, b: Any) -> Iterator[Contender]:
    yield Contender("scipy", _call(lambda: a @ b))


def _times_dense(a: Any, b: Any) -> Iterator[Contender]:
    yield from _times(a, b)

    def blocked() -> Callable[[], Any]:
        size = block_size(a)
        if size is None:
            raise LeftOut("no block size is half full")
        blocks = a.tobsr((size, size))
        return lambda: blocks @ b

    yield Contender("scipy bsr", blocked)


def _spmspm(a: Any, b: Any) -> Iterator[Contender]:
    yield from _times(a, b)

    def sorted_rows() -> Any:
        product = a @ b
        product.sort_indices()
        return product

    yield Contender("scipy + sort", _call(sorted_rows))


def _sddmm(mask: Any, q: Any, k: Any) -> Iterator[Contender]:
    def gather() -> Callable[[], Any]:
        if mask.nnz * q.shape[1] > _GATHER_ELEMENTS:
            raise LeftOut("the gathered rows would take more than 1 GiB each")
        rows, cols = mask.tocoo().coords
        return lambda: mask.data * np.einsum("ed,ed->e", q[rows], k[cols])

    def as_matrix(values: Any) -> Any:
        result = mask.copy()
        result.data = values
        return result

    yield Contender("numpy gather", gather, result=as_matrix)


def _coo_to_csr(a: Any) -> Iterator[Contender]:
    yield Contender("scipy", _call(a.tocsr))


def _csr_to_csc(a: Any) -> Iterator[Contender]:
    yield Contender("scipy", _call(a.tocsc))


def _add(a: Any, b: Any) -> Iterator[Contender]:
    yield Contender("scipy", _call(lambda: a + b))


def _multiply(a: Any, b: Any) -> Iterator[Contender]:
    yield Contender("scipy", _call(lambda: a * b))


PEER = Peer(
    name="scipy",
    operations={
        "spmm": _times_dense,
        "spmm_weight": _times_dense,
        "spmv": _times_dense,
        "spmspm": _spmspm,
        "spmspm_unsorted": _times,
        "sddmm": _sddmm,
        "coo_to_csr": _coo_to_csr,
        "shuffled_to_csr": _coo_to_csr,
        "csr_to_csc": _csr_to_csc,
        "add": _add,
        "multiply": _multiply,
        "small": _times,
        **algebra.SCIPY,
        **tensors.SCIPY,
    },
    modules=("scipy", "numpy"),
)

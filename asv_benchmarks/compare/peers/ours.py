"""Scorch, through its public interface only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from asv_benchmarks.compare import tasks
from asv_benchmarks.compare.model import Contender, LeftOut, Peer

from .torch_sparse import csr

__all__ = ["PEER"]


def _einsum(notation: str, *operands: Any, **settings: Any) -> Callable[[], Callable[[], Any]]:
    """A build function: operands wrapped once, as a user with a model would."""

    def build() -> Callable[[], Any]:
        import scorch

        wrapped = [_wrap(scorch, operand) for operand in operands]
        return lambda: scorch.einsum(notation, *wrapped, **settings)

    return build


def _wrap(scorch: Any, operand: Any) -> Any:
    return scorch.tensor(operand) if hasattr(operand, "nnz") else torch.from_numpy(operand)


def _spmm(a: Any, b: Any) -> Iterator[Contender]:
    yield Contender("scorch", _einsum("ik,kj->ij", a, b))


def _spmm_weight(a: Any, b: Any) -> Iterator[Contender]:
    """The weight of a trained layer does not change, and is frozen by whoever wants it fast."""

    def build() -> Callable[[], Any]:
        import scorch

        weight, columns = scorch.tensor(a).freeze(), torch.from_numpy(b)
        return lambda: scorch.einsum("ik,kj->ij", weight, columns)

    yield Contender("scorch", build)


def _spmv(a: Any, x: Any) -> Iterator[Contender]:
    yield Contender("scorch", _einsum("ij,j->i", a, x))


def _spmspm(a: Any, b: Any) -> Iterator[Contender]:
    yield Contender("scorch", _einsum("ik,kj->ij", a, b, out_format="csr"))


def _spmspm_unsorted(a: Any, b: Any) -> Iterator[Contender]:
    yield Contender("scorch", _einsum("ik,kj->ij", a, b, out_format="csr(unsorted)"))


def _sddmm(mask: Any, q: Any, k: Any) -> Iterator[Contender]:
    yield Contender("scorch", _einsum("ij,id,jd->ij", mask, q, k))


def _convert(target: str) -> Callable[[Any], Iterator[Contender]]:
    def contenders(a: Any) -> Iterator[Contender]:
        def build() -> Callable[[], Any]:
            import scorch

            # A tensor remembers conversions of its pattern; a new one for every call has nothing to remember.
            return lambda: _method(scorch.tensor(a), target)

        yield Contender("scorch", build, fresh=True)

    return contenders


def _shuffled_to_csr(a: Any) -> Iterator[Contender]:
    def build() -> Callable[[], Any]:
        import scorch

        coords, values = np.stack(a.coords), torch.from_numpy(a.data)
        return lambda: scorch.from_coo(coords, values, a.shape, "csr")

    yield Contender("scorch", build)


def _method(tensor: Any, target: str) -> Callable[[], Any]:
    return lambda: tensor.to(target)


def _add(a: Any, b: Any) -> Iterator[Contender]:
    def build() -> Callable[[], Any]:
        import scorch

        if not hasattr(scorch, "compute"):
            raise LeftOut("an einsum has no sum of tensors, and this version has no scorch.compute")
        left, right = scorch.tensor(a), scorch.tensor(b)
        return lambda: scorch.compute("C[i,j] = A[i,j] + B[i,j]", A=left, B=right, out_format="csr")

    yield Contender("scorch", build)


def _multiply(a: Any, b: Any) -> Iterator[Contender]:
    yield Contender("scorch", _einsum("ij,ij->ij", a, b, out_format="csr"))


def _small(a: Any, b: Any) -> Iterator[Contender]:
    yield Contender("scorch einsum", _einsum("ik,kj->ij", a, b))

    def kernel() -> Callable[[], Any]:
        import scorch

        left, right = scorch.tensor(a), torch.from_numpy(b)
        call = scorch.kernel("ik,kj->ij", left, right)
        return lambda: call(left, right)

    def foreign() -> Callable[[], Any]:
        import scorch

        left = csr(a)
        right = torch.from_numpy(b)
        return lambda: scorch.einsum("ik,kj->ij", left, right)

    yield Contender("scorch kernel", kernel)
    yield Contender("scorch einsum, torch csr", foreign)


def _set_threads(number: int) -> None:
    import scorch

    if hasattr(scorch, "config"):
        scorch.config.threads = number


PEER = Peer(
    name="scorch",
    operations={
        "spmm": _spmm,
        "spmm_weight": _spmm_weight,
        "spmv": _spmv,
        "spmspm": _spmspm,
        "spmspm_unsorted": _spmspm_unsorted,
        "sddmm": _sddmm,
        "coo_to_csr": _convert("csr"),
        "shuffled_to_csr": _shuffled_to_csr,
        "csr_to_csc": _convert("csc"),
        "add": _add,
        "multiply": _multiply,
        "small": _small,
        **tasks.SCORCH,
    },
    modules=("scorch",),
    set_threads=_set_threads,
)

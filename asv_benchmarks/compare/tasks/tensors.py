"""Products of tensors of any order: what each library does for MTTKRP, TTM and TTV.

torch and scipy have no such product; their users gather, multiply and sum up, or multiply an unfolded matrix. What
depends on the coordinates alone (the unfolded matrix, the number of each entry's fibre) is made beforehand, untimed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from string import ascii_lowercase
from typing import Any

import numpy as np
import torch
from scipy import sparse

from asv_benchmarks.compare.model import Contender, LeftOut

from .common import Operations, csr

__all__ = ["PYDATA", "SCIPY", "SCORCH", "SPARSE", "mttkrp", "mttkrp_notation", "times_last", "times_last_notation"]


def mttkrp_notation(order: int) -> str:
    """The einsum of MTTKRP along the first mode.

    >>> mttkrp_notation(3)
    'abc,bz,cz->az'
    """
    modes = ascii_lowercase[:order]
    return f"{modes},{','.join(f'{mode}z' for mode in modes[1:])}->az"


def times_last_notation(order: int, columns: bool) -> str:
    """The einsum of a product along the last mode: with a matrix (TTM), or with a vector (TTV).

    >>> times_last_notation(3, columns=True), times_last_notation(3, columns=False)
    ('abc,cz->abz', 'abc,c->ab')
    """
    modes = ascii_lowercase[:order]
    rest, last = modes[:-1], modes[-1]
    return f"{modes},{last}z->{rest}z" if columns else f"{modes},{last}->{rest}"


def mttkrp(a: Any, *factors: Any) -> Any:
    """The expected result of MTTKRP: the values times the factors' rows, summed by first coordinate."""
    return _by_first(a) @ _rows(a, *factors)


def times_last(a: Any, b: Any) -> Any:
    """The expected result of TTM and TTV: one row (one number) a fibre, fibres in lexicographic order."""
    return _unfolded(a) @ b


def _rows(a: Any, *factors: Any) -> Any:
    """(nnz, r): the product of the factors' rows at each entry's coordinates."""
    product = factors[0][a.coords[1]]
    for coords, factor in zip(a.coords[2:], factors[1:], strict=True):
        product = product * factor[coords]
    return product


def _by_first(a: Any) -> Any:
    """(extent of mode 0, nnz): sums entries by their first coordinate, times their values."""
    entries = np.arange(a.nnz)
    return sparse.csr_array((a.data, (a.coords[0], entries)), shape=(a.shape[0], a.nnz))


def _fibres(coords: Any) -> tuple[Any, int]:
    """The number of each entry's fibre, counted in lexicographic order, and how many there are."""
    found, number = np.unique(np.stack(coords), axis=1, return_inverse=True)
    return number.reshape(-1), found.shape[1]


def _unfolded(a: Any) -> Any:
    number, count = _fibres(a.coords[:-1])
    return sparse.csr_array((a.data, (number, a.coords[-1])), shape=(count, a.shape[-1]))


def _by_fibre(columns: int) -> Callable[[Any], Any]:
    """Turns a sparse result into the rows of its fibres, in lexicographic order."""

    def result(tensor: Any) -> Any:
        coords, values = tensor.coords().numpy(), tensor.values.reshape(-1).numpy()
        ordered = values[np.lexsort(coords[::-1])]
        return ordered.reshape(-1, columns) if columns else ordered

    return result


# --- Scorch ---------------------------------------------------------------------------------------------------------


def _einsum(notation: str, a: Any, *dense: Any) -> Callable[[], Callable[[], Any]]:
    def build() -> Callable[[], Any]:
        import scorch

        tensor = scorch.from_coo(np.stack(a.coords), a.data, a.shape, "csf")
        factors = [torch.from_numpy(factor) for factor in dense]
        return lambda: scorch.einsum(notation, tensor, *factors)

    return build


def _scorch_mttkrp(a: Any, *factors: Any) -> Iterator[Contender]:
    yield Contender("scorch", _einsum(mttkrp_notation(a.ndim), a, *factors))


def _scorch_times_last(a: Any, b: Any) -> Iterator[Contender]:
    build = _einsum(times_last_notation(a.ndim, columns=b.ndim == 2), a, b)
    yield Contender("scorch", build, result=_by_fibre(b.shape[1] if b.ndim == 2 else 0))


# --- torch ----------------------------------------------------------------------------------------------------------


def _torch_mttkrp(a: Any, *factors: Any) -> Iterator[Contender]:
    def gathered() -> Callable[[], torch.Tensor]:
        coords = [torch.from_numpy(mode.astype(np.int64)) for mode in a.coords[1:]]
        held = [torch.from_numpy(factor) for factor in factors]

        def product() -> torch.Tensor:
            rows = held[0][coords[0]]
            for mode, factor in zip(coords[1:], held[1:], strict=True):
                rows = rows.mul_(factor[mode])
            return rows

        return product

    def scattered() -> Callable[[], Any]:
        product, values = gathered(), torch.from_numpy(a.data)[:, None]
        first = torch.from_numpy(a.coords[0].astype(np.int64))
        shape = a.shape[0], factors[0].shape[1]
        return lambda: torch.zeros(shape).index_add_(0, first, product().mul_(values))

    def summed() -> Callable[[], Any]:
        product, by_first = gathered(), csr(_by_first(a))
        return lambda: by_first @ product()

    yield Contender("torch gather, index_add", scattered)
    yield Contender("torch gather, csr32", summed)


def _torch_times_last(a: Any, b: Any) -> Iterator[Contender]:
    def unfolded() -> Callable[[], Any]:
        matrix, dense = csr(_unfolded(a)), torch.from_numpy(b)
        return lambda: matrix @ dense

    def scattered() -> Callable[[], Any]:
        number, count = _fibres(a.coords[:-1])
        fibre = torch.from_numpy(number.astype(np.int64))
        last = torch.from_numpy(a.coords[-1].astype(np.int64))
        values, dense = torch.from_numpy(a.data), torch.from_numpy(b)
        weights = values[:, None] if b.ndim == 2 else values
        shape = (count, b.shape[1]) if b.ndim == 2 else (count,)
        return lambda: torch.zeros(shape).index_add_(0, fibre, dense[last].mul_(weights))

    yield Contender("torch csr32 unfolded", unfolded)
    yield Contender("torch gather, index_add", scattered)


# --- scipy and pydata/sparse ----------------------------------------------------------------------------------------


def _scipy_mttkrp(a: Any, *factors: Any) -> Iterator[Contender]:
    def build() -> Callable[[], Any]:
        by_first = _by_first(a)
        return lambda: by_first @ _rows(a, *factors)

    yield Contender("numpy gather, scipy csr", build)


def _scipy_times_last(a: Any, b: Any) -> Iterator[Contender]:
    def build() -> Callable[[], Any]:
        matrix = _unfolded(a)
        return lambda: matrix @ b

    yield Contender("scipy unfolded", build)


def _pydata(notation: Callable[[int], str], a: Any, *dense: Any) -> Iterator[Contender]:
    def build() -> Callable[[], Any]:
        import sparse as pydata  # type: ignore[import-not-found, unused-ignore]

        tensor = pydata.COO(np.stack(a.coords), a.data, a.shape)
        text = notation(a.ndim)
        return lambda: pydata.einsum(text, tensor, *dense)

    yield Contender("pydata coo", build, result=partial(_from_pydata, dense[0].shape[1:] if len(dense) == 1 else None))


def _from_pydata(columns: tuple[int, ...] | None, value: Any) -> Any:
    """The rows of a sparse result's fibres, (fibres, *columns); a dense one (`columns` is None) as it is."""
    if columns is None:
        return value.todense() if hasattr(value, "todense") else value
    if not hasattr(value, "coords"):
        raise LeftOut("the result is dense")
    return value.data[np.lexsort(value.coords[::-1])].reshape(-1, *columns)


def _pydata_mttkrp(a: Any, *factors: Any) -> Iterator[Contender]:
    yield from _pydata(mttkrp_notation, a, *factors)


def _pydata_times_last(a: Any, b: Any) -> Iterator[Contender]:
    yield from _pydata(partial(times_last_notation, columns=b.ndim == 2), a, b)


SCORCH: Operations = {"mttkrp": _scorch_mttkrp, "times_last": _scorch_times_last}
SPARSE: Operations = {"mttkrp": _torch_mttkrp, "times_last": _torch_times_last}
SCIPY: Operations = {"mttkrp": _scipy_mttkrp, "times_last": _scipy_times_last}
PYDATA: Operations = {"mttkrp": _pydata_mttkrp, "times_last": _pydata_times_last}

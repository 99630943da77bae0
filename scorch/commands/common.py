"""The kernels that most programs need first, by family: what `scorch cache warm` compiles ahead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

__all__ = ["FAMILIES", "Job", "jobs"]

_LARGE, _SMALL = 4000, 60  # rows: for a kernel on threads, and for one that is too small for them
_ROW = 24  # entries of a row
_COLUMNS = (16, 32, 64, 128, 256)
_DEPTHS = (32, 64, 128)

FAMILIES = ("spmm", "spmv", "sddmm", "spmspm", "elementwise", "convert", "softmax")


@dataclass(frozen=True)
class Job:
    """A call that compiles what it needs, and its description."""

    family: str
    text: str
    call: Callable[[], object]


def jobs(families: tuple[str, ...] = FAMILIES) -> Iterator[Job]:
    """The calls of some families, each for a large matrix and a small one; float32, CSR."""
    for family in families:
        for rows in (_LARGE, _SMALL):
            for text, call in _CALLS[family](rows):
                yield Job(family, f"{text}, {rows} rows", call)


_Calls = Iterator[tuple[str, Callable[[], object]]]


@cache
def _matrix(rows: int) -> Any:
    import numpy as np
    import torch

    import scorch

    rng = np.random.default_rng(0)
    coords = np.stack([np.repeat(np.arange(rows), _ROW), rng.integers(0, rows, rows * _ROW)])
    return scorch.from_coo(coords, torch.ones(coords.shape[1]), (rows, rows), format="csr")


def _ones(*shape: int) -> Any:
    import torch

    return torch.ones(shape)


def _einsum(notation: str, rows: int, *shapes: tuple[int, ...], **settings: Any) -> object:
    import scorch

    return scorch.einsum(notation, _matrix(rows), *(_ones(*shape) for shape in shapes), **settings)


def _spmm(rows: int) -> _Calls:
    for columns in _COLUMNS:
        yield f"ik,kj->ij with {columns} columns", partial(_einsum, "ik,kj->ij", rows, (rows, columns))


def _spmv(rows: int) -> _Calls:
    yield "ij,j->i", partial(_einsum, "ij,j->i", rows, (rows,))


def _sddmm(rows: int) -> _Calls:
    for depth in _DEPTHS:
        yield f"ij,id,jd->ij with depth {depth}", partial(_einsum, "ij,id,jd->ij", rows, (rows, depth), (rows, depth))


def _spmspm(rows: int) -> _Calls:
    def product() -> object:
        import scorch

        return scorch.einsum("ik,kj->ij", _matrix(rows), _matrix(rows), out_format="csr")

    yield "ik,kj->ij, both sparse", product


def _elementwise(rows: int) -> _Calls:
    def other() -> Any:
        return _matrix(rows).T.to("csr")

    yield "A + B", lambda: _matrix(rows) + other()
    yield "A * B", lambda: _matrix(rows) * other()
    yield "A * 2", lambda: _matrix(rows) * 2.0


def _convert(rows: int) -> _Calls:
    for source, target in (("csr", "csc"), ("coo", "csr"), ("csr", "coo")):

        def convert(source: str = source, target: str = target) -> object:
            return _matrix(rows).to(source).to(target)

        yield f"{source} to {target}", convert


def _softmax(rows: int) -> _Calls:
    def softmax() -> object:
        import torch

        return torch.softmax(_matrix(rows), -1)

    yield "softmax of stored entries", softmax


_CALLS: dict[str, Callable[[int], _Calls]] = {
    "spmm": _spmm,
    "spmv": _spmv,
    "sddmm": _sddmm,
    "spmspm": _spmspm,
    "elementwise": _elementwise,
    "convert": _convert,
    "softmax": _softmax,
}

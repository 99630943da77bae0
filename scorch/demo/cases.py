"""The operations that the demo runs, with rivals in torch and scipy and a float64 reference."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

import scorch
from scorch.demo.compare import plain
from scorch.demo.subjects import Subject

__all__ = ["Case", "Contender", "matrix_cases"]

_MULTIPLICATIONS = 100_000_000
_GATHERED = 65_536


@dataclass(frozen=True)
class Contender:
    """One way to compute a case. The label is "scorch", or library and variant: "torch csr", "scipy".

    `plain` turns the result of `call` into what `difference` compares; it isn't timed.
    """

    label: str
    call: Callable[[], Any]
    plain: Callable[[Any], Any] = plain


@dataclass(frozen=True)
class Case:
    """An operation on a subject.

    `notation` and `operands` are what `scorch.explain` takes; `reference()` gives the float64 result and the
    scale that `difference` wants; `note` says what the reader should know.
    """

    name: str
    notation: str
    operands: tuple[Any, ...]
    contenders: tuple[Contender, ...]
    reference: Callable[[], tuple[Any, Any]]
    note: str = ""
    options: tuple[tuple[str, Any], ...] = ()


def matrix_cases(subject: Subject, k: int = 64, seed: int = 0) -> Iterator[Case]:
    """SpMM (k columns), SpMV, SpMSpM (A @ A, or A @ A.T) and SDDMM (k long) on a matrix."""
    rng = np.random.default_rng(seed)
    tensor = scorch.tensor(subject.matrix)
    layouts = _torch_layouts(subject.matrix)
    yield _spmm(subject, tensor, layouts, rng, k)
    yield _spmv(subject, tensor, layouts, rng)
    yield _spmspm(subject)
    yield _sddmm(subject, tensor, layouts, rng, k)


def _random(rng: np.random.Generator, *shape: int) -> Any:
    return rng.standard_normal(shape, dtype=np.float32)


def _ours(notation: str, *operands: Any, **options: Any) -> Contender:
    return Contender("scorch", lambda: scorch.einsum(notation, *operands, **options))


def _torch_layouts(matrix: Any) -> dict[str, Any]:
    """The matrix in the layouts of torch.sparse, made beforehand: none of them pays for a conversion."""
    values = torch.from_numpy(matrix.data)

    def csr(width: Any) -> Any:
        pos, crd = (torch.from_numpy(a.astype(width)) for a in (matrix.indptr, matrix.indices))
        return torch.sparse_csr_tensor(pos, crd, values, matrix.shape)

    with warnings.catch_warnings():
        # Torch calls its csr a beta and says that it does not check it; neither is news to who runs a demo.
        warnings.filterwarnings("ignore", message="Sparse ", category=UserWarning)
        wide = csr(np.int64)
        layouts = {"csr": csr(np.int32)} if max(matrix.nnz, *matrix.shape) < 2**31 else {}
        return layouts | {
            "csr64": wide,
            "csc": wide.to_sparse_csc(),
            "coo": wide.to_sparse_coo().coalesce(),
        }


def _spmm(subject: Subject, tensor: Any, layouts: dict[str, Any], rng: np.random.Generator, k: int) -> Case:
    a, b = subject.matrix, _random(rng, subject.shape[1], k)
    dense = torch.from_numpy(b)
    rivals = [Contender(f"torch {name}", partial(operator.matmul, layout, dense)) for name, layout in layouts.items()]
    return Case(
        name=f"SpMM, K = {k}",
        notation="ik,kj->ij",
        operands=(tensor, dense),
        contenders=(_ours("ik,kj->ij", tensor, dense), *rivals, Contender("scipy", lambda: a @ b)),
        reference=lambda: _linear(a, b),
    )


def _spmv(subject: Subject, tensor: Any, layouts: dict[str, Any], rng: np.random.Generator) -> Case:
    a, x = subject.matrix, _random(rng, subject.shape[1])
    dense = torch.from_numpy(x)
    rivals = [Contender(f"torch {name}", partial(operator.matmul, layout, dense)) for name, layout in layouts.items()]
    return Case(
        name="SpMV",
        notation="ik,k->i",
        operands=(tensor, dense),
        contenders=(_ours("ik,k->i", tensor, dense), *rivals, Contender("scipy", lambda: a @ x)),
        reference=lambda: _linear(a, x),
    )


def _linear(a: Any, b: Any) -> tuple[Any, Any]:
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    return wide_a @ wide_b, abs(wide_a) @ abs(wide_b)


def _spmspm(subject: Subject) -> Case:
    """A @ A for a square matrix, else A @ A.T, over as many rows as keep it to some seconds."""
    a = subject.matrix
    square = a.shape[0] == a.shape[1]
    b = a if square else sp.csr_array(a.T)
    rows = _affordable_rows(a, b)
    left = a[:rows] if rows < a.shape[0] else a
    ours, layouts_b = (scorch.tensor(left), scorch.tensor(b)), _torch_layouts(b)
    rivals = [
        Contender(f"torch {name}", partial(operator.matmul, x, layouts_b[name]))
        for name, x in _torch_layouts(left).items()
    ]
    # Torch's own csr product leaves the columns of a row unsorted, which costs it less.
    notes = [] if rows == a.shape[0] else [f"first {rows:,} of {a.shape[0]:,} rows"]
    return Case(
        name="SpMSpM, A @ A" if square else "SpMSpM, A @ A.T",
        notation="ik,kj->ij",
        operands=ours,
        contenders=(
            _ours("ik,kj->ij", *ours, out_format="csr"),
            *rivals,
            Contender("scipy", lambda: left @ b),
        ),
        reference=lambda: _linear(left, b),
        note=", ".join([*notes, "torch and scipy leave the columns of a row unsorted"]),
        options=(("out_format", "csr"),),
    )


def _affordable_rows(a: Any, b: Any) -> int:
    """How many leading rows of `a` make at most the multiplications that a demo can afford; one at least."""
    work = np.concatenate(([0], np.cumsum(np.diff(b.indptr)[a.indices], dtype=np.int64)))[a.indptr]
    return max(1, int(np.searchsorted(work, _MULTIPLICATIONS, side="right")) - 1) if a.shape[0] else 0


def _sddmm(subject: Subject, tensor: Any, layouts: dict[str, Any], rng: np.random.Generator, d: int) -> Case:
    a = subject.matrix
    q, k = _random(rng, a.shape[0], d), _random(rng, a.shape[1], d)
    tq, tk = torch.from_numpy(q), torch.from_numpy(k)
    rows = np.repeat(np.arange(a.shape[0], dtype=a.indices.dtype), np.diff(a.indptr))

    def sampled(layout: Any) -> Any:
        # torch samples with the pattern alone; the einsum multiplies by the values too.
        result = torch.sparse.sampled_addmm(layout, tq, tk.T, beta=0.0)
        result.values().mul_(layout.values())
        return result

    def with_numpy(a: Any = a, q: Any = q, k: Any = k) -> Any:
        # Scipy has no such product: gathered rows, some at a time, so that they stay in the cache.
        data = np.empty(a.nnz, dtype=q.dtype)
        for lo in range(0, a.nnz, _GATHERED):
            part = slice(lo, lo + _GATHERED)
            data[part] = a.data[part] * np.einsum("pd,pd->p", q[rows[part]], k[a.indices[part]])
        return sp.csr_array((data, a.indices, a.indptr), shape=a.shape)

    def reference() -> tuple[Any, Any]:
        wide = [x.astype(np.float64) for x in (a, q, k)]
        return with_numpy(*wide), with_numpy(*(abs(x) for x in wide))

    rivals = [
        Contender(f"torch {name}", partial(sampled, layout))
        for name, layout in layouts.items()
        if layout.layout is torch.sparse_csr
    ]
    return Case(
        name=f"SDDMM, d = {d}",
        notation="ij,id,jd->ij",
        operands=(tensor, tq, tk),
        contenders=(_ours("ij,id,jd->ij", tensor, tq, tk), *rivals, Contender("scipy", with_numpy)),
        reference=reference,
        note="scipy has none: gathered rows and numpy",
    )

"""The tables of the differential tests: expressions, formats, and how many combinations of them are run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice, permutations
from typing import TypeVar

from scorch.formats import Format, coo, csf

T = TypeVar("T")

DEEP = os.environ.get("SCORCH_TEST_DEEP", "") not in ("", "0")
"""Run every combination, not a sample (minutes instead of seconds)."""

MATRICES = ("dense", "csr", "csc", "dcsr", "dcsc", "coo")
VECTORS = ("dense", "coo")

PAIRS = (
    # matrix products, each operand and the result either way round
    *(f"{a},{b}->{c}" for a in ("ik", "ki") for b in ("kj", "jk") for c in ("ij", "ji")),
    # elementwise, and reductions of it
    "ij,ij->ij",
    "ij,ji->ij",
    "ij,ij->ji",
    "ij,ij->i",
    "ij,ij->j",
    "ij,ij->",
    "ij,ji->",
    # products that are reduced further
    "ij,jk->i",
    "ij,jk->j",
    "ij,jk->k",
    "ij,jk->",
    "ij,ik->i",
    "ij,kl->",
    "ij,kl->ik",
    # outer products and batches
    "ij,kl->ijkl",
    "ij,kl->ljki",
    "ij,kj->ikj",
    "ij,ik->ijk",
    "ij,ik->kji",
    # diagonals and traces
    "ii,ij->ij",
    "ii,ij->j",
    "ij,jj->ij",
    "ii,ii->i",
    "ii,ii->",
    "ij,jj->",
    "ii,jj->ij",
    # implicit results
    "ij,jk",
    "kj,ji",
)
"""Two matrices."""

SINGLES = ("ij->ij", "ij->ji", "ij->i", "ij->j", "ij->", "ii->i", "ii->", "i->i", "i->", "->", "ji", "ii")

VECTOR_PRODUCTS = (
    "ij,j->i",
    "ij,i->j",
    "ij,j->ij",
    "ij,i->ji",
    "ij,j->",
    "ij,i,j->",
    "i,ij,j->ij",
    "i,i->i",
    "i,i->",
    "i,j->ij",
    "i,j->ji",
    "i,j->",
    "i,ii->i",
    "ij,jj->i",
    ",ij->ij",
    "ij,->ji",
    ",i->i",
    ",->",
)

CHAINS = (
    "ij,ik,jk->ij",  # SDDMM
    "ij,ik,kj->ji",
    "ij,jk,kl->il",
    "ij,j,jk->ik",
    "ij,ij,ij->ij",
    "ij,ij,jk->ik",
    "ij,ik,jk->ijk",
    "ij,ik,jk->",
    "ij,kj,ik->",
    "ij,kj,lk->il",
)
"""Three operands."""

ORDER3 = {
    "TTV": ("ijk,k->ij", "ijk,j->ik", "ijk,i->jk", "ijk,k->ji"),
    "TTM": ("ijk,kl->ijl", "ijk,lk->ijl", "ijk,jl->ilk", "ijk,il->ljk"),
    "MTTKRP": ("ijk,jl,kl->il", "ijk,il,kl->jl", "ijk,il,jl->kl"),
    "inner": ("ijk,ijk->", "ijk,jik->", "ijk,kji->"),
    "more": (
        "ijk->i",
        "ijk->jk",
        "ijk->kji",
        "ijk->",
        "ijk,ijk->ijk",
        "ijk,ikl->ijl",
        "iij->j",
        "iji->ij",
        "iii->i",
        "iii->",
    ),
}

ORDERS3 = tuple(permutations(range(3)))
THIRDS = (
    *(csf(3, order) for order in ORDERS3),
    *(coo(3, order) for order in ORDERS3),
    Format("dense, dense, compressed"),
    Format("dense, compressed, dense"),
    Format("compressed, dense, compressed", (2, 0, 1)),
    "dense",
)
"""Formats of tensors of order 3."""


def results(rank: int) -> tuple[Format | str | None, ...]:
    """Result formats that are asked for: none, and the named ones of that rank."""
    if rank == 0:
        return (None, "dense")
    if rank == 2:
        return (None, "dense", "csr", "coo")
    return (None, "dense", "coo") if rank == 1 else (None, "dense", "coo", "csf")


def sample(cases: Iterable[T], every: int, offset: int = 0) -> Iterator[T]:
    """Each `every`-th case; all of them in a deep run."""
    return islice(cases, 0 if DEEP else offset % every, None, 1 if DEEP else every)

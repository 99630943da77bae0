"""How far a kernel is from what the machine allows: the work of a case beside the rates measured in the same run.

Two bounds, after the roofline of Williams, Waterman and Patterson (2009). The *stream* bound moves every array once, at
the rate of the level of memory that holds them together, or does the multiply-adds at their peak, whichever takes
longer: nothing can be faster. The *cache* bound fetches a row for each nonzero, in the order of the matrix, from the
nearest cache that can still hold it: only a kernel that reads rows in another order, or once for several nonzeros
(tiles, frozen copies), beats it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .model import CaseResult, Work
from .ratios import best_rival, geometric_mean, ours
from .reuse import distances
from .table import Rows, three

if TYPE_CHECKING:
    from scorch.runtime.rates import Rates

__all__ = ["AHEAD", "BOUNDS", "RATES", "Bound", "ahead_rows", "bound_of", "rate_rows", "roofline_rows", "work_of"]

RATES = (
    "Highest rates of all threads together, measured in this run: streams as STREAM counts them, rows of some bytes "
    "from random places of a table, float32 multiply-adds."
)
BOUNDS = (
    "*Bound by*: moving every array once at the rate of the level that holds them all, or the multiply-adds. *Cache "
    "bound*: each nonzero's row comes from the nearest cache that still holds it if the nonzeros are taken in order; "
    "rows that are read once for several nonzeros, as tiles and frozen copies do, can beat it."
)

AHEAD = (
    "How far ahead of the best counted rival a kernel at the machine's limit would be, geometric means over the real "
    "matrices: *at most*, with every array moved once; *by rows*, with each nonzero's row from the nearest cache that "
    "still holds it."
)


@dataclass(frozen=True, slots=True)
class Bound:
    """Nanoseconds that the work takes at least, by which limit; and when it goes through the nonzeros in order."""

    stream: float
    limit: str
    cache: float


def work_of(operation: str, operands: tuple[Any, ...], expected: Any, threads: int) -> Work | None:
    """What an operation moves and computes at least; None where nobody counts it (conversions of whole models, say)."""
    count = _COUNTS.get(operation)
    return count(*operands, expected, threads) if count is not None else None


def bound_of(work: Work, rates: Rates) -> Bound:
    """The bounds of some work on a machine with these rates.

    >>> from scorch.runtime.rates import Level, Rates
    >>> level = Level("L2", 1e9, 20.0, 10.0, 10.0, ((4, 1.0), (64, 5.0)))
    >>> far = (0,) * 20 + (10,)  # ten rows that are read again after 2^20 bytes of others
    >>> bound_of(Work(moved=2000, flops=10, picks=10, row=4, used=400, reuse=far), Rates((level,), 50.0, 1))
    Bound(stream=100.0, limit='L2', cache=120.0)
    """
    home = rates.level(work.moved)
    moving, computing = work.moved / home.stream, work.flops / rates.flops
    stream, limit = max((moving, home.name), (computing, "flops"))
    rest = max(0, work.moved - work.used)
    nearer, longest = rates.first_bytes, stream
    for level in rates.levels:
        come = work.row * _beyond(work.reuse, nearer / rates.threads)
        passing = rest / level.stream if level.bytes <= home.bytes else 0.0
        longest = max(longest, come / level.gather(work.row) + passing)
        nearer = level.bytes
    return Bound(stream, limit, longest)


def _beyond(reuse: Sequence[int], size: float) -> float:
    """How many reads come back at distances that a cache of some bytes doesn't hold; shares of one power of two."""
    power = math.log2(max(1.0, size))
    return sum(count * min(1.0, max(0.0, k - power)) for k, count in enumerate(reuse))


def roofline_rows(results: Sequence[CaseResult], rates: Rates) -> Rows:
    """A header, a row a case that has work and a time of Scorch's, and a mean a family."""
    rows = [["case", "MB moved", "Mflop", "ms", "GB/s", "GFLOP/s", "bound by", "share of it", "share of cache bound"]]
    shares: dict[str, list[float]] = {}
    for result in results:
        mine = ours(result)
        if mine is None or not mine.value or result.work is None:
            continue
        work, time = result.work, mine.value
        bound = bound_of(work, rates)
        shares.setdefault(result.family, []).append(bound.stream / time)
        rows.append(
            [
                result.case,
                three(work.moved / 1e6),
                three(work.flops / 1e6) if work.flops else "-",
                three(time / 1e6),
                three(work.moved / time),
                three(work.flops / time) if work.flops else "-",
                bound.limit,
                f"{bound.stream / time:.2f}",
                f"{bound.cache / time:.2f}" if work.picks else "",
            ]
        )
    for family, found in shares.items():
        rows.append([f"{family}, geometric mean", *[""] * 6, f"{geometric_mean(found):.2f}", ""])
    return rows if len(rows) > 1 else []


def ahead_rows(results: Sequence[CaseResult], rates: Rates) -> Rows:
    """A header, and a row a family and variant: the ratio that was reached, and those of kernels at the bounds."""
    found: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    for result in results:
        mine, rival = ours(result), best_rival(result)
        if mine is None or not mine.value or rival is None or rival.value is None:
            continue
        if result.work is None or not result.real:
            continue
        bound = bound_of(result.work, rates)
        ratios = rival.value / mine.value, rival.value / bound.stream, rival.value / bound.cache
        found.setdefault((result.family, result.variant), []).append(ratios)
    rows = [["family", "cases", "reached", "at most", "by rows"]]
    for (family, variant), cases in found.items():
        means = [f"{geometric_mean(each):.2f}" for each in zip(*cases, strict=True)]
        rows.append([f"{family} {variant}".strip(), str(len(cases)), *means])
    return rows if len(rows) > 1 else []


def rate_rows(rates: Rates) -> Rows:
    """The measured rates themselves."""
    sizes = [row for row, _ in rates.levels[0].gathered]
    rows = [["level", "read GB/s", "copy GB/s", "triad GB/s", *(f"rows of {size} B" for size in sizes), "GFLOP/s"]]
    for n, level in enumerate(rates.levels):
        gathered = [three(rate) for _, rate in level.gathered]
        peak = three(rates.flops) if n == 0 else ""
        rows.append([level.name, *map(three, (level.read, level.copy, level.triad)), *gathered, peak])
    return rows


# --- what is moved and computed -----------------------------------------------------------------------------


def _bytes(array: Any) -> int:
    """Bytes of all arrays of a scipy or numpy array."""
    if not hasattr(array, "nnz"):
        return int(array.nbytes)
    if array.format == "coo":
        return int(array.data.nbytes + sum(axis.nbytes for axis in array.coords))
    return int(array.data.nbytes + array.indices.nbytes + array.indptr.nbytes)


def _times_dense(a: Any, b: Any, c: Any, threads: int) -> Work:
    columns = b.shape[1] if b.ndim == 2 else 1
    picked = _picked(a.indices, np.full(b.shape[0], b.itemsize * columns), threads)
    return Work(_bytes(a) + picked["used"] + _bytes(c), 2 * a.nnz * columns, **picked)


def _sampled(mask: Any, q: Any, k: Any, c: Any, threads: int) -> Work:
    depth = q.shape[1]
    picked = _picked(mask.indices, np.full(k.shape[0], k.itemsize * depth), threads)
    return Work(_bytes(mask) + q.nbytes + picked["used"] + c.data.nbytes, 2 * mask.nnz * depth, **picked)


def _times_sparse(a: Any, b: Any, c: Any, threads: int) -> Work:
    lengths = np.diff(b.indptr).astype(np.int64)
    products = int(lengths[a.indices].sum())
    picked = _picked(a.indices, lengths * (b.data.itemsize + b.indices.itemsize), threads)
    return Work(_bytes(a) + (_bytes(b) if b is not a else 0) + _bytes(c), 2 * products, **picked)


def _picked(rows: Any, lengths: Any, threads: int) -> dict[str, Any]:
    """What is read of a table of rows of some bytes, a row for each nonzero."""
    read = lengths[np.unique(rows)].sum()  # rows that no nonzero names are never read
    mean = int(lengths[rows].mean()) if rows.size else 0
    return {
        "picks": rows.size,
        "row": max(4, mean),
        "used": int(read),
        "reuse": distances(rows, lengths, threads),
    }


def _convert(a: Any, c: Any, threads: int) -> Work:
    return Work(_bytes(a) + _bytes(c), 0)


def _merge(a: Any, b: Any, c: Any, threads: int) -> Work:
    return Work(_bytes(a) + _bytes(b) + _bytes(c), c.nnz)


_COUNTS: dict[str, Callable[..., Work]] = {
    "spmm": _times_dense,
    "spmm_weight": _times_dense,
    "spmv": _times_dense,
    "spmspm": _times_sparse,
    "sddmm": _sampled,
    "coo_to_csr": _convert,
    "shuffled_to_csr": _convert,
    "csr_to_csc": _convert,
    "add": _merge,
    "multiply": _merge,
}

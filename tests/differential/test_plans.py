"""Every expression by plans that small inputs never get: any candidate, accumulator and way to divide the work."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from scorch.formats import Format, coo, csf
from scorch.schedule import planner
from tests.differential.chooser import CANDIDATES, Chooser
from tests.differential.expressions import CHAINS, DEEP, ORDER3, PAIRS, SINGLES, VECTOR_PRODUCTS
from tests.differential.oracle import build, check, random_array, reference, shapes_of

FORMATS: dict[int, tuple[Format | str, ...]] = {
    0: ("dense",),
    1: ("dense", "coo"),
    2: (
        "dense",
        "csr",
        "csc",
        "dcsr",
        "dcsc",
        "coo",
        coo(2, (1, 0)),
        Format("dense, dense", (1, 0)),
        Format("compressed, dense"),
        Format("dense, compressed(nonordered, nonunique)"),
        Format("compressed(nonordered, nonunique), singleton(nonordered, nonunique)"),
    ),
    3: ("dense", csf(3), coo(3), csf(3, (2, 0, 1)), coo(3, (1, 2, 0)), Format("dense, compressed, compressed")),
}
RESULTS: dict[int, tuple[Format | str | None, ...]] = {
    0: (None,),
    1: (None, "dense", "coo"),
    2: (None, "dense", "csr", "csc", "dcsr", "coo", coo(2, (1, 0)), Format("compressed, dense")),
    3: (None, "dense", "coo", "csf", csf(3, (2, 1, 0))),
    4: (None, "dense", "coo"),
}
NOTATIONS = [*PAIRS, *SINGLES, *VECTOR_PRODUCTS, *CHAINS, *(e for table in ORDER3.values() for e in table)]


def case(notation: str, rng: np.random.Generator, extents: dict[str, int] | None = None) -> None:
    arrays = [random_array(rng, shape, rng.choice((0.1, 0.4, 0.9))) for shape in shapes_of(notation, extents)]
    operands = []
    for array in arrays:
        formats = FORMATS[array.ndim]
        operands.append(build(array, formats[rng.integers(len(formats))], rng))
    results = RESULTS[reference(notation, arrays).ndim]
    check(notation, operands, arrays, results[rng.integers(len(results))])


@pytest.mark.parametrize("notation", NOTATIONS)
def test_any_candidate(notation: str, chooser: Chooser) -> None:
    for seed in range(200 if DEEP else 12):
        case(notation, np.random.default_rng(seed))


@pytest.mark.parametrize("notation", ["ik,kj->ij", "ki,kj->ij", "ij,kj->ki", "ij,j->i", "ij,ij->ij", "ijk,jl,kl->il"])
def test_extents_beyond_one_tile(notation: str, chooser: Chooser) -> None:
    """Vectors that are full, one that is masked, several passes."""
    for seed, width in product(range(8 if DEEP else 2), (8, 31, 33, 130)):
        case(notation, np.random.default_rng(seed), {"j": width, "l": 17})


@pytest.mark.parametrize(
    ("notation", "formats", "wanted"),
    [
        ("ik,kj->ij", ("csr", "csr"), "csr"),
        ("ki,kj->ij", ("csc", "csr"), "dcsr"),
        ("ik,kj,j->ij", ("csr", "csr", "dense"), "coo"),
        ("ik,kj->ji", ("csr", "csr"), "csc"),
    ],
)
def test_rows_of_few_products_apart(notation: str, formats: tuple[str, ...], wanted: str, chooser: Chooser) -> None:
    for seed in range(100 if DEEP else 25):
        rng = np.random.default_rng(seed)
        arrays = [random_array(rng, shape, rng.choice((0.1, 0.3))) for shape in shapes_of(notation)]
        operands = [build(array, format, rng) for array, format in zip(arrays, formats, strict=True)]
        check(notation, operands, arrays, wanted)
    assert chooser.seen["workspace sorted"]


def test_all_of_it_is_exercised(chooser: Chooser) -> None:
    for notation in NOTATIONS:
        for seed in range(4):
            case(notation, np.random.default_rng(1000 + seed))
    arrays = [random_array(np.random.default_rng(0), shape) for shape in shapes_of("ki,k->i", {"i": 300})]
    for _ in range(20):
        chooser.restart(int(chooser.rng.integers(1000)))
        check("ki,k->i", [build(a, "dense") for a in arrays], arrays)
    sparse, dense = (random_array(np.random.default_rng(0), shape, 0.4) for shape in shapes_of("ik,kj->ij"))
    for seed in range(60):
        chooser.restart(seed)
        check("ik,kj->ij", [build(sparse, "csr"), build(dense, "dense")], [sparse, dense], "dense")
    wanted = [f"unit {unit}" for unit in ("serial", "coordinates", "positions", "tiles")]
    wanted += [f"workspace {kind}" for kind in ("register", "bitmap", "marked bitmap", "list", "hash")]
    wanted += [f"assembly {kind}" for kind in ("locate", "share", "append", "bucket")]
    wanted += ["private", "bounded", "converted", "sorted afterwards", "gather", "tile", "past"]
    assert {name for name in wanted if not chooser.seen[name]} == set()


@pytest.mark.parametrize("notation", ["ik,k->i", "ik,kj->ij", "ik->i", "ik,ki->i", "ik,k,i->i"])
def test_merge_path(notation: str, chooser: Chooser, monkeypatch: pytest.MonkeyPatch) -> None:
    """One long row, empty rows around it, rows that end where a chunk does."""
    monkeypatch.setattr(planner, "_candidates", merge_paths_first)
    for lengths in ([40, 0, 0, 0], [0, 0, 40, 0], [0, 0, 0, 40], [1, 40, 1, 1], [7, 5, 0, 60, 0, 3], [64], [0, 1]):
        rng = np.random.default_rng(len(lengths))
        extents = {"i": len(lengths), "k": 64, "j": 33, "l": 3}
        shapes = shapes_of(notation, extents)
        arrays = [random_array(rng, shape, 1.0) for shape in shapes]
        a = np.zeros(shapes[0])
        for i, length in enumerate(lengths):
            a[i, rng.permutation(64)[:length]] = rng.integers(1, 9, length)
        operands = [build(a, "csr"), *(build(x, "dense") for x in arrays[1:])]
        check(notation, operands, [a, *arrays[1:]], "dense")
    assert chooser.seen["unit merge-path"]


def merge_paths_first(problem: Any) -> list[Any]:
    found = sorted(CANDIDATES(problem), key=lambda candidate: candidate.cost)
    return [c for c in found if c.partition.unit == "merge-path"] or found

"""Every expression of one, two and three matrices and vectors over every combination of formats, uncompiled."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest

import scorch
from scorch.formats import Format
from tests.differential.expressions import CHAINS, MATRICES, PAIRS, SINGLES, VECTOR_PRODUCTS, VECTORS, results, sample
from tests.differential.oracle import Array, build, check, random_array, reference, shapes_of

pytestmark = pytest.mark.usefixtures("plain")

FORMATS = {0: ("dense",), 1: VECTORS, 2: MATRICES}


def cases(arrays: list[Array], rank: int) -> Iterator[tuple[tuple[str, ...], Format | str | None]]:
    """Every combination of operand formats with every result format."""
    return product(product(*(FORMATS[a.ndim] for a in arrays)), results(rank))


def run(notation: str, arrays: list[Array], every: int = 1) -> None:
    rank = reference(notation, arrays).ndim
    built: dict[tuple[int, str], scorch.Tensor] = {}
    for formats, out_format in sample(cases(arrays, rank), every, offset=len(notation)):
        operands = []
        for n, (array, format) in enumerate(zip(arrays, formats, strict=True)):
            if (n, format) not in built:
                built[n, format] = build(array, format)
            operands.append(built[n, format])
        check(notation, operands, arrays, out_format)


def indices(notation: str) -> list[str]:
    return sorted(set(notation) & set("ijklm"))


SMOKE = {"ik,kj->ij", "ij,ji->", "ii,ij->j"}


@pytest.mark.parametrize("notation", [pytest.param(e, marks=pytest.mark.smoke if e in SMOKE else ()) for e in PAIRS])
def test_two_matrices(notation: str) -> None:
    rng = np.random.default_rng(1)
    run(notation, [random_array(rng, shape) for shape in shapes_of(notation)])


@pytest.mark.parametrize("notation", [*PAIRS, *SINGLES, *VECTOR_PRODUCTS])
def test_nothing_stored(notation: str) -> None:
    rng = np.random.default_rng(2)
    arrays = [random_array(rng, shape, density=0.0) for shape in shapes_of(notation)]
    run(notation, arrays, every=7)
    # one operand empty, the other not
    arrays[-1] = random_array(rng, arrays[-1].shape)
    run(notation, arrays, every=11)


@pytest.mark.parametrize("notation", [*PAIRS, *SINGLES, *VECTOR_PRODUCTS])
def test_dimension_of_length_zero(notation: str) -> None:
    rng = np.random.default_rng(3)
    for index in indices(notation):
        run(notation, [random_array(rng, shape) for shape in shapes_of(notation, {index: 0})], every=17)
    run(
        notation,
        [random_array(rng, shape) for shape in shapes_of(notation, dict.fromkeys(indices(notation), 1))],
        every=17,
    )


@pytest.mark.parametrize("notation", [*SINGLES, *VECTOR_PRODUCTS])
def test_one_matrix_and_vectors(notation: str) -> None:
    rng = np.random.default_rng(4)
    run(notation, [random_array(rng, shape) for shape in shapes_of(notation)])


@pytest.mark.parametrize("notation", CHAINS)
def test_three_operands(notation: str) -> None:
    rng = np.random.default_rng(5)
    run(notation, [random_array(rng, shape) for shape in shapes_of(notation)], every=23)


@pytest.mark.parametrize(
    ("notation", "shapes"),
    [
        ("...->...", [(4, 5)]),
        ("...ij->...ji", [(4, 5)]),
        ("i...->...i", [(4, 5)]),
        ("...i->...", [(4, 5)]),
        ("...", [(4, 5)]),
        ("...ik,...kj->...ij", [(4, 5), (5, 3)]),
        ("...k,k->...", [(4, 5), (5,)]),
        ("...k,...k->...", [(4, 5), (5,)]),
        ("...,...->...", [(4, 5), (4, 5)]),
        ("...,...->...", [(4, 5), (5,)]),
        ("...,...->...", [(4, 1), (4, 5)]),
        ("...,...", [(1, 5), (4, 1)]),
        ("...i,i->...", [(1, 5), (5,)]),
        ("i...,i...->...", [(4, 5), (4, 1)]),
        ("...ii->...i", [(5, 5)]),
        (" i k , k j -> i j ", [(4, 5), (5, 3)]),
    ],
)
def test_ellipsis_and_broadcasting(notation: str, shapes: list[tuple[int, ...]]) -> None:
    rng = np.random.default_rng(6)
    arrays = [random_array(rng, shape, density=0.6) for shape in shapes]
    run(notation, arrays)


@pytest.mark.parametrize("notation", ["bij,bjk->bik", "bij,jk->bik", "bij,bj->bi", "bij,bij->b", "bij,bik->bjk"])
def test_batches(notation: str) -> None:
    rng = np.random.default_rng(7)
    third = ("dense", "csf", "coo", Format("dense, dense, compressed"), Format("dense, compressed, compressed"))
    arrays = [random_array(rng, shape) for shape in shapes_of(notation)]
    rank = len(notation.split("->")[1])
    for formats in product(*(third if a.ndim == 3 else MATRICES for a in arrays)):
        operands = [build(a, f) for a, f in zip(arrays, formats, strict=True)]
        for out_format in results(rank):
            check(notation, operands, arrays, out_format)


@pytest.mark.parametrize("notation", ["ij,jk->ik", "ij,ij->ij", "ij->i", "ij,j->i", "ij,ik,jk->ij"])
def test_every_named_result_format(notation: str) -> None:
    rng = np.random.default_rng(8)
    arrays = [random_array(rng, shape) for shape in shapes_of(notation)]
    rank = len(notation.split("->")[1])
    wanted = (
        *MATRICES,
        Format("compressed, dense"),
        Format("compressed, dense", (1, 0)),
        Format("dense, dense", (1, 0)),
    )
    names: tuple[Format | str, ...] = wanted if rank == 2 else ("dense", "coo", "csf")
    combinations = product(product(*(FORMATS[a.ndim] for a in arrays)), names)
    for formats, out_format in sample(combinations, 5 if len(arrays) < 3 else 31):
        check(notation, [build(a, f) for a, f in zip(arrays, formats, strict=True)], arrays, out_format)

"""Every order-3 expression over csf and coo in every dimension order, and over mixtures of dense and compressed
levels."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from scorch.formats import coo, csf
from tests.differential.expressions import MATRICES, ORDER3, ORDERS3, THIRDS, VECTORS, results, sample
from tests.differential.oracle import build, check, random_array, reference, shapes_of

pytestmark = pytest.mark.usefixtures("plain")

EXPRESSIONS = [pytest.param(e, id=f"{name} {e}") for name, table in ORDER3.items() for e in table]


@pytest.mark.parametrize("notation", EXPRESSIONS)
def test_every_order_with_dense_others(notation: str) -> None:
    rng = np.random.default_rng(11)
    arrays = [random_array(rng, shape) for shape in shapes_of(notation)]
    formats = product(*(THIRDS if a.ndim == 3 else ("dense",) for a in arrays))
    every = 13 if sum(a.ndim == 3 for a in arrays) > 1 else 1
    for n, combination in enumerate(sample(formats, every, offset=len(notation))):
        operands = [build(a, f) for a, f in zip(arrays, combination, strict=True)]
        for out_format in sample(results(reference(notation, arrays).ndim), 2, offset=n):
            check(notation, operands, arrays, out_format)


@pytest.mark.parametrize("notation", EXPRESSIONS)
def test_sparse_others(notation: str) -> None:
    rng = np.random.default_rng(12)
    arrays = [random_array(rng, shape) for shape in shapes_of(notation)]
    formats = {3: [csf(3), coo(3), csf(3, (2, 0, 1)), coo(3, (1, 2, 0))], 2: MATRICES, 1: VECTORS}
    wanted = results(reference(notation, arrays).ndim)
    cases = product(product(*(formats[a.ndim] for a in arrays)), wanted)
    for combination, out_format in sample(cases, 23, offset=len(notation)):
        check(notation, [build(a, f) for a, f in zip(arrays, combination, strict=True)], arrays, out_format)


@pytest.mark.parametrize("notation", EXPRESSIONS)
def test_nothing_stored_and_length_zero(notation: str) -> None:
    rng = np.random.default_rng(13)
    shapes = [shapes_of(notation, {index: 0}) for index in "ijkl" if index in notation]
    variants = [[random_array(rng, s, 0.0) for s in shapes_of(notation)]]
    variants += [[random_array(rng, s) for s in variant] for variant in shapes]
    for n, arrays in enumerate(variants):
        thirds = [family(3, order) for order in ORDERS3 for family in (csf, coo)]
        for third, out_format in sample(product(thirds, results(reference(notation, arrays).ndim)), 13, offset=n):
            operands = [build(a, third if a.ndim == 3 else "dense") for a in arrays]
            check(notation, operands, arrays, out_format)


@pytest.mark.parametrize("order", ORDERS3)
@pytest.mark.parametrize("out_order", ORDERS3)
def test_results_in_every_order(order: tuple[int, ...], out_order: tuple[int, ...]) -> None:
    rng = np.random.default_rng(14)
    arrays = [random_array(rng, (5, 4, 7))]
    for family in (csf, coo):
        for out_family in (csf, coo):
            operands = [build(arrays[0], family(3, order))]
            check("ijk->ijk", operands, arrays, out_family(3, out_order))
            check("ijk->kij", operands, arrays, out_family(3, out_order))

"""Formats that kernels don't read as they are, bitmap and blocks, with every other one, uncompiled."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

import scorch
from scorch.formats import Format, bitmap, bsc, bsr, csf, resolve
from tests.differential.expressions import sample

pytestmark = pytest.mark.usefixtures("plain")

ENCODED: tuple[Format | str, ...] = (
    "bsr(2,2)",
    bsc((2, 4)),
    bsr((1, 4)),
    bsr((4, 2)).permuted((1, 0)),
    Format("compressed(nonunique), singleton", blocks=(2, 2)),
    "bitmap",
    bitmap(2, (1, 0)),
    Format("compressed, bitmap"),
)
MATRICES = ("dense", "csr", "csc", "coo", "dcsr", *ENCODED)
VECTORS = ("dense", "coo", "bitmap")
EXTENTS = {"i": 8, "j": 4, "k": 12}
NOTATIONS = (
    "ik,kj->ij", "ij,ij->ij", "ij,kj->ik", "ij,j->i", "ij,i->j", "ij->", "ij->i", "ij->j", "ij->ji", "ij,ij->",
    "ij,ik,jk->ij", "i,ij->ij",
)  # fmt: skip


def random(shape: tuple[int, ...], seed: int, density: float = 0.3) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(((rng.random(shape) < density) * rng.integers(1, 5, shape)).astype(np.float64))


@pytest.mark.parametrize("density", [0.0, 0.3, 1.0])
def test_conversions_between_all_pairs(density: float) -> None:
    x = random((8, 12), 1, density)
    for source, target in product(MATRICES, MATRICES):
        A = scorch.tensor(x, format=source).validate()
        B = A.to(target).validate()
        assert B.format == resolve(target, 2)
        listed = torch.zeros(8, 12, dtype=torch.float64)
        listed.index_put_(tuple(B.coords()), B.values.reshape(-1), accumulate=True)
        for found in (A.to_dense(), B.to_dense(), B.T.to_dense().T, listed, B.with_values(B.values * 2).to_dense() / 2):
            assert torch.equal(found, x), f"{source} to {target}"


@pytest.mark.parametrize("notation", NOTATIONS)
def test_expressions(notation: str) -> None:
    terms = notation.split("->")[0].split(",")
    arrays = [random(tuple(EXTENTS[v] for v in term), n) for n, term in enumerate(terms)]
    rank = len(notation.split("->")[1])
    results = {0: (None,), 1: (None, "dense", "bitmap"), 2: (None, "dense", "csr", "bsr(2,2)", "bitmap")}[rank]
    cases = product(product(*(MATRICES if x.ndim == 2 else VECTORS for x in arrays)), results)
    wanted = torch.einsum(notation, *arrays)
    for formats, out_format in sample(cases, {1: 1, 2: 11, 3: 397}[len(terms)], offset=len(notation)):
        operands = [scorch.tensor(x, format=f) for x, f in zip(arrays, formats, strict=True)]
        result = scorch.einsum(notation, *operands, out_format=out_format)
        found = result if isinstance(result, torch.Tensor) else result.validate().to_dense()
        assert torch.equal(found, wanted), f"{notation} over {formats} into {out_format}"
        if out_format not in (None, "dense"):
            assert result.format == resolve(out_format, rank)


@pytest.mark.parametrize("notation", ["bij,bjk->bik", "bij,bij->bij", "bij->bj"])
def test_blocks_of_three_dimensions(notation: str) -> None:
    sizes = {"b": 4, "i": 6, "j": 8, "k": 3}
    terms = notation.split("->")[0].split(",")
    arrays = [random(tuple(sizes[v] for v in term), n) for n, term in enumerate(terms)]
    wanted = torch.einsum(notation, *arrays)
    formats = (
        Format("compressed, compressed, compressed", blocks=(2, 3, 2)),
        Format("dense, dense, compressed", blocks=(1, 2, 4)),
        Format(csf(3).levels, (2, 0, 1), (1, 3, 1)),
        "bitmap",
    )
    for format in formats:
        operands = [scorch.tensor(arrays[0], format=format), *arrays[1:]]
        result = scorch.einsum(notation, *operands)
        found = result if isinstance(result, torch.Tensor) else result.validate().to_dense()
        assert torch.equal(found, wanted), f"{notation} over {format}"

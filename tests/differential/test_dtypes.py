"""Number types: promotion, wraparound, bool as or and and, NaN and infinity; operands of several types in one
expression."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

import scorch
from scorch.formats import dtypes
from tests.differential.expressions import results, sample
from tests.differential.oracle import build, check, dense_of, random_array, reference, shapes_of

pytestmark = pytest.mark.usefixtures("plain")

TYPES = ("float32", "float64", "int32", "int64", "uint8", "bool")
NOTATIONS = ("ik,kj->ij", "ij,ij->ij", "ij,ij->", "ij,j->i", "ij,ik,jk->ij", "ii->i", "ij->j", "ij,kj->ik", "i,j->ij")
FORMATS = {1: ("dense", "coo"), 2: ("csr", "dense", "csc", "coo")}


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("notation", NOTATIONS)
def test_one_type(notation: str, dtype: str) -> None:
    """A fifth of the formats for each type; between them, the six types see every one."""
    rng = np.random.default_rng(21)
    arrays = [random_array(rng, shape, dtype=dtype) for shape in shapes_of(notation)]
    operands = product(*(FORMATS[a.ndim][:3] for a in arrays))
    cases = product(operands, results(reference(notation, arrays).ndim))
    for formats, out_format in sample(cases, 5, TYPES.index(dtype)):
        check(notation, [build(a, f) for a, f in zip(arrays, formats, strict=True)], arrays, out_format)


@pytest.mark.parametrize("pair", list(product(TYPES, TYPES)), ids=", ".join)
def test_two_types(pair: tuple[str, str]) -> None:
    """A seventh of the formats for each pair of types; the 36 pairs see every one several times."""
    rng = np.random.default_rng(22)
    offset = list(product(TYPES, TYPES)).index(pair)
    for notation in ("ik,kj->ij", "ij,ij->ij", "ij,ij->", "ij,jk->k"):
        arrays = [random_array(rng, s, dtype=t) for s, t in zip(shapes_of(notation), pair, strict=True)]
        asked = (None, results(reference(notation, arrays).ndim)[-1])
        for *formats, out_format in sample(product(FORMATS[2], FORMATS[2], asked), 7, offset):
            check(notation, [build(a, f) for a, f in zip(arrays, formats, strict=True)], arrays, out_format)


@pytest.mark.compiled
@pytest.mark.parametrize("pair", [p for p in product(TYPES[:5], TYPES[:5]) if p[0] != p[1]], ids=", ".join)
def test_two_types_on_lanes(pair: tuple[str, str]) -> None:
    """Vectors of one type are converted to those of the other in registers."""
    rng = np.random.default_rng(23)
    arrays = [random_array(rng, s, dtype=t) for s, t in zip([(6, 9), (9, 37)], pair, strict=True)]
    with scorch.config.using(jit=True):
        check("ik,kj->ij", [build(a, f) for a, f in zip(arrays, ("csr", "dense"), strict=True)], arrays, None)


@pytest.mark.parametrize(
    "types",
    [
        ("uint8", "uint8", "float32"),
        ("bool", "bool", "int64"),
        ("uint8", "int32", "float32"),
        ("int32", "int32", "float64"),
    ],
    ids=", ".join,
)
@pytest.mark.parametrize("notation", ["ij,jk,kl->il", "ij,ik,jk->ij", "ij,j,jk->ik", "ij,jk,kl->"])
def test_three_types(notation: str, types: tuple[str, str, str]) -> None:
    """Whatever the contraction path, products are taken in the type of the result: 200 * 200 does not wrap."""
    rng = np.random.default_rng(23)
    arrays = [random_array(rng, s, 0.7, t) for s, t in zip(shapes_of(notation), types, strict=True)]
    arrays = [a * 100 if a.dtype == np.uint8 else a for a in arrays]
    for format in ("csr", "dense", "coo"):
        operands = [build(a, format if a.ndim == 2 else "dense") for a in arrays]
        check(notation, operands, arrays)


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8"])
def test_integers_wrap(dtype: str) -> None:
    largest = np.iinfo(dtype).max
    a = np.array([[largest, largest], [0, largest - 1]], dtype=dtype)
    for format in ("csr", "dense", "coo"):
        A = build(a, format)
        for notation, operands in (("ij,jk->ik", [A, A]), ("ij,ij->ij", [A, A]), ("ij->", [A])):
            arrays = [a] * len(operands)
            with np.errstate(all="ignore"):
                exact = np.einsum(notation, *(x.astype(object) for x in arrays))
            wanted = np.array([int(v) % (1 << np.iinfo(dtype).bits) for v in np.ravel(exact)], dtype=np.uint64).astype(
                dtype
            )
            check(notation, operands, arrays, wanted=wanted.reshape(np.shape(exact)))


def test_promotion_is_that_of_torch() -> None:
    for left, right in product(TYPES, TYPES):
        A = scorch.from_coo([[0], [1]], torch.ones(1).to(dtypes.to_torch(left)), (2, 2), format="csr")
        B = torch.ones(2, 2).to(dtypes.to_torch(right))
        assert scorch.einsum("ij,jk->ik", A, B).dtype == torch.promote_types(A.dtype, B.dtype)


@pytest.mark.parametrize("format", ["csr", "csc", "coo", "dense"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nan_and_infinity_survive(format: str, dtype: str) -> None:
    rng = np.random.default_rng(24)
    a = random_array(rng, (6, 9), 0.5, dtype)
    a[1, 2], a[2, 3], a[3, 4], a[4, 5] = np.nan, np.inf, -np.inf, np.inf
    b = rng.integers(1, 4, (9, 33)).astype(dtype)
    for notation, arrays in (
        ("ik,kj->ij", [a, b]),
        ("ij->i", [a]),
        ("ij->j", [a]),
        ("ij->", [a]),
        ("ij,ij->ij", [a, a]),
    ):
        operands = [build(x, format if x is a else "dense") for x in arrays]
        check(notation, operands, arrays, wanted=reference(notation, arrays))


def test_what_is_absent_is_not_multiplied() -> None:
    """0 x inf outside the pattern is 0: an absent entry annihilates structurally."""
    A = scorch.from_coo([[0], [0]], [2.0], (2, 3), format="csr")
    b = torch.tensor([1.0, float("inf"), float("nan")])
    assert scorch.einsum("ij,j->i", A, b).tolist() == [2.0, 0.0]
    B = torch.full((2, 3), float("nan"))
    B[0, 0] = 3.0
    assert dense_of(scorch.einsum("ij,ij->ij", A, B)).tolist() == [[6.0, 0, 0], [0, 0, 0]]


def test_explicit_zeros_are_entries() -> None:
    A = scorch.from_coo([[0, 1], [0, 1]], [0.0, 1.0], (2, 2), format="csr")
    product_ = scorch.einsum("ij,ij->ij", A, A)
    assert isinstance(product_, scorch.Tensor)
    assert product_.nnz == 2
    assert scorch.einsum("ij,j->i", A, torch.tensor([float("inf"), 1.0])).isnan().tolist() == [True, False]


def test_dense_into_sparse_keeps_what_is_not_zero() -> None:
    A = torch.tensor([[0.0, 2.0], [float("nan"), 0.0]])
    kept = scorch.einsum("ij->ij", A, out_format="csr")
    assert isinstance(kept, scorch.Tensor)
    assert kept.coords().tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize("dtype", ["int8", "int16", "complex64", "complex128"])
def test_other_types(dtype: str) -> None:
    rng = np.random.default_rng(25)
    a, b = (random_array(rng, shape, dtype="int8").astype(dtype) for shape in ((4, 5), (5, 3)))
    if dtype.startswith("complex"):
        a = a * np.array(1 + 2j, dtype=dtype)
    for format in ("csr", "csc", "coo", "dense"):
        for out_format in (None, "csr", "dense"):
            wanted = (a.astype("complex128") @ b.astype("complex128")).astype(dtype) if "c" in dtype else a @ b
            found = scorch.einsum("ik,kj->ij", build(a, format), build(b, "dense"), out_format=out_format)
            np.testing.assert_array_equal(dense_of(found), wanted)

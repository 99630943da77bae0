from __future__ import annotations

import pickle
import re

import pytest

from scorch.errors import FormatError
from scorch.formats import Format, coo, csc, csf, csr, dcsc, dcsr, dense, resolve


@pytest.mark.parametrize(
    ("format", "name", "spelling"),
    [
        (csr, "csr", "dense, compressed"),
        (csc, "csc", "dense, compressed; order=(1, 0)"),
        (dcsr, "dcsr", "compressed, compressed"),
        (dcsc, "dcsc", "compressed, compressed; order=(1, 0)"),
        (coo(1), "coo", "compressed"),
        (coo(2), "coo", "compressed(nonunique), singleton"),
        (csf(3), "csf", "compressed, compressed, compressed"),
        (csf(3, (2, 0, 1)), "csf(2,0,1)", "compressed, compressed, compressed; order=(2, 0, 1)"),
        (dense(2), "dense", "dense, dense"),
        (dense(2, (1, 0)), "dense(1,0)", "dense, dense; order=(1, 0)"),
        (dense(0), "dense", ""),
        (Format("dense, compressed(nonordered, nonunique)"), "csr(unsorted, repeated)", None),
        (csr.unsorted, "csr(unsorted)", "dense, compressed(nonordered)"),
        (coo(3, (2, 0, 1)).unsorted, "coo(2,0,1)(unsorted)", None),
        (Format("dense, dense, compressed"), "dense, dense, compressed", "dense, dense, compressed"),
    ],
)
def test_names(format: Format, name: str, spelling: str | None) -> None:
    assert str(format) == name
    if spelling is not None:
        assert format.spelling == spelling


@pytest.mark.parametrize(
    "format", [csr, csc, coo(3), csf(2), dense(0), Format("dense, compressed(nonordered, nonunique)")]
)
def test_equality_hash_repr_and_pickle(format: Format) -> None:
    assert str(format)  # fills the cached properties
    again = pickle.loads(pickle.dumps(format))
    assert again == format
    assert hash(again) == hash(format)
    assert eval(repr(format), {"Format": Format}) == format


def test_properties() -> None:
    loose = Format("dense, compressed(nonordered, nonunique)")
    assert (loose.is_ordered, loose.is_unique, loose.is_dense) == (False, False, False)
    assert loose.sorted == csr
    assert coo(3).sorted == coo(3)
    assert (dense(3).is_dense, coo(2).is_unique, dense(0).is_dense) == (True, True, True)
    assert csr.with_order((1, 0)) == csc


@pytest.mark.parametrize("name", ["csr", "csc", "dcsr", "dcsc", "coo", "dense"])
def test_resolve_finds_every_name(name: str) -> None:
    assert str(resolve(name, 2)) == name


def test_resolve_takes_spellings_and_formats() -> None:
    assert resolve("dense, compressed", 2) == csr
    assert resolve("compressed", 1) == coo(1)
    assert resolve(csc, 2) is csc


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: resolve("cssr", 2), "unknown format 'cssr'; use one of csr, csc"),
        (lambda: resolve("csr", 3), "format csr is for 2 dimensions; the tensor has 3"),
        (lambda: Format("dense, sparse"), "unknown level type 'sparse'"),
        (lambda: Format("dense, compressed(sorted)"), "unknown property 'sorted'"),
        (lambda: Format("dense compressed"), "cannot read"),
        (lambda: Format("dense, compressed", (0, 0)), "order (0, 0) is no permutation"),
        (lambda: Format("singleton"), "a singleton level needs a compressed or singleton level above it"),
        (lambda: Format("dense, singleton"), "a singleton level needs"),
        (lambda: Format("compressed(nonunique), dense"), "a dense level cannot stand below"),
    ],
)
def test_mistakes(make: object, message: str) -> None:
    with pytest.raises(FormatError, match=re.escape(message)):
        make()  # type: ignore[operator]


@pytest.mark.parametrize("name", ["csr(unsorted)", "csc(unsorted, repeated)", "dcsr(unsorted)"])
def test_unsorted_names_are_found_again(name: str) -> None:
    found = resolve(name, 2)
    assert str(found) == name
    assert not found.is_ordered
    assert found.is_unique == ("repeated" not in name)


def test_lists_without_an_order_may_repeat_themselves() -> None:
    assert str(resolve("coo(unsorted, repeated)", 2)) == "coo(unsorted)"


def test_any_unordered_format_has_a_text() -> None:
    loose = Format("compressed, compressed(nonordered, nonunique)")
    assert resolve(str(loose), 2) == loose
    assert (
        Format("compressed, compressed").repeated.spelling
        == "compressed(nonordered), compressed(nonordered, nonunique)"
    )

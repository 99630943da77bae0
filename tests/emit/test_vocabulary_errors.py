"""Mistakes: the same ones are refused by the plain twins and by Numba's typing."""

import numpy as np
import pytest

from scorch.emit import vocabulary
from scorch.emit.vocabulary import (
    checked,
    popcount,
    vadd,
    vdiv,
    vfma,
    vfull,
    vgather,
    viota,
    viota32,
    vload,
    vmul,
    vselect,
    vsqrt,
    vstore,
    vsub,
    vsum,
)

numba = pytest.importorskip("numba")

A = np.arange(8, dtype=np.float32)
I64 = np.arange(8)
MASK = np.zeros(8, np.bool_)


@pytest.fixture(autouse=True, scope="module")
def _registered():
    vocabulary.register()


TYPE_MISTAKES = [
    (lambda a, i, m: vadd(vload(a, 0, 4), 1.0), "mixed lane dtypes"),
    (lambda a, i, m: vadd(vload(a, 0, 4), vload(i, 0, 4)), "mixed lane dtypes"),
    (lambda a, i, m: vfma(2.0, vload(a, 0, 4), vload(a, 0, 4)), "mixed lane dtypes"),
    (lambda a, i, m: vadd(vload(a, 0, 4), vload(a, 0, 8)), "same width"),
    (lambda a, i, m: vadd(a[0], a[1]), "at least one vector"),
    (lambda a, i, m: vdiv(vload(i, 0, 4), vload(i, 0, 4)), "expected float lanes"),
    (lambda a, i, m: vsqrt(vload(i, 0, 4)), "expected float lanes"),
    (lambda a, i, m: vadd(vload(m, 0, 4), vload(m, 0, 4)), "expected lanes of numbers"),
    (lambda a, i, m: vsum(vload(m, 0, 4)), "expected lanes of numbers"),
    (lambda a, i, m: vselect(vload(i, 0, 4), a[0], a[1]), "the mask has bool lanes"),
    (lambda a, i, m: vload(a, 0, 3), "lanes, not 3"),
    (lambda a, i, m: vfull(a[0], 512), "lanes, not 512"),
    (lambda a, i, m: vgather(a, vload(a, 0, 4)), "int32 or int64 lanes"),
    (lambda a, i, m: popcount(i[0]), "expected a uint64"),
]


@pytest.mark.parametrize(("body", "message"), TYPE_MISTAKES)
def test_type_mistakes(body, message):
    with pytest.raises(TypeError, match=message):
        body(A, I64, MASK)
    with pytest.raises(numba.TypingError, match=message):
        numba.njit(body)(A, I64, MASK)


def test_compiled_only_type_mistakes():
    with pytest.raises(numba.TypingError, match="integer literal"):
        numba.njit(lambda a, n: vsum(vload(a, 0, n)))(A, 4)
    with pytest.raises(numba.TypingError, match="1-d contiguous"):
        numba.njit(lambda a: vsum(vload(a, 0, 4)))(A[::2])
    frozen = A.copy()
    frozen.flags.writeable = False
    with pytest.raises(numba.TypingError, match="read-only"):
        numba.njit(lambda a: vstore(a, 0, vfull(a[0], 4)))(frozen)


def range_mistakes(words):
    """Return bodies (a, i, m) that reach outside an array of 8 elements, with a vocabulary's names."""
    vload, vload_part, vstore, vstore_part = words.vload, words.vload_part, words.vstore, words.vstore_part
    vgather, vgather_at, vgather_part = words.vgather, words.vgather_at, words.vgather_part
    fetch_add, atomic_add, lower_bound = words.fetch_add, words.atomic_add, words.lower_bound
    return [
        lambda a, i: vsum(vload(a, -1, 4)),
        lambda a, i: vsum(vload(a, 5, 4)),
        lambda a, i: vsum(vload_part(a, 6, 4, 3)),
        lambda a, i: vsum(vload_part(a, 0, 4, 5)),
        lambda a, i: vsum(vload_part(a, 0, 4, -1)),
        lambda a, i: vstore(a, 6, vfull(a[0], 4)),
        lambda a, i: vstore(a, -1, vfull(a[0], 4)),
        lambda a, i: vstore_part(a, 6, vfull(a[0], 4), 3),
        lambda a, i: vstore_part(a, 0, vfull(a[0], 4), 5),
        lambda a, i: vsum(vgather(a, vadd(viota(4), 5))),
        lambda a, i: vsum(vgather(a, vsub(viota(4), 1))),
        lambda a, i: vsum(vgather_part(a, vadd(viota32(4), np.int32(5)), 4)),
        lambda a, i: vsum(vgather_part(a, viota(4), 5)),
        lambda a, i: vsum(vgather_at(a, i, 5, 4)),
        lambda a, i: vsum(vgather_at(a[:4], i, 4, 4)),
        lambda a, i: fetch_add(i, 8, 1),
        lambda a, i: atomic_add(a, -1, a[0]),
        lambda a, i: lower_bound(i, 0, 9, 3),
        lambda a, i: words.gallop(i, 0, 9, 3),
    ]


@pytest.mark.parametrize("which", range(len(range_mistakes(vocabulary))))
def test_out_of_range(which):
    with pytest.raises(IndexError):
        range_mistakes(vocabulary)[which](A.copy(), I64.copy())
    body = range_mistakes(checked)[which]
    with pytest.raises(IndexError):
        body(A.copy(), I64.copy())
    with pytest.raises(IndexError, match=r"outside|than the vector"):
        numba.njit(body, boundscheck=True)(A.copy(), I64.copy())


def test_checked_agrees_in_range():
    vload, vload_part, vstore, vstore_part = (
        checked.vload,
        checked.vload_part,
        checked.vstore,
        checked.vstore_part,
    )
    vgather_part, fetch_add, lower_bound = checked.vgather_part, checked.fetch_add, checked.lower_bound

    def body(a, i, out):
        vstore(out, 0, vload(a, 4, 4))
        vstore_part(out, 4, vload_part(a, 7, 8, 1), 4)
        vstore(out, 8, vgather_part(a, vmul(vload(i, 0, 4), 3), 3))
        return fetch_add(i, 7, 5), lower_bound(i, 2, 8, 4), lower_bound(i, 8, 8, 4)

    plain, fast = np.zeros(12, np.float32), np.zeros(12, np.float32)
    assert body(A, I64.copy(), plain) == numba.njit(body, boundscheck=True)(A, I64.copy(), fast) == (7, 4, 8)
    np.testing.assert_array_equal(plain, fast)

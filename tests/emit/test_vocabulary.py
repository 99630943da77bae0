"""The compiled vocabulary against its plain twins: every name, every lane dtype."""

import itertools
from typing import Any

import numpy as np
import pytest

from scorch.emit import vocabulary
from scorch.emit.vocabulary import (
    atomic_add,
    bit,
    ctz,
    fetch_add,
    gallop,
    lower_bound,
    popcount,
    prefetch,
    vabs,
    vadd,
    vcast,
    vdiv,
    veq,
    vfma,
    vfull,
    vgather,
    vgather_at,
    vgather_part,
    vge,
    vgt,
    vhmax,
    vhmin,
    viota,
    viota32,
    vle,
    vload,
    vload_part,
    vlt,
    vmax,
    vmin,
    vmul,
    vne,
    vneg,
    vprod,
    vselect,
    vsqrt,
    vstore,
    vstore_part,
    vsub,
    vsum,
    vsums4,
    vsums8,
    vturn,
)

numba = pytest.importorskip("numba")

FLOATS = [np.float32, np.float64]
INTEGERS = [np.int8, np.int16, np.int32, np.int64, np.uint8]
NUMBERS = FLOATS + INTEGERS


@pytest.fixture(autouse=True, scope="module")
def _registered():
    vocabulary.register()
    vocabulary.register()


def compiled(body):
    """Compile without fast arithmetic, so that only the vocabulary's own freedom is left."""
    return numba.njit(error_model="numpy")(body)


def samples(dtype, n=64, seed=0):
    """Return n numbers of a dtype that hold the awkward ones too."""
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        x = rng.normal(size=n).astype(dtype)
        x[rng.permutation(n)[:6]] = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0]
        return x
    info = np.iinfo(dtype)
    x = rng.integers(info.min, info.max, n, dtype=dtype, endpoint=True)
    x[:3] = info.min, info.max, 0
    return x


def agree(body, *arguments):
    """Run a body plain and compiled on copies; results and arrays must be equal bit for bit."""
    mine = [x.copy() if isinstance(x, np.ndarray) else x for x in arguments]
    theirs = [x.copy() if isinstance(x, np.ndarray) else x for x in arguments]
    expected, got = body(*mine), compiled(body)(*theirs)
    for x, y in itertools.chain(zip(mine, theirs, strict=True), [(expected, got)]):
        np.testing.assert_array_equal(x, y)
        if isinstance(x, np.ndarray) and x.dtype.kind == "f":
            number = ~np.isnan(x)
            np.testing.assert_array_equal(np.signbit(x[number]), np.signbit(y[number]))
    return expected


BINARY = {
    "number": [vadd, vsub, vmul],
    "any": [vmax, vmin],
    "float": [vdiv],
}


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("operate", [f for group in BINARY.values() for f in group], ids=lambda f: f.__name__)
def test_binary(operate, dtype):
    if operate is vdiv and dtype not in FLOATS:
        pytest.skip("division is for floats")

    def body(a, b, out):
        for i in range(0, 64, 16):
            vstore(out, i, operate(vload(a, i, 16), vload(b, i, 16)))
        vstore(out, 64, operate(vload(a, 0, 16), b[20]))
        vstore(out, 80, operate(b[21], vload(a, 0, 16)))

    agree(body, samples(dtype), samples(dtype, seed=1), np.zeros(96, dtype))


@pytest.mark.parametrize("dtype", [*NUMBERS, np.bool_])
@pytest.mark.parametrize("compare", [veq, vne, vlt, vle, vgt, vge], ids=lambda f: f.__name__)
def test_comparison_and_select(compare, dtype):
    def body(a, b, mask, out):
        for i in range(0, 64, 16):
            lanes = compare(vload(a, i, 16), vload(b, i, 16))
            vstore(mask, i, lanes)
            vstore(out, i, vselect(lanes, vload(a, i, 16), b[5]))
        vstore(out, 64, vselect(vload(mask, 0, 16), a[3], b[4]))
        vstore(mask, 64, compare(b[7], vload(a, 0, 16)))

    a, b = (samples(np.int8, seed=s) > 0 if dtype is np.bool_ else samples(dtype, seed=s) for s in (2, 3))
    b[::3] = a[::3]
    agree(body, a, b, np.zeros(80, np.bool_), np.zeros(80, dtype))


@pytest.mark.parametrize("dtype", NUMBERS)
def test_unary(dtype):
    def body(a, out):
        for i in range(0, 64, 8):
            vstore(out, i, vneg(vload(a, i, 8)))
            vstore(out, 64 + i, vabs(vload(a, i, 8)))

    agree(body, samples(dtype), np.zeros(128, dtype))


@pytest.mark.parametrize("dtype", FLOATS)
def test_square_root(dtype):
    def body(a, out):
        for i in range(0, 64, 8):
            vstore(out, i, vsqrt(vload(a, i, 8)))

    agree(body, samples(dtype), np.zeros(64, dtype))


@pytest.mark.parametrize("dtype", NUMBERS)
def test_multiply_add(dtype):
    def body(a, b, out):
        for i in range(0, 64, 16):
            acc = vload(out, i, 16)
            acc = vfma(a[i], vload(b, i, 16), acc)
            acc = vfma(vload(a, i, 16), vload(b, i, 16), acc)
            vstore(out, i, acc)

    # Small whole numbers, so that a fused and a separate rounding agree.
    a, b, c = (np.random.default_rng(s).integers(0, 9, 64).astype(dtype) for s in range(3))
    agree(body, a, b, c)


@pytest.mark.parametrize(("source", "target"), list(itertools.product([*NUMBERS, np.bool_], repeat=2)))
def test_cast(source, target):
    def body(a, out):
        for i in range(0, 64, 16):
            vstore(out, i, vcast(vload(a, i, 16), target))

    a = samples(np.int8).astype(source)
    if np.dtype(source).kind == "f":
        # Out of range is unspecified: keep to 0 .. 100.
        a = np.random.default_rng(4).uniform(0, 100, 64).astype(source)
    agree(body, a, np.zeros(64, target))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.int32])
@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16])
def test_sums_of_several_vectors(dtype: type[np.generic], lanes: int) -> None:
    n = lanes

    def four(a: Any) -> Any:
        out = np.zeros(4, a.dtype)
        vstore(out, 0, vsums4(vload(a, 0, n), vload(a, n, n), vload(a, 2 * n, n), vload(a, 3 * n, n)))
        return out

    def eight(a: Any) -> Any:
        out = np.zeros(8, a.dtype)
        low = vload(a, 0, n), vload(a, n, n), vload(a, 2 * n, n), vload(a, 3 * n, n)
        b, c, d, e = vload(a, 4 * n, n), vload(a, 5 * n, n), vload(a, 6 * n, n), vload(a, 7 * n, n)
        vstore(out, 0, vsums8(low[0], low[1], low[2], low[3], b, c, d, e))
        return out

    a = np.random.default_rng(lanes).integers(-99, 99, 8 * n).astype(dtype)
    for function, count in ((four, 4), (eight, 8)):
        wanted = a[: count * n].reshape(count, n).sum(1, dtype=dtype)
        np.testing.assert_array_equal(function(a), wanted)
        np.testing.assert_array_equal(numba.njit(function)(a), wanted)
    values = np.random.default_rng(lanes).random(8 * n).astype(dtype)
    np.testing.assert_array_equal(numba.njit(eight)(values), eight(values))  # the same tree, to the last bit


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8, np.int64])
@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16])
def test_a_block_is_turned(dtype: type[np.generic], lanes: int) -> None:
    n = lanes

    def turned(a: Any, step: int) -> Any:
        out = np.zeros(n * n, a.dtype)
        columns = vturn(a, 3, step, n)
        vstore(out, 0, columns[0])
        vstore(out, n * (n - 1), columns[n - 1])
        vstore(out, n * (n // 2), columns[n // 2])
        return out.reshape(n, n)

    a = np.arange(3 + 20 * n).astype(dtype)
    for step in (n, n + 4):
        block = np.stack([a[3 + r * step : 3 + r * step + n] for r in range(n)]).T
        for function in (turned, numba.njit(turned)):
            for column in (0, n // 2, n - 1):
                np.testing.assert_array_equal(function(a, step)[column], block[column])


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("reduce", [vsum, vprod, vhmax, vhmin], ids=lambda f: f.__name__)
def test_reduction(reduce, dtype):
    def body(a, out):
        out[0] = reduce(vload(a, 8, 1))
        out[1] = reduce(vload(a, 8, 2))
        out[2] = reduce(vload(a, 8, 8))
        out[3] = reduce(vload(a, 0, 16))
        out[4] = reduce(vload(a, 0, 64))

    a = samples(dtype)
    finite = np.random.default_rng(5).normal(size=64).astype(dtype)
    agree(body, finite, np.zeros(5, dtype))
    agree(body, a, np.zeros(5, dtype))


def test_bool_extremes():
    def body(a):
        return vhmax(vload(a, 0, 8)), vhmin(vload(a, 0, 8)), vhmin(vload(a, 8, 8))

    a = np.zeros(16, np.bool_)
    a[3] = True
    a[8:] = True
    assert agree(body, a) == (True, False, True)


@pytest.mark.parametrize("dtype", [*NUMBERS, np.bool_, np.uint16, np.uint64])
def test_memory(dtype):
    def body(a, out, m):
        vstore(out, 1, vload(a, 3, 8))
        vstore_part(out, 20, vload_part(a, 7, 16, m), m)
        vstore(out, 40, vload_part(a, 7, 16, m))
        vstore(out, 57, vfull(a[5], 4))

    a = np.ones(64, np.bool_) if dtype is np.bool_ else samples(dtype)
    for m in (0, 1, 7, 16):
        agree(body, a, np.zeros(64, dtype), m)


def test_part_reads_and_writes_nothing_else():
    def body(a, out):
        vstore_part(out, 13, vload_part(a, 14, 16, 2), 3)
        return out

    out = agree(body, np.arange(16.0), np.full(16, 9.0))
    assert out.tolist() == [9.0] * 13 + [14.0, 15.0, 0.0]


@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("dtype", [*NUMBERS, np.bool_])
def test_gather(dtype, index):
    def body(a, idx, out, m):
        vstore(out, 0, vgather(a, vload(idx, 0, 8)))
        vstore(out, 8, vgather_part(a, vload(idx, 8, 8), m))

    idx = np.random.default_rng(6).integers(0, 64, 16).astype(index)
    idx[12:] = -5
    for m in (0, 1, 4):
        agree(body, samples(np.int8).astype(dtype), idx, np.zeros(16, dtype), m)


@pytest.mark.parametrize("index", [np.int16, np.int32, np.int64])
@pytest.mark.parametrize("dtype", [*NUMBERS, np.bool_])
def test_gather_at_listed_coordinates(dtype, index):
    def body(a, crd, out, i):
        vstore(out, 0, vgather_at(a, crd, i, 8))

    crd = np.random.default_rng(6).integers(0, 64, 16).astype(index)
    for i in (0, 3, 8):
        agree(body, samples(np.int8).astype(dtype), crd, np.zeros(8, dtype), i)


def test_arrays_of_two_number_types_are_prefetched_in_one_function():
    def body(a, b, out):
        prefetch(a, 3)
        prefetch(b, 3)
        vstore(out, 0, vload(a, 0, 4))

    agree(body, np.arange(8.0), np.arange(8, dtype=np.int32), np.zeros(4))


def test_count():
    def body(out, out32, n):
        vstore(out, 0, viota(8))
        vstore(out32, 0, viota32(8))
        return vsum(vselect(vlt(viota(8), n), viota(8), 0))

    assert agree(body, np.zeros(8, np.int64), np.zeros(8, np.int32), 5) == 10


def test_prefetch_anywhere():
    def body(a):
        for i in (-1, 0, 3, 1 << 40, -(1 << 50)):
            prefetch(a, i)
        return a[0]

    agree(body, np.arange(4.0))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_fetch_add(dtype):
    def body(a, x):
        return fetch_add(a, 1, x), fetch_add(a, 1, x)

    assert agree(body, np.array([7, 126], dtype), dtype(3))[0] == 126


@pytest.mark.parametrize("dtype", NUMBERS)
def test_atomic_add(dtype):
    def body(a, x):
        atomic_add(a, 1, x)
        atomic_add(a, 1, x)

    agree(body, np.array([7, 1], dtype), dtype(3))


def test_bits():
    def body(j):
        word = bit(j) | bit(j + 3)
        return popcount(word), ctz(word), ctz(np.uint64(0)), word

    for j in (0, 5, 60, 61, 63, 64, -1):
        agree(body, j)


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float32])
def test_lower_bound(dtype):
    def body(a, lo, hi, x):
        return lower_bound(a, lo, hi, x)

    a = np.array([1, 3, 3, 3, 7, 9], dtype)
    for lo, hi, x in itertools.product((0, 2, 5), (0, 3, 6), range(11)):
        expected = next((p for p in range(lo, hi) if a[p] >= x), hi)
        assert agree(body, a, lo, hi, dtype(x)) == expected


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_gallop(dtype):
    def body(a, lo, hi, x):
        return gallop(a, lo, hi, x)

    a = np.sort(np.random.default_rng(0).integers(0, 90, 40)).astype(dtype)
    for lo, hi, x in itertools.product((0, 3, 39, 40), (0, 20, 40), range(-1, 92, 3)):
        expected = next((p for p in range(lo, hi) if a[p] >= x), hi)
        assert agree(body, a, lo, hi, dtype(x)) == expected


def test_unsigned_positions_and_read_only_arrays():
    def body(a, i):
        return vsum(vload(a, i, 4)) + vsum(vload_part(a, np.uint64(0), 4, np.int32(2)))

    a = np.arange(8.0)
    a.flags.writeable = False
    assert body(a, np.uint64(2)) == compiled(body)(a, np.uint64(2)) == 15.0


def test_wide_vectors():
    def body(a, out):
        acc = vfull(np.float32(0), 256)
        for i in range(0, 512, 256):
            acc = vadd(acc, vload(a, i, 256))
        vstore(out, 0, acc)
        return vsum(acc)

    agree(body, np.random.default_rng(7).normal(size=512).astype(np.float32), np.zeros(256, np.float32))

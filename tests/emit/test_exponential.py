"""The exponential function on lanes: against numpy, compiled, over the whole range."""

import numpy as np
import pytest
from scipy import special

from scorch.emit import vocabulary
from scorch.emit.vocabulary import verf, vexp, vexpm1, vkeep, vload, vsigmoid, vstore, vtanh

numba = pytest.importorskip("numba")
LANES = 8
KERNELS = {"reassoc", "contract", "nsz"}  # the flags of kernels must not reach into the functions
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e30, -1e30, 1e-30]
ENDS = {np.float32: (-104.5, 89.5), np.float64: (-746.5, 710.5)}
SMALLEST_NORMAL = {np.float32: -87.0, np.float64: -708.0}


@pytest.fixture(scope="module")
def over():
    """The functions on all of an array, by vectors of lanes."""
    vocabulary.register()

    def compiled(function):
        @numba.njit(fastmath=KERNELS)
        def run(x, out):
            for p in range(0, len(x), LANES):
                vstore(out, p, function(vload(x, p, LANES)))

        return run

    functions = {"exp": vexp, "sigmoid": vsigmoid, "expm1": vexpm1, "tanh": vtanh, "erf": verf}
    return {name: compiled(function) for name, function in functions.items()}


def _units(found, wanted):
    """The distance in units of the last place of what is wanted."""
    return np.abs(found.astype(np.longdouble) - wanted) / np.spacing(np.abs(wanted.astype(found.dtype)))


@pytest.mark.parametrize("dtype", ENDS)
def test_exp_is_within_two_units_in_the_last_place(over, dtype):
    x = np.concatenate([np.linspace(*ENDS[dtype], 1 << 18), np.linspace(-2, 2, 1 << 16)]).astype(dtype)
    found = np.empty_like(x)
    over["exp"](x, found)
    with np.errstate(over="ignore", under="ignore"):
        wanted = np.exp(x.astype(np.longdouble))
        finite = wanted <= np.finfo(dtype).max
    assert (found[~finite] == np.inf).all()
    assert _units(found[finite], wanted[finite]).max() <= 2


@pytest.mark.parametrize("dtype", ENDS)
def test_exp_of_special_values_is_numpys(over, dtype):
    x = np.array(SPECIAL, dtype=dtype)
    found = np.empty_like(x)
    over["exp"](x, found)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(found, np.exp(x))


@pytest.mark.parametrize("dtype", ENDS)
def test_sigmoid_is_within_four_units_and_keeps_its_limits(over, dtype):
    x = np.linspace(SMALLEST_NORMAL[dtype], 90, 1 << 16).astype(dtype)
    found = np.empty_like(x)
    over["sigmoid"](x, found)
    wanted = 1 / (1 + np.exp(-x.astype(np.longdouble)))
    assert _units(found, wanted).max() <= 4
    ends = np.array(SPECIAL, dtype=dtype)
    over["sigmoid"](ends, found[:LANES])
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(found[:LANES], 1 / (1 + np.exp(-ends)), rtol=0)


@pytest.mark.parametrize("dtype", ENDS)
@pytest.mark.parametrize(("name", "units"), [("expm1", 3), ("tanh", 5)])
def test_what_is_small_keeps_its_places(over, name, units, dtype):
    small = np.geomspace(np.finfo(dtype).tiny * 4, 1, 1 << 15)
    x = np.concatenate([np.linspace(*ENDS[dtype], 1 << 17), np.linspace(-2, 2, 1 << 16), small, -small]).astype(dtype)
    found = np.empty_like(x)
    over[name](x, found)
    exact = getattr(np, name)
    with np.errstate(over="ignore"):
        wanted = exact(x.astype(np.longdouble))
    finite = np.abs(wanted) <= np.finfo(dtype).max
    assert (found[~finite] == np.inf).all()
    assert _units(found[finite], wanted[finite]).max() <= units
    ends = np.array(SPECIAL, dtype=dtype)
    over[name](ends, found[:LANES])
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(found[:LANES], exact(ends), rtol=1e-6)


@pytest.mark.parametrize(("dtype", "units"), [(np.float32, 4), (np.float64, 40)])
def test_erf_is_near_scipys(over, dtype, units):
    small = np.geomspace(np.finfo(dtype).tiny * 4, 1, 1 << 15)
    x = np.concatenate([np.linspace(-7, 7, 1 << 17), small, -small]).astype(dtype)
    found = np.empty_like(x)
    over["erf"](x, found)
    assert _units(found, special.erf(x.astype(np.float64))).max() <= units
    ends = np.array(SPECIAL, dtype=dtype)
    over["erf"](ends, found[:LANES])
    np.testing.assert_allclose(found[:LANES], special.erf(ends), rtol=1e-6)


@pytest.mark.parametrize("count", [0, 3, LANES])
def test_keep_replaces_the_lanes_behind(count):
    vocabulary.register()

    @numba.njit
    def keep(x, count, out):
        vstore(out, 0, vkeep(vload(x, 0, LANES), count, np.float32(-np.inf)))

    x = np.arange(LANES, dtype=np.float32)
    found = np.empty_like(x)
    keep(x, count, found)
    np.testing.assert_array_equal(found, vkeep(x, count, np.float32(-np.inf)))
    assert (found[count:] == -np.inf).all()
    assert (found[:count] == x[:count]).all()


@pytest.mark.parametrize("call", [lambda: vexp(np.arange(4)), lambda: vkeep(np.arange(4), 2, 1.0)])
def test_other_number_types_are_refused(call):
    with pytest.raises(TypeError, match="lane"):
        call()


def test_counts_outside_the_vector_are_refused():
    with pytest.raises(IndexError, match="-1 of 4 lanes"):
        vkeep(np.arange(4), -1, 1)

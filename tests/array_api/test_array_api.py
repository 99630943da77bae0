"""The Array API over dense and sparse arrays, against array-api-strict."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

import scorch
from scorch import UnsupportedError
from scorch import array_api as xp

strict = pytest.importorskip("array_api_strict")
status = pytest.importorskip("asv_benchmarks.array_api")


@pytest.fixture(autouse=True)
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with scorch.config.using(jit=False, cache_dir=tmp_path_factory.getbasetemp() / "array-kernels"):
        yield


def sparse() -> Any:
    return xp.asarray(scorch.tensor(torch.from_numpy(status.DATA), "csr"))


@pytest.mark.parametrize("name", status.CALLS)
def test_dense_arrays(name: str) -> None:
    status.compare(name, None)


@pytest.mark.parametrize("format", ["csr", "csc", "coo"])
@pytest.mark.parametrize("name", sorted(status.CALLS.keys() - set(status.ABSENT_QUOTIENT)))
def test_sparse_arrays(name: str, format: str) -> None:
    status.compare(name, format)


def test_every_function_of_the_standard_is_there() -> None:
    assert [name for name in status.functions() if not hasattr(xp, name)] == []


def test_arrays_stay_arrays() -> None:
    A = sparse()
    for made in (A + 1, 2 * A, A @ A.T, A[1], A[0, 1], A.mT, abs(A), A > 0, A == A, -A, A**2, xp.sum(A, axis=0)):
        assert isinstance(made, xp.Array)
        assert made.__array_namespace__() is xp


def test_what_is_sparse_stays_sparse() -> None:
    A = sparse()
    assert (A + 1).fill == 1
    assert (A + 1).nnz == xp.exp(A).nnz == A.nnz
    assert (A == A).fill is True
    assert torch.equal((A + 1).to_dense(), torch.from_numpy(status.DATA) + 1)
    assert torch.equal((A.T.T.to("csc") >= A).to_dense(), torch.ones(3, 4, dtype=torch.bool))


def test_numbers_of_arrays() -> None:
    assert float(xp.asarray(2.5)) == 2.5
    assert int(xp.asarray(7)) == 7
    assert complex(xp.asarray(1j)) == 1j
    assert [10, 20][xp.asarray(1)] == 20
    assert bool(xp.asarray(True))
    assert xp.asarray([[1, 2]]).size == 2
    with pytest.raises(TypeError):
        range(xp.asarray(1.5))


BACKWARD = [
    slice(None, None, -1),
    (slice(None), slice(None, None, -2)),
    (..., slice(2, 0, -1)),
    (None, slice(None, None, -1), 1),
    (1, ..., slice(0, 2, -1)),
    (slice(-1, None, -1), slice(None, -2, -1), None),
]


@pytest.mark.parametrize("key", BACKWARD, ids=str)
def test_slices_that_run_backwards(key: Any) -> None:
    numbers = np.arange(12).reshape(3, 4)
    a = xp.reshape(xp.arange(12), (3, 4))
    assert a[key].to_dense().tolist() == numbers[key].tolist()
    a[key] = numbers[key] = -1
    assert a.to_dense().tolist() == numbers.tolist()


def test_number_types() -> None:
    small, wide = xp.asarray([1, 2], dtype=xp.int8), xp.asarray(3, dtype=xp.int64)
    assert (small + wide).dtype == xp.subtract(wide, small).dtype == xp.int64  # arrays without dimensions count, too
    assert (small + 1).dtype == xp.vecdot(small, small).dtype == xp.prod(small, dtype=xp.int8).dtype == xp.int8
    assert xp.prod(xp.asarray(3, dtype=xp.int16), keepdims=True).dtype == xp.int64
    assert (1 << small).to_dense().tolist() == [2, 4]


def test_complex_numbers() -> None:
    a = xp.asarray([1.5 + 2.4j, 2.0, 1.5 + 2.4j, 2.0 - 1.0j])
    assert xp.round(a).to_dense().tolist() == [2 + 2j, 2, 2 + 2j, 2 - 1j]
    values, first, inverse, counts = xp.unique_all(a)
    assert values.to_dense()[inverse.to_dense()].tolist() == a.to_dense().tolist()
    assert (a[first].to_dense() == values.to_dense()).all()
    assert sorted(counts.to_dense().tolist()) == [1, 1, 2]
    assert xp.unique_values(a).shape == (3,)


def test_differences_of_nothing() -> None:
    assert xp.diff(xp.zeros((2, 0))).shape == (2, 0)
    assert xp.diff(xp.zeros(2), n=4).shape == (0,)


def test_assignment_to_dense_arrays() -> None:
    a = xp.zeros((2, 2))
    a[0, 1] = 3.0
    a[xp.asarray([False, True]), :] = xp.asarray([1.0, 2.0])
    assert a.to_dense().tolist() == [[0.0, 3.0], [1.0, 2.0]]
    with pytest.raises(UnsupportedError, match="pattern"):
        sparse()[0, 0] = 1.0


def test_devices_and_versions() -> None:
    A = sparse()
    assert A.device == "cpu"
    assert A.to_device("cpu") is A
    with pytest.raises(UnsupportedError, match="cuda"):
        A.to_device("cuda")
    with pytest.raises(UnsupportedError, match=r"2024\.12"):
        A.__array_namespace__(api_version="1999.01")
    with pytest.raises(UnsupportedError, match="CPU"):
        xp.zeros(3, device="cuda")


def test_the_page_is_up_to_date() -> None:
    page = status.PAGE.read_text(encoding="utf-8")
    for name in status.functions():
        assert f"| {name} | " in page

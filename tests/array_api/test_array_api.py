"""The Array API over dense and sparse arrays, against array-api-strict."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

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

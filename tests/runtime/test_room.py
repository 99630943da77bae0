"""Entries that are not counted first: chunks that follow each other, whatever the order in which they are ready."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch

import scorch
from scorch.emit.vocabulary import follow
from scorch.engine import kept
from scorch.errors import ShapeError
from scorch.runtime import launch
from scorch.schedule import partition, sizing

pytestmark = pytest.mark.compiled


@pytest.fixture(autouse=True)
def through_room(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Two threads, and entries that are never counted first."""
    kept.forget()
    monkeypatch.setattr(sizing, "room_cost", lambda *_: 0.0)
    monkeypatch.setattr(partition, "LAUNCHES", 0.0)
    with scorch.config.using(threads=2):
        yield
    kept.forget()


@pytest.fixture
def matrix() -> Any:
    return scipy.sparse.random(900, 900, 0.02, "csr", dtype=np.float64, random_state=np.random.default_rng(0))


def assert_equal(made: scorch.Tensor, expected: Any) -> None:
    found, expected = made.to_scipy(), expected.sorted_indices()
    assert np.array_equal(found.indptr, expected.indptr)
    assert np.array_equal(found.indices, expected.indices)
    assert np.allclose(found.data, expected.data)


def test_a_chunk_is_told_where_it_begins_by_the_one_before() -> None:
    ends = np.array([0, -1, -1, -1])
    assert [int(follow(ends, chunk, count)) for chunk, count in enumerate((4, 0, 3))] == [0, 4, 4]
    assert ends.tolist() == [0, 4, 4, 7]


@pytest.mark.parametrize("chunks", [2, 7, 100])
def test_chunks_stand_in_order(matrix: Any, chunks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition, "_chunks", lambda *_: chunks)
    A = scorch.tensor(matrix)
    plan = scorch.explain("ik,kj->ij", A, A).plan
    assert plan.kernel.assembly.bounded
    assert plan.partition.chunks == chunks
    assert_equal(A @ A, matrix @ matrix)
    assert_equal(A + A.T, matrix + matrix.T)


def test_entries_of_a_tensor_of_order_three(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each coordinate of the outermost index has several rows of the level that is appended to."""
    monkeypatch.setattr(partition, "_chunks", lambda *_: 5)
    dense = np.where(np.random.default_rng(0).random((2, 20, 6, 30)) < 0.2, 1.0, 0.0)
    left, right = (scorch.tensor(each, format="dense,dense,compressed") for each in dense)
    made = scorch.compute("C[i,j,k] = A[i,j,k] + B[i,j,k]", A=left, B=right, out_format="dense,dense,compressed")
    assert np.array_equal(made.to_dense().numpy(), dense.sum(0))


def test_more_entries_than_addresses_were_asked_for(matrix: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "ADDRESSES", 1000)
    A = scorch.tensor(matrix)
    assert_equal(A @ A, matrix @ matrix)


def test_more_entries_than_the_machine_has_memory_for(matrix: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scorch.formats.memory.SMALL", 0)
    A = scorch.tensor(matrix)
    expected = matrix @ matrix
    monkeypatch.setattr("scorch.formats.memory.machine_memory", lambda: expected.nnz * 12 - 1)
    with pytest.raises(ShapeError, match=f"{expected.nnz} entries of a csr result"):
        A @ A


def test_threads_that_call_at_once_have_rooms_of_their_own(matrix: Any) -> None:
    A, expected = scorch.tensor(matrix), matrix @ matrix
    with ThreadPoolExecutor(4) as pool:
        for made in pool.map(lambda _: A @ A, range(16)):
            assert_equal(made, expected)


@pytest.mark.parametrize("chunks", [1, 3])
@pytest.mark.parametrize("text", ["C[i,j] = where(A[i,j], B[i,j], D[i,j])", "C[i,j] = A[i,j] + B[i,j] + D[i,j]"])
def test_a_merge_that_visits_every_coordinate(text: str, chunks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition, "_chunks", lambda *_: chunks)
    rng = np.random.default_rng(0)
    a, b = (np.where(rng.random((40, 30)) < 0.1, 1.0, 0.0) for _ in range(2))
    d = rng.standard_normal((40, 30))
    tensors = {"A": scorch.tensor(a, format="csr"), "B": scorch.tensor(b, format="csr"), "D": torch.from_numpy(d)}
    made = scorch.compute(text, **tensors, out_format="csr")
    expected = np.where(a != 0, b, d) if "where" in text else a + b + d
    assert np.allclose(made.to_dense(), expected)


def test_no_entries_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition, "_chunks", lambda *_: 4)
    A = scorch.tensor(scipy.sparse.csr_array((50, 50)))
    assert_equal(A @ A, scipy.sparse.csr_array((50, 50)))

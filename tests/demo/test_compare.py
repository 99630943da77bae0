import numpy as np
import pytest
import scipy.sparse as sp
import torch

from scorch.demo.compare import difference, flat, plain


@pytest.fixture
def matrix():
    return sp.random_array((9, 7), density=0.3, format="csr", rng=np.random.default_rng(0))


def test_equal_results_differ_by_nothing(matrix):
    assert difference(matrix, matrix, abs(matrix)) == 0.0
    assert difference(matrix.toarray(), matrix.toarray(), abs(matrix).toarray()) == 0.0
    assert difference(matrix.toarray(), matrix, abs(matrix)) == 0.0


def test_a_small_entry_is_not_hidden_by_a_large_one():
    exact = np.array([1e9, 1.0])
    assert difference(np.array([1e9, 1.5]), exact, exact) == 0.5


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_nan_and_inf_are_wrong(wrong):
    assert difference(np.array([wrong]), np.ones(1), np.ones(1)) == float("inf")


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_what_float32_cannot_hold_is_no_mistake(kind):
    exact = np.array([[3e-40, 1.0]])
    assert difference(kind(exact.astype(np.float32)), kind(exact), kind(exact)) < 1e-6
    assert difference(kind(np.array([[0.0, 1.0]])), kind(exact), kind(exact)) < 1e-6
    assert difference(kind(np.array([[1e-3, 1.0]])), kind(exact), kind(exact)) > 1e20


def test_an_entry_outside_of_the_pattern_is_wrong(matrix):
    other = matrix.tolil()
    row, column = np.argwhere(matrix.toarray() == 0)[0]
    other[row, column] = 1.0
    assert difference(other.tocsr(), matrix, abs(matrix)) == float("inf")


def test_a_missing_entry_is_wrong(matrix):
    other = matrix.copy()
    other.data[0] = 0
    other.eliminate_zeros()
    assert difference(other, matrix, abs(matrix)) == pytest.approx(1.0)


def test_another_shape_is_wrong(matrix):
    assert difference(matrix.T.tocsr(), matrix, abs(matrix)) == float("inf")


def test_explicit_zeros_and_unsorted_columns_are_right(matrix):
    unsorted = matrix.copy()
    for row in range(9):
        part = slice(unsorted.indptr[row], unsorted.indptr[row + 1])
        unsorted.indices[part] = unsorted.indices[part][::-1].copy()
        unsorted.data[part] = unsorted.data[part][::-1].copy()
    unsorted.has_sorted_indices = False
    assert difference(unsorted, matrix, abs(matrix)) == 0.0


def test_nothing_to_compare():
    empty = sp.csr_array((0, 5))
    assert difference(empty, empty, empty) == 0.0
    assert difference(np.zeros((0, 5)), np.zeros((0, 5)), np.zeros((0, 5))) == 0.0


def test_results_of_torch_become_plain(matrix):
    dense = torch.from_numpy(matrix.toarray())
    for result in (dense, dense.to_sparse_csr(), dense.to_sparse_coo()):
        found = plain(result)
        assert np.array_equal(found.toarray() if sp.issparse(found) else found, matrix.toarray())


def test_flat_numbers_the_places_behind_the_first_dimension():
    dense = np.random.default_rng(0).random((3, 4, 5)) * (np.random.default_rng(1).random((3, 4, 5)) < 0.4)
    coords = np.array(np.nonzero(dense))
    assert np.array_equal(flat(coords, dense[tuple(coords)], dense.shape).toarray(), dense.reshape(3, 20))
    assert np.array_equal(flat(np.array([[2, 2]]), np.array([1.0, 2.0]), (3,)), [0, 0, 3])

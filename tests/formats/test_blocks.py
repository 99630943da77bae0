"""Formats in blocks: names, levels, coordinates, and the errors of blocks that don't fit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import scorch
from scorch.errors import FormatError, ShapeError
from scorch.formats import Format, blocks, bsc, bsr, csr, resolve


def test_names() -> None:
    assert str(bsr((2, 4))) == "bsr(2,4)"
    assert resolve("bsr(2,4)", 2) == resolve("bsr((2, 4))", 2) == bsr((2, 4))
    assert resolve(str(bsc((3, 1))), 2) == bsc((3, 1))
    assert bsr((1, 1)) == csr
    assert bsr((2, 4)) != bsr((4, 2))
    assert bsr((2, 4)).permuted((1, 0)).permuted((1, 0)) == bsr((2, 4))


def test_levels_of_blocks_and_inside_them() -> None:
    format = Format("dense, compressed", blocks=(2, 4))
    assert format == bsr((2, 4))
    assert (format.ndim, len(format.levels), format.order) == (2, 4, (0, 1, 2, 3))
    assert format.grid == csr
    assert format.stored == Format("dense, compressed, dense, dense")
    assert Format("dense, dense, compressed", blocks=(1, 2, 2)).order == (0, 1, 2, 3, 4)


@pytest.mark.parametrize("sizes", [(2, 3), (1, 4), (5, 1)])
def test_coordinates_divided_and_joined_again(sizes: tuple[int, int]) -> None:
    coords = np.random.default_rng(1).integers(0, 60, (2, 50))
    stored = blocks.split(coords, sizes)
    assert len(stored) == 2 + len(blocks.divided(sizes))
    np.testing.assert_array_equal(blocks.joined(stored, sizes), coords)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: bsr((0, 2)), FormatError, "length of at least 1"),
        (lambda: Format("dense, dense", blocks=(2, 2)), FormatError, "sparse as a whole"),
        (lambda: Format("dense, compressed", blocks=(2, 2, 2)), FormatError, "are for 3 dimensions"),
        (lambda: Format("compressed(nonordered, nonunique), dense", blocks=(2, 2)), FormatError, "cannot stand below"),
        (
            lambda: scorch.tensor(torch.eye(5), format="bsr(2,2)"),
            ShapeError,
            r"blocks of \(2, 2\) don't fill .* pad it",
        ),
        (lambda: resolve("bsr", 2), FormatError, r"unknown format 'bsr'.*bsr\(r,c\)"),
        (lambda: resolve("bsr(2,2)", 3), FormatError, "is for 2 dimensions; the tensor has 3"),
    ],
)
def test_what_cannot_be(make: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()  # type: ignore[operator]


def test_level_arrays_are_those_of_the_blocks() -> None:
    arrays = [{}, {"pos": [0, 1, 2], "crd": [1, 0]}]
    A = scorch.Tensor.from_levels((4, 4), "bsr(2,2)", arrays, torch.arange(8.0).reshape(2, 2, 2))
    assert A.to_dense().tolist() == [[0, 0, 0, 1], [0, 0, 2, 3], [4, 5, 0, 0], [6, 7, 0, 0]]
    assert A.nnz == 8
    assert A.coords()[:, 3].tolist() == [1, 3]
    with pytest.raises(FormatError, match="coordinate 2 at position 0 is outside the dimension's extent 2"):
        scorch.Tensor.from_levels((4, 4), "bsr(2,2)", [{}, {"pos": [0, 1, 2], "crd": [2, 0]}], torch.ones(8))
    with pytest.raises(ShapeError, match=r"takes values of shape \(2, 2, 2\)"):
        A.with_values(torch.ones(2, 4))


def test_values_by_blocks_follow_a_transposition() -> None:
    A = scorch.tensor(torch.arange(24.0).reshape(4, 6), format="bsr(2,3)")
    assert A.values.shape == (4, 2, 3)
    assert A.T.values.shape == (4, 2, 3)  # as they are stored
    assert torch.equal(A.T.to_dense(), A.to_dense().T)
    assert torch.equal(A.T.with_values(A.T.values * 2).to_dense(), 2 * A.to_dense().T)
    assert A.values.data_ptr() == A.T.values.data_ptr()

"""The bitmap level: decoded and encoded again, and what validation finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import scorch
from scorch.errors import FormatError
from scorch.formats import Bitmap
from scorch.formats.levels import bitmap


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 130])
@pytest.mark.parametrize("parents", [0, 1, 5])
def test_decoded_and_encoded_again(size: int, parents: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bitmap, "AT_ONCE", 2)  # words: several pieces even here
    stored = np.random.default_rng(size).random((parents, size)) < 0.3
    rows, columns = np.nonzero(stored)
    pos = np.searchsorted(rows, np.arange(parents + 1))
    encoded = Bitmap().encoded(parents, size, {"pos": pos, "crd": columns.astype(np.int32)})
    assert len(encoded["bits"]) == parents * -(-size // 64)
    decoded = Bitmap().decoded(parents, size, encoded)
    np.testing.assert_array_equal(decoded["pos"], pos)
    np.testing.assert_array_equal(decoded["crd"], columns)
    assert Bitmap().positions(parents, size, encoded) == len(columns)


@pytest.mark.parametrize(
    ("bits", "rank", "message"),
    [
        (
            np.array([1, 16], dtype=np.uint64),
            [0, 1, 2],
            "a bit is set for a coordinate outside the dimension's extent 4",
        ),
        (np.array([1, 8], dtype=np.uint64), [0, 1, 3], "rank must count the bits"),
        (np.array([1, 8], dtype=np.uint64), [1, 2, 3], "rank must count the bits"),
        (np.array([1], dtype=np.uint64), [0, 1], "2 parents of extent 4 take 2 words of bits and 3 ranks"),
        (np.array([1, 8], dtype=np.int64), [0, 1, 2], "bits must be uint64"),
    ],
)
def test_bad_arrays(bits: Any, rank: list[int], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        scorch.Tensor.from_levels((2, 4), "bitmap", [{}, {"bits": bits, "rank": rank}], torch.ones(rank[-1]))


def test_values_are_those_of_set_bits_alone() -> None:
    x = torch.zeros(3, 70)
    x[0, 69], x[2, 0] = 5.0, 7.0
    A = scorch.tensor(x, format="bitmap")
    assert A.values.tolist() == [5.0, 7.0]
    assert A.level_arrays[1]["bits"].tolist() == [0, 32, 0, 0, 1, 0]
    assert A.coords().tolist() == [[0, 2], [69, 0]]

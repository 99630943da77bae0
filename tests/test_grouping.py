"""Grouped copies hold what the matrix holds, whatever its rows are like."""

from __future__ import annotations

import numpy as np
import pytest

from scorch.formats import Dense, Format, Pattern, csr
from scorch.formats.levels import Grouped
from scorch.grouping import grouped


def matrix_of(pattern: Pattern, values: np.ndarray, rows: int) -> np.ndarray:
    """The dense matrix, read group by group as the level's description says."""
    out = np.zeros(pattern.shape)
    level, arrays = pattern.arrays[1], (1 << rows) - 1
    for block in range(pattern.shape[0] // rows):
        place = int(level["first"][block])
        for members in range(1, 1 << rows):
            lo, hi = level["starts"][block * arrays + members - 1 : block * arrays + members + 1]
            for column in level["crd"][lo:hi]:
                for row in range(rows):
                    if members >> row & 1:
                        out[block * rows + row, column] = values[place]
                        place += 1
        assert place == level["first"][block + 1]
    return out


@pytest.mark.parametrize("rows", [2, 3, 4])
@pytest.mark.parametrize("density", [0.0, 0.02, 0.3, 1.0])
@pytest.mark.parametrize("shape", [(12, 17), (24, 1), (12, 0), (0, 5)], ids=str)
def test_every_value_is_where_it_was(shape: tuple[int, int], density: float, rows: int) -> None:
    rng = np.random.default_rng(7)
    dense = rng.random(shape) * (rng.random(shape) < density)
    row, column = np.nonzero(dense)
    pos = np.searchsorted(row, np.arange(shape[0] + 1))
    source = Pattern(shape, csr, [{}, {"pos": pos, "crd": column}])
    made, order = grouped(source, Format((Dense(), Grouped(rows=rows))))
    Pattern(made.shape, made.format, made.arrays)  # validates
    assert sorted(order.tolist()) == list(range(len(row)))
    np.testing.assert_array_equal(matrix_of(made, dense[row, column][order], rows), dense)

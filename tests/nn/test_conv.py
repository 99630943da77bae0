from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from scorch.errors import ShapeError, UnsupportedError
from scorch.nn import Conv2d

CASES: list[dict[str, Any]] = [
    {"kernel_size": 1},
    {"kernel_size": 1, "stride": 2, "bias": False},
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": (2, 3), "stride": (1, 2), "dilation": (2, 1)},
    {"kernel_size": 3, "groups": 2, "padding": "same"},
    {"kernel_size": 3, "padding": "valid"},
]


@pytest.mark.parametrize("settings", CASES)
def test_equals_the_dense_layer(settings: dict[str, Any]) -> None:
    dense = nn.Conv2d(4, 6, **settings)
    with torch.no_grad():
        dense.weight *= torch.rand_like(dense.weight) < 0.5
        x = torch.randn(2, 4, 7, 8)
        layer = Conv2d.from_dense(dense)
        torch.testing.assert_close(layer(x), dense(x))
        torch.testing.assert_close(layer(x[0]), dense(x[0]))
    assert layer.weight().nnz == int(dense.weight.count_nonzero())


def test_what_cannot_be_converted() -> None:
    with pytest.raises(UnsupportedError, match="pads with zeros, not by 'reflect'"):
        Conv2d.from_dense(nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"))
    with pytest.raises(UnsupportedError, match="padding='same' is uneven for a kernel"):
        Conv2d.from_dense(nn.Conv2d(2, 2, 2, padding="same"))
    with pytest.raises(ShapeError, match="takes 3 channels"):
        Conv2d(3, 2, 1)(torch.ones(1, 4, 2, 2))

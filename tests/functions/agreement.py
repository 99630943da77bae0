"""The oracle of these tests: torch's own function on the dense tensors."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch

import scorch

MATRIX_FORMATS = ("csr", "csc", "coo", "dcsr", "unsorted")
CUBE_FORMATS = ("csf", "coo", "dense, dense, compressed", "dense, compressed, compressed")

Function = Callable[..., Any]


def random_dense(*shape: int, dtype: torch.dtype = torch.float64, density: float = 0.4, seed: int = 0) -> torch.Tensor:
    """Small numbers in random places."""
    generator = torch.Generator().manual_seed(seed + sum(shape))
    kept = torch.rand(shape, generator=generator) < density
    if dtype is torch.bool:
        return kept
    values = torch.randint(1, 5, shape, generator=generator).to(dtype)
    if dtype.is_floating_point:
        values = values / 2
    if dtype is not torch.uint8:
        values = values * (torch.randint(0, 2, shape, generator=generator) * 2 - 1).to(dtype)
    if dtype.is_complex:
        values = values + 1j
    return values * kept + torch.zeros((), dtype=dtype)  # no -0.0, which is not stored


def sparse(dense: torch.Tensor, format: str) -> scorch.Tensor:
    """The tensor in a format; "unsorted": csr with columns in reverse, some stored twice."""
    if format != "unsorted":
        return scorch.tensor(dense, format)
    made = scorch.tensor(dense, "csr")
    pos, crd = (made.level_arrays[1][name].numpy() for name in ("pos", "crd"))
    order = [p for lo, hi in pairwise(pos) for p in range(hi - 1, lo - 1, -1)]
    loose = scorch.Format("dense, compressed(nonordered, nonunique)")
    return scorch.Tensor.from_levels(dense.shape, loose, [{}, {"pos": pos, "crd": crd[order]}], made.values[order])


def dense_of(result: Any) -> Any:
    """A result, or each of several, as dense torch tensors; a sparse one's level arrays are checked."""
    if isinstance(result, scorch.Tensor):
        return result.validate().to_dense()
    if isinstance(result, tuple | list):
        return tuple(dense_of(part) for part in result)
    return result


def check(
    function: Function, operands: list[Any], dense: list[torch.Tensor], where: str = "", exact: bool = True
) -> Any:
    """Compare with torch on the dense operands: values, shape and number type."""
    result, expected = function(*operands), function(*dense)
    compare(dense_of(result), dense_of(expected), where, exact)
    return result


def compare(found: Any, expected: Any, where: str, exact: bool) -> None:
    if isinstance(expected, tuple):
        assert isinstance(found, tuple), where
        assert len(found) == len(expected), where
        for one, other in zip(found, expected, strict=True):
            compare(one, other, where, exact)
    elif isinstance(expected, torch.Tensor):
        assert isinstance(found, torch.Tensor), f"{where}: {type(found)}"
        assert found.shape == expected.shape, f"{where}: {found.shape}, not {expected.shape}"
        assert found.dtype == expected.dtype, f"{where}: {found.dtype}, not {expected.dtype}"
        close = {} if exact else {"rtol": 1e-5, "atol": 1e-6}
        torch.testing.assert_close(found, expected, equal_nan=True, msg=lambda m: f"{where}: {m}", **close)
    else:
        assert found == expected, where

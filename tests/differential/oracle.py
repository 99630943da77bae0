"""The oracle of the differential tests: tensors built by hand in any format, and numpy's answer to an einsum."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import scorch
from scorch import testing
from scorch.formats import Format, dtypes, resolve

Array = np.ndarray[Any, Any]

EXTENTS = {"i": 5, "j": 4, "k": 7, "l": 3, "m": 2, "b": 3}
"""Extents of the indices in the tables, all small and most of them different."""


def shapes_of(notation: str, extents: dict[str, int] | None = None) -> list[tuple[int, ...]]:
    """The operands' shapes that a notation needs; repeated indices have one extent."""
    sizes = EXTENTS | (extents or {})
    return [tuple(sizes[v] for v in term) for term in notation.split("->")[0].split(",")]


def random_array(
    rng: np.random.Generator, shape: tuple[int, ...], density: float = 0.4, dtype: str = "float64"
) -> Array:
    """Small integers in random places; the first coordinate of each longer dimension is left empty."""
    values = rng.integers(1, 4, shape) * (rng.random(shape) < density)
    if dtype.startswith(("float", "int")):
        values = values * rng.choice((-1, 1), shape)
    for dimension, extent in enumerate(shape):
        if extent > 2:
            values[(slice(None),) * dimension + (0,)] = 0
    return np.asarray(values).astype(dtype)


def build(array: Array, format: Format | str, rng: np.random.Generator | None = None) -> scorch.Tensor:
    """A Tensor with entries where the array is not 0, whose level arrays are made by `scorch.testing`."""
    return testing.build(array, resolve(format, array.ndim), rng=rng)


def reference(notation: str, arrays: list[Array]) -> Array:
    """numpy's result in torch's promoted number type; integers wrap, bool values are or-ed and and-ed."""
    dtype = dtypes.promote(*(dtypes.name_of(a.dtype) for a in arrays))
    wide = np.float64 if dtype.startswith("float") else np.int64
    with np.errstate(all="ignore"):
        exact = np.einsum(notation, *(a.astype(wide) for a in arrays))
        return np.asarray(exact != 0 if dtype == "bool" else exact.astype(dtype))


def dense_of(result: torch.Tensor | scorch.Tensor) -> Array:
    """A result as a numpy array, built from its coordinates, after its level arrays were checked."""
    if isinstance(result, torch.Tensor):
        return result.numpy()
    result.validate()
    made = np.zeros(result.shape, dtype=dtypes.name_of(result.dtype))
    coords, values = result.coords().numpy(), result.values.numpy()
    assert coords.shape == (result.ndim, len(values))
    if result.ndim:
        (np.logical_or if made.dtype == bool else np.add).at(made, tuple(coords), values)
        return made
    return np.asarray(values.sum(), dtype=made.dtype)


def check_structure(
    notation: str, operands: list[scorch.Tensor], result: scorch.Tensor, values: Array, where: str
) -> None:
    """A result stores what its operands' coordinates make possible, or, if all are dense, what is not zero.

    A product of three may pass through a dense one, and so store more.
    """
    if result.ndim == 0 or any(level.full for level in result.format.levels[1:]):
        return  # dense levels below others are padded
    stored = np.zeros(result.shape, dtype=bool)
    stored[tuple(result.coords().numpy())] = True
    assert (stored >= (values != 0)).all(), f"{where}: values without a coordinate"
    if all(x.format.is_dense for x in operands):
        assert (stored == (values != 0)).all(), f"{where}: zeros are stored"
        return
    possible = np.einsum(notation, *(pattern_of(x).astype(np.int64) for x in operands)) != 0
    if len(operands) < 3:
        assert (stored == possible).all(), f"{where}: {stored.sum()} coordinates, not {possible.sum()}"


def pattern_of(x: scorch.Tensor) -> Array:
    """Where a tensor stores something."""
    if x.format.is_dense:
        return np.ones(x.shape, dtype=bool)
    made = np.zeros(x.shape, dtype=bool)
    made[tuple(x.coords().numpy())] = True
    return made


def check(
    notation: str,
    operands: list[scorch.Tensor],
    arrays: list[Array],
    out_format: Format | str | None = None,
    wanted: Array | None = None,
    rtol: float = 1e-5,
) -> torch.Tensor | scorch.Tensor:
    """Evaluate, and compare with numpy: values, shape, number type, format asked for, operands unchanged."""
    before = [x.values.clone() for x in operands]
    result = scorch.einsum(notation, *operands, out_format=out_format)
    found, expected = dense_of(result), reference(notation, arrays) if wanted is None else wanted
    formats = ", ".join(str(x.format) for x in operands)
    where = f"{notation} over {formats} into {out_format}"
    assert found.shape == expected.shape, where
    assert found.dtype == expected.dtype, f"{where}: {found.dtype}, not {expected.dtype}"
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=1e-6, err_msg=where)
    if isinstance(result, scorch.Tensor):
        check_structure(notation, operands, result, found, where)
    if out_format is not None:
        wanted_format = resolve(out_format, found.ndim)
        kept = Format("") if isinstance(result, torch.Tensor) else result.format
        assert kept == wanted_format or wanted_format.is_dense, f"{where}: the result is {kept}"
        assert isinstance(result, torch.Tensor) == wanted_format.is_dense, where
    for x, old in zip(operands, before, strict=True):
        assert torch.equal(torch.nan_to_num(x.values), torch.nan_to_num(old)), f"{where} changed an operand"
    return result

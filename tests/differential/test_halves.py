"""float16 and bfloat16 in expressions: summed in float32, rounded once, whatever the plan."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

import scorch

TYPES = {"float16": 2.0**-10, "bfloat16": 2.0**-7}
"""The spacing of the numbers from 1 to 2: rounding once errs by half of it."""

NOTATIONS = ("ik,kj->ij", "ij,ij->ij", "ij->i", "ij->j", "ij->", "ij,j->i", "ij,i->j", "ij,ik,jk->ij")


def random(shape: tuple[int, ...], dtype: str, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    made = torch.rand(shape, generator=generator) + 0.1
    return made.masked_fill(torch.rand(shape, generator=generator) < 0.5, 0).to(getattr(torch, dtype))


def operands(notation: str, dtypes: tuple[str, ...]) -> list[torch.Tensor]:
    extents = {"i": 9, "j": 18, "k": 17} if "ij,ik,jk" not in notation else {"i": 9, "j": 9, "k": 17}
    terms = notation.split("->")[0].split(",")
    return [random(tuple(extents[v] for v in t), dtypes[n % len(dtypes)], n) for n, t in enumerate(terms)]


def check(notation: str, tensors: list[torch.Tensor], formats: tuple[str, ...], out_format: str | None) -> None:
    exact = torch.einsum(notation, *(x.double() for x in tensors))
    dtype = tensors[0].dtype
    for x in tensors[1:]:
        dtype = torch.promote_types(dtype, x.dtype)
    given = [scorch.tensor(x, format=f if x.ndim == 2 else "dense") for x, f in zip(tensors, formats, strict=True)]
    result = scorch.einsum(notation, *given, out_format=out_format)
    found = result if isinstance(result, torch.Tensor) else result.validate().to_dense()
    assert found.dtype == dtype
    spacing = max(torch.finfo(dtype).eps, 1e-6)
    torch.testing.assert_close(found.double(), exact, rtol=0.51 * spacing + 1e-6, atol=0.0)


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("notation", NOTATIONS)
def test_one_rounding(notation: str, dtype: str) -> None:
    tensors = operands(notation, (dtype,))
    for formats in product(("csr", "csc", "coo", "dense"), repeat=len(tensors)):
        if len(tensors) == 3 and len(set(formats)) == 3:
            continue
        for out_format in (None, "coo") if not notation.endswith("->") else (None,):
            check(notation, tensors, formats, out_format)


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("pair", [("float16", "bfloat16"), ("bfloat16", "float32"), ("int32", "float16")])
def test_two_types(pair: tuple[str, str]) -> None:
    for notation in ("ik,kj->ij", "ij,ij->ij", "ij,j->i"):
        tensors = operands(notation, pair)
        for formats in product(("csr", "dense", "bitmap"), repeat=2):
            check(notation, tensors, formats, None)


@pytest.mark.compiled
@pytest.mark.parametrize("dtype", TYPES)
def test_compiled(dtype: str) -> None:
    for notation in ("ik,kj->ij", "ij,ij->ij", "ij->j", "ij,j->i"):
        tensors = operands(notation, (dtype,))
        check(notation, tensors, ("csr", "dense")[: len(tensors)], None)


def test_long_sums_don_t_stall() -> None:
    """A sum of many small numbers kept in bfloat16 would stop growing at 256."""
    ones = scorch.tensor(torch.ones(4, 2000, dtype=torch.bfloat16), format="csr")
    with scorch.config.using(jit=False):
        assert scorch.einsum("ij->i", ones).tolist() == [2000.0] * 4
        assert scorch.einsum("ij->j", ones.T).tolist() == [2000.0] * 4


def test_interchange_shares_memory() -> None:
    for dtype in (torch.float16, torch.bfloat16):
        x = torch.eye(3, dtype=dtype).to_sparse_csr()
        A = scorch.tensor(x)
        assert A.values.data_ptr() == x.values().data_ptr()
        assert A.to_torch().values().data_ptr() == x.values().data_ptr()
        with pytest.raises(scorch.errors.DtypeError, match=r"use .to\('float32'\).to_scipy\(\)"):
            A.to_scipy()
    array = np.eye(3, dtype=np.float16)
    assert scorch.tensor(array).values.data_ptr() == array.ctypes.data
    with pytest.raises(TypeError, match="numpy has no bfloat16"):
        np.asarray(scorch.tensor(torch.ones(2, dtype=torch.bfloat16)))

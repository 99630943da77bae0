"""Results that take an operand's upper levels (TTV, TTM, sums along the last mode), or end in dense levels."""

from __future__ import annotations

import pytest
import torch

import scorch
from scorch.formats import Format

SHAPES = ((5, 4, 6), (7, 1, 9), (0, 3, 2), (3, 0, 2))
FORMATS = {
    "csf": Format("compressed, compressed, compressed"),
    "csf, last mode first": Format("compressed, compressed, compressed", order=(2, 0, 1)),
    "dense first": Format("dense, compressed, compressed"),
    "dense between": Format("compressed, dense, compressed"),
    "dense last": Format("compressed, compressed, dense"),
}
PRODUCTS = {
    "abc,cz->abz": (2, 5),
    "abc,cz->zab": (2, 16),
    "abc,bz->acz": (1, 9),
    "abc,az->bcz": (0, 3),
    "abc,c->ab": (2,),
    "abc,a->bc": (0,),
    "abc,cz->abcz": (2, 9),
    "abc->ab": (),
}


def operands(shape: tuple[int, ...], notation: str) -> list[torch.Tensor]:
    """A tensor with few entries, and the dense factor that the notation takes."""
    torch.manual_seed(sum(shape))
    sparse = torch.rand(shape, dtype=torch.float64) * (torch.rand(shape) < 0.3)
    if not PRODUCTS[notation]:
        return [sparse]
    mode, *columns = PRODUCTS[notation]
    return [sparse, torch.rand(shape[mode], *columns, dtype=torch.float64)]


def check(shape: tuple[int, ...], format: Format, notation: str, out_format: str | None = None) -> None:
    dense = operands(shape, notation)
    found = scorch.einsum(notation, scorch.tensor(dense[0], format), *dense[1:], out_format=out_format)
    if isinstance(found, scorch.Tensor):
        found = found.validate().to_dense()
    torch.testing.assert_close(found, torch.einsum(notation, *dense))


@pytest.mark.parametrize("notation", PRODUCTS)
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("shape", SHAPES)
def test_agrees_with_torch(shape: tuple[int, ...], format: str, notation: str) -> None:
    with scorch.config.using(jit=False):
        for out_format in (None, "dense", "coo"):
            check(shape, FORMATS[format], notation, out_format)


@pytest.mark.parametrize("columns", [3, 16, 37])
def test_agrees_compiled(columns: int) -> None:
    A, B = torch.rand(30, 20, 10) * (torch.rand(30, 20, 10) < 0.1), torch.rand(10, columns)
    found = scorch.einsum("abc,cz->abz", scorch.tensor(A, "csf"), B)
    torch.testing.assert_close(found.to_dense(), torch.einsum("abc,cz->abz", A, B))


def test_levels_are_shared_not_copied() -> None:
    A = scorch.tensor(operands((5, 4, 6), "abc,cz->abz")[0], "csf")
    C = scorch.einsum("abc,cz->abz", A, torch.rand(6, 8, dtype=torch.float64))
    assert str(C.format) == "compressed, compressed, dense"
    for mine, given in zip(C.level_arrays[:2], A.level_arrays[:2], strict=True):
        assert all(mine[name].data_ptr() == given[name].data_ptr() for name in given)
    text = str(scorch.explain("abc,cz->abz", A, torch.rand(6, 8, dtype=torch.float64)))
    assert "the first 2 levels of A[a,b,c] are shared, values only" in text


def test_a_node_without_values_is_not_stored() -> None:
    """Levels are taken only if each of their nodes has something below: an empty sum is absent."""
    arrays = [
        {"pos": torch.tensor([0, 2]), "crd": torch.tensor([0, 1])},
        {"pos": torch.tensor([0, 1, 2]), "crd": torch.tensor([2, 0])},
        {"pos": torch.tensor([0, 0, 1]), "crd": torch.tensor([3])},
    ]
    A = scorch.Tensor.from_levels((3, 4, 5), FORMATS["csf"], arrays, torch.ones(1))
    found = scorch.einsum("abc,c->ab", A, torch.ones(5))
    assert found.nnz == 1
    assert found.to_dense()[1, 0] == 1


def test_levels_are_not_padded_where_another_operand_stores_sparsely() -> None:
    A = scorch.tensor(operands((5, 4, 6), "abc->ab")[0], "csf")
    m = scorch.compute("m[j,k] max= where(stored(A[i,j,k]), A[i,j,k], absent)", A=A)
    found = scorch.compute("e[i,j,k] = where(stored(A[i,j,k]), A[i,j,k] - m[j,k], absent)", A=A, m=m)
    assert found.nnz == A.nnz

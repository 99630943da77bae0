"""Memory that is not there is refused before it is asked for, with a way out."""

from __future__ import annotations

import pytest
import torch

import scorch
from scorch import engine
from scorch.errors import ShapeError
from scorch.formats import memory
from scorch.formats.levels import level

HUGE = 2**34


@pytest.fixture(autouse=True)
def small_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "machine_memory", lambda: float(1 << 30))


@pytest.fixture
def scattered() -> scorch.Tensor:
    coords = torch.tensor([[1, 5, HUGE - 1], [HUGE - 1, 7, 0]])
    return scorch.from_coo(coords, [1.0, 2.0, 3.0], (HUGE, HUGE))


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("notation", ["ij,jk->ik", "ij,ij->ij", "ij,kj->ik", "ij->ji"])
def test_huge_extents_by_default(notation: str, scattered: scorch.Tensor) -> None:
    """No level of the result is as long as a dimension, and every coordinate is right."""
    operands = [scattered] * len(notation.split("->")[0].split(","))
    result = scorch.einsum(notation, *operands)
    found = {tuple(c): v for c, v in zip(result.validate().coords().T.tolist(), result.values.tolist(), strict=True)}
    places = {(1, HUGE - 1): 1.0, (5, 7): 2.0, (HUGE - 1, 0): 3.0}
    wanted = {
        "ij,jk->ik": {(1, 0): 3.0},
        "ij,ij->ij": {c: v * v for c, v in places.items()},
        "ij,kj->ik": {(c[0], c[0]): v * v for c, v in places.items()},
        "ij->ji": {(j, i): v for (i, j), v in places.items()},
    }
    assert found == wanted[notation]
    assert result.nbytes < 1000


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("out_format", ["csr", "csc", "bitmap"])
def test_a_level_as_long_as_a_huge_dimension(out_format: str, scattered: scorch.Tensor) -> None:
    with pytest.raises(ShapeError, match=r"would take 128.0 GiB, and there are 1.0 GiB; .*out_format='coo' or 'dcsr'"):
        scorch.einsum("ij,jk->ik", scattered, scattered, out_format=out_format)
    with pytest.raises(ShapeError, match=r"would take 128.0 GiB"):
        scattered.to(out_format)


@pytest.mark.usefixtures("plain")
def test_dense_results(scattered: scorch.Tensor) -> None:
    with pytest.raises(ShapeError, match=r"has 295147905179352825856 places, over the limit of 2\^63 - 1"):
        scattered.to_dense()
    with pytest.raises(ShapeError, match=r"dense result of shape \(17179869184,\) would take 64.0 GiB"):
        scorch.einsum("ij->i", scattered)
    assert scorch.einsum("ij->i", scattered, out_format="coo").coords().tolist() == [[1, 5, HUGE - 1]]
    with pytest.raises(ShapeError, match=r"would take 3.7 GiB"):
        scorch.einsum("i,j->ij", torch.ones(100_000), torch.ones(10_000))


@pytest.mark.usefixtures("plain")
def test_products_of_extents_beyond_64_bits() -> None:
    wide = 2**40
    B = scorch.from_coo(torch.tensor([[0, wide - 1], [wide - 1, 0], [3, 4]]), [1.0, 2.0], (wide, wide, wide))
    assert B.to(scorch.formats.csf(3, (2, 1, 0))).to("coo").coords().tolist() == B.coords().tolist()
    assert scorch.einsum("ijk,ijk->", B, B).item() == 5.0
    assert scorch.einsum("ijk->ij", B).coords().tolist() == [[0, wide - 1], [wide - 1, 0]]


@pytest.mark.usefixtures("plain")
def test_coordinates_widen_with_the_extent(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for extents over 2^31, with a limit that a small matrix exceeds."""
    a = torch.tensor([[0.0, 1.0, 0.0], [2.0, 0.0, 3.0], [0.0, 0.0, 4.0]])
    narrow = scorch.tensor(a, format="csr")
    assert narrow.level_arrays[1]["crd"].dtype == torch.int32
    monkeypatch.setattr(level, "NARROW_LIMIT", 2)
    engine.kept.forget()
    wide = scorch.tensor(a, format="csr")
    assert wide.level_arrays[1]["crd"].dtype == torch.int64
    for A in (narrow, wide, narrow.to("coo").to("csc"), wide.to("dcsr")):
        made = scorch.einsum("ij,jk->ik", A, wide, out_format="csr")
        assert made.level_arrays[1]["pos"].dtype == torch.int64
        assert torch.equal(made.to_dense(), a @ a)
        assert torch.equal(made.to_torch().to_dense(), a @ a)
    engine.kept.forget()


@pytest.mark.usefixtures("plain")
def test_coordinates_that_fit_no_64_bit_key(monkeypatch: pytest.MonkeyPatch) -> None:
    from scorch.formats import coordinates

    monkeypatch.setattr(coordinates, "INDEX_LIMIT", 5)
    A = scorch.from_coo([[2, 0, 2], [1, 3, 1]], [1.0, 2.0, 3.0], (3, 4))
    assert A.coords().tolist() == [[0, 2], [3, 1]]
    assert A.values.tolist() == [2.0, 4.0]

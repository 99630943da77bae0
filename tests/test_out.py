"""Dense results in memory that is given for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import scorch
from scorch import contraction
from scorch.errors import DtypeError, FormatError, ShapeError, UnsupportedError

SMALL, LARGE = 8, 256  # columns of results that are copied, and that kernels may write to where they are wanted
ROWS = 300


def operands(columns: int, dtype: torch.dtype = torch.float32) -> tuple[scorch.Tensor, torch.Tensor]:
    dense = torch.randn(ROWS, ROWS, dtype=dtype) * (torch.rand(ROWS, ROWS) < 0.05)
    return scorch.tensor(dense, "csr"), torch.randn(ROWS, columns, dtype=dtype)


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4, check_dtype=False)


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """The memory that results were copied into."""
    made: list[torch.Tensor] = []
    copied = contraction._copied

    def spy(result: Any, out: torch.Tensor) -> torch.Tensor:
        made.append(out)
        return copied(result, out)

    monkeypatch.setattr(contraction, "_copied", spy)
    return made


def test_a_large_result_is_written_where_it_is_wanted(copies: list[torch.Tensor]) -> None:
    A, B = operands(LARGE)
    out = torch.full((ROWS, LARGE), torch.nan)
    for _ in range(3):
        version = out._version
        assert scorch.einsum("ik,kj->ij", A, B, out=out) is out
        assert out._version > version
        close(out, A.to_dense() @ B)
    assert copies == []


def test_a_small_one_is_copied(copies: list[torch.Tensor]) -> None:
    A, B = operands(SMALL)
    out = torch.full((ROWS, SMALL), torch.nan)
    for _ in range(10):
        assert scorch.einsum("ik,kj->ij", A, B, out=out) is out
    close(out, A.to_dense() @ B)
    assert len(copies) == 10


@pytest.mark.parametrize(
    "out",
    [
        torch.empty(LARGE, ROWS).t(),
        torch.empty(ROWS, 2 * LARGE)[:, ::2],
        torch.empty(ROWS, LARGE, dtype=torch.float64),
    ],
    ids=["turned", "every other", "float64"],
)
def test_other_memory_takes_a_copy(out: torch.Tensor, copies: list[torch.Tensor]) -> None:
    A, B = operands(LARGE)
    assert scorch.einsum("ik,kj->ij", A, B, out=out) is out
    close(out, A.to_dense() @ B)
    assert len(copies) == 1


@pytest.mark.parametrize("numpy", [False, True])
def test_an_operands_own_memory_is_not_written_before_it_was_read(numpy: bool, copies: list[torch.Tensor]) -> None:
    A, B = operands(ROWS)
    expected = A.to_dense() @ B
    given: Any = B.numpy() if numpy else B
    assert scorch.einsum("ik,kj->ij", A, given, out=B) is B
    close(B, expected)
    assert len(copies) == 1


@pytest.mark.parametrize("kind", ["turned", "every other column", "every other row of numpy's"])
def test_views_of_that_memory_neither(kind: str) -> None:
    A, room = operands(2 * ROWS)
    views: dict[str, tuple[Any, torch.Tensor]] = {
        "turned": (room[:, :ROWS].contiguous().t(), torch.empty(0)),
        "every other column": (room[:, ::2], room.view(-1)[: ROWS * ROWS].view(ROWS, ROWS)),
        "every other row of numpy's": (room.view(2 * ROWS, ROWS).numpy()[::2], room.view(2 * ROWS, ROWS)[:ROWS]),
    }
    given, out = views[kind]
    out = given.t() if kind == "turned" else out
    expected = A.to_dense() @ torch.as_tensor(given)
    scorch.einsum("ik,kj->ij", A, given, out=out)
    close(out, expected)


def test_part_of_an_operands_memory_too(copies: list[torch.Tensor]) -> None:
    A, _ = operands(LARGE)
    room = torch.randn(ROWS + 1, LARGE)
    expected = A.to_dense() @ room[1:]
    scorch.einsum("ik,kj->ij", A, room[1:], out=room[:ROWS])
    close(room[:ROWS], expected)
    assert len(copies) == 1


def test_what_torch_multiplies_is_copied(copies: list[torch.Tensor]) -> None:
    x = torch.randn(400, 400)
    out = torch.empty(400, 400)
    assert scorch.einsum("ik,kj->ij", x, x, out=out) is out
    close(out, x @ x)


@pytest.mark.parametrize("columns", [SMALL, LARGE])
def test_what_does_not_fit_is_told(columns: int) -> None:
    A, B = operands(columns)
    before = torch.full((ROWS + 1, columns), 3.0)
    with pytest.raises(ShapeError, match="out has the shape"):
        scorch.einsum("ik,kj->ij", A, B, out=before)
    assert bool((before == 3).all())
    with pytest.raises(DtypeError, match="cannot be stored as"):
        scorch.einsum("ik,kj->ij", A, B, out=torch.empty(ROWS, columns, dtype=torch.int32))
    with pytest.raises(FormatError, match="the result is sparse"):
        scorch.einsum("ij,ij->ij", A, A, out=torch.empty(ROWS, ROWS))
    with pytest.raises(FormatError, match=r"dense torch\.Tensor"):
        scorch.einsum("ik,kj->ij", A, B, out=np.empty((ROWS, columns), np.float32))  # type: ignore[arg-type]


def test_gradients() -> None:
    A, B = operands(LARGE)
    with pytest.raises(UnsupportedError, match="out= cannot be recorded"):
        scorch.einsum("ik,kj->ij", A, B.requires_grad_(), out=torch.empty(ROWS, LARGE))
    leaf = torch.empty(ROWS, LARGE, requires_grad=True)
    with pytest.raises(RuntimeError, match="in-place"):
        scorch.einsum("ik,kj->ij", A, B.detach(), out=leaf)


def test_what_was_saved_for_gradients_may_not_be_overwritten() -> None:
    A, B = operands(LARGE)
    weight = torch.ones(ROWS, LARGE, requires_grad=True)
    saved = torch.ones(ROWS, LARGE)
    loss = (weight * saved).sum()
    scorch.einsum("ik,kj->ij", A, B, out=saved)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()

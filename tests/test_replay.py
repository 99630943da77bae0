"""Statements that come again run their programs at once, on operands whose structure is that of the last time's."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import scorch
from scorch.engine import statements

pytestmark = pytest.mark.usefixtures("plain")
SEVERAL = "m max= A[i,k]; y[i] = A[i,k] * x[k] / m"


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each run of statements that was planned, or looked up, step by step."""
    seen: list[int] = []
    fused = statements.fused

    def counted(run: Any, *rest: Any) -> Any:
        seen.append(len(run))
        return fused(run, *rest)

    monkeypatch.setattr(statements, "fused", counted)
    return seen


def matrix(scale: float = 1.0) -> torch.Tensor:
    return torch.tensor([[0.0, 2.0, 1.0], [0.0, 0.0, 0.0], [4.0, 0.0, 0.0]]) * scale


def expected(dense: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return dense @ x / dense.amax()


def test_the_second_call_runs_the_programs_of_the_first(runs: list[int]) -> None:
    A, x = scorch.tensor(matrix(), "csr"), torch.tensor([1.0, 2.0, 3.0])
    assert torch.equal(scorch.compute(SEVERAL, A=A, x=x), expected(matrix(), x))
    planned = len(runs)
    for scale in (2.0, 0.5):
        again = A.with_values(A.values * scale)
        assert torch.allclose(scorch.compute(SEVERAL, A=again, x=x * scale), expected(matrix(scale), x * scale))
    assert len(runs) == planned > 1


def test_other_structures_are_planned_anew(runs: list[int]) -> None:
    A, x = scorch.tensor(matrix(), "csr"), torch.tensor([1.0, 2.0, 3.0])
    scorch.compute(SEVERAL, A=A, x=x)
    for other, y in ((scorch.tensor(matrix().T.contiguous(), "csr"), x), (A, x.double()), (A.to("csc"), x)):
        planned = len(runs)
        found = scorch.compute(SEVERAL, A=other, x=y)
        assert torch.allclose(found, expected(other.to_dense().to(y.dtype), y))
        assert len(runs) > planned


def test_sparse_temporaries_on_the_pattern_of_an_operand_come_again(
    runs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements.fuse, "runs", lambda _: ())  # a kernel for each
    text = """
        S[i,j,h] = where(stored(A[i,j]), A[i,j] * r[j,h], absent)
        m[i,h] max= where(stored(S[i,j,h]), S[i,j,h], absent)
        O[i,h] += where(stored(S[i,j,h]), S[i,j,h] - m[i,h], absent)
    """
    dense, r = matrix(), torch.rand(3, 4)
    A = scorch.tensor(dense, "csr")
    for scale in (1.0, 2.0, -1.0):
        scores = torch.where((dense != 0)[..., None], scale * dense[..., None] * r, torch.nan)
        top = scores.nan_to_num(-torch.inf).amax(1)
        wanted = (scores - top[:, None]).nan_to_num(0).sum(1)
        found = scorch.compute(text, A=A.with_values(A.values * scale), r=r, out_format="dense")
        torch.testing.assert_close(found, wanted)
        assert len(runs) == 3  # of the first call


def test_sparse_temporaries_are_looked_at_each_time() -> None:
    text = "T[i,j] = A[i,k] * A[k,j]; y[i] max= T[i,j] * T[i,j]"
    for scale in (1.0, 3.0, 1.0):
        dense = matrix(scale)
        found = scorch.compute(text, A=scorch.tensor(dense, "csr"))
        assert torch.equal(found, (dense @ dense).square().amax(1))


def test_gradients_are_recorded_after_a_call_without(runs: list[int]) -> None:
    A, x = scorch.tensor(matrix(), "csr"), torch.tensor([1.0, 2.0, 3.0])
    plain = scorch.compute(SEVERAL, A=A, x=x)
    own = x.clone().requires_grad_()
    recorded = scorch.compute(SEVERAL, A=A, x=own)
    recorded.sum().backward()
    assert torch.equal(plain, recorded.detach())
    assert own.grad is not None
    assert torch.allclose(own.grad, matrix().sum(0) / matrix().amax())


def test_settings_are_told_apart() -> None:
    A, x = scorch.tensor(matrix(), "csr"), torch.tensor([1.0, 2.0, 3.0])
    scorch.compute(SEVERAL, A=A, x=x)
    with scorch.config.using(threads=1):
        assert torch.equal(scorch.compute(SEVERAL, A=A, x=x), expected(matrix(), x))


def test_functions_of_several_kernels_come_again() -> None:
    for scale in (1.0, 2.0):
        A = scorch.tensor(matrix(scale), "csr")
        for _ in range(2):
            assert torch.allclose(torch.softmax(A, 1).to_dense().sum(1), torch.tensor([1.0, 0.0, 1.0]))


def test_compiled_functions_run_the_programs_of_the_last_call(runs: list[int]) -> None:
    function = scorch.compile(lambda A, x: (A @ x).relu() + (A @ x).sum())
    A, x = scorch.tensor(matrix(), "csr"), torch.tensor([1.0, 2.0, 3.0])
    product = matrix() @ x
    for _ in range(3):
        planned = len(runs)
        assert torch.equal(function(A, x), product.relu() + product.sum())
    assert len(runs) == planned

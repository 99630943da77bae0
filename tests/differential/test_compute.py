"""Statements over operands in many formats against torch on dense tensors."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

import scorch
from scorch.errors import UnsupportedError
from tests.differential.chooser import Chooser
from tests.differential.expressions import sample
from tests.differential.oracle import build, dense_of

INF = float("inf")
Dense = torch.Tensor


def masked(mask: Dense, x: Dense) -> Dense:
    return torch.where(mask != 0, x, torch.zeros((), dtype=x.dtype))


def softmax(a: Dense) -> Dense:
    return masked(a, torch.softmax(torch.where(a != 0, a, torch.tensor(-INF, dtype=a.dtype)), 1).nan_to_num())


FORMATS = ("dense", "csr", "csc", "coo", "dcsr")

# the text, what torch makes of the dense operands, and the result's format where one is needed
A_B: list[tuple[str, Callable[[Dense, Dense], Dense], str | None]] = [
    ("C[i,j] = A[i,j] + B[i,j]", lambda a, b: a + b, None),
    ("C[i,j] = A[i,j] - B[i,j] * 2", lambda a, b: a - b * 2, None),
    ("C[i,j] = A[i,j] + B[i,j] + A[i,j] * B[i,j]", lambda a, b: a + b + a * b, None),
    ("C[j,i] = max(A[i,j], B[i,j])", lambda a, b: torch.maximum(a, b).T, None),
    ("C[i,j] = min(A[i,j], B[i,j], -1)", lambda a, b: torch.minimum(torch.minimum(a, b), -torch.ones_like(a)), "dense"),
    ("C[i,j] = A[i,j] != B[i,j]", lambda a, b: a != b, None),
    ("C[i,j] = A[i,j] == B[i,j]", lambda a, b: a == b, "dense"),
    ("C[i,j] = where(A[i,j] > B[i,j], A[i,j], 0)", lambda a, b: torch.where(a > b, a, torch.zeros_like(a)), None),
    ("C[i,j] = where(stored(A[i,j]), B[i,j] + 1, absent)", lambda a, b: masked(a, b + 1), None),
    ("C[i,j] = where(A[i,j] > 0, A[i,j] * 2, absent)", lambda a, b: masked(a > 0, a * 2) + 0 * b, None),
    ("C[i] = A[i,j] * B[i,j] + A[i,j]", lambda a, b: (a * b + a).sum(1), None),
    ("C[i] max= A[i,j] * B[i,j]", lambda a, b: (a * b).amax(1), None),
    ("C[j] min= A[i,j] + B[i,j]", lambda a, b: (a + b).amin(0), None),
    ("c max= A[i,j] - B[i,j]", lambda a, b: (a - b).amax(), None),
    ("c *= A[i,j] + B[i,j] + 2", lambda a, b: (a + b + 2).prod(), None),
    ("C[i] += exp(A[i,j] - B[i,j])", lambda a, b: (a - b).exp().sum(1), None),
    ("C[i,k] = A[i,j] * B[k,j]", lambda a, b: a @ b.T, None),
    ("C[i,k] max= A[i,j] * B[k,j]", lambda a, b: (a[:, None] * b[None]).amax(2), "dense"),
    ("C[i,j] = exp(A[i,j]) * B[i,j]", lambda a, b: a.exp() * b, None),
    ("C[i,j] = sqrt(abs(A[i,j])) + tanh(B[i,j])", lambda a, b: a.abs().sqrt() + b.tanh(), None),
    ("C[i,j] = A[i,j] ** 2 - relu(B[i,j])", lambda a, b: a**2 - b.relu(), None),
    ("C[i] |= A[i,j] > B[i,j]", lambda a, b: (a > b).any(1), None),
    ("C[i] &= A[i,j] >= B[i,j]", lambda a, b: (a >= b).all(1), None),
    ("c += A[i,j] > B[i,j]", lambda a, b: (a > b).sum(), None),
    ("T[i] = A[i,j]; C[i,j] = B[i,j] * T[i]", lambda a, b: b * a.sum(1, keepdim=True), None),
    ("C[i,j] = (A[i,j] + B[i,j]) * (A[i,j] - B[i,j])", lambda a, b: (a + b) * (a - b), None),
    ("C[i] = A[i,j] / (B[i,j] * B[i,j] + 1)", lambda a, b: (a / (b * b + 1)).sum(1), None),
]


@pytest.mark.parametrize(("text", "expected", "out"), A_B, ids=[text for text, *_ in A_B])
@pytest.mark.usefixtures("plain")
def test_two_matrices(text: str, expected: Callable[[Dense, Dense], Dense], out: str | None) -> None:
    rng = np.random.default_rng(7)
    a, b = (rng.integers(-3, 4, (5, 4)) * (rng.random((5, 4)) < 0.5) * 1.0 for _ in range(2))
    a[2], b[:, 1] = 0, 0
    wanted = expected(torch.from_numpy(a), torch.from_numpy(b))
    for left, right in sample(product(FORMATS, FORMATS), 3, offset=len(text)):
        if "stored" in text and left == "dense":
            continue  # a dense tensor stores every place
        result = evaluated(text, out, build(a, left), build(b, right))
        np.testing.assert_allclose(dense(result), wanted.numpy(), err_msg=f"{left}, {right}: {result}")
        assert result.dtype == wanted.dtype


def evaluated(text: str, out: str | None, A: scorch.Tensor, B: scorch.Tensor) -> Any:
    """The result over those of the operands that the text reads."""
    read = {name: x for name, x in (("A", A), ("B", B)) if f"{name}[" in text}
    return scorch.compute(text, out_format=out, **read)


def dense(result: Any) -> Any:
    """A result as a numpy array, its fill included."""
    if isinstance(result, torch.Tensor):
        return result.numpy()
    if result.fill == 0:
        return dense_of(result)
    return result.to_dense().numpy()


@pytest.mark.usefixtures("plain")
def test_softmax_runs_over_stored_entries() -> None:
    rng = np.random.default_rng(1)
    a = rng.normal(size=(6, 5)) * (rng.random((6, 5)) < 0.5)
    a[3] = 0
    text = """
        m[i] max= where(stored(A[i,j]), A[i,j], absent)
        e[i,j] = where(stored(A[i,j]), exp(A[i,j] - m[i]), absent)
        s[i] += e[i,j]
        C[i,j] = e[i,j] / s[i]
    """
    for format in ("csr", "csc", "coo", "dcsr"):
        result = scorch.compute(text, A=build(a, format))
        np.testing.assert_allclose(dense(result), softmax(torch.from_numpy(a)).numpy(), rtol=1e-6, err_msg=format)


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("format", ["csr", "csc", "coo", "dcsr"])
def test_min_plus_product(format: str) -> None:
    rng = np.random.default_rng(2)
    a = np.where(rng.random((5, 6)) < 0.4, rng.integers(1, 9, (5, 6)), INF)
    b = np.where(rng.random((6, 4)) < 0.4, rng.integers(1, 9, (6, 4)), INF)
    A, B = (scorch.tensor(x, format=format, fill=INF) for x in (a, b))
    result = scorch.compute("D[i,j] min= A[i,k] + B[k,j]", A=A, B=B)
    assert isinstance(result, scorch.Tensor)
    assert result.fill == INF
    np.testing.assert_array_equal(result.to_dense().numpy(), (a[:, :, None] + b[None]).min(1))


@pytest.mark.usefixtures("plain")
def test_a_reduction_counts_absent_entries_as_the_fill() -> None:
    a = np.array([[1.0, 2.0], [0.0, 3.0], [0.0, 0.0]])
    A = scorch.tensor(a, format="csr", fill=0)
    assert scorch.compute("c[i] min= A[i,k]", A=A).tolist() == [1.0, 0.0, 0.0]
    F = scorch.from_coo([[0, 1], [0, 1]], [5.0, -7.0], (3, 2), format="csr", fill=2.0)
    assert scorch.compute("c[i] max= A[i,k]", A=F).tolist() == [5.0, 2.0, 2.0]
    assert scorch.compute("c[i] += A[i,k]", A=F).tolist() == [7.0, -5.0, 4.0]
    assert scorch.compute("c[i] *= A[i,k]", A=F).tolist() == [10.0, -14.0, 4.0]


@pytest.mark.usefixtures("plain")
def test_an_absent_entry_annihilates_whatever_it_meets() -> None:
    A = scorch.tensor(torch.tensor([[1.0, 0.0], [0.0, 2.0]]).to_sparse_csr())
    x = torch.tensor([INF, float("nan")])
    result = scorch.compute("C[i,j] = A[i,j] * x[j]", A=A, x=x)
    assert result.to_dense()[0].tolist() == [INF, 0.0]
    assert scorch.compute("c[j] = A[i,j] * x[j]", A=A, x=x)[0] == INF


@pytest.mark.usefixtures("plain")
def test_a_result_that_would_fill_up_must_be_asked_for() -> None:
    A = scorch.tensor(torch.eye(3).to_sparse_csr())
    with pytest.raises(UnsupportedError, match="out_format='dense'"):
        scorch.compute("C[i,j] = exp(A[i,j])", A=A)
    asked = scorch.compute("C[i,j] = exp(A[i,j])", A=A, out_format="dense")
    torch.testing.assert_close(asked, torch.eye(3).exp())
    filled = scorch.compute("C[i,j] = exp(A[i,j])", A=A, out_format="csr")
    assert isinstance(filled, scorch.Tensor)
    assert (filled.fill, filled.nnz) == (1.0, 3)
    torch.testing.assert_close(filled.to_dense(), torch.eye(3).exp())


@pytest.mark.parametrize(("text", "expected", "out"), A_B[::2], ids=[text for text, *_ in A_B[::2]])
def test_any_plan_will_do(
    text: str, expected: Callable[[Dense, Dense], Dense], out: str | None, chooser: Chooser
) -> None:
    rng = np.random.default_rng(9)
    a, b = (rng.integers(-3, 4, (7, 5)) * (rng.random((7, 5)) < 0.4) * 1.0 for _ in range(2))
    wanted = expected(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    for seed, (left, right) in enumerate([("csr", "csr"), ("dcsr", "csc"), ("coo", "dense"), ("csr", "dcsr")]):
        chooser.restart(seed)
        A, B = build(a, left, rng), build(b, right, rng)
        np.testing.assert_allclose(dense(evaluated(text, out, A, B)), wanted, err_msg=str(seed))


@pytest.mark.compiled
def test_compiled_kernels_give_the_same() -> None:
    rng = np.random.default_rng(3)
    a, b = (rng.integers(-3, 4, (40, 30)) * (rng.random((40, 30)) < 0.2) * 1.0 for _ in range(2))
    for text, expected, out in A_B[::4]:
        result = evaluated(text, out, build(a, "csr"), build(b, "csr"))
        wanted = expected(torch.from_numpy(a), torch.from_numpy(b))
        np.testing.assert_allclose(dense(result), wanted.numpy(), err_msg=text)


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("format", ["csr", "csc", "coo", "compressed, dense"])
def test_operands_of_one_pattern_are_computed_on_their_values(format: str) -> None:
    rng = np.random.default_rng(4)
    a = rng.integers(1, 4, (5, 4)) * (rng.random((5, 4)) < 0.5) * 1.0
    A = build(a, format)
    B = A.with_values(A.values * 3)
    told = scorch.explain("C[i,j] = A[i,j] * 2 - max(B[i,j], 0)", A=A, B=B)
    assert "one pattern, which the result shares" in str(told)
    result = scorch.compute("C[i,j] = A[i,j] * 2 - B[i,j] / s", A=A, B=B, s=2.0)
    assert isinstance(result, scorch.Tensor)
    assert result._storage.pattern is A._storage.pattern
    np.testing.assert_allclose(dense(result), a / 2)
    moved = scorch.compute("C[j,i] = A[i,j] + B[i,j]", A=A, B=B)
    np.testing.assert_allclose(dense(moved), 4 * a.T)


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("format", ["csr", "csc", "coo", "dcsr"])
def test_a_masked_temporary_has_no_value_elsewhere(format: str) -> None:
    a = np.array([[-1.0, 0.0, -2.0], [0.0, -5.0, 0.0]])
    text = """
        S[i,j] = where(stored(A[i,j]), A[i,j], absent)
        m[i] max= S[i,j]
        e[i,j] = exp(S[i,j] - m[i])
        s[i] += e[i,j]
        C[i,j] = e[i,j] / s[i]
    """
    found = dense(scorch.compute(text, A=build(a, format)))
    np.testing.assert_allclose(found, softmax(torch.from_numpy(a)).numpy(), rtol=1e-6)


@pytest.mark.usefixtures("plain")
def test_bits_and_truth_values() -> None:
    assert scorch.compute("c &= B[i]", B=torch.tensor([7, 3, 11])).item() == 3
    assert scorch.compute("C[i] = (A[i] > 0) | (A[i] > 5)", A=torch.tensor([1.0, -1.0])).tolist() == [True, False]
    assert scorch.compute("C[i] = A[i] - (B[i] - 1)", A=torch.ones(2), B=torch.ones(2)).tolist() == [1.0, 1.0]

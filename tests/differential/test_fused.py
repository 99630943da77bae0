"""Statements in one kernel against the same statements one by one, and against torch."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

import scorch
from scorch import engine
from scorch.ir.plan import Plan

N, D = 19, 21

SOFTMAX = """
m[i] max= where(stored(A[i,j]), A[i,j], absent)
E[i,j] = where(stored(A[i,j]), exp(A[i,j] - m[i]), absent)
s[i] += E[i,j]
C[i,j] = E[i,j] / s[i]
"""
ATTENTION = """
S[i,j] = where(stored(M[i,j]), Q[i,d] * K[j,d], absent)
m[i] max= where(stored(S[i,j]), S[i,j], absent)
E[i,j] = where(stored(S[i,j]), exp(S[i,j] - m[i]), absent)
s[i] += E[i,j]
O[i,e] = E[i,j] * V[j,e] / s[i]
"""
BATCHED = (
    ATTENTION.replace("S[i,j]", "S[b,h,i,j]")
    .replace("E[i,j]", "E[b,h,i,j]")
    .replace("m[i]", "m[b,h,i]")
    .replace("s[i]", "s[b,h,i]")
)
for name in "QKVO":
    BATCHED = BATCHED.replace(f"{name}[", f"{name}[b,h,")
EDGES = """
S[i,j] = where(stored(A[i,j]), max(l[i] + r[j], 0.2 * (l[i] + r[j])), absent)
m[i] max= where(stored(S[i,j]), S[i,j], absent)
E[i,j] = where(stored(S[i,j]), exp(S[i,j] - m[i]), absent)
s[i] += E[i,j]
O[i,e] = E[i,j] * X[j,e] / s[i]
"""
HEADS = """
S[i,j,h] = where(stored(A[i,j]), l[i,h] + r[j,h], absent)
m[i,h] max= where(stored(S[i,j,h]), S[i,j,h], absent)
E[i,j,h] = where(stored(S[i,j,h]), exp(S[i,j,h] - m[i,h]), absent)
s[i,h] += E[i,j,h]
O[i,h,e] = E[i,j,h] * X[j,h,e] / s[i,h]
"""
NORMALISED = """
n[i] += where(stored(A[i,j]), A[i,j] * 0 + 1, absent)
t[i] += A[i,j]
u[i] = t[i] / n[i]
v[i] += where(stored(A[i,j]), (A[i,j] - u[i]) ** 2, absent)
C[i,j] = where(stored(A[i,j]), (A[i,j] - u[i]) / sqrt(v[i] / n[i] + 0.1), absent)
"""
SQUARES = NORMALISED.replace("(A[i,j] - u[i]) ** 2", "(A[i,j] - u[i]) * (A[i,j] - u[i])")
DENSE_SOFTMAX = """
m[i] max= X[i,j]
E[i,j] = exp(X[i,j] - m[i])
s[i] += E[i,j]
C[i,j] = E[i,j] / s[i]
"""
WEIGHTED = "S[i,j] = M[i,j] * Q[i,d] * K[j,d]; n[i] += S[i,j] * S[i,j]; O[i,e] = S[i,j] * V[j,e] / sqrt(n[i])"
LAYER = "H[i,j] = max(A[i,k] * X[k,j] + b[j], 0)"
NORMED_LAYER = "T[i,j] += A[i,k] * X[k,j]; H[i,j] = relu(d[i] * T[i,j] + X[i,j] * 0.5 + b[j])"
SIGMOID = "H[i,j] = sigmoid(A[i,k] * X[k,j] - b[j])"
ENTRIES = "S[i,j] += A[i,j] * Q[i,d] * K[j,d]; C[i,j] = where(stored(S[i,j]), exp(S[i,j]), absent)"
SCALED = "t[i] += A[i,k] * x[k]; y[i] = t[i] / (1 + abs(x[i]))"


def _matrix(format: str = "csr", dtype: torch.dtype = torch.float32) -> scorch.Tensor:
    """A matrix with rows of many lengths, each of at least one entry."""
    generator = torch.Generator().manual_seed(3)
    dense = torch.randn(N, N, generator=generator, dtype=dtype)
    kept = torch.rand(N, N, generator=generator) < torch.linspace(0, 1, N)[:, None]
    return scorch.tensor(torch.where(kept | torch.eye(N, dtype=torch.bool), dense, 0), format)


def _dense(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)), dtype=dtype)


def _operands(text: str, format: str, dtype: torch.dtype) -> dict[str, object]:
    batch = (2, 3) if "[b,h," in text else ()
    heads = (3,) if "h,e]" in text and not batch else ()
    given = {
        "A": _matrix(format, dtype),
        "M": _matrix(format, dtype),
        "Q": _dense(*batch, N, D, dtype=dtype),
        "K": _dense(*batch, N, D, dtype=dtype) / 3,
        "V": _dense(*batch, N, D, dtype=dtype),
        "X": _dense(N, *heads, N if text in (DENSE_SOFTMAX, NORMED_LAYER) else D, dtype=dtype),
        "b": _dense(N if text is NORMED_LAYER else D, dtype=dtype),
        "d": _dense(N, dtype=dtype),
        "l": _dense(N, *heads, dtype=dtype),
        "r": _dense(N, *heads, dtype=dtype) * 2,
        "x": _dense(N, dtype=dtype),
    }
    return {name: given[name] for name in given if f"{name}[" in text.replace("max=", "")}


def _one_by_one(monkeypatch: pytest.MonkeyPatch, call: Callable[[], object]) -> object:
    with monkeypatch.context() as patch:
        patch.setattr(engine.statements, "fused", lambda *_: (None, 1))
        return call()


def _to_dense(x: object) -> torch.Tensor:
    return x.to_dense() if isinstance(x, scorch.Tensor) else x  # type: ignore[return-value]


CASES = {
    "softmax": SOFTMAX,
    "attention": ATTENTION,
    "batched attention": BATCHED,
    "edge softmax": EDGES,
    "edge softmax with heads": HEADS,
    "rows normalised, squares by a product": SQUARES,
    "rows normalised, squares by a power": NORMALISED,
    "dense softmax": DENSE_SOFTMAX,
    "weighted by entries": WEIGHTED,
    "bias and relu": LAYER,
    "scaled, residual, bias and relu": NORMED_LAYER,
    "sigmoid": SIGMOID,
    "entries finished": ENTRIES,
    "scaled vector": SCALED,
}


@pytest.fixture(autouse=True)
def _uncompiled():
    with scorch.config.using(jit=False):
        yield


def _check(text: str, format: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch, one: bool = True) -> None:
    text = "; ".join(line for line in text.splitlines() if line)
    operands = _operands(text, format, dtype)
    if one:
        explained = scorch.explain(text, **operands)
        assert isinstance(explained.plan, Plan), f"{len(explained.plan)} kernels"
    fused = scorch.compute(text, **operands)
    apart = _one_by_one(monkeypatch, lambda: scorch.compute(text, **operands))
    assert type(fused) is type(apart)
    if isinstance(fused, scorch.Tensor):
        assert fused.format == apart.format
        assert fused.fill == apart.fill
        assert fused.dtype == apart.dtype
    torch.testing.assert_close(_to_dense(fused), _to_dense(apart), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("case", CASES)
def test_one_kernel_gives_what_several_give(case, dtype, monkeypatch):
    _check(CASES[case], "csr", dtype, monkeypatch)


@pytest.mark.parametrize("format", ["csc", "coo", "dcsr", "dense"])
@pytest.mark.parametrize(
    "case", ["softmax", "attention", "bias and relu", "entries finished", "rows normalised, squares by a product"]
)
def test_other_formats_give_the_same_fused_or_not(case, format, monkeypatch):
    _check(CASES[case], format, torch.float32, monkeypatch, one=False)


PLACED = HEADS.replace("E[i,j,h] * X", "2 * E[i,j,h] * X").replace("/ s[i,h]", "/ where(s[i,h] == 0, 1, s[i,h])")


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize(
    ("heads", "width"), [(1, 5), (2, 8), (3, 21), (8, 8), (9, 33), (17, 4), (26, 1), (40, 3)], ids=str
)
def test_heads_across_the_rows_of_one_kernel(heads, width, jit):
    generator = torch.Generator().manual_seed(heads)
    dense = torch.rand(N, N, generator=generator) * (torch.rand(N, N, generator=generator) > 0.7)
    dense[3] = 0  # a row without entries
    at, towards = torch.randn(2, N, heads, generator=generator)
    x = torch.randn(N, heads, width, generator=generator)
    with scorch.config.using(jit=jit):
        found = scorch.compute(PLACED, out_format="dense", A=scorch.tensor(dense, "csr"), l=at, r=towards, X=x)
    scores = (at[:, None] + towards[None]).masked_fill((dense == 0)[..., None], -torch.inf)
    wanted = torch.einsum("ijh,jhe->ihe", scores.softmax(1).nan_to_num(0), 2 * x)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", ["attention", "softmax", "bias and relu"])
def test_compiled_kernels_give_the_same(case):
    text = "; ".join(line for line in CASES[case].splitlines() if line)
    operands = _operands(CASES[case], "csr", torch.float32)
    wanted = _to_dense(scorch.compute(text, **operands))
    with scorch.config.using(jit=True):
        found = _to_dense(scorch.compute(text, **operands))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)

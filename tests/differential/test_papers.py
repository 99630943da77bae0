"""The example expressions of the papers that sparse tensor compilers and GraphBLAS are known for, against dense torch.

TACO: Kjolstad, Kamil, Chou, Lugato, Amarasinghe, "The Tensor Algebra Compiler" (OOPSLA 2017), and Kjolstad, Ahrens,
Kamil, Amarasinghe, "Tensor Algebra Compilation with Workspaces" (CGO 2019). Finch: Ahrens, Collin, Patel, Deeds, Hong,
Amarasinghe, "Finch: Sparse and Structured Tensor Programming with Control Flow" (OOPSLA 2025). GraphBLAS: Kepner et
al., "Mathematical Foundations of the GraphBLAS" (HPEC 2016), and Davis, "SuiteSparse:GraphBLAS" (ACM TOMS 2019).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

import scorch
from scorch.testing import build
from tests.differential.oracle import random_array

pytestmark = pytest.mark.usefixtures("plain")

ZERO = torch.tensor(0.0, dtype=torch.float64)
INFINITY = ZERO + float("inf")
EXTENTS = {"i": 4, "j": 4, "k": 4, "l": 3}


@dataclass(frozen=True)
class Example:
    """An expression, the format of each operand ("dense" or a sparse one), and what it is on dense tensors."""

    name: str
    text: str
    formats: dict[str, str]
    dense: Callable[..., torch.Tensor]
    out_format: str | None = None
    shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()

    def __str__(self) -> str:
        return self.name

    def operands(self) -> dict[str, Any]:
        rng = np.random.default_rng(len(self.name))
        made = {}
        for name, format in self.formats.items():
            shape = dict(self.shapes).get(name) or self._shape(name)
            array = random_array(rng, shape, 0.9 if format == "dense" else 0.5)
            made[name] = build(array, scorch.formats.resolve(format, len(shape)))
        return made

    def _shape(self, name: str) -> tuple[int, ...]:
        text = self.text.replace(" ", "")
        start = next(n for n in range(len(text)) if text.startswith(f"{name}[", n) and not text[n - 1 : n].isalnum())
        indices = text[start + len(name) + 1 : text.index("]", start)]
        return tuple(EXTENTS[v] for v in indices.split(","))


def e(notation: str, *operands: torch.Tensor) -> torch.Tensor:
    return torch.einsum(notation, *operands)


def stored(x: torch.Tensor) -> torch.Tensor:
    return x != 0


def both(A: torch.Tensor, B: torch.Tensor) -> torch.Tensor:
    """Where A[i,k] and B[k,j] are stored, over i, k, j."""
    return stored(A)[:, :, None] & stored(B)[None]


TACO = [
    Example("SpMV", "y[i] = A[i,j] * x[j]", {"A": "csr", "x": "dense"}, lambda A, x: A @ x),
    Example(
        "SDDMM",
        "A[i,j] = B[i,j] * C[i,k] * D[k,j]",
        {"B": "csr", "C": "dense", "D": "dense"},
        lambda B, C, D: B * (C @ D),
    ),
    Example(
        "PLUS3", "A[i,j] = B[i,j] + C[i,j] + D[i,j]", {"B": "csr", "C": "csr", "D": "dcsr"}, lambda B, C, D: B + C + D
    ),
    Example(
        "MATTRANSMUL",
        "y[i] = 2 * A[j,i] * x[j] + 3 * z[i]",
        {"A": "csr", "x": "dense", "z": "dense"},
        lambda A, x, z: 2 * A.T @ x + 3 * z,
    ),
    Example(
        "RESIDUAL", "y[i] = b[i] - A[i,j] * x[j]", {"b": "dense", "A": "csc", "x": "dense"}, lambda b, A, x: b - A @ x
    ),
    Example("PLUS2", "A[i,j,k] = B[i,j,k] + C[i,j,k]", {"B": "csf", "C": "csf"}, lambda B, C: B + C),
    Example("TTV", "A[i,j] = B[i,j,k] * c[k]", {"B": "csf", "c": "dense"}, lambda B, c: B @ c),
    Example("TTM", "A[i,j,k] = B[i,j,l] * C[k,l]", {"B": "csf", "C": "dense"}, lambda B, C: B @ C.T),
    Example(
        "MTTKRP",
        "A[i,j] = B[i,k,l] * C[k,j] * D[l,j]",
        {"B": "csf", "C": "dense", "D": "dense"},
        lambda B, C, D: e("ikl,kj,lj->ij", B, C, D),
    ),
    Example("INNERPROD", "a = B[i,j,k] * C[i,j,k]", {"B": "csf", "C": "csf"}, lambda B, C: (B * C).sum()),
    Example("workspace SpGEMM", "A[i,j] = B[i,k] * C[k,j]", {"B": "csr", "C": "csr"}, lambda B, C: B @ C, "csr"),
    Example("workspace addition", "A[i,j] = B[i,j] + C[i,j]", {"B": "csr", "C": "csr"}, lambda B, C: B + C, "csr"),
    Example(
        "sparse MTTKRP",
        "A[i,j] = B[i,k,l] * C[k,j] * D[l,j]",
        {"B": "csf", "C": "csr", "D": "csr"},
        lambda B, C, D: e("ikl,kj,lj->ij", B, C, D),
        "csr",
    ),
]

FINCH = [
    Example("triangles", "c = A[i,j] * A[j,k] * A[i,k]", {"A": "csr"}, lambda A: e("ij,jk,ik->", A, A, A)),
    Example(
        "row and column",
        "y[i] = A[i,j] * x[j] + A[j,i] * x[j]",
        {"A": "csr", "x": "dense"},
        lambda A, x: A @ x + A.T @ x,
    ),
    Example("inner-product SpGEMM", "C[i,j] = A[i,k] * B[k,j]", {"A": "csr", "B": "csc"}, lambda A, B: A @ B, "csr"),
    Example(
        "blend",
        "C[i,j] = round(0.25 * A[i,j] + 0.75 * B[i,j])",
        {"A": "csr", "B": "csr"},
        lambda A, B: (0.25 * A + 0.75 * B).round(),
    ),
    Example(
        "distances",
        "R[i] = A[i,j] ** 2; D[i,k] = sqrt(R[i] + R[k] - 2 * A[i,j] * A[k,j])",
        {"A": "csr"},
        lambda A: torch.cdist(A, A),
        "dense",
    ),
    Example(
        "relaxation",
        "E[j] min= D[i] + A[i,j]; F[j] = min(D[j], E[j])",
        {"D": "dense", "A": "csr"},
        lambda D, A: torch.minimum(D, (D[:, None] + A).amin(0)),
    ),
    Example(
        "where equal",
        "C[i,j] = where(A[i,j] == B[i,j], A[i,j], 0)",
        {"A": "csr", "B": "csr"},
        lambda A, B: torch.where(A == B, A, ZERO),
    ),
]

GRAPHBLAS = [
    Example(
        "max-plus",
        "C[i,j] max= where(stored(A[i,k]) & stored(B[k,j]), A[i,k] + B[k,j], absent)",
        {"A": "csr", "B": "csr"},
        lambda A, B: torch.where(stored(A)[:, :, None] & stored(B)[None], A[:, :, None] + B[None], -INFINITY).amax(1),
        "dense",
    ),
    Example(
        "min-max",
        "C[i,j] min= where(stored(A[i,k]) & stored(B[k,j]), max(A[i,k], B[k,j]), absent)",
        {"A": "csr", "B": "csr"},
        lambda A, B: torch.where(
            stored(A)[:, :, None] & stored(B)[None], torch.maximum(A[:, :, None], B[None]), INFINITY
        ).amin(1),
        "dense",
    ),
    Example(
        "or-and",
        "C[i,j] |= (A[i,k] != 0) & (B[k,j] != 0)",
        {"A": "csr", "B": "csr"},
        lambda A, B: (stored(A).double() @ stored(B).double()) > 0,
    ),
    Example(
        "any neighbour",
        "w[j] |= q[i] & (A[i,j] != 0)",
        {"q": "bool", "A": "csr"},
        lambda q, A: (q[:, None] & stored(A)).any(0),
    ),
    Example(
        "masked product",
        "C[i,j] = where(stored(M[i,j]), A[i,k] * B[k,j], absent)",
        {"M": "csr", "A": "csr", "B": "csr"},
        lambda M, A, B: torch.where(stored(M), A @ B, ZERO),
    ),
    Example(
        "complemented mask",
        "C[i,j] = where(stored(M[i,j]), absent, A[i,j])",
        {"M": "csr", "A": "csr"},
        lambda M, A: torch.where(stored(M), ZERO, A),
    ),
    Example("eWiseMult", "C[i,j] = A[i,j] * B[i,j]", {"A": "csr", "B": "csc"}, lambda A, B: A * B),
    Example("eWiseAdd", "C[i,j] = max(A[i,j], B[i,j])", {"A": "csr", "B": "csr"}, lambda A, B: torch.maximum(A, B)),
    Example(
        "accumulate",
        "D[i,j] = C[i,j] + A[i,k] * B[k,j]",
        {"C": "csr", "A": "csr", "B": "csr"},
        lambda C, A, B: C + A @ B,
        "csr",
    ),
    Example("apply", "C[i,j] = abs(A[i,j])", {"A": "csr"}, lambda A: A.abs()),
    Example(
        "select",
        "C[i,j] = where(A[i,j] > 1, A[i,j], absent)",
        {"A": "csr"},
        lambda A: torch.where(A > 1, A, ZERO),
    ),
    Example("reduce rows", "y[i] = A[i,j]", {"A": "csr"}, lambda A: A.sum(1)),
    Example("transpose", "C[j,i] = A[i,j]", {"A": "csr"}, lambda A: A.T),
    Example("Kronecker", "C[i,k,j,l] = A[i,j] * B[k,l]", {"A": "csr", "B": "csr"}, lambda A, B: e("ij,kl->ikjl", A, B)),
    Example("degrees", "d[i] += where(stored(A[i,j]), 1, 0)", {"A": "csr"}, lambda A: stored(A).sum(1)),
    Example(
        "PageRank step",
        "y[j] = 0.85 * A[i,j] * r[i] / d[i] + 0.15",
        {"A": "csr", "r": "dense", "d": "positive"},
        lambda A, r, d: 0.85 * (A * (r / d)[:, None]).sum(0) + 0.15,
    ),
    Example(
        "components step",
        "f[i] min= where(stored(A[i,j]), g[j], absent); h[i] = min(f[i], g[i])",
        {"A": "csr", "g": "dense"},
        lambda A, g: torch.minimum(torch.where(stored(A), g[None], INFINITY).amin(1), g),
    ),
]


@pytest.mark.parametrize("example", [*TACO, *FINCH, *GRAPHBLAS], ids=str)
def test_expression(example: Example) -> None:
    special = {
        "bool": torch.tensor([True, False, True, False]),
        "positive": torch.tensor([1.0, 2.0, 4.0, 1.0]).double(),
    }
    names = {name: format for name, format in example.formats.items() if format not in special}
    plain = Example(example.name, example.text, names, example.dense)
    operands = {**plain.operands(), **{name: special[f] for name, f in example.formats.items() if f in special}}
    dense = {name: x if isinstance(x, torch.Tensor) else x.to_dense() for name, x in operands.items()}
    result = scorch.compute(example.text, out_format=example.out_format, **operands)
    found = result if isinstance(result, torch.Tensor) else result.validate().to_dense()
    torch.testing.assert_close(found, example.dense(**dense), rtol=1e-6, atol=1e-6)
    if example.out_format not in (None, "dense"):
        assert isinstance(result, scorch.Tensor)
        assert result.format == scorch.formats.resolve(str(example.out_format), 2)

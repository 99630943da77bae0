"""Expressions that scipy takes several steps for: a table of statements and what they are by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import sparse

from asv_benchmarks.compare.model import Contender

__all__ = ["EXPRESSIONS", "SCIPY", "SCORCH", "Expression"]


@dataclass(frozen=True, slots=True)
class Expression:
    """A statement over A, B, C (sparse) and x, y (vectors), its result's format, and the same composed in scipy.

    `by_arrays`: the same on the arrays of scipy's matrices, where that is faster than scipy's own operations.
    """

    name: str
    text: str
    out_format: str
    by_hand: Callable[..., Any]
    by_arrays: Callable[..., Any] | None = None

    @property
    def operands(self) -> tuple[str, ...]:
        """The names that the statement reads."""
        return tuple(name for name in "ABCxy" if f"{name}[" in self.text)


def _rows(values: Any) -> Any:
    return sparse.diags_array(values)


def _sampled(mask: Any, a: Any, b: Any) -> Any:
    """The product, all of it, where the mask has entries."""
    return (a @ b).multiply(mask.astype(bool).astype(a.dtype))


def _normalised(a: Any) -> Any:
    sums = np.asarray(abs(a).sum(axis=1)).ravel()
    return _rows(np.divide(1, sums, out=np.zeros_like(sums), where=sums != 0).astype(a.dtype)) @ a


def _relu(a: Any) -> Any:
    np.maximum(a.data, 0, out=a.data)  # of a sum, which nobody else holds
    return a


def _both_sides(a: Any, x: Any, y: Any) -> Any:
    return _rows(x) @ a @ _rows(y)


def _with(a: Any, values: Any) -> Any:
    """The pattern of `a` with other values."""
    return sparse.csr_array((values, a.indices, a.indptr), shape=a.shape)


def _normalised_arrays(a: Any) -> Any:
    sizes = np.abs(a.data)
    sums = _with(a, sizes) @ np.ones(a.shape[1], a.dtype)
    return _with(a, a.data / np.repeat(sums, np.diff(a.indptr)))


def _both_sides_arrays(a: Any, x: Any, y: Any) -> Any:
    return _with(a, a.data * np.repeat(x, np.diff(a.indptr)) * y[a.indices])


EXPRESSIONS = {
    e.name: e
    for e in (
        Expression("A + B + C", "R[i,j] = A[i,j] + B[i,j] + C[i,j]", "csr", lambda a, b, c: a + b + c),
        Expression("2A + 3B", "R[i,j] = 2 * A[i,j] + 3 * B[i,j]", "csr", lambda a, b: 2 * a + 3 * b),
        Expression("A*B + C", "R[i,j] = A[i,j] * B[i,j] + C[i,j]", "csr", lambda a, b, c: a.multiply(b) + c),
        Expression("relu(A + B)", "R[i,j] = relu(A[i,j] + B[i,j])", "csr", lambda a, b: _relu(a + b)),
        Expression("max(A, B)", "R[i,j] = max(A[i,j], B[i,j])", "csr", lambda a, b: a.maximum(b)),
        Expression("diag(x) A diag(y)", "R[i,j] = x[i] * A[i,j] * y[j]", "csr", _both_sides, _both_sides_arrays),
        Expression("rows to 1", "s[i] += abs(A[i,j]); R[i,j] = A[i,j] / s[i]", "csr", _normalised, _normalised_arrays),
        Expression("(A + B) x", "r[i] = (A[i,j] + B[i,j]) * x[j]", "dense", lambda a, b, x: (a + b) @ x),
        Expression("A x + y", "r[i] = A[i,j] * x[j] + y[i]", "dense", lambda a, x, y: a @ x + y),
        Expression(
            "A @ B where C",
            "R[i,j] = where(stored(C[i,j]), A[i,k] * B[k,j], absent)",
            "csr",
            lambda a, b, c: _sampled(c, a, b),
        ),
    )
}


def _scorch(expression: Expression) -> Callable[..., Iterator[Contender]]:
    def contenders(*operands: Any) -> Iterator[Contender]:
        def build() -> Callable[[], Any]:
            import scorch

            made = {
                name: scorch.tensor(x) if sparse.issparse(x) else torch.from_numpy(x)
                for name, x in zip(expression.operands, operands, strict=True)
            }
            return lambda: scorch.compute(expression.text, out_format=expression.out_format, **made)

        yield Contender("scorch", build)

    return contenders


def _scipy(expression: Expression) -> Callable[..., Iterator[Contender]]:
    def contenders(*operands: Any) -> Iterator[Contender]:
        yield Contender("scipy", lambda: lambda: expression.by_hand(*operands))
        by_arrays = expression.by_arrays
        if by_arrays is not None:
            yield Contender("scipy's arrays", lambda: lambda: by_arrays(*operands))

    return contenders


SCORCH = {f"algebra {name}": _scorch(expression) for name, expression in EXPRESSIONS.items()}
SCIPY = {f"algebra {name}": _scipy(expression) for name, expression in EXPRESSIONS.items()}

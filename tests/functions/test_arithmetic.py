"""Arithmetic, comparison and functions of each value, against torch on the dense tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch

import scorch
from scorch import ShapeError, UnsupportedError
from tests.functions.agreement import CUBE_FORMATS, MATRIX_FORMATS, Function, check, dense_of, random_dense, sparse

D = torch.where(random_dense(4, 5, seed=3) == 0, 0.5, random_dense(4, 5, seed=3))
ROW, COLUMN = D[0], D[:, :1]

BOTH: dict[str, Function] = {  # of two sparse tensors of one shape
    "add": torch.add,
    "add alpha": lambda A, B: torch.add(A, B, alpha=3),
    "sub": torch.sub,
    "sub alpha": lambda A, B: A.sub(B, alpha=-2),
    "mul": torch.mul,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "max of two": torch.max,
    "ne": torch.ne,
    "lt": torch.lt,
    "gt": torch.gt,
    "+": lambda A, B: A + B,
    "-": lambda A, B: A - B,
    "*": lambda A, B: A * B,
    "!=": lambda A, B: A != B,
    "<": lambda A, B: A < B,
    ">": lambda A, B: A > B,
    "logical_and": torch.logical_and,
    "logical_or": torch.logical_or,
    "logical_xor": torch.logical_xor,
    "hypot": torch.hypot,
    "atan2": torch.atan2,
    "copysign": lambda A, B: torch.copysign(abs(A), B) + A,
    "where": lambda A, B: torch.where(A > 0, A, B),
    "where 0": lambda A, B: torch.where(A < B, B, 0.0),
    "lerp": lambda A, B: torch.lerp(A, B, 0.25),
    "addcmul": lambda A, B: torch.addcmul(A, A, B, value=2),
    "equal": torch.equal,
    "allclose": torch.allclose,
    "broadcast row": lambda A, B: A + B[0],
    "broadcast column": lambda A, B: A * B[:, :1],
    "broadcast both": lambda A, B: A[:1] * B[:, :1],
    "broadcast rank": lambda A, B: A[None] - B[:, None],
    "same": lambda A, B: A * A + A - A / 2,
    "polynomial": lambda A, B: 2 * A - B * 0.5 + A * B,
}

MIXED: dict[str, Function] = {  # of a sparse tensor
    "A * D": lambda A: A * D,
    "D * A": lambda A: D * A,
    "A / D": lambda A: A / D,
    "A + D": lambda A: A + D,
    "D - A": lambda A: D - A,
    "A - D": lambda A: A - D,
    "D + A": lambda A: D + A,
    "A * row": lambda A: A * ROW,
    "A / row": lambda A: A / ROW,
    "A * column": lambda A: A * COLUMN,
    "A / column": lambda A: A / COLUMN,
    "row + A": lambda A: ROW + A,
    "A // D": lambda A: A // D,
    "A % D": lambda A: A % D,
    "A > D": lambda A: A > D,
    "D <= A": lambda A: D <= A,
    "D == A": lambda A: D == A,
    "D ** A": lambda A: torch.abs(D) ** A,
    "maximum": lambda A: torch.maximum(A, D),
    "where mask": lambda A: torch.where(D > 0, A, 0.0),
    "where D": lambda A: torch.where(A > 0, A, D),
    "masked_fill": lambda A: A.masked_fill(D > 0, 0.0),
    "isclose": lambda A: torch.isclose(A, D),
    "equal": lambda A: torch.equal(A, D),
    "allclose": lambda A: torch.allclose(A, torch.zeros(4, 5, dtype=torch.float64)),
    "div floor": lambda A: torch.div(A, D, rounding_mode="floor"),
    "div trunc": lambda A: torch.div(A, D, rounding_mode="trunc"),
    "A * 0-d": lambda A: A * torch.tensor(2),
    "0-d * A": lambda A: torch.tensor(2.5, dtype=torch.float32) * A,
    "A * 2": lambda A: A * 2,
    "2 * A": lambda A: 2 * A,
    "A / 2": lambda A: A / 2,
    "A // 2": lambda A: A // 2,
    "A % 2": lambda A: A % 2,
    "A ** 2": lambda A: A**2,
    "A + 0": lambda A: A + 0,
    "A > 0.5": lambda A: A > 0.5,
    "A < 0": lambda A: A < 0,
    "A != 0": lambda A: A != 0,
    "0 < A": lambda A: 0 < A,
    "-A": lambda A: -A,
    "abs": abs,
    "+A": lambda A: +A,
    "rsub": lambda A: torch.rsub(A, D),
    "out=": lambda A: torch.mul(A, 2, out=torch.empty(4, 5, dtype=torch.float64)),
    "D += A": lambda A: D.clone().add_(A),
}

PRESERVING = (
    "abs", "neg", "sign", "square", "sqrt", "relu", "floor", "ceil", "trunc", "round", "expm1", "log1p", "sin",
    "tan", "asin", "atan", "sinh", "tanh", "asinh", "erf", "isnan", "isinf", "frac", "sgn", "deg2rad", "nan_to_num",
    "positive", "conj", "real",
)  # fmt: skip
UNARY: dict[str, Function] = {name: getattr(torch, name) for name in PRESERVING} | {
    "F.relu": torch.nn.functional.relu,
    "F.leaky_relu": torch.nn.functional.leaky_relu,
    "F.gelu": torch.nn.functional.gelu,
    "F.silu": torch.nn.functional.silu,
    "F.elu": torch.nn.functional.elu,
    "F.relu6": torch.nn.functional.relu6,
    "F.hardtanh": torch.nn.functional.hardtanh,
    "F.softsign": torch.nn.functional.softsign,
    "special.expm1": torch.special.expm1,
    "clamp": lambda A: torch.clamp(A, -1, 1),
    "clamp min": lambda A: A.clamp(min=0),
    "round digits": lambda A: torch.round(A / 3, decimals=1),
    "method": lambda A: A.tanh(),
    "module": torch.nn.ReLU(),
    "dropout off": lambda A: torch.nn.functional.dropout(A, 0.5, training=False),
}


@pytest.mark.parametrize(
    "formats", [("csr", "csr"), ("csr", "csc"), ("coo", "dcsr"), ("unsorted", "coo"), ("csc", "csc")]
)
@pytest.mark.parametrize("name", BOTH)
def test_two_sparse_matrices(name: str, formats: tuple[str, str]) -> None:
    dense = [random_dense(4, 5), random_dense(4, 5, seed=8)]
    operands = [sparse(x, format) for x, format in zip(dense, formats, strict=True)]
    result = check(BOTH[name], operands, dense, f"{name} of {formats}")
    assert not isinstance(result, torch.Tensor)


@pytest.mark.parametrize("formats", [("csf", "csf"), ("coo", "dense, dense, compressed")])
@pytest.mark.parametrize("name", ["add", "mul", "maximum", "where", "logical_xor", "broadcast row"])
def test_two_sparse_cubes(name: str, formats: tuple[str, str]) -> None:
    dense = [random_dense(3, 4, 2), random_dense(3, 4, 2, seed=5)]
    check(BOTH[name], [sparse(x, format) for x, format in zip(dense, formats, strict=True)], dense)


@pytest.mark.parametrize("format", MATRIX_FORMATS)
@pytest.mark.parametrize("name", MIXED)
def test_sparse_with_dense(name: str, format: str) -> None:
    dense = random_dense(4, 5)
    result = check(MIXED[name], [sparse(dense, format)], [dense], f"{name} of {format}")
    if name in ("A * D", "D * A", "A / D", "A * row", "A / column"):
        assert result.nnz == torch.count_nonzero(dense)


@pytest.mark.parametrize("format", ["csr", "unsorted", "csf"])
@pytest.mark.parametrize("name", UNARY)
def test_functions_of_each_value(name: str, format: str) -> None:
    dense = random_dense(4, 5)
    A = sparse(dense, format)
    result = check(UNARY[name], [A], [dense], f"{name} of {format}", exact=False)
    assert result.nnz == torch.count_nonzero(dense)
    if format == "csr":
        assert result._storage.pattern is A._storage.pattern


DTYPES = [torch.bool, torch.uint8, torch.int8, torch.int32, torch.int64, torch.float32, torch.float64, torch.complex64]


@pytest.mark.parametrize("other", DTYPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_promotion(dtype: torch.dtype, other: torch.dtype) -> None:
    x, y = random_dense(4, 5, dtype=dtype), random_dense(4, 5, dtype=other, seed=2)
    A, B = sparse(x, "csr"), sparse(y, "csc")
    functions = [
        torch.mul,
        torch.add,
        lambda a, b: a * 2,
        lambda a, b: a * 1.5,
        lambda a, b: a / 2,
        lambda a, b: a * True,
    ]
    for number, function in enumerate(functions):
        check(function, [A, B], [x, y], f"function {number} of {dtype} and {other}")
    for function in (torch.mul, torch.div):
        check(function, [A, torch.ones_like(y)], [x, torch.ones_like(y)])
    if not (dtype.is_complex or other.is_complex):
        check(torch.gt, [A, B], [x, y])
        check(torch.maximum, [A, B], [x, y])


def test_other_operands() -> None:
    dense = random_dense(4, 5)
    A = sparse(dense, "csr")
    for other in (D.numpy(), scipy.sparse.csr_array(dense.numpy()), D.to_sparse_csr(), D.to_sparse(), scorch.tensor(D)):
        plain = D if not scipy.sparse.issparse(other) else dense
        assert torch.equal(dense_of(A * other), dense * plain)
        if not scipy.sparse.issparse(other):  # which asks for an array
            assert torch.equal(dense_of(other * A), dense * plain)
    assert torch.equal((np.float64(2) * A).to_dense(), 2 * dense)
    with pytest.raises(TypeError, match="unsupported operand"):
        A + "x"


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (torch.exp, "exp makes 1.0 of the entries that are not stored"),
        (torch.cos, "to_dense()"),
        (lambda A: A + 1, "add makes 1.0"),
        (lambda A: A == 0, "eq makes True"),
        (lambda A: A <= A.to("csc"), "le makes True"),
        (lambda A: 1 / A, "div makes inf"),
        (lambda A: A**0, "pow makes 1.0"),
        (lambda A: torch.where(A > 0, A, 1.0), "where makes 1.0"),
        (lambda A: torch.clamp(A, 1, 2), "clamp makes 1.0"),
        (torch.sigmoid, r"\(160 B\)"),
    ],
)
def test_nothing_becomes_dense_unasked(function: Any, words: str) -> None:
    with pytest.raises(UnsupportedError, match=words):
        function(sparse(random_dense(4, 5), "csr"))


def test_dense_results_when_asked_for() -> None:
    dense = random_dense(4, 5)
    out = torch.empty(4, 5, dtype=torch.float64)
    assert torch.exp(sparse(dense, "csr"), out=out) is out
    torch.testing.assert_close(out, torch.exp(dense))
    torch.add(sparse(dense, "csr"), 1, out=out)
    torch.testing.assert_close(out, dense + 1)


@pytest.mark.parametrize(
    "function", [torch.exp, torch.sign, lambda A: A * 2, lambda A: A + 1, lambda A: A > 0, lambda A: A + A]
)
def test_a_given_fill_goes_through_the_function(function: Function) -> None:
    dense = torch.where(random_dense(4, 5) == 0, 2.0, random_dense(4, 5))
    A = scorch.tensor(dense, "csr", fill=2.0)
    result = check(function, [A], [dense])
    assert result.nnz == A.nnz


def test_zero_times_infinity_is_structural() -> None:
    A = sparse(torch.tensor([[0.0, 1.0]]), "csr")
    assert (A * float("inf")).to_dense().tolist() == [[0.0, float("inf")]]
    assert (A / 0).to_dense().tolist() == [[0.0, float("inf")]]


def test_gradients() -> None:
    dense = random_dense(4, 5)
    weight = torch.arange(20.0, dtype=torch.float64).reshape(4, 5)
    for function in (lambda A: A * 3, lambda A: A**2, torch.tanh, lambda A: A * A, torch.nn.functional.silu):
        A, X = sparse(dense, "csc").requires_grad_(), dense.clone().requires_grad_()
        made = function(A)
        (made.values * weight[tuple(made.coords())]).sum().backward()
        (function(X) * weight).sum().backward()
        torch.testing.assert_close(A.grad.values, X.grad[tuple(A.coords())])  # type: ignore[union-attr, index]


@pytest.mark.parametrize("format", CUBE_FORMATS)
def test_cubes_with_dense(format: str) -> None:
    dense = random_dense(3, 4, 2)
    for function in (
        lambda X: X * torch.arange(1.0, 3, dtype=torch.float64),
        lambda X: X / torch.arange(1.0, 5, dtype=torch.float64)[:, None],
        lambda X: X + torch.ones(3, 4, 2, dtype=torch.float64),
        lambda X: X > torch.ones(2, dtype=torch.float64),
    ):
        check(function, [sparse(dense, format)], [dense], format)


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"\(4, 5\) and \(4,\) can't be broadcast together"):
        sparse(random_dense(4, 5), "csr") + torch.ones(4)

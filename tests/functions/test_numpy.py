"""numpy's functions over Tensors, against numpy on the dense arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import scorch
from scorch import UnsupportedError
from tests.functions.agreement import Function, random_dense, sparse

CALLS: dict[str, Function] = {
    "add": lambda A, B: np.add(A, B),
    "subtract": lambda A, B: np.subtract(A, B),
    "multiply": lambda A, B: np.multiply(A, B),
    "divide": lambda A, B: np.divide(A, 2),
    "power": lambda A, B: np.power(A, 2),
    "maximum": lambda A, B: np.maximum(A, B),
    "not_equal": lambda A, B: np.not_equal(A, B),
    "absolute": lambda A, B: np.abs(A),
    "sqrt": lambda A, B: np.sqrt(A * A),
    "expm1": lambda A, B: np.expm1(A),
    "rint": lambda A, B: np.rint(A),
    "array * A": lambda A, B: np.full(5, 2.0) * A,
    "A * array": lambda A, B: A * np.full(5, 2.0),
    "scalar * A": lambda A, B: np.float64(2.0) * A,
    "matmul": lambda A, B: np.matmul(A, np.ones((5, 2))),
    "array @ A": lambda A, B: np.ones((2, 4)) @ A,
    "dot": lambda A, B: np.dot(A, np.ones(5)),
    "sum": lambda A, B: np.sum(A, axis=1),
    "sum all": lambda A, B: np.sum(A),
    "add.reduce": lambda A, B: np.add.reduce(A, axis=0),
    "mean": lambda A, B: np.mean(A, axis=0, keepdims=True),
    "max": lambda A, B: np.max(A, axis=0),
    "amin": lambda A, B: np.amin(A, 1),
    "argmax": lambda A, B: np.argmax(A, axis=1),
    "count_nonzero": lambda A, B: np.count_nonzero(A, axis=1),
    "concatenate": lambda A, B: np.concatenate([A, B], axis=1),
    "stack": lambda A, B: np.stack([A, B]),
    "vstack": lambda A, B: np.vstack([A, B]),
    "reshape": lambda A, B: np.reshape(A, (2, 10)),
    "ravel": lambda A, B: np.ravel(A),
    "transpose": lambda A, B: np.transpose(A),
    "swapaxes": lambda A, B: np.swapaxes(A, 0, 1),
    "expand_dims": lambda A, B: np.expand_dims(A, 1),
    "squeeze": lambda A, B: np.squeeze(A[:1]),
    "broadcast_to": lambda A, B: np.broadcast_to(A, (2, 4, 5)),
    "triu": lambda A, B: np.triu(A, 1),
    "diagonal": lambda A, B: np.diagonal(A, 1),
    "trace": lambda A, B: np.trace(A),
    "kron": lambda A, B: np.kron(A, B),
    "tensordot": lambda A, B: np.tensordot(A, B, axes=2),
    "einsum": lambda A, B: np.einsum("ij,ij->i", A, B),
    "where": lambda A, B: np.where(A > 0, A, B),
    "take": lambda A, B: np.take(A, [0, 2], axis=1),
    "flip": lambda A, B: np.flip(A, 0),
    "roll": lambda A, B: np.roll(A, 2, 1),
    "clip": lambda A, B: np.clip(A, -1, 1),
    "nonzero": lambda A, B: np.nonzero(A),
    "allclose": lambda A, B: np.allclose(A, B),
    "array_equal": lambda A, B: np.array_equal(A, A),
    "shape": lambda A, B: np.shape(A),
    "ndim": lambda A, B: np.ndim(A),
    "size": lambda A, B: np.size(A),
    "linalg.norm": lambda A, B: np.linalg.norm(A),
}


def plain(result: Any) -> Any:
    if isinstance(result, tuple):
        return tuple(plain(part) for part in result)
    if isinstance(result, scorch.Tensor):
        return result.to_dense().numpy()
    return result.numpy() if isinstance(result, torch.Tensor) else result


@pytest.mark.parametrize("name", CALLS)
def test_numpy(name: str) -> None:
    dense = [random_dense(4, 5), random_dense(4, 5, seed=8)]
    found = plain(CALLS[name](sparse(dense[0], "csr"), sparse(dense[1], "coo")))
    expected = CALLS[name](*(x.numpy() for x in dense))
    np.testing.assert_allclose(found, expected)
    assert np.shape(found) == np.shape(expected)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda A: np.exp(A), "exp makes 1.0"),
        (lambda A: np.linalg.svd(A), "np.linalg.svd is not available"),
        (lambda A: np.multiply.outer(A, A), "np.multiply.outer"),
        (lambda A: np.frexp(A), "np.frexp is not available"),
        (lambda A: np.add(A, A, out=np.empty((4, 5))), "out="),
    ],
)
def test_what_is_not_available_says_so(call: Any, words: str) -> None:
    with pytest.raises(UnsupportedError, match=words):
        call(sparse(random_dense(4, 5), "csr"))

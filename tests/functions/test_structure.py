"""Functions that only move entries: on every format, against torch on the dense tensor."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import scorch
from scorch import ShapeError, UnsupportedError
from tests.functions.agreement import CUBE_FORMATS, MATRIX_FORMATS, Function, check, random_dense, sparse

IDX = torch.tensor([3, 0, 3, -1])
MASK = torch.tensor([True, False, True, True])
MASK5 = torch.tensor([True, False, False, True, True])

MATRIX: dict[str, Function] = {  # of a (4, 5) matrix
    "A[2]": lambda A: A[2],
    "A[-1]": lambda A: A[-1],
    "A[1:3]": lambda A: A[1:3],
    "A[::2]": lambda A: A[::2],
    "A[3:1]": lambda A: A[3:1],
    "A[:, 1:4:2]": lambda A: A[:, 1:4:2],
    "A[1, 2]": lambda A: A[1, 2],
    "A[:, 2]": lambda A: A[:, 2],
    "A[..., 2]": lambda A: A[..., 2],
    "A[..., None]": lambda A: A[..., None],
    "A[None]": lambda A: A[None],
    "A[:, None]": lambda A: A[:, None],
    "A[idx]": lambda A: A[IDX],
    "A[list]": lambda A: A[[0, 2]],
    "A[:, idx]": lambda A: A[:, IDX],
    "A[idx, idx]": lambda A: A[IDX, IDX],
    "A[idx2d]": lambda A: A[IDX.reshape(2, 2)],
    "A[idx[:, None], idx]": lambda A: A[IDX[:, None], IDX],
    "A[mask]": lambda A: A[MASK],
    "A[:, mask]": lambda A: A[:, MASK5],
    "A[mask2d]": lambda A: A[MASK[:, None] & MASK5],
    "A[mask, 1:3]": lambda A: A[MASK, 1:3],
    "A[1:3, idx]": lambda A: A[1:3, IDX],
    "A[2, idx]": lambda A: A[2, IDX],
    "A[tensor(2)]": lambda A: A[torch.tensor(2)],
    "A[...]": lambda A: A[...],
    "index_select 0": lambda A: torch.index_select(A, 0, IDX % 4),
    "index_select 1": lambda A: A.index_select(1, torch.tensor([4, 0])),
    "select": lambda A: torch.select(A, 1, 3),
    "narrow": lambda A: torch.narrow(A, 1, 1, 3),
    "gather": lambda A: torch.gather(A, 1, torch.tensor([[0, 4], [1, 1], [2, 3]])),
    "gather 0": lambda A: A.gather(0, torch.tensor([[0, 3, 1, 1, 2]])),
    "take": lambda A: torch.take(A, torch.tensor([[0, 19], [7, -3]])),
    "take_along_dim": lambda A: torch.take_along_dim(A, torch.tensor([[1], [0], [4], [2]]), 1),
    "masked_select": lambda A: torch.masked_select(A, MASK[:, None] & MASK5),
    "split": lambda A: torch.split(A, 2, 1),
    "split sizes": lambda A: A.split([1, 3], 0),
    "chunk": lambda A: torch.chunk(A, 3, 1),
    "tensor_split": lambda A: torch.tensor_split(A, 3, 1),
    "unbind": lambda A: torch.unbind(A, 1),
    "iter": lambda A: tuple(A),
    "flip": lambda A: torch.flip(A, (0, 1)),
    "roll": lambda A: torch.roll(A, (1, -2), (0, 1)),
    "roll flat": lambda A: torch.roll(A, 3),
    "repeat_interleave": lambda A: torch.repeat_interleave(A, 2, 1),
    "reshape": lambda A: torch.reshape(A, (2, 10)),
    "reshape -1": lambda A: A.reshape(-1),
    "reshape 4d": lambda A: A.reshape(2, -1, 5, 1),
    "view": lambda A: A.contiguous().view(5, 4),
    "flatten": lambda A: torch.flatten(A),
    "unflatten": lambda A: A.unflatten(0, (2, 2)),
    "squeeze": lambda A: torch.squeeze(A[:1], 0),
    "squeeze all": lambda A: A[:1].squeeze(),
    "squeeze none": lambda A: A.squeeze(1),
    "unsqueeze 0": lambda A: torch.unsqueeze(A, 0),
    "unsqueeze 1": lambda A: A.unsqueeze(1),
    "unsqueeze -1": lambda A: A.unsqueeze(-1),
    "permute": lambda A: torch.permute(A, (1, 0)),
    "transpose": lambda A: torch.transpose(A, 0, 1),
    "t": lambda A: torch.t(A),
    "T": lambda A: A.T,
    "mT": lambda A: A.mT,
    "movedim": lambda A: torch.movedim(A, 0, 1),
    "broadcast_to": lambda A: torch.broadcast_to(A, (2, 4, 5)),
    "expand": lambda A: A[:, :1].expand(-1, 3),
    "expand new": lambda A: A[:1].expand(2, 3, -1),
    "tile": lambda A: torch.tile(A, (2,)),
    "repeat": lambda A: A.repeat(2, 1, 2),
    "cat 0": lambda A: torch.cat([A, A], 0),
    "cat 1": lambda A: torch.cat([A, A[:, :2]], dim=1),
    "cat -1": lambda A: torch.concat([A, A], -1),
    "stack 0": lambda A: torch.stack([A, A]),
    "stack 1": lambda A: torch.stack([A, A], 1),
    "stack -1": lambda A: torch.stack([A, A], -1),
    "hstack": lambda A: torch.hstack([A, A]),
    "vstack": lambda A: torch.vstack([A, A]),
    "kron": lambda A: torch.kron(A, A[:2, :3]),
    "block_diag": lambda A: torch.block_diag(A, A[:2]),
    "triu": lambda A: torch.triu(A),
    "triu 1": lambda A: torch.triu(A, 1),
    "tril": lambda A: A.tril(),
    "tril -1": lambda A: torch.tril(A, -1),
    "diagonal": lambda A: torch.diagonal(A),
    "diagonal 1": lambda A: torch.diagonal(A, 1),
    "diagonal -2": lambda A: A.diagonal(-2),
    "diagonal far": lambda A: A.diagonal(9),
    "diag": lambda A: torch.diag(A, 1),
    "diag of vector": lambda A: torch.diag(A[0], -1),
    "trace": lambda A: torch.trace(A),
    "clone": lambda A: torch.clone(A),
    "to": lambda A: A.to(torch.float32),
    "to dtype=": lambda A: A.to(dtype=torch.complex64),
    "double": lambda A: A.double(),
    "bool": lambda A: A.bool(),
    "type_as": lambda A: A.type_as(torch.ones(1, dtype=torch.float32)),
    "nonzero": lambda A: torch.nonzero(A),
    "nonzero tuple": lambda A: torch.nonzero(A, as_tuple=True),
    "numel": lambda A: torch.numel(A),
    "size": lambda A: A.size(),
    "size 1": lambda A: A.size(-1),
    "dim": lambda A: A.dim(),
    "len": len,
    "tolist": lambda A: A.tolist(),
    "result_type": lambda A: torch.result_type(A, 1j),
}

CUBE: dict[str, Function] = {  # of a (3, 4, 2) tensor
    "X[1]": lambda X: X[1],
    "X[:, 2]": lambda X: X[:, 2],
    "X[..., 0]": lambda X: X[..., 0],
    "X[0, :, 1]": lambda X: X[0, :, 1],
    "X[1:, ::2]": lambda X: X[1:, ::2],
    "X[idx, :, idx]": lambda X: X[torch.tensor([2, 0]), :, torch.tensor([1, 1])],
    "X[:, idx, idx]": lambda X: X[:, torch.tensor([2, 0]), torch.tensor([1, 1])],
    "X[0, :, idx]": lambda X: X[0, :, torch.tensor([1, 0, 1])],
    "X[mask2d]": lambda X: X[torch.tensor([[True, False, True, True]] * 3)],
    "X[:, mask2d]": lambda X: X[:, torch.tensor([[True, False]] * 4)],
    "X[idx2d]": lambda X: X[torch.tensor([[0, 2], [1, 1]])],
    "X[:, idx2d]": lambda X: X[:, torch.tensor([[0, 2], [1, 1]])],
    "X[None, 1, ..., None]": lambda X: X[None, 1, ..., None],
    "reshape": lambda X: X.reshape(12, 2),
    "flatten": lambda X: torch.flatten(X, 1),
    "flatten 0 1": lambda X: torch.flatten(X, 0, 1),
    "permute": lambda X: X.permute(2, 0, 1),
    "permute tuple": lambda X: X.permute((1, 2, 0)),
    "transpose": lambda X: X.transpose(0, 2),
    "movedim": lambda X: torch.movedim(X, (0, 1), (2, 0)),
    "cat 1": lambda X: torch.cat([X, X], 1),
    "stack 2": lambda X: torch.stack([X, X], 2),
    "diagonal": lambda X: torch.diagonal(X, 0, 0, 1),
    "diagonal 1 0 2": lambda X: torch.diagonal(X, 1, 0, 2),
    "triu": lambda X: torch.triu(X),
    "diag_embed": lambda X: torch.diag_embed(X, 1),
    "unbind": lambda X: torch.unbind(X, 2),
    "index_select": lambda X: X.index_select(1, torch.tensor([3, 3, 0])),
    "gather": lambda X: X.gather(2, torch.tensor([[[0, 1], [1, 1]], [[0, 0], [1, 0]]])),
    "flip": lambda X: X.flip(0, 2),
    "expand": lambda X: X[:, :, :1].expand(2, 3, 4, 5),
    "nonzero": lambda X: torch.nonzero(X),
    "kron": lambda X: torch.kron(X, X[:2, :2]),
}


@pytest.mark.parametrize("format", MATRIX_FORMATS)
@pytest.mark.parametrize("name", MATRIX)
def test_matrices(name: str, format: str) -> None:
    dense = random_dense(4, 5)
    check(MATRIX[name], [sparse(dense, format)], [dense], f"{name} of {format}")


@pytest.mark.parametrize("format", CUBE_FORMATS)
@pytest.mark.parametrize("name", CUBE)
def test_cubes(name: str, format: str) -> None:
    dense = random_dense(3, 4, 2)
    check(CUBE[name], [sparse(dense, format)], [dense], f"{name} of {format}")


@pytest.mark.parametrize("name", MATRIX)
def test_nothing_becomes_dense(name: str) -> None:
    """Results store no more entries than there are non-zero values, but copies."""
    dense = random_dense(4, 5)
    result = MATRIX[name](sparse(dense, "csr"))
    parts = result if isinstance(result, tuple) else (result,)
    for part in parts:
        if isinstance(part, scorch.Tensor):
            assert part.nnz == int(torch.count_nonzero(part.to_dense()))


@pytest.mark.parametrize("fill", [2.0, float("inf")])
def test_fills_are_kept(fill: float) -> None:
    dense = torch.where(random_dense(4, 5) == 0, fill, random_dense(4, 5))
    A = scorch.tensor(dense, "csr", fill=fill)
    for function in (
        lambda A: A[1:3],
        lambda A: A[2, 3],
        lambda A: A[IDX],
        lambda A: A.reshape(2, 10),
        lambda A: torch.cat([A, A]),
        lambda A: A.take(torch.arange(20)),
        lambda A: A.diagonal(),
        lambda A: A.flip(0),
    ):
        result = check(function, [A], [dense])
        assert not isinstance(result, scorch.Tensor) or result.fill == fill


def test_formats_of_results() -> None:
    A = sparse(random_dense(4, 5), "csr")
    assert str(A[1:3].format) == str(A.reshape(5, 4).format) == str(torch.cat([A, A]).format) == "csr"
    assert A[2].format.ndim == 1
    assert str(torch.stack([A, A]).format) == "dense, dense, compressed"
    assert str(sparse(random_dense(4, 5), "csc")[:, 1:].format) == "csc"
    assert str(sparse(random_dense(3, 4, 2), "csf")[1:].format) == "csf"
    assert str(sparse(random_dense(3, 4, 2), "csf")[1].format) == "dcsr"
    assert str(sparse(random_dense(3, 4, 2), "dense, dense, compressed")[1].format) == "csr"
    assert str(A.reshape(2, 2, 5).format) == "dense, dense, compressed"


def test_huge_extents_are_not_enumerated() -> None:
    A = scorch.from_coo([[0, 2**40 - 1], [3, 5]], [1.0, 2.0], (2**40, 6))
    flat = A.reshape(-1)
    assert flat.coords().tolist() == [[3, (2**40 - 1) * 6 + 5]]
    row = A.to("dcsr")[2**40 - 1 :]
    assert row.shape == (1, 6)
    tall = scorch.from_coo([[0], [5]], [1.0], (2, 2**20), "csr").reshape(2**20, 2)
    assert all(not level.full for level in tall.format.levels)
    with pytest.raises(ShapeError, match=r"2\^63"):
        scorch.from_coo([[0], [0]], [1.0], (2**40, 2**40)).reshape(-1)


def test_gradients_flow_through_places() -> None:
    dense = random_dense(4, 5)
    for function in (
        lambda A: A[1:3],
        lambda A: A[IDX],
        lambda A: A.reshape(2, 10),
        lambda A: torch.cat([A, A * 2], 1),
        lambda A: A.diagonal(),
        lambda A: A.take(torch.tensor([3, 3, 7])),
        lambda A: torch.kron(A, A[:2]),
        lambda A: A.triu(),
    ):
        A = sparse(dense, "csr").requires_grad_()
        D = dense.clone().requires_grad_()
        found, expected = function(A), function(D)
        weight = torch.arange(1.0, expected.numel() + 1, dtype=torch.float64).reshape(expected.shape)
        values = found.values * weight[tuple(found.coords())] if isinstance(found, scorch.Tensor) else found * weight
        values.sum().backward()
        (expected * weight).sum().backward()
        assert A.grad is not None
        assert D.grad is not None
        torch.testing.assert_close(A.grad.values, D.grad[tuple(A.coords())])


@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence")
def test_sparse_masks() -> None:
    dense = random_dense(4, 5)
    A = sparse(dense, "csc")
    mask = A > 0
    assert torch.equal(A[mask], dense[dense > 0])
    assert torch.equal(dense[mask], dense[dense > 0])
    written = dense.clone()
    written[mask] = 0
    assert torch.equal(written, torch.where(dense > 0, 0.0, dense))


@pytest.mark.parametrize(
    ("function", "error", "words"),
    [
        (lambda A: A[4], IndexError, "out of bounds"),
        (lambda A: A[torch.tensor([0, 9])], IndexError, "out of bounds"),
        (lambda A: A[0, 0, 0], IndexError, "too many indices"),
        (lambda A: A[..., ...], IndexError, "one ellipsis"),
        (lambda A: A[torch.tensor([0.5])], IndexError, "integers or bool"),
        (lambda A: A[torch.tensor([True])], IndexError, "doesn't fit"),
        (lambda A: A.reshape(3, 7), ShapeError, "20 places"),
        (lambda A: A.narrow(0, 2, 9), ShapeError, "extent 4"),
        (lambda A: A.transpose(0, 2), IndexError, "out of range"),
        (lambda A: A.expand(3, 5), ShapeError, "can't be expanded"),
        (lambda A: torch.cat([A, A[:, :2]]), ShapeError, "differ elsewhere"),
        (lambda A: torch.stack([A, A[:2]]), ShapeError, "one shape"),
        (lambda A: A.split([1, 1]), ShapeError, "don't make up"),
        (lambda A: torch.linalg.svd(A), UnsupportedError, "use A.to_dense()"),
        (lambda A: A.to("cuda"), UnsupportedError, "the device cuda"),
        (lambda A: A.to(device="cuda:1"), UnsupportedError, "the device cuda:1"),
    ],
)
def test_errors_have_a_way_out(function: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        function(sparse(random_dense(4, 5), "csr"))


def test_assignment_is_refused() -> None:
    A = sparse(random_dense(4, 5), "csr")
    with pytest.raises(UnsupportedError, match=r"the pattern of a scorch\.Tensor doesn't change"):
        A[0] = 1.0


@pytest.mark.parametrize("format", ["dense", "csr", "coo"])
def test_shapes_are_taken_as_several_arguments_by_every_format(format: str) -> None:
    dense = torch.arange(24.0).reshape(6, 4)
    x = scorch.tensor(dense, format)
    for found, expected in (
        (x.reshape(3, 8), dense.reshape(3, 8)),
        (x.view(3, 8), dense.view(3, 8)),
        (x.permute(1, 0), dense.permute(1, 0)),
        (x.expand(2, 6, 4), dense.expand(2, 6, 4)),
        (x.repeat(1, 2), dense.repeat(1, 2)),
        (x.flip(0, 1), dense.flip(0, 1)),
        (x.sum((0, 1)), dense.sum((0, 1))),
    ):
        assert torch.equal(found if isinstance(found, torch.Tensor) else found.to_dense(), expected)


def test_methods_that_are_not_listed() -> None:
    dense = random_dense(4, 5)
    A = sparse(dense, "csr")
    check(lambda A: A.swapaxes(0, 1).clamp_min(0), [A], [dense])
    assert not hasattr(A, "no_method_of_torch")
    with pytest.raises(AttributeError, match=r"topk is not available .*; use A\.to_dense\(\)"):
        A.topk(2)
    with pytest.raises(AttributeError, match=r"write A = A\.mul\(\.\.\.\)"):
        A.mul_(2)

"""Bad input: one error of the ScorchError family, which names the expression, the operands and the way out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch

import scorch
from scorch import DtypeError, FormatError, NotationError, ScorchError, ShapeError, UnsupportedError

A = torch.tensor([[0.0, 2.0, 0.0], [1.0, 0.0, 3.0]]).to_sparse_csr()
B = torch.ones(3, 4)
E = scorch.einsum


@pytest.fixture(autouse=True)
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with scorch.config.using(jit=False, cache_dir=tmp_path_factory.getbasetemp() / "error-kernels"):
        yield


def csr(pos: Any, crd: Any, values: Any = None, shape: tuple[int, int] = (2, 3)) -> scorch.Tensor:
    values = np.ones(len(crd)) if values is None else values
    return scorch.Tensor.from_levels(shape, "csr", [{}, {"pos": pos, "crd": crd}], values)


def coo(rows: Any, columns: Any) -> scorch.Tensor:
    levels = [{"pos": [0, len(rows)], "crd": rows}, {"crd": columns}]
    return scorch.Tensor.from_levels((2, 3), "coo", levels, np.ones(len(rows)))


CALLS: list[tuple[Callable[[], Any], type[ScorchError], str]] = [
    # number, rank, shape
    (lambda: E("ik,kj->ij", A), NotationError, "is for 2 operands, but 1 was given"),
    (lambda: E("ik,kj->ij", A, B, B), NotationError, "is for 2 operands, but 3 were given"),
    (
        lambda: E("i,kj->ij", A, B),
        ShapeError,
        "the term 'i' of 'i,kj->ij' has 1 indices, but its operand has 2 dimensions",
    ),
    (lambda: E("ikl,kj->ij", A, B), ShapeError, "the term 'ikl'"),
    (lambda: E("ik,kj->ij", A, torch.ones(4, 4)), ShapeError, "index k is 3 in A[i,k] but 4 in B[k,j]"),
    (lambda: E("ij,ij->ij", torch.ones(1, 4), torch.ones(3, 4)), ShapeError, "index i is 1 in A[i,j] but 3 in B[i,j]"),
    (lambda: E("ii->i", A), ShapeError, "the repeated index i needs equal extents"),
    # notation
    (lambda: E("ik,kj->iz", A, B), NotationError, "index 'z' of the result"),
    (lambda: E("ik,kj->ii", A, B), NotationError, "stands twice in the result"),
    (lambda: E("i1,kj->ij", A, B), NotationError, "unexpected '1' at column 1"),
    (lambda: E("ik->kj->ij", A, B), NotationError, "exactly one '->'"),
    (lambda: E(3, A, B), NotationError, "an einsum begins with a string such as 'ik,kj->ij', not with a int"),  # type: ignore[arg-type]
    (lambda: E(["ik", "kj"], A, B), NotationError, "not with a list"),  # type: ignore[arg-type]
    # formats
    (lambda: E("ik,kj->ij", A, B, out_format="csrr"), FormatError, "unknown format 'csrr'; use one of csr, csc"),
    (
        lambda: E("ik,k->i", A, B[:, 0], out_format="csr"),
        FormatError,
        "format csr is for 2 dimensions; the tensor has 1",
    ),
    (lambda: E("ik,kj->ij", A, B, out_format=["csr"]), FormatError, "unknown format ['csr']"),  # type: ignore[arg-type]
    (lambda: E("ik,kj->ij", A, B, out_format="dense, hollow"), FormatError, "unknown level type 'hollow'"),
    (
        lambda: E("ik,kj->ij", A, B, out_format="dense, singleton"),
        FormatError,
        "needs a compressed or singleton level above",
    ),
    # number types and containers
    (lambda: E("ik,kj->ij", A, B.numpy().astype("uint16")), DtypeError, "number type uint16 is not supported"),
    (lambda: E("ik,kj->ij", A, np.array([["a"] * 4] * 3)), DtypeError, "is not supported"),
    (lambda: E("ik,kj->ij", A, "B"), DtypeError, "cannot use a str as a tensor; pass a torch, numpy"),
    (lambda: E("ik,kj->ij", A, None), DtypeError, "cannot use a NoneType as a tensor"),
    (lambda: E("ik,kj->ij", A, [[1, 2], [3]]), ShapeError, "cannot make a tensor of the nested list"),
    (lambda: E("ik,kj->ij", A, B.to("meta")), UnsupportedError, "pass tensor.cpu()"),
    (lambda: E("i->i", np.ma.masked_array([1.0, 2.0], [0, 1])), UnsupportedError, "pass array.filled(value)"),
    # structure that torch and scipy let pass
    (
        lambda: E("ik,kj->ij", torch.sparse_csr_tensor([0, 1, 1], [7], [1.0], (2, 3), check_invariants=False), B),
        FormatError,
        "coordinate 7 at position 0 is outside the dimension's extent 3",
    ),
    (
        lambda: E("ik,kj->ij", torch.sparse_csr_tensor([0, 1, 1], [-7], [1.0], (2, 3), check_invariants=False), B),
        FormatError,
        "coordinate -7 at position 0 is outside",
    ),
    (
        lambda: E("ik,kj->ij", torch.sparse_csr_tensor([0, 5, 1], [0], [1.0], (2, 3), check_invariants=False), B),
        FormatError,
        "pos runs backwards: pos[1] = 5 but pos[2] = 1",
    ),
    (
        lambda: E("ik,kj->ij", torch.sparse_coo_tensor([[0], [9]], [1.0], (2, 3), check_invariants=False), B),
        FormatError,
        "coordinate 9 of entry 0 is outside dimension 1 of extent 3",
    ),
    (lambda: E("ik,kj->ij", scipy_with("indices", 0, 9), B), FormatError, "coordinate 9 at position 0 is outside"),
    (lambda: E("ik,kj->ij", scipy_with("indptr", 1, 7), B), FormatError, "pos runs backwards"),
    # sizes
    (lambda: E("ij->ij", huge(), out_format="dense"), ShapeError, "over the limit of 2^63 - 1 for a dense tensor"),
    (lambda: E("ij->i", huge(2**45)), ShapeError, "ask for a format that stores only what is there"),
    (lambda: E("ij->ij", huge(2**45), out_format="csr"), ShapeError, "a csr result of shape"),
    (
        lambda: E("ABCDEFGHIJKLMNOPQRSTUVWX->A", torch.ones([1] * 24)),
        UnsupportedError,
        "split the expression into several",
    ),
    # the other doors
    (lambda: scorch.kernel("ik,kj->ij", A), NotationError, "is for 2 operands, but 1 was given"),
    (lambda: scorch.kernel("ik,kj->ij", A, B)(A, torch.ones(2, 5)), ShapeError, "index k is 3"),
    (lambda: scorch.kernel("ik,kj->ij", A, B)(A, "B"), DtypeError, "cannot use a str"),
    (lambda: scorch.explain("ik,kj->ij", A, torch.ones(4, 4)), ShapeError, "index k is 3"),
]


def scipy_with(array: str, place: int, value: int) -> Any:
    made = sp.csr_array(np.array([[0, 1.0, 0], [1, 0, 0]], dtype=np.float32))
    getattr(made, array)[place] = value
    return made


def huge(extent: int = 2**40) -> scorch.Tensor:
    return scorch.from_coo([[extent - 1], [5]], [2.0], (extent, extent))


@pytest.mark.smoke
@pytest.mark.parametrize(("call", "kind", "message"), CALLS, ids=[message[:50] for _, _, message in CALLS])
def test_what_a_call_refuses(call: Callable[[], Any], kind: type[ScorchError], message: str) -> None:
    with pytest.raises(kind) as caught:
        call()
    text = str(caught.value)
    assert message in text
    assert text.count("  in einsum(") == 1, "the expression is named once"
    assert caught.value.__suppress_context__, "one error, not a chain of them"


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: csr([0, 2, 1], [0]), FormatError, "pos runs backwards: pos[1] = 2 but pos[2] = 1"),
        (lambda: csr([0, 1], [0]), FormatError, "pos must have 3 entries"),
        (lambda: csr([1, 1, 1], [0]), FormatError, "pos must run from 0 to the number of coordinates 1"),
        (lambda: csr([0, 1, 2], [0]), FormatError, "it runs from 0 to 2"),
        (lambda: csr([0, 1, 1], [3]), FormatError, "coordinate 3 at position 0 is outside the dimension's extent 3"),
        (lambda: csr([0, 1, 1], [-1]), FormatError, "coordinate -1 at position 0"),
        (lambda: csr([0, 1, 1], [0.5]), FormatError, "coordinates must be integers"),
        (lambda: csr([0, 2, 2], [1, 0]), FormatError, "claims strictly ascending coordinates"),
        (lambda: csr([0, 2, 2], [1, 1]), FormatError, "position 1 holds 1 after 1; use scorch.from_coo, or declare"),
        (lambda: csr([0, 1, 1], [0], [1.0, 2.0]), ShapeError, "takes values of shape (1,), got (2,)"),
        (lambda: csr([0, 1, 1], [[0]]), FormatError, "one-dimensional"),
        (lambda: coo([1, 0], [0, 0]), FormatError, "claims ascending coordinates"),
        (lambda: coo([1, 1], [0, 0]), FormatError, "a singleton level claims strictly ascending"),
        (lambda: scorch.from_coo([[5]], [1.0], (3,)), FormatError, "coordinate 5 of entry 0 is outside dimension 0"),
        (lambda: scorch.from_coo([[0]], [1.0], (-3,)), ShapeError, "an extent cannot be negative"),
        (lambda: scorch.from_coo([[0]], [1.0], (2**63,)), ShapeError, "an extent cannot be over 2^63 - 1"),
        (lambda: huge().to_dense(), ShapeError, "over the limit of 2^63 - 1"),
    ],
)
def test_what_construction_refuses(call: Callable[[], Any], kind: type[ScorchError], message: str) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert message in str(caught.value)


@pytest.mark.smoke
def test_the_context_names_every_operand() -> None:
    with pytest.raises(ShapeError) as caught:
        E("ik,kj,j->i", A, np.ones((4, 4)), [1.0])
    assert str(caught.value).splitlines()[1:] == [
        "  in einsum('ik,kj,j->i')",
        "  operand 0: torch sparse_csr, shape (2, 3), float32",
        "  operand 1: numpy ndarray, shape (4, 4), float64",
        "  operand 2: builtins list, shape ?, ?",
    ]


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (NotationError, ValueError),
        (FormatError, ValueError),
        (ShapeError, ValueError),
        (DtypeError, TypeError),
        (scorch.ScheduleError, RuntimeError),
        (UnsupportedError, NotImplementedError),
        (scorch.CacheError, OSError),
    ],
)
def test_each_is_also_what_a_user_would_catch(kind: type[ScorchError], builtin: type[Exception]) -> None:
    assert issubclass(kind, builtin)
    assert issubclass(kind, ScorchError)


def test_sizes_over_2_31_and_2_63_that_have_a_result() -> None:
    big = huge(2**62)
    assert E("ij->", big).tolist() == 2.0
    for notation in ("ij->ji", "ij,ij->ij", "ij,kj->ik"):
        found = E(notation, *[big] * len(notation.split("->")[0].split(",")))
        assert isinstance(found, scorch.Tensor)
        assert found.shape == (2**62, 2**62)
        assert found.nnz == 1
    third = scorch.from_coo([[2**40], [2**41], [5]], [2.0], (2**62, 2**62, 2**62))
    assert third.to("csf").coords().tolist() == [[2**40], [2**41], [5]]
    assert E("ijk,ijk->", third, third).tolist() == 4.0


@pytest.mark.parametrize(
    ("text", "extra", "message"),
    [
        ("A[i,j] = A[i,j] * 2", {}, "A is given and assigned to: operands don't change"),
        ("C[i,j] = A[i,j] * 2", {"format": "csr"}, r"format is given, .*; they read A \(is it the option out_format="),
        ("C[i,j] = A[i,j] * 2", {"B": 1.0}, "B is given, but no statement reads it; they read A$"),
    ],
)
def test_an_operand_that_nothing_reads(text: str, extra: dict[str, Any], message: str) -> None:
    with pytest.raises(NotationError) as error:
        scorch.compute(text, A=scorch.eye(3), **extra)
    assert re.search(message, str(error.value).split("\n")[0])

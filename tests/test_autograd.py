from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.func import grad, hessian, jvp, vjp, vmap

import scorch
from scorch import Tensor, engine
from scorch.errors import ScorchError, UnsupportedError
from scorch.reorder import reorder

pytestmark = pytest.mark.usefixtures("plain")

UNSORTED = "dense, compressed(nonordered, nonunique)"
FORMATS = ["csr", "csc", "coo", "dcsr", "unsorted"]


def dense(*shape: int) -> torch.Tensor:
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


def sparse(shape: tuple[int, ...], format: str, density: float = 0.5) -> Tensor:
    if format == "unsorted":
        arrays: list[dict[str, Any]] = [{}, {"pos": [0, 3, 4, 6], "crd": [2, 1, 1, 3, 3, 0]}]
        return Tensor.from_levels((3, 4), UNSORTED, arrays, dense(6))
    generator = torch.Generator().manual_seed(1)
    kept = torch.rand(shape, generator=generator) < density
    return scorch.tensor(torch.rand(shape, dtype=torch.float64, generator=generator) * kept).to(format)


def check(call: Callable[..., Any], *operands: Any) -> None:
    """First and second derivatives of a result's values with respect to all operands' values, against differences."""

    def values(*given: torch.Tensor) -> torch.Tensor:
        result = call(*[x.with_values(v) if isinstance(x, Tensor) else v for x, v in zip(operands, given, strict=True)])
        return result.values if isinstance(result, Tensor) else result

    own = [(x.values if isinstance(x, Tensor) else x).detach().clone().requires_grad_() for x in operands]
    assert gradcheck(values, own)
    assert gradgradcheck(values, own, fast_mode=True)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    ("notation", "others"),
    [
        ("ik,kj->ij", [dense(4, 2)]),
        ("ik,k->i", [dense(4)]),
        ("ij->", []),
        ("ij->j", []),
        ("ij->ji", []),
        ("ij,ij->ij", [dense(3, 4)]),
        ("ij,k->ijk", [dense(2)]),
        ("ij,jk->ik", [sparse((4, 3), "csr")]),
        ("ij,kj->ik", [sparse((3, 4), "csr")]),
        ("ij,ij->ij", [sparse((3, 4), "dcsr")]),
        ("ij,id,jd->ij", [dense(3, 2), dense(4, 2)]),
    ],
)
def test_gradients_of_einsum(notation: str, others: list[Any], format: str) -> None:
    check(lambda *x: scorch.einsum(notation, *x), sparse((3, 4), format), *others)


@pytest.mark.parametrize(
    ("notation", "operands"),
    [
        ("ijk,jr,kr->ir", [sparse((3, 4, 2), "csf"), dense(4, 2), dense(2, 2)]),
        ("ijk,k->ij", [sparse((3, 4, 2), "csf"), dense(2)]),
        ("ij,jk,kl->il", [sparse((3, 4), "csr"), sparse((4, 3), "csr"), sparse((3, 3), "csc")]),
        ("ij,jk,kl->il", [sparse((3, 4), "csr"), dense(4, 2), dense(2, 3)]),
        ("ii->i", [sparse((4, 4), "csr", 0.8)]),
        ("ii->", [dense(3, 3)]),
        ("ii,ij->j", [dense(3, 3), sparse((3, 2), "csr")]),
        ("ii,ij->j", [sparse((3, 3), "csr", 0.8), dense(3, 2)]),
        ("...ik,kj->...ij", [dense(2, 3, 4), sparse((4, 3), "csc")]),
        ("ij,jk->ik", [dense(3, 4).T.contiguous().T, sparse((4, 3), "csr")]),
    ],
)
def test_gradients_of_more_operands_and_repeated_indices(notation: str, operands: list[Any]) -> None:
    check(lambda *x: scorch.einsum(notation, *x), *operands)


@pytest.mark.parametrize(
    "text",
    [
        "C[i,j] = relu(A[i,j]) * x[j] + A[i,j]",
        "C[i,j] = tanh(A[i,j]) + A[j,i] * x[j]",
        "y[i] = sigmoid(A[i,k] * x[k])",
        "y[i] = exp(A[i,k]) * x[k]",
        "y[i] max= A[i,k] * x[k]",
        "y[i] *= where(stored(A[i,k]), A[i,k] * x[k], 1)",
        "E[i,j] = exp(where(stored(A[i,j]), A[i,j] * x[j], absent)); s[i] = E[i,k]; C[i,j] = E[i,j] / s[i]",
        "C[i,j] = max(A[i,j], x[j]) - A[i,j] ** 2",
    ],
)
@pytest.mark.parametrize("format", ["csr", "coo"])
def test_gradients_of_index_notation(text: str, format: str) -> None:
    check(lambda A, x: scorch.compute(text, A=A, x=x), sparse((4, 4), format, 0.6), dense(4))


def test_gradients_of_a_condition_between_two_numbers_in_simd_lanes() -> None:
    # The derivative of relu is where(out > 0, 1, 0): neither branch has lanes.
    A, x = sparse((3, 4), "csr"), dense(4, 19).requires_grad_()
    mine = scorch.compute("T[i,j] += A[i,k] * x[k,j]; C[i,j] = relu(T[i,j] - 0.5)", A=A, x=x)
    other = torch.relu(A.to_dense() @ x - 0.5)
    torch.testing.assert_close(torch.autograd.grad(mine.sum(), x), torch.autograd.grad(other.sum(), x))


def test_a_product_with_zeros_has_the_gradient_of_torch() -> None:
    x = torch.tensor([[0.0, 2.0, 3.0], [0.0, 0.0, 5.0], [1.0, 4.0, 2.0]], requires_grad=True)
    scorch.compute("y[i] *= X[i,k]", X=x).sum().backward()
    mine, x.grad = x.grad, None
    x.prod(dim=1).sum().backward()
    assert torch.equal(mine, x.grad)


def test_ties_of_a_maximum_share_its_gradient() -> None:
    A = scorch.tensor(torch.tensor([[3.0, 3.0, 1.0]]).to_sparse_csr()).requires_grad_()
    scorch.compute("y[i] max= A[i,k]", A=A).sum().backward()
    assert A.values.grad.tolist() == [0.5, 0.5, 0]


def test_an_operand_that_stands_twice_gets_both_gradients() -> None:
    A = sparse((4, 4), "csr").requires_grad_()
    D = A.detach().to_dense().requires_grad_()
    (A @ A).to_dense().square().sum().backward()
    (D @ D).square().sum().backward()
    assert torch.allclose(A.grad.to_dense(), D.grad * (D != 0))


def test_where_gradients_are_found() -> None:
    A = sparse((3, 4), "csc").requires_grad_()
    assert A.grad is None
    (A @ dense(4, 2)).sum().backward()
    assert A.grad.format == A.format
    assert A.grad._storage.pattern is A._storage.pattern
    assert torch.equal(A.grad.values, A.values.grad)
    assert not A.detach().requires_grad


def test_conversions_are_differentiable() -> None:
    A, D = sparse((3, 4), "csr").requires_grad_(), dense(3, 4).requires_grad_()
    A.to("csc").to_dense().square().sum().backward()
    assert torch.allclose(A.grad.to_dense(), 2 * A.detach().to_dense())
    (scorch.tensor(D).to("dcsr") @ torch.ones(4, dtype=torch.float64)).square().sum().backward()
    assert torch.allclose(D.grad, 2 * D.detach().sum(1, keepdim=True).expand(3, 4))
    check(lambda x: x.T.to("coo").to_dense(), sparse((3, 4), "unsorted"))


@pytest.mark.parametrize("layout", [torch.sparse_csr, torch.sparse_coo])
def test_a_torch_sparse_operand_gets_a_gradient_of_its_layout(layout: torch.layout) -> None:
    x = sparse((3, 4), "csr").to_torch(layout).requires_grad_()
    y = x.detach().to_dense().requires_grad_()
    scorch.einsum("ik,kj->ij", x, dense(4, 2)).square().sum().backward()
    (y @ dense(4, 2)).square().sum().backward()
    assert x.grad.layout == layout
    assert torch.allclose(x.grad.to_dense(), y.grad * (y != 0))


def test_number_types_mix() -> None:
    A, x = sparse((3, 4), "csr").to(torch.float32).requires_grad_(), dense(4).requires_grad_()
    (A @ x).sum().backward()
    assert (A.values.grad.dtype, x.grad.dtype) == (torch.float32, torch.float64)
    z = scorch.tensor(torch.eye(2, dtype=torch.complex128)).to("csr").requires_grad_()
    w = torch.tensor([1 + 2j, 3j], requires_grad=True, dtype=torch.complex128)
    scorch.einsum("ij,j->i", z, w).abs().sum().backward()
    mine = z.values.grad.clone(), w.grad.clone()
    d, u = torch.eye(2, dtype=torch.complex128).requires_grad_(), w.detach().clone().requires_grad_()
    (d @ u).abs().sum().backward()
    assert torch.allclose(mine[0], d.grad.diagonal())
    assert torch.allclose(mine[1], u.grad)


def test_nothing_is_recorded_without_need() -> None:
    A, X = sparse((3, 4), "csr").requires_grad_(), dense(4, 2).requires_grad_()
    with torch.no_grad():
        assert not (A @ X).requires_grad
        assert not scorch.einsum("ik,kj->ij", A, X).requires_grad
    assert not scorch.einsum("ik,kj->ij", A.detach(), X.detach()).requires_grad
    assert scorch.kernel("ik,kj->ij", A, X)(A, X).requires_grad


def test_the_gradient_of_a_dense_operand_uses_a_kept_transposition() -> None:
    with scorch.config.using(threads=2):
        n = 400
        rows = torch.arange(n).repeat_interleave(40)
        columns = torch.randint(n, (len(rows),), generator=torch.Generator().manual_seed(0))
        A = scorch.from_coo(torch.stack([rows, columns]), torch.ones(len(rows)), (n, n), format="csr")
        X = torch.rand(n, 64, requires_grad=True)
        with scorch.config.using(jit=True):
            (A @ X).sum().backward()
    kept = [key for key in A._storage.pattern.cache if key[0] == "reorder"]
    assert [str(format) for _, format in kept] == ["csc"]
    assert reorder(A._storage.pattern, scorch.formats.csc) is A._storage.pattern.cache[kept[0]]


# --- torch.func -------------------------------------------------------------------------------------------


SPARSE = sparse((3, 4), "csr")


def _loss(values: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return scorch.einsum("ik,kj->ij", SPARSE.with_values(values), x).square().sum()


def _dense_loss(values: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    places = tuple(SPARSE.coords())
    return (torch.zeros(3, 4, dtype=values.dtype).index_put(places, values) @ x).square().sum()


def _same(left: Any, right: Any) -> bool:
    pairs = zip(torch.utils._pytree.tree_leaves(left), torch.utils._pytree.tree_leaves(right), strict=True)
    return all(torch.allclose(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    "text",
    ["C[i] = A[i,j] ** 2 * x[j]", "C[i] += exp(A[i,j]) / x[i]", "C[i,j] = sin(A[i,j] * x[j])", "C[i] = A[i,j] * x[j]"],
)
@pytest.mark.parametrize("complex_matrix", [True, False])
def test_complex_gradients_are_conjugated(text: str, complex_matrix: bool) -> None:
    x, matrix = torch.complex(dense(3), dense(3).flip(0)), torch.diag(dense(3))
    A = scorch.tensor(torch.complex(matrix, 2 * matrix) if complex_matrix else matrix, "csr")

    def call(A: Tensor, x: torch.Tensor) -> Any:
        return scorch.compute(text, A=A, x=x)

    check(call, A, x)


@pytest.mark.parametrize(
    "transform",
    [
        lambda f: grad(f, (0, 1)),
        lambda f: hessian(f, (0, 1)),
        lambda f: lambda v, x: vjp(f, v, x)[1](torch.tensor(2.0, dtype=torch.float64)),
        lambda f: lambda v, x: jvp(f, (v, x), (v + 1, x * 2)),
        lambda f: lambda v, x: vmap(f, (None, 0))(v, torch.stack([x, x + 1])),
        lambda f: lambda v, x: vmap(f, (None, 2))(v, torch.stack([x, x + 1], 2)),
        lambda f: lambda v, x: vmap(f, (0, None))(torch.stack([v, v + 1]), x),
        lambda f: lambda v, x: vmap(grad(f, (0, 1)), (None, 0))(v, torch.stack([x, x + 1])),
    ],
    ids=["grad", "hessian", "vjp", "jvp", "vmap", "vmap-last", "vmap-values", "vmap-grad"],
)
def test_function_transforms(transform: Callable[..., Any]) -> None:
    given = SPARSE.values, dense(4, 2)
    assert _same(transform(_loss)(*given), transform(_dense_loss)(*given))


def test_the_tangent_of_a_sparse_result_is_on_its_pattern() -> None:
    A = sparse((4, 4), "csr")
    values, tangent = jvp(lambda v: (A.with_values(v) @ A).values, (A.values,), (torch.ones_like(A.values),))
    C = A @ A
    assert torch.equal(values, C.values)
    assert torch.allclose(
        C.with_values(tangent).to_dense(), A.with_values(torch.ones_like(A.values)).to_dense() @ A.to_dense()
    )


def test_a_batch_of_a_dense_operand_is_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    A, X = sparse((3, 4), "csr"), dense(5, 4, 2)
    expected = A.to_dense() @ X
    calls: list[str] = []
    real = engine.evaluate
    monkeypatch.setattr(engine, "evaluate", lambda s, *a, **k: (calls.append(str(s)), real(s, *a, **k))[1])
    assert torch.allclose(vmap(lambda x: A @ x)(X), expected)
    assert calls == ["C[b0,i,k] += A[i,j] * B[b0,j,k]"]


# --- what cannot be ---------------------------------------------------------------------------------------


def test_integers_have_no_gradient() -> None:
    with pytest.raises(ScorchError, match="int64"):
        scorch.tensor(torch.eye(2, dtype=torch.int64)).to("csr").requires_grad_()


def test_a_result_in_place_cannot_be_recorded() -> None:
    with pytest.raises(UnsupportedError, match="no_grad"):
        scorch.einsum("ij,j->i", sparse((3, 4), "csr").requires_grad_(), dense(4), out=torch.empty(3))


def test_forward_mode_of_no_product() -> None:
    A = sparse((3, 4), "csr")
    with pytest.raises(UnsupportedError, match="grad or vjp"):
        jvp(lambda v: scorch.compute("C[i,j] = tanh(A[i,j])", A=A.with_values(v)).values, (A.values,), (A.values,))


def test_values_that_change_after_they_were_saved() -> None:
    A, X = sparse((3, 4), "csr").requires_grad_(), dense(4, 2).clone()
    y = A @ X
    X.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()

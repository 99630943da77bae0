"""Products: matmul, mm, bmm, mv, addmm, einsum, tensordot, linear, and those of torch.sparse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from scorch.contraction import contract
from scorch.errors import NotationError, ShapeError
from scorch.functions.elementwise import add, operand
from scorch.functions.registry import implements
from scorch.functions.statement import access, broadcast, computed, index_names, narrowed
from scorch.functions.structure import dimension
from scorch.tensor import Tensor

__all__ = ["einsum", "matmul", "sampled_addmm"]


@implements("einsum", takes_repeated=True)
def einsum(equation: str, *operands: Any) -> Any:
    """torch.einsum with sparse operands; see `scorch.einsum`."""
    given = operands[0] if len(operands) == 1 and isinstance(operands[0], list | tuple) else operands
    if not isinstance(equation, str):
        raise NotationError(
            "einsum with sublists is not available for sparse tensors; use a string such as 'ik,kj->ij'"
        )
    result = contract(equation, given)
    return result if isinstance(result, torch.Tensor) else Tensor(result)


@implements("matmul", "linalg.matmul", "Tensor.__matmul__", takes_repeated=True)
def matmul(x: Any, other: Any) -> Any:
    """The product of matrices, vectors, or batches of them, which are broadcast.

    >>> from scorch import tensor
    >>> A = tensor([[0.0, 2.0], [1.0, 0.0]], "csr")
    >>> matmul(A, torch.tensor([1.0, 10.0]))
    tensor([20.,  1.])
    """
    x, other = operand(x), operand(other)
    if not getattr(x, "ndim", 0) or not getattr(other, "ndim", 0):
        raise ShapeError("matmul takes tensors of one dimension at least; x * number scales one")
    inner = (x.shape[-1], other.shape[max(other.ndim - 2, 0)])
    if inner[0] != inner[1]:
        raise ShapeError(
            f"the shapes {tuple(x.shape)} and {tuple(other.shape)} don't fit a product: {inner[0]} is not {inner[1]}"
        )
    batch = broadcast(x.shape[:-2], other.shape[:-2])
    names = index_names(len(batch))
    (a, first), (b, second) = (_batched(part, batch, names) for part in (x, other))
    rows, columns = ("r",) * (x.ndim > 1), ("c",) * (other.ndim > 1)
    left, right = access("A", (*first, *rows, "d")), access("B", (*second, "d", *columns))
    truth = x.dtype is other.dtype is torch.bool  # sums of truth values would count
    reduction = f"|= {left} & {right}" if truth else f"+= {left} * {right}"
    return computed(f"{access('C', (*names, *rows, *columns))} {reduction}", A=a, B=b)


def _batched(x: Any, batch: Sequence[int], names: Sequence[str]) -> tuple[Any, tuple[str, ...]]:
    if x.ndim <= 2:
        return x, ()
    shape = (*batch, *x.shape[-2:])
    narrow, kept = narrowed(x, shape, (*names, "r", "c"))
    return narrow, tuple(name for name in kept if name in names)


def _of_ranks(name: str, first: int, second: int) -> None:
    @implements(name, takes_repeated=True)
    def product(x: Any, other: Any) -> Any:
        if (x.ndim, other.ndim) != (first, second):
            raise ShapeError(f"{name} takes tensors of {first} and {second} dimensions, not {x.ndim} and {other.ndim}")
        if first == 3 and x.shape[0] != other.shape[0]:
            raise ShapeError(f"{name} takes batches of one size, not {x.shape[0]} and {other.shape[0]}")
        return matmul(x, other)


for _name, _first, _second in (("mm", 2, 2), ("bmm", 3, 3), ("mv", 2, 1), ("dot", 1, 1), ("hspmm", 2, 2)):
    _of_ranks(_name, _first, _second)


@implements("Tensor.__rmatmul__", takes_repeated=True)
def rmatmul(x: Any, other: Any) -> Any:
    """other @ x."""
    return matmul(other, x)


@implements("vdot", "linalg.vecdot")
def vdot(x: Any, other: Any, *, dim: int = -1) -> Any:
    """The sum of conj(x) * other along a dimension."""
    return (x.conj() * other).sum(dim)


@implements("inner")
def inner(x: Any, other: Any) -> Any:
    """The sum of products over the last dimensions."""
    return tensordot(x, other, dims=([-1], [-1]))


@implements("outer", "ger")
def outer(x: Any, other: Any) -> Any:
    """Every product of an entry of one vector and one of another."""
    return einsum("i,j->ij", x, other)


@implements("tensordot", takes_repeated=True)
def tensordot(x: Any, other: Any, dims: Any = 2, out: Any = None) -> Any:
    """The sum of products over pairs of dimensions: the last ones and the first ones for a number."""
    if isinstance(dims, int):
        pairs = (list(range(x.ndim - dims, x.ndim)), list(range(dims)))
    else:
        pairs = ([int(d) for d in dims[0]], [int(d) for d in dims[1]])
    first = [dimension(d, x.ndim) for d in pairs[0]]
    second = [dimension(d, other.ndim) for d in pairs[1]]
    names = index_names(x.ndim + other.ndim)
    left, right = list(names[: x.ndim]), list(names[x.ndim :])
    for a, b in zip(first, second, strict=True):
        if x.shape[a] != other.shape[b]:
            raise ShapeError(f"tensordot: dimension {a} has {x.shape[a]} places and dimension {b} has {other.shape[b]}")
        right[b] = left[a]
    kept = [v for d, v in enumerate(left) if d not in first] + [v for d, v in enumerate(right) if d not in second]
    return computed(f"{access('OUT', kept)} += {access('A', left)} * {access('B', right)}", A=x, B=operand(other))


@implements("chain_matmul", "linalg.multi_dot", takes_repeated=True)
def multi_dot(*matrices: Any) -> Any:
    """The product of several matrices; the compiler chooses the order."""
    given = matrices[0] if len(matrices) == 1 and isinstance(matrices[0], list | tuple) else matrices
    letters = index_names(len(given) + 1)
    terms = [letters[n] + letters[n + 1] for n in range(len(given))]
    return einsum(f"{','.join(terms)}->{letters[0]}{letters[len(given)]}", *given)


@implements("nn.functional.linear", takes_repeated=True)
def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """x @ weight.T + bias, with a sparse input, weight or both."""
    flat = x if x.ndim <= 2 else x.reshape(-1, x.shape[-1])
    product = matmul(flat, weight.T) if weight.ndim == 2 else matmul(flat, weight)
    if x.ndim > 2:
        product = product.reshape(*x.shape[:-1], *product.shape[1:])
    return product if bias is None else product + bias


@implements("nn.functional.embedding")
def embedding(indices: Any, weight: Tensor, *_: Any, **__: Any) -> Any:
    """The rows of a sparse table."""
    return weight[indices]


# --- products added to something ----------------------------------------------------------------------------


def _added(x: Any, product: Any, beta: Any, alpha: Any) -> Any:
    scaled = product if alpha == 1 else product * alpha
    if beta == 0:
        return scaled
    start = x if beta == 1 else x * beta
    return add(start, scaled) if isinstance(start, Tensor) or isinstance(scaled, Tensor) else start + scaled


@implements("addmm", "addmv", "baddbmm", "sparse.addmm")
def addmm(x: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta * x + alpha * (mat1 @ mat2)."""
    return _added(x, matmul(mat1, mat2), beta, alpha)


@implements("addr")
def addr(x: Any, vec1: Any, vec2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta * x + alpha * outer(vec1, vec2)."""
    return _added(x, outer(vec1, vec2), beta, alpha)


@implements("sparse.sampled_addmm")
def sampled_addmm(x: Tensor, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta * x + alpha * (mat1 @ mat2) at the stored entries of x: no other is computed. Batches are allowed.

    >>> from scorch import tensor
    >>> sampled_addmm(tensor([[0.0, 1.0], [0.0, 0.0]], "csr"), torch.ones(2, 3), torch.ones(3, 2)).values
    tensor([4.])
    """
    if not isinstance(x, Tensor):
        raise ShapeError("sampled_addmm samples at the entries of its first operand, which has to be sparse")
    names = index_names(x.ndim - 2)
    batch = broadcast(mat1.shape[:-2], mat2.shape[:-2])
    if x.ndim < 2 or tuple(x.shape) != (*broadcast(batch, x.shape[:-2]), mat1.shape[-2], mat2.shape[-1]):
        raise ShapeError(f"sampled_addmm: {tuple(mat1.shape)} times {tuple(mat2.shape)} is not of shape {x.shape}")
    (a, first), (b, second) = (_batched(part, x.shape[:-2], names) for part in (mat1, mat2))
    at = access("", (*names, "r", "c"))
    left, right = access("A", (*first, "r", "d")), access("B", (*second, "d", "c"))
    product = computed(f"C{at} = where(stored(S{at}), {left} * {right}, absent)", S=x, A=a, B=b)
    return _added(x, product, beta, alpha)


_REDUCE = {"sum": "+", "mean": "+", "amax": "max", "amin": "min"}
_EMPTY = {"amax": "-inf", "amin": "inf"}


@implements("sparse.mm")
def sparse_mm(mat1: Any, mat2: Any, reduce: str = "sum") -> Any:
    """mat1 @ mat2, or the mean, amax or amin of products over the stored entries of mat1; 0 where there are none."""
    if reduce not in _REDUCE:
        raise ShapeError(f"sparse.mm reduces by {', '.join(_REDUCE)}, not by {reduce!r}")
    if reduce == "sum":
        return matmul(mat1, mat2)
    if not isinstance(mat1, Tensor):
        raise ShapeError(f"sparse.mm reduces by {reduce} over the entries of its first operand, which has to be sparse")
    count = "N[i] += where(stored(A[i,k]), 1, 0); "
    if reduce == "mean":
        text = count + "M[i,j] = A[i,k] * B[k,j]; C[i,j] = M[i,j] / max(N[i], 1)"
    else:
        text = (
            count + f"M[i,j] {_REDUCE[reduce]}= where(stored(A[i,k]), A[i,k] * B[k,j], {_EMPTY[reduce]}); "
            "C[i,j] = where(N[i] > 0, M[i,j], 0)"
        )
    return computed(text, A=mat1, B=mat2)

"""Products with a sparse weight, or of a sparse input with a dense one."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch.nn import functional as F

import scorch
from scorch.errors import ShapeError
from scorch.functions.registry import taker
from scorch.nn.device import check_cpu
from scorch.nn.functional.epilogue import Activation, epilogue
from scorch.nn.functional.fused import finished, is_known, is_plain_call, keep_viewed, product, viewed

__all__ = ["divided", "in_parts", "is_sparse", "linear", "matmul"]


def linear(input: Any, weight: Any, bias: torch.Tensor | None = None, activation: Activation = None) -> torch.Tensor:
    """activation(input @ weight.T + bias), each of input and weight sparse or dense.

    `input` is (..., in_features), dense, or (batch, in_features), sparse; `weight` (out_features, in_features); the
    result (..., out_features) is dense. With a sparse weight the result's memory is ordered by feature, which is what
    the next sparse layer reads fastest: use `reshape` where `view` would ask for another order. Raises ShapeError if
    the numbers of features differ, or a sparse input is no matrix.

    >>> weight = scorch.tensor(torch.tensor([[0.0, 2.0], [1.0, 0.0]]), format="csr")
    >>> linear(torch.tensor([[1.0, 3.0]]), weight, torch.tensor([0.5, -9.0]), "relu")
    tensor([[6.5000, 0.0000]])
    """
    again = viewed(weight, input, bias, activation)
    if again is not None:
        return again
    if not getattr(input, "shape", ()):
        raise ShapeError(f"the input is (..., {weight.shape[-1]}), a tensor; this {type(input).__name__} has no shape")
    if input.shape[-1] != weight.shape[-1]:
        raise ShapeError(
            f"the input has {input.shape[-1]} features, the weight takes {weight.shape[-1]}: "
            f"shapes {tuple(input.shape)} and {tuple(weight.shape)}"
        )
    from_sparse = is_sparse(input)
    if from_sparse and len(input.shape) != 2:
        raise ShapeError(f"a sparse input is (batch, {weight.shape[-1]}), this is {tuple(input.shape)}: reshape it")
    if not is_sparse(weight):
        if from_sparse:
            return matmul(input, _dense(weight).t(), bias, activation)
        return _dense_linear(_dense(input), _dense(weight), bias, activation)
    if from_sparse:
        return epilogue(_torch(scorch.einsum("bi,oi->bo", input, weight, out_format="dense")), bias, activation)
    return _by_feature(_dense(input), weight, bias, activation)


def _by_feature(input: torch.Tensor, weight: Any, bias: torch.Tensor | None, activation: Activation) -> torch.Tensor:
    """The product with a sparse weight, one feature of all samples after the other: so its rows are multiplied at full
    speed. A single sample is a vector."""
    is_matrix = input.ndim == 2
    flat = input if is_matrix else input.reshape(-1, input.shape[-1])
    if is_plain_call(input, weight, bias):
        columns = flat[0] if flat.shape[0] == 1 else _columns(flat)
        result = product(weight, columns, bias, activation, by_row=True)
        if is_matrix:
            shown = result.t() if result.ndim == 2 else result[None]
            keep_viewed(weight, input, columns, bias, activation, shown)
            return shown
        return result.t().reshape(*input.shape[:-1], weight.shape[0])
    result = _torch(scorch.einsum("oi,ib->ob", weight, flat.t().contiguous())).t()
    return epilogue(result if is_matrix else result.reshape(*input.shape[:-1], weight.shape[0]), bias, activation)


def _columns(rows: torch.Tensor) -> torch.Tensor:
    """A matrix with a row in memory for each column, as it is where it is stored so."""
    columns = rows.t()
    if columns.is_contiguous() or torch.compiler.is_compiling() or taker() is not None:
        return columns.contiguous()
    return _torch(scorch.einsum("bi->ib", rows))


def matmul(a: Any, b: Any, bias: torch.Tensor | None = None, activation: Activation = None) -> torch.Tensor:
    """activation(a @ b + bias) as a dense matrix, each of a and b sparse or dense.

    >>> matmul(torch.eye(2).to_sparse_csr(), torch.ones(2, 2))
    tensor([[1., 1.],
            [1., 1.]])
    """
    left, right = is_sparse(a), is_sparse(b)
    if not left and not right:
        return epilogue(_dense_product("ik,kj->ij", _dense(a), _dense(b)), bias, activation)
    # A row of the second operand is fetched for each entry of the first: it should be one piece.
    b = b if right else _dense(b).contiguous()
    if left and is_plain_call(a, b, bias):
        return product(a, b, bias, activation)
    return epilogue(_torch(scorch.einsum("ik,kj->ij", a, b, out_format="dense")), bias, activation)


def _dense_linear(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, activation: Activation
) -> torch.Tensor:
    """The product with a dense weight, with what follows it in one kernel where only its value is asked for."""
    follows = bias is not None or activation is not None
    if follows and _are_alike(x, weight, bias) and x.ndim > 1 and is_known(activation) and _is_ours(x, weight, bias):
        flat = x if x.ndim == 2 else x.reshape(-1, x.shape[-1])
        operands = {"X": flat, "W": weight} if bias is None else {"X": flat, "W": weight, "b": bias}
        made = _torch(scorch.compute(_kept_text(bias is not None, activation), **operands))  # type: ignore[arg-type]
        return made if x.ndim == 2 else made.reshape(*x.shape[:-1], weight.shape[0])
    result = _dense_product("ni,oi->no", x, weight)
    if bias is not None:
        added = is_plain_call(x, weight, bias) and result.dtype == bias.dtype
        result = result.add_(bias) if added else result + bias
    return epilogue(result, None, activation)


def in_parts(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, parts: int) -> torch.Tensor:
    """x @ weight.T + bias with its features in so many parts: (parts, ..., features / parts), such as the heads of an
    attention. Where only the value is asked for, one kernel writes each part in one piece, so that nobody copies it.

    >>> in_parts(torch.ones(5, 2), torch.ones(6, 2), None, 3).shape
    torch.Size([3, 5, 2])
    """
    if not _are_alike(x, weight, bias) or not _is_ours(x, weight, bias):
        return divided(linear(x, weight, bias), parts)
    width = weight.shape[0] // parts
    operands = {"X": x.reshape(-1, x.shape[-1]), "W": weight.reshape(parts, width, x.shape[-1])}
    if bias is not None:
        operands["b"] = bias.reshape(parts, width)
    text = "T[p,n,o] += X[n,i] * W[p,o,i]; C[p,n,o] = T[p,n,o]" + (" + b[p,o]" if bias is not None else "")
    made = _torch(scorch.compute(text, **operands))  # type: ignore[arg-type]
    return made.reshape(parts, *x.shape[:-1], width)


def divided(x: torch.Tensor, parts: int) -> torch.Tensor:
    """(..., features) as (parts, ..., features / parts), on the same memory.

    >>> divided(torch.arange(6), 3).tolist()
    [[0, 1], [2, 3], [4, 5]]
    """
    return x.reshape(*x.shape[:-1], parts, x.shape[-1] // parts).movedim(-2, 0)


@lru_cache(maxsize=64)
def _kept_text(bias: bool, activation: str | None) -> str:
    value = finished("T[n,o] + b[o]" if bias else "T[n,o]", activation)[0]
    return f"T[n,o] += X[n,i] * W[o,i]; C[n,o] = {value}"


def _are_alike(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> bool:
    """Whether all have one floating-point type that kernels compute in."""
    return x.dtype == weight.dtype == (x if bias is None else bias).dtype and x.dtype in (torch.float32, torch.float64)


def _is_ours(*operands: Any) -> bool:
    """Whether the value of a product of dense matrices is asked for here and now, and nothing else."""
    return is_plain_call(*operands) and not torch.compiler.is_compiling() and taker() is None


def _dense_product(notation: str, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """A product of dense matrices, by whom the schedule expects to be faster; torch's where it is differentiated."""
    if x.ndim == weight.ndim == 2 and x.dtype == weight.dtype and _is_ours(x, weight):
        return _torch(scorch.einsum(notation, x, weight))
    return F.linear(x, weight) if notation.startswith("ni") else x @ weight


def is_sparse(x: Any) -> bool:
    """Whether a matrix of any kind is held sparse.

    >>> is_sparse(torch.eye(2)), is_sparse(torch.eye(2).to_sparse())
    (False, True)
    """
    if isinstance(x, scorch.Tensor):
        return not x.format.is_dense
    if isinstance(x, torch.Tensor):
        return x.layout is not torch.strided
    return not scorch.tensor(x).format.is_dense


def _dense(x: Any) -> torch.Tensor:
    if not isinstance(x, torch.Tensor):
        return scorch.tensor(x).to_dense()
    if not x.is_cpu:
        check_cpu(x)
    return x


def _torch(x: torch.Tensor | scorch.Tensor) -> torch.Tensor:
    return x if isinstance(x, torch.Tensor) else x.to_dense()

"""Products with a sparse weight, or of a sparse input with a dense one."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

import scorch
from scorch.errors import ShapeError
from scorch.nn.functional.epilogue import Activation, epilogue

__all__ = ["linear", "matmul"]


def linear(input: Any, weight: Any, bias: torch.Tensor | None = None, activation: Activation = None) -> torch.Tensor:
    """activation(input @ weight.T + bias), where the weight, the input or both are sparse.

    `input` is (..., in_features), dense, or (batch, in_features), sparse; `weight` (out_features, in_features); the
    result (..., out_features) is dense. With a sparse weight the result's memory is ordered by feature, which is what
    the next sparse layer reads fastest: use `reshape` where `view` would ask for another order. Raises ShapeError if
    the numbers of features differ.

    >>> weight = scorch.tensor(torch.tensor([[0.0, 2.0], [1.0, 0.0]]), format="csr")
    >>> linear(torch.tensor([[1.0, 3.0]]), weight, torch.tensor([0.5, -9.0]), "relu")
    tensor([[6.5000, 0.0000]])
    """
    if input.shape[-1] != weight.shape[-1]:
        raise ShapeError(
            f"the input has {input.shape[-1]} features, the weight takes {weight.shape[-1]}: "
            f"shapes {tuple(input.shape)} and {tuple(weight.shape)}"
        )
    return epilogue(_product(input, weight), bias, activation)


def _product(input: Any, weight: Any) -> torch.Tensor:
    if not _is_sparse(weight):
        weight = _dense(weight)
        return matmul(input, weight.t()) if _is_sparse(input) else F.linear(_dense(input), weight)
    if _is_sparse(input):
        return _torch(scorch.einsum("bi,oi->bo", input, weight, out_format="dense"))
    input = _dense(input)
    # One feature of all samples after the other: so the rows of a sparse weight are multiplied at full speed.
    by_feature = input.reshape(-1, input.shape[-1]).t().contiguous()
    product = _torch(scorch.einsum("oi,ib->ob", weight, by_feature))
    return product.t().reshape(*input.shape[:-1], weight.shape[0])


def matmul(a: Any, b: Any) -> torch.Tensor:
    """a @ b as a dense matrix, each of them sparse or dense.

    >>> matmul(torch.eye(2).to_sparse_csr(), torch.ones(2, 2))
    tensor([[1., 1.],
            [1., 1.]])
    """
    if not _is_sparse(a) and not _is_sparse(b):
        return _dense(a) @ _dense(b)
    # A row of the second operand is fetched for each entry of the first: it should be one piece.
    b = b if _is_sparse(b) else _dense(b).contiguous()
    return _torch(scorch.einsum("ik,kj->ij", a, b, out_format="dense"))


def _is_sparse(x: Any) -> bool:
    if isinstance(x, torch.Tensor):
        return x.layout is not torch.strided
    return not (scorch.tensor(x).format.is_dense if not isinstance(x, scorch.Tensor) else x.format.is_dense)


def _dense(x: Any) -> torch.Tensor:
    return x if isinstance(x, torch.Tensor) else scorch.tensor(x).to_dense()


def _torch(x: torch.Tensor | scorch.Tensor) -> torch.Tensor:
    return x if isinstance(x, torch.Tensor) else x.to_dense()

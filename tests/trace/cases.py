"""Functions to compile, and what it means that results are the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch.nn import functional as F

import scorch

Case = Callable[[SimpleNamespace], Any]

FUSED: dict[str, Case] = {
    "gcn layer": lambda t: torch.relu(t.A @ (t.X @ t.Y) + t.u),
    "gcn layer, other order": lambda t: F.relu((t.A @ t.X) @ t.Y + t.u),
    "bias by broadcasting a column": lambda t: t.A @ t.X + t.u[:, None],
    "activation alone": lambda t: torch.sigmoid(t.A @ t.X),
    "methods": lambda t: t.A.matmul(t.X).add(t.u).relu(),
    "leaky relu": lambda t: F.leaky_relu(t.A @ t.X - t.Y, 0.1),
    "silu": lambda t: F.silu(t.A @ t.X),
    "residual": lambda t: t.X + torch.relu(t.A @ t.X + t.u) * 0.5,
    "scaling by a row factor": lambda t: (t.A @ t.X) / t.u[:, None],
    "alpha": lambda t: torch.add(t.A @ t.X, t.Y, alpha=2),
    "reflected operators": lambda t: 2 - (1.5 * (t.A @ t.X) + t.u),
    "vector": lambda t: torch.relu(t.A @ t.u + t.v),
    "mv": lambda t: torch.mv(t.A, t.u) * 2 + 1,
    "dense on the left": lambda t: torch.relu(t.X @ t.A + t.u),
    "linear, sparse weight": lambda t: F.relu(F.linear(t.X, t.A, t.u)),
    "linear, sparse input": lambda t: F.relu(F.linear(t.A, t.X, t.u)),
    "addmm": lambda t: torch.relu(torch.addmm(t.u, t.A, t.X)),
    "einsum": lambda t: torch.relu(scorch.einsum("ij,jk->ik", t.A, t.X) + t.u),
    "torch.einsum": lambda t: torch.relu(torch.einsum("ij,jk->ki", t.A, t.X) + t.u),
    "two layers": lambda t: t.A @ (torch.relu(t.A @ (t.X @ t.Y) + t.u) @ t.Z) + t.v,
    "chain of sparse matrices": lambda t: (t.A @ t.M) @ t.X,
    "attention": lambda t: torch.softmax(t.M * (t.X @ t.Y.T) / math.sqrt(t.n), -1) @ t.Z,
    "attention, scaled first": lambda t: torch.softmax(t.M * ((t.X / 3) @ t.Y.T), dim=-1) @ t.Z,
    "attention, scaled inside": lambda t: F.softmax(t.M * ((t.X @ t.Y.T) * 0.25), dim=1) @ t.Z,
    "attention, mask on the right": lambda t: ((t.X @ t.Y.T) * t.M).softmax(-1).matmul(t.Z),
    "attention, torch.sparse": lambda t: torch.sparse.softmax(t.M * torch.mm(t.X, t.Y.t()), 1) @ t.Z,
    "attention, einsum": lambda t: torch.softmax(scorch.einsum("ij,id,jd->ij", t.M, t.X, t.Y), -1) @ t.Z,
    "attention, sampled_addmm": lambda t: (
        torch.softmax(torch.sparse.sampled_addmm(t.M, t.X, t.Y.T, beta=0) * 0.5, -1) @ t.Z
    ),
    "sampled product": lambda t: t.A * (t.X @ t.Y.T),
    "sampled, with a bias": lambda t: t.A * (t.X @ t.Y.T + t.u),
    "softmax alone": lambda t: torch.softmax(t.A * 2, -1),
    "row sums": lambda t: (t.A * t.X).sum(-1),
    "row sums kept": lambda t: (t.A @ t.X) / ((t.M * 1.0).sum(1, keepdim=True) + 1),
    "same operand twice": lambda t: (t.A @ t.X) * (t.A @ t.X),
    "read twice": lambda t: (lambda h: torch.relu(h) * h)(t.A @ t.X),
    "union": lambda t: (t.A + t.M) @ t.X,
}
LEFT_TO_TORCH: dict[str, Case] = {
    "fft": lambda t: torch.fft.rfft(torch.relu(t.A @ t.X), dim=-1).abs(),
    "cumsum": lambda t: (t.A @ t.X).cumsum(0) + t.u,
    "layer norm": lambda t: F.layer_norm(t.A @ t.X + t.u, (t.n,)),
    "log_softmax": lambda t: F.log_softmax(t.A @ t.X, dim=-1),
    "index": lambda t: (t.A @ t.X)[2:5, ::2] + (t.A @ t.X)[0, ::2],
    "cat": lambda t: torch.cat([t.A @ t.X, t.A @ t.Y], dim=1),
    "stack of a list": lambda t: torch.stack([t.A @ t.X, t.Y]),
    "reshape": lambda t: (t.A @ t.X).view(-1, 3).T.contiguous(),
    "other number types": lambda t: (t.A @ t.X).double() + t.X.double(),
    "half": lambda t: (t.A @ t.X).half() * 2,
    "comparison": lambda t: torch.where((t.A @ t.X) > 0, t.X, t.Y),
    "clamp": lambda t: (t.A @ t.X).clamp(0, 6),
    "tanh": lambda t: torch.tanh(t.A @ t.X + t.u) + 1,
    "gelu": lambda t: F.gelu(t.A @ t.X),
    "power": lambda t: (t.A @ t.X) ** 2,
    "reductions": lambda t: (t.A @ t.X).sum() + (t.A @ t.X).mean(0),
    "maximum with indices": lambda t: (t.A @ t.X).max(dim=1),
    "dense only": lambda t: torch.relu(t.X @ t.Y + t.u) @ t.Z,
    "batches": lambda t: torch.stack([t.X, t.Y]) @ t.Z,
    "sparse only": lambda t: t.A @ t.M,
    "transposed result": lambda t: torch.relu((t.A @ t.X).T + t.u),
    "to dense": lambda t: (t.A * 2).to_dense() + t.X,
    "values": lambda t: (t.A * t.X).values + 1,
    "detach and clone": lambda t: (t.A @ t.X).detach().clone(),
    "numpy": lambda t: torch.from_numpy((t.A @ t.X).numpy() + 1),
    "python numbers": lambda t: t.X * float((t.A @ t.X).sum()) + (t.A @ t.X)[0, 0].item(),
    "iteration": lambda t: [row + 1 for row in t.A @ t.X][3],
    "operators of one": lambda t: -(t.A @ t.X) + abs(t.A @ t.Y),
    "column": lambda t: (t.A @ t.X[:, :1]) + t.u[:, None],
    "bias of extent one": lambda t: torch.relu(t.A @ t.X + t.u[:1]),
    "scalar tensor": lambda t: torch.relu(t.A @ t.X * t.u[0]),
    "compute": lambda t: scorch.compute("C[i,j] = A[i,k] * X[k,j] + u[j]", A=t.A, X=t.A @ t.X, u=t.u),
}


def dense(x: Any) -> Any:
    return x.to_dense() if isinstance(x, scorch.Tensor) else x


def same(found: Any, wanted: Any) -> None:
    if isinstance(wanted, tuple | list):
        assert type(found) is type(wanted)
        for one, other in zip(found, wanted, strict=True):
            same(one, other)
        return
    assert type(found) is type(wanted)
    assert found.dtype is wanted.dtype
    assert found.shape == wanted.shape
    if isinstance(wanted, scorch.Tensor):
        assert found.nnz == wanted.nnz
    torch.testing.assert_close(dense(found), dense(wanted), atol=1e-5, rtol=1e-4)

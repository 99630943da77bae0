"""Sparse attention: alone, and in whole Longformer and BigBird models.

Operands: the input and the mask (scipy CSR); of attention alone q, k, v are (heads, length, depth); of a model the
input is its tokens, and its name follows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from asv_benchmarks.compare.model import Contender, LeftOut

from .common import Operations, csr, dense, inference, softmax_by_row

__all__ = ["DENSE", "SCORCH", "SPARSE", "attention_reference", "model_reference", "network"]

VOCABULARY = 1000
Attend = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
_ELEMENTS = 2**28


def attention_reference(q: Any, k: Any, v: Any, mask: Any) -> Any:
    allowed = mask.toarray() != 0
    scores = np.where(allowed, q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1]), -np.inf)
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True) @ v


# --- torch ------------------------------------------------------------------------------------------------


def _sampled(mask: Any, index: type) -> Attend:
    """A head at a time: sampled product, softmax by scatter, sparse product."""
    pattern = csr(mask, index)
    pattern = torch.sparse_csr_tensor(
        pattern.crow_indices(), pattern.col_indices(), torch.zeros(mask.nnz), mask.shape, check_invariants=False
    )
    rows = torch.from_numpy(mask.tocoo().coords[0].astype(np.int64))

    def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        scale = 1 / math.sqrt(q.shape[-1])
        heads = []
        for query, key, value in zip(*(x.reshape(-1, *x.shape[-2:]) for x in (q, k, v)), strict=True):
            scores = torch.sparse.sampled_addmm(pattern, query, key.T, beta=0.0, alpha=scale)
            weights = softmax_by_row(rows, scores.values()[:, None], len(query))[:, 0]
            matrix = torch.sparse_csr_tensor(
                pattern.crow_indices(), pattern.col_indices(), weights, mask.shape, check_invariants=False
            )
            heads.append(matrix @ value)
        return torch.stack(heads).reshape(*q.shape[:-1], v.shape[-1])

    return attend


def _gathered(mask: Any) -> Attend:
    """All heads at once by gathering rows of q, k and v."""
    rows, cols = (torch.from_numpy(axis.astype(np.int64)) for axis in mask.tocoo().coords)

    def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        if q.numel() // q.shape[-2] * len(rows) > _ELEMENTS:
            raise LeftOut("the gathered rows would take more than 1 GiB")
        scores = (q[..., rows, :] * k[..., cols, :]).sum(-1) / math.sqrt(q.shape[-1])
        flat = scores.reshape(-1, len(rows)).T
        weights = softmax_by_row(rows, flat, q.shape[-2]).T.reshape(scores.shape)
        return torch.zeros_like(v).index_add(-2, rows, weights[..., None] * v[..., cols, :])

    return attend


def _masked(mask: Any) -> Attend:
    allowed = dense(mask) != 0
    return partial(F.scaled_dot_product_attention, attn_mask=allowed)


def _scorch_attend(mask: Any) -> Attend:
    import scorch
    from scorch.nn.functional import attention

    return partial(attention, mask=scorch.tensor(mask))


_RIVALS: dict[str, Callable[[Any], Attend]] = {
    "torch csr32": partial(_sampled, index=np.int32),
    "torch csr64": partial(_sampled, index=np.int64),
    "torch gather": _gathered,
}


def _alone(ways: dict[str, Callable[[Any], Attend]], q: Any, k: Any, v: Any, mask: Any) -> Iterator[Contender]:
    for label, make in ways.items():

        def build(make: Any = make) -> Callable[[], Any]:
            return partial(make(mask), *(torch.from_numpy(x) for x in (q, k, v)))

        yield inference(label, build)


# --- models -----------------------------------------------------------------------------------------------


def network(name: str, length: int) -> nn.Module:
    """The model of that name with seeded weights, for sequences of this length."""
    from scorch.nn.models import bigbird, longformer

    torch.manual_seed(0)
    model: nn.Module = {"longformer": longformer, "bigbird": bigbird}[name](VOCABULARY, 2, length)
    return model.eval()


class _Attention(nn.Module):
    """The projections of a SparseAttention around another way to attend."""

    def __init__(self, layer: Any, attend: Attend) -> None:
        super().__init__()
        self.layer, self.attend = layer, attend

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        heads = self.layer.num_heads
        parts = self.layer.qkv(x).unflatten(-1, (3, heads, x.shape[-1] // heads))
        q, k, v = (part.transpose(-3, -2) for part in parts.unbind(-3))
        return self.layer.out(self.attend(q, k, v).transpose(-3, -2).flatten(-2))


def _model(make: Callable[[Any], Attend], tokens: Any, mask: Any, name: Any) -> Callable[[], Any]:
    model: Any = network(str(name), tokens.shape[1])
    attend = make(mask)
    for layer in model.layers:
        layer.attention = _Attention(layer.attention, attend)
    return partial(model, torch.from_numpy(tokens))


def _models(ways: dict[str, Callable[[Any], Attend]], tokens: Any, mask: Any, name: Any) -> Iterator[Contender]:
    for label, make in ways.items():
        yield inference(label, partial(_model, make, tokens, mask, name))


def _scorch_model(tokens: Any, mask: Any, name: Any) -> Iterator[Contender]:
    yield inference("scorch", lambda: partial(network(str(name), tokens.shape[1]), torch.from_numpy(tokens)))


@torch.no_grad()
def model_reference(tokens: Any, mask: Any, name: Any) -> Any:
    return _model(_masked, tokens, mask, name)().numpy()


SCORCH: Operations = {"attention": partial(_alone, {"scorch": _scorch_attend}), "transformer": _scorch_model}
SPARSE: Operations = {"attention": partial(_alone, _RIVALS), "transformer": partial(_models, _RIVALS)}
DENSE: Operations = {
    "attention": partial(_alone, {"dense": _masked}),
    "transformer": partial(_models, {"dense": _masked}),
}

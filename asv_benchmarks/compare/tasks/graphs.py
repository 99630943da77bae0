"""Graph networks of two layers: GCN (inference and a training step), GraphSAGE, GAT.

Operands: the adjacency matrix (scipy CSR, normalised as the model wants it), features (scipy CSR or numpy), weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from asv_benchmarks.compare.model import Contender

from .common import LAYOUTS, Operations, csr, dense, inference, softmax_by_row

__all__ = ["DENSE", "SCORCH", "SPARSE", "gat_reference", "gcn_reference", "gcn_step_reference", "sage_reference"]

HEADS = 8
Multiply = Callable[[Any, Any], torch.Tensor]


def _gcn(multiply: Multiply, A: Any, X: Any, W1: Any, W2: Any) -> torch.Tensor:
    return multiply(A, torch.relu(multiply(A, multiply(X, W1))) @ W2)


def _gcn_aggregate_first(multiply: Multiply, A: Any, X: Any, W1: Any, W2: Any) -> torch.Tensor:
    return multiply(A, torch.relu(multiply(A, X) @ W1) @ W2)


def _sage(multiply: Multiply, A: Any, X: Any, W1: Any, R1: Any, W2: Any, R2: Any) -> torch.Tensor:
    hidden = torch.relu(multiply(A, multiply(X, W1)) + multiply(X, R1))
    return multiply(A, hidden @ W2) + hidden @ R2


def _sage_joined(multiply: Multiply, A: Any, X: Any, W1: Any, R1: Any, W2: Any, R2: Any) -> torch.Tensor:
    """One product for both weights of a layer."""
    neighbours, own = multiply(X, torch.cat([W1, R1], 1)).chunk(2, 1)
    hidden = torch.relu(multiply(A, neighbours.contiguous()) + own)
    neighbours, own = (hidden @ torch.cat([W2, R2], 1)).chunk(2, 1)
    return multiply(A, neighbours.contiguous()) + own


def _gat_layer(sums: Callable[..., torch.Tensor], rows: Any, cols: Any, h: Any, source: Any, target: Any) -> Any:
    scores = (h * target).sum(-1)[rows] + (h * source).sum(-1)[cols]
    return sums(softmax_by_row(rows, F.leaky_relu(scores, 0.2), len(h)), h)


def _gat(sums: Any, multiply: Multiply, rows: Any, cols: Any, X: Any, weights: tuple[Any, ...]) -> torch.Tensor:
    W1, s1, t1, W2, s2, t2 = weights
    h = multiply(X, W1).reshape(X.shape[0], HEADS, -1)
    hidden = F.elu(_gat_layer(sums, rows, cols, h, s1, t1).flatten(1))
    return _gat_layer(sums, rows, cols, (hidden @ W2)[:, None], s2, t2)[:, 0]


def _tensors(*arrays: Any) -> list[Any]:
    return [torch.from_numpy(array) for array in arrays]


# --- what the results should be ---------------------------------------------------------------------------


def gcn_reference(a: Any, x: Any, w1: Any, w2: Any) -> Any:
    return a @ (np.maximum(a @ (x @ w1), 0) @ w2)


def gcn_step_reference(a: Any, x: Any, w1: Any, w2: Any) -> Any:
    """The gradient of the sum of squared logits with respect to the second weight."""
    hidden = np.maximum(a @ (x @ w1), 0)
    return hidden.T @ (a.T @ (2 * (a @ (hidden @ w2))))


def sage_reference(a: Any, x: Any, w1: Any, r1: Any, w2: Any, r2: Any) -> Any:
    hidden = np.maximum(a @ (x @ w1) + x @ r1, 0)
    return a @ (hidden @ w2) + hidden @ r2


def gat_reference(a: Any, x: Any, *weights: Any) -> Any:
    rows, cols = (torch.from_numpy(axis.astype(np.int64)) for axis in a.tocoo().coords)
    dense_x = torch.from_numpy(x.toarray() if hasattr(x, "toarray") else x).double()
    exact = tuple(w.double() for w in _tensors(*weights))
    return _gat(partial(_sums_by_index, rows, cols), torch.matmul, rows, cols, dense_x, exact).numpy()


# --- torch ------------------------------------------------------------------------------------------------


def _features(x: Any) -> dict[str, Callable[[Any], Any]]:
    """How torch may hold the features: dense, and sparse if they are."""
    return {"": dense, " sparse X": csr} if hasattr(x, "nnz") else {"": dense}


def _variants(forward: Any, a: Any, x: Any, *weights: Any, note: str = "") -> Iterator[Contender]:
    for label, layout in LAYOUTS.items():
        for suffix, features in _features(x).items():

            def build(layout: Any = layout, features: Any = features) -> Callable[[], Any]:
                return partial(forward, torch.matmul, layout(a), features(x), *_tensors(*weights))

            yield inference(f"{label}{note}{suffix}", build)


def _sparse_gcn(a: Any, x: Any, *weights: Any) -> Iterator[Contender]:
    yield from _variants(_gcn, a, x, *weights)
    if not hasattr(x, "nnz"):
        yield from _variants(_gcn_aggregate_first, a, x, *weights, note=" (A X) W")


def _sparse_sage(a: Any, x: Any, *weights: Any) -> Iterator[Contender]:
    yield from _variants(_sage, a, x, *weights)
    yield from _variants(_sage_joined, a, x, *weights, note=" X [W R]")


def _sums_by_index(rows: Any, cols: Any, weights: Any, h: Any) -> torch.Tensor:
    return torch.zeros_like(h).index_add(0, rows, weights[..., None] * h[cols])


def _sums_by_head(pattern: torch.Tensor, weights: Any, h: Any) -> torch.Tensor:
    pos, crd, size = pattern.crow_indices(), pattern.col_indices(), pattern.shape
    heads = [
        torch.sparse_csr_tensor(pos, crd, weights[:, n].contiguous(), size, check_invariants=False) @ h[:, n]
        for n in range(h.shape[1])
    ]
    return torch.stack(heads, 1)


def _sparse_gat(a: Any, x: Any, *weights: Any) -> Iterator[Contender]:
    rows, cols = (torch.from_numpy(axis.astype(np.int64)) for axis in a.tocoo().coords)
    pattern = csr(a)
    ways = {"torch csr32": partial(_sums_by_head, pattern), "torch gather": partial(_sums_by_index, rows, cols)}
    for label, sums in ways.items():
        for suffix, features in _features(x).items():

            def build(sums: Any = sums, features: Any = features) -> Callable[[], Any]:
                return partial(_gat, sums, torch.matmul, rows, cols, features(x), tuple(_tensors(*weights)))

            yield inference(label + suffix, build)


def _step(forward: Callable[..., torch.Tensor], A: Any, X: Any, weights: tuple[Any, ...]) -> Callable[[], Any]:
    """A call that runs forward and backward and returns the gradient of the second weight."""
    W1, W2 = (w.requires_grad_() for w in _tensors(*weights))

    def call() -> torch.Tensor:
        W1.grad = W2.grad = None
        forward(A, X, W1, W2).square().sum().backward()
        return W2.grad

    return call


def _sparse_step(a: Any, x: Any, *weights: Any) -> Iterator[Contender]:
    for label, layout in LAYOUTS.items():
        for suffix, features in _features(x).items():

            def build(layout: Any = layout, features: Any = features) -> Callable[[], Any]:
                return _step(partial(_gcn, torch.matmul), layout(a), features(x), weights)

            yield Contender(label + suffix, build)


def _dense(forward: Any, a: Any, x: Any, *weights: Any) -> Iterator[Contender]:
    yield inference("dense", lambda: partial(forward, torch.matmul, dense(a), dense(x), *_tensors(*weights)))


def _dense_step(a: Any, x: Any, *weights: Any) -> Iterator[Contender]:
    yield Contender("dense", lambda: _step(partial(_gcn, torch.matmul), dense(a), dense(x), weights))


# --- Scorch -----------------------------------------------------------------------------------------------


def _wrapped(x: Any) -> Any:
    import scorch

    return scorch.tensor(x) if hasattr(x, "nnz") else torch.from_numpy(x)


def _scorch_gcn(A: Any, X: Any, W1: Any, W2: Any) -> Any:
    from scorch.nn.functional import graph_conv

    return graph_conv(A, graph_conv(A, X, W1.T, activation="relu"), W2.T)


def _scorch_sage(A: Any, X: Any, W1: Any, R1: Any, W2: Any, R2: Any) -> Any:
    from scorch.nn.functional import sage_conv

    return sage_conv(A, sage_conv(A, X, W1.T, R1.T, activation="relu"), W2.T, R2.T)


def _scorch_gat(A: Any, X: Any, *weights: Any) -> Any:
    from scorch.nn.functional import gat_conv, linear

    W1, s1, t1, W2, s2, t2 = weights
    features = linear(X, W1.T).reshape(X.shape[0], HEADS, -1)
    hidden = gat_conv(A, features, s1, t1, activation="elu").flatten(1)
    return gat_conv(A, linear(hidden, W2.T)[:, None], s2, t2)[:, 0]


def _scorch(forward: Any, a: Any, x: Any, *weights: Any) -> Iterator[Contender]:
    yield inference("scorch", lambda: partial(forward, _wrapped(a), _wrapped(x), *_tensors(*weights)))


def _scorch_step(a: Any, x: Any, *weights: Any) -> Iterator[Contender]:
    yield Contender("scorch", lambda: _step(_scorch_gcn, _wrapped(a), _wrapped(x), weights))


SCORCH: Operations = {
    "gcn": partial(_scorch, _scorch_gcn),
    "sage": partial(_scorch, _scorch_sage),
    "gat": partial(_scorch, _scorch_gat),
    "gcn_step": _scorch_step,
}
SPARSE: Operations = {"gcn": _sparse_gcn, "sage": _sparse_sage, "gat": _sparse_gat, "gcn_step": _sparse_step}
DENSE: Operations = {"gcn": partial(_dense, _gcn), "sage": partial(_dense, _sage), "gcn_step": _dense_step}

"""The products of a model alone, through Scorch: what is left if all that stands between them took no time.

No rival, and nothing whose result could be checked: the time of a rival over this one is as far ahead as Scorch could
be with these products.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from asv_benchmarks.compare.model import Contender, Peer
from asv_benchmarks.compare.tasks.common import inference

__all__ = ["PEER"]

LABEL = "products alone"
Product = tuple[Any, torch.Tensor]


def _contender(products: Callable[[], Sequence[Product]]) -> Contender:
    """A call that makes each product (left, right) once, from operands that are there already."""

    def build() -> Callable[[], Any]:
        ready = products()
        return lambda: [left @ right for left, right in ready]

    return inference(LABEL, build)


def _sparse(a: Any, frozen: bool = False) -> Any:
    import scorch

    if not hasattr(a, "nnz"):
        return torch.from_numpy(a)
    return scorch.tensor(a).freeze() if frozen else scorch.tensor(a)


def _columns(rows: int, columns: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).standard_normal((rows, columns)).astype(np.float32))


def _propagated(a: Any, x: Any, first: Sequence[Any], second: Sequence[Any]) -> list[Product]:
    """Two layers: features by each of the first weights, neighbours of that; the same again with what is hidden."""
    A, X, n = _sparse(a), _sparse(x), a.shape[0]
    width, classes = first[0].shape[1], second[0].shape[1]
    hidden = _columns(n, width)
    by_weight: list[Product] = [(X, torch.from_numpy(w)) for w in first]
    by_weight += [(hidden, torch.from_numpy(w)) for w in second]
    return [*by_weight, (A, hidden), (A, _columns(n, classes))]


def _gcn(a: Any, x: Any, w1: Any, w2: Any) -> Iterator[Contender]:
    yield _contender(partial(_propagated, a, x, [w1], [w2]))


def _sage(a: Any, x: Any, w1: Any, r1: Any, w2: Any, r2: Any) -> Iterator[Contender]:
    yield _contender(partial(_propagated, a, x, [w1, r1], [w2, r2]))


def _gat(a: Any, x: Any, w1: Any, s1: Any, t1: Any, w2: Any, s2: Any, t2: Any) -> Iterator[Contender]:
    """As if attention were the same for all heads, and known."""
    yield _contender(partial(_propagated, a, x, [w1], [w2]))


def _autoencoder(x: Any, *weights: Any) -> Iterator[Contender]:
    def products() -> list[Product]:
        return [(_sparse(w, frozen=True), _columns(w.shape[1], len(x))) for w in weights]

    yield _contender(products)


def _sparse_input(x: Any, encoder: Any, decoder: Any) -> Iterator[Contender]:
    def build() -> Callable[[], Any]:
        bag, table = _sparse(x), torch.from_numpy(np.ascontiguousarray(encoder.T))
        hidden, weight = _columns(x.shape[0], decoder.shape[1]), torch.from_numpy(decoder)
        return lambda: (bag @ table, F.linear(hidden, weight))

    yield inference(LABEL, build)


PEER = Peer(
    "parts",
    {"gcn": _gcn, "sage": _sage, "gat": _gat, "autoencoder": _autoencoder, "sparse_input": _sparse_input},
    ("scorch", "torch"),
    counted=False,
    rival=False,
)

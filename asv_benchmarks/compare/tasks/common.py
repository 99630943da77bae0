"""What the tasks share: calls without gradients, layouts of torch.sparse, row-wise softmax by scatter."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch

from asv_benchmarks.compare.model import Contender, LeftOut

__all__ = ["LAYOUTS", "Operations", "coo", "csr", "dense", "inference", "softmax_by_row"]

Operations = dict[str, Callable[..., Iterable[Contender]]]
_ELEMENTS = 2**27  # 512 MiB of float32: a larger dense matrix is nobody's choice


def inference(label: str, build: Callable[[], Callable[[], Any]]) -> Contender:
    """A contender that records nothing for differentiation."""

    def built() -> Callable[[], Any]:
        with torch.no_grad():
            call = build()
        return torch.no_grad()(call)

    return Contender(label, built)


def coo(a: Any) -> torch.Tensor:
    """A scipy array as a coalesced torch COO tensor."""
    a = a.tocoo()
    index = torch.from_numpy(np.stack(a.coords).astype(np.int64))
    return torch.sparse_coo_tensor(index, torch.from_numpy(a.data), a.shape, is_coalesced=True, check_invariants=False)


def csr(a: Any, index: type = np.int32) -> torch.Tensor:
    """A scipy CSR array as a torch CSR tensor."""
    pos, crd = (torch.from_numpy(array.astype(index)) for array in (a.indptr, a.indices))
    return torch.sparse_csr_tensor(pos, crd, torch.from_numpy(a.data), size=a.shape, check_invariants=False)


def dense(a: Any) -> torch.Tensor:
    """A numpy or scipy array as a dense tensor; LeftOut where that is too large."""
    if a.shape[0] * a.shape[1] > _ELEMENTS:
        raise LeftOut(f"it would take {a.shape[0] * a.shape[1] * 4 / 2**20:.0f} MiB")
    return torch.from_numpy(a.toarray() if hasattr(a, "toarray") else a)


LAYOUTS: dict[str, Callable[[Any], torch.Tensor]] = {
    "torch csr32": csr,
    "torch csr64": lambda a: csr(a, np.int64),
    "torch coo": coo,
}


def softmax_by_row(rows: torch.Tensor, scores: torch.Tensor, count: int) -> torch.Tensor:
    """The softmax of scores (entries, heads) over the entries of each row."""
    index = rows[:, None].expand_as(scores)
    largest = scores.new_full((count, scores.shape[1]), -torch.inf).scatter_reduce(0, index, scores, "amax")
    powers = (scores - largest[rows]).exp()
    return powers / scores.new_zeros(count, scores.shape[1]).index_add(0, rows, powers)[rows]

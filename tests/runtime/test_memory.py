"""Memory for results."""

from __future__ import annotations

import torch

from scorch.runtime import memory


def test_small_results_are_torchs_own_memory_by_either_way() -> None:
    for way in (memory.allocate, memory._by_dispatch):
        made = way((3, 5), (5, 1), torch.float64)
        assert (made.shape, made.stride(), made.dtype) == ((3, 5), (5, 1), torch.float64)
        assert made.is_cpu
        assert not made.requires_grad
        assert made.untyped_storage().nbytes() == 15 * 8


def test_without_torchs_short_way_the_public_one_is_taken(monkeypatch) -> None:
    monkeypatch.delattr(torch._C._dynamo.guards, "_empty_strided_cpu", raising=False)
    assert memory._allocate() is memory._by_dispatch

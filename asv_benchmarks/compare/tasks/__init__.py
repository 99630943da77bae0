"""Whole models as contenders: one file a kind of model, each with what Scorch, torch.sparse and dense torch do."""

from __future__ import annotations

from . import algebra, attention, connected, graphs, products, tensors
from .common import Operations

__all__ = ["DENSE", "SCORCH", "SPARSE"]

SCORCH: Operations = {
    **graphs.SCORCH,
    **connected.SCORCH,
    **attention.SCORCH,
    **algebra.SCORCH,
    **tensors.SCORCH,
    **products.SCORCH,
}
SPARSE: Operations = {**graphs.SPARSE, **connected.SPARSE, **attention.SPARSE, **tensors.SPARSE, **products.SPARSE}
DENSE: Operations = {**graphs.DENSE, **connected.DENSE, **attention.DENSE}

"""Sparse attention: masks, and the layer over them."""

from scorch.nn.attention.layer import SparseAttention
from scorch.nn.attention.masks import Block, Causal, Explicit, Full, Global, Mask, Union, Window

__all__ = ["Block", "Causal", "Explicit", "Full", "Global", "Mask", "SparseAttention", "Union", "Window"]

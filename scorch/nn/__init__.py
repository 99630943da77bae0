"""Sparse layers for PyTorch models.

>>> import torch, scorch.nn
>>> layer = scorch.nn.Linear(16, 8, sparsity=0.9)
>>> layer(torch.ones(2, 16)).shape
torch.Size([2, 8])
"""

from scorch.nn import functional, prune
from scorch.nn.attention import SparseAttention
from scorch.nn.conv import Conv2d
from scorch.nn.conversion import convert
from scorch.nn.embedding import Embedding, EmbeddingBag
from scorch.nn.graph import adjacency
from scorch.nn.graph.layers import GATConv, GCNConv, GINConv, SAGEConv
from scorch.nn.interop import use_scorch
from scorch.nn.linear import Linear
from scorch.nn.sequential import Sequential
from scorch.nn.weight import SparseWeight, freeze, unfreeze

__all__ = [
    "Conv2d",
    "Embedding",
    "EmbeddingBag",
    "GATConv",
    "GCNConv",
    "GINConv",
    "Linear",
    "SAGEConv",
    "Sequential",
    "SparseAttention",
    "SparseWeight",
    "adjacency",
    "convert",
    "freeze",
    "functional",
    "prune",
    "unfreeze",
    "use_scorch",
]

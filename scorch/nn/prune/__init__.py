"""Pruning of dense models: which weights become zero, and stay so through training.

>>> import torch
>>> model = torch.nn.Sequential(torch.nn.Linear(16, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
>>> masks_ = magnitude(model, 0.75)
>>> sparsity(model)
0.75
"""

from scorch.nn.prune.gradual import Gradual, cubic
from scorch.nn.prune.masks import apply, masks, prunable, remove, sparsity
from scorch.nn.prune.methods import magnitude, movement, random, wanda
from scorch.nn.prune.structure import NM, Block, Unstructured

__all__ = [
    "NM",
    "Block",
    "Gradual",
    "Unstructured",
    "apply",
    "cubic",
    "magnitude",
    "masks",
    "movement",
    "prunable",
    "random",
    "remove",
    "sparsity",
    "wanda",
]

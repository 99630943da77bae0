"""Graphs: adjacency matrices from anywhere, their normalisation, and layers over them."""

from scorch.nn.graph.adjacency import adjacency
from scorch.nn.graph.normalise import gcn_norm, row_norm, with_self_loops

__all__ = ["adjacency", "gcn_norm", "row_norm", "with_self_loops"]

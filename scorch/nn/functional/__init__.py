"""The layers' computations as functions of tensors."""

from scorch.nn.functional.attention import FUSED as ATTENTION
from scorch.nn.functional.attention import attention, causal_attention
from scorch.nn.functional.bags import bags, one_hot
from scorch.nn.functional.beside import added, beside
from scorch.nn.functional.chain import Link, chain, gated
from scorch.nn.functional.conv import conv2d
from scorch.nn.functional.edges import edge_max, edge_softmax, edge_sum
from scorch.nn.functional.embedding import embedding, embedding_bag
from scorch.nn.functional.epilogue import epilogue
from scorch.nn.functional.gat import gat_conv
from scorch.nn.functional.graph import gin_sum, graph_conv, propagate, sage_conv
from scorch.nn.functional.linear import linear, matmul
from scorch.nn.functional.norm import rms_norm
from scorch.nn.functional.order import sums_first
from scorch.nn.graph.normalise import gcn_norm, row_norm

__all__ = [
    "ATTENTION",
    "Link",
    "added",
    "attention",
    "bags",
    "beside",
    "causal_attention",
    "chain",
    "conv2d",
    "edge_max",
    "edge_softmax",
    "edge_sum",
    "embedding",
    "embedding_bag",
    "epilogue",
    "gat_conv",
    "gated",
    "gcn_norm",
    "gin_sum",
    "graph_conv",
    "linear",
    "matmul",
    "one_hot",
    "propagate",
    "rms_norm",
    "row_norm",
    "sage_conv",
    "sums_first",
]

"""Whole models: graph networks, autoencoders, transformers with sparse attention, a decoder block to be pruned."""

from scorch.nn.models.autoencoders import SparseInputAutoencoder, autoencoder, mlp
from scorch.nn.models.decoder import DecoderBlock
from scorch.nn.models.graphs import GAT, GCN, GraphNetwork, GraphSAGE
from scorch.nn.models.transformers import EncoderLayer, SparseTransformer, bigbird, longformer

__all__ = [
    "GAT",
    "GCN",
    "DecoderBlock",
    "EncoderLayer",
    "GraphNetwork",
    "GraphSAGE",
    "SparseInputAutoencoder",
    "SparseTransformer",
    "autoencoder",
    "bigbird",
    "longformer",
    "mlp",
]

"""Train a graph network (GCN, GraphSAGE or GAT) to classify the nodes of a graph.

python examples/gcn.py --data cora.npz                 81 % on Cora, as Kipf and Welling (2017)
python examples/gcn.py --model gat --data cora.npz --seeds 5
python examples/gcn.py                                 a generated graph
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import mean, stdev
from time import perf_counter

import options
import torch
from datasets import Graph, graph
from torch import nn
from torch.nn import functional as F

from scorch.nn.models import GAT, GCN, GraphSAGE

# Learning rate and weight decay of each model's paper.
MODELS = {"gcn": (GCN, 0.01, 5e-4), "sage": (GraphSAGE, 0.01, 5e-4), "gat": (GAT, 0.005, 5e-4)}


def main() -> None:
    """Train, and print the accuracy on the test nodes."""
    given = arguments()
    shares = [100 * run(given, seed) for seed in range(given.seed, given.seed + given.seeds)]
    if len(shares) > 1:
        print(f"{len(shares)} seeds: test accuracy {mean(shares):.1f} +- {stdev(shares):.1f} %")


def run(given: argparse.Namespace, seed: int) -> float:
    """One training; the share of test nodes that are classified right."""
    torch.manual_seed(seed)
    data = graph(given.data, seed)
    kind, rate, decay = MODELS[given.model]
    model = kind(data.x.shape[1], data.classes)
    print(
        f"{data.name}: {len(data.y)} nodes, {data.adjacency.nnz} edges, {data.x.shape[1]} features; "
        f"{given.model}, seed {seed}"
    )
    start = perf_counter()
    share = train(model, data, given.epochs, rate, decay)
    print(f"test accuracy {100 * share:.1f} % after {given.epochs} epochs in {perf_counter() - start:.1f} s")
    return share


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = options.parser(__doc__)
    parser.add_argument("--data", type=Path, help="npz file of a graph; a generated one without it")
    parser.add_argument("--model", choices=MODELS, default="gcn", help="default: %(default)s")
    parser.add_argument("--epochs", type=options.above_zero, default=200, help="default: %(default)s")
    parser.add_argument("--seed", type=options.seed, default=0, help="default: %(default)s")
    parser.add_argument(
        "--seeds",
        type=options.above_zero,
        default=1,
        help="train so often, with seeds from --seed on; default: %(default)s",
    )
    return parser.parse_args()


def train(model: nn.Module, data: Graph, epochs: int, rate: float, decay: float) -> float:
    """Full-batch training with Adam; the weight decay is on the first layer, as in the paper's code."""
    groups = [
        {"params": model.first.parameters(), "weight_decay": decay},  # type: ignore[union-attr]
        {"params": model.second.parameters()},  # type: ignore[union-attr]
    ]
    optimizer = torch.optim.Adam(groups, lr=rate)
    for epoch in range(1, epochs + 1):
        model.train()
        optimizer.zero_grad()
        loss = F.cross_entropy(model(data.x, data.adjacency)[data.train], data.y[data.train])
        loss.backward()
        optimizer.step()
        if epoch % 50 == 0:
            share = accuracy(model, data, data.validation)
            print(f"epoch {epoch}: loss {loss:.3f}, validation accuracy {100 * share:.1f} %")
    return accuracy(model, data, data.test)


@torch.no_grad()
def accuracy(model: nn.Module, data: Graph, nodes: torch.Tensor) -> float:
    """The share of these nodes that are classified right."""
    found = model.eval()(data.x, data.adjacency).argmax(1)
    return float((found[nodes] == data.y[nodes]).float().mean())


if __name__ == "__main__":
    main()

"""Prune a model while it is trained, convert it, and compare: an image classifier, or a decoder block.

python examples/pruned.py --data mnist/ --sparsity 0.95      a perceptron 784-1024-512-10 on MNIST
python examples/pruned.py                                    the same on generated images
python examples/pruned.py --model decoder --sparsity 0.7     a decoder block (576 / 1536), wanda, 2:4 and blocks
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import options
import torch
from datasets import digits
from torch import nn
from torch.nn import functional as F

from scorch.nn import convert, prune
from scorch.nn.models import DecoderBlock, mlp

BATCH = 256


def main() -> None:
    """Run the example that was chosen."""
    given = arguments()
    torch.manual_seed(given.seed)
    if given.model == "decoder":
        decoder(given.sparsity)
    else:
        classifier(given)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = options.parser(__doc__)
    parser.add_argument("--model", choices=("mlp", "decoder"), default="mlp", help="default: %(default)s")
    parser.add_argument(
        "--data", type=Path, help="folder with MNIST's four files, for mlp; generated images without it"
    )
    parser.add_argument("--sparsity", type=options.share, default=0.9, help="share of zeros; default: %(default)s")
    parser.add_argument("--epochs", type=options.above_zero, default=4, help="default: %(default)s")
    parser.add_argument("--samples", type=options.above_zero, help="train on at most this many images; default: all")
    parser.add_argument("--seed", type=options.seed, default=0, help="default: %(default)s")
    given = parser.parse_args()
    if given.model == "decoder" and given.data is not None:
        parser.error("--data is for --model mlp: the decoder block reads random numbers")
    return given


def classifier(given: argparse.Namespace) -> None:
    """A little more is pruned before each epoch; then the sparse model must classify as the masked one."""
    x, y, test, answers = digits(given.data, given.seed)
    x, y = x[: given.samples], y[: given.samples]
    model = mlp([x.shape[1], 1024, 512, 10])
    pruning = prune.Gradual(model, given.sparsity, steps=given.epochs)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for epoch in range(1, given.epochs + 1):
        pruning.step()
        for indices in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            F.cross_entropy(model(x[indices]), y[indices]).backward()
            optimizer.step()
        share = 100 * accuracy(model, test, answers)
        print(f"epoch {epoch}: {100 * prune.sparsity(model):.1f} % zeros, test accuracy {share:.1f} %")
    sparse = convert(model, example_inputs=test[:BATCH])
    print(sparse.conversion)
    with torch.no_grad():
        difference = (sparse(test) - model(test)).abs().max()
    print(f"sparse: test accuracy {100 * accuracy(sparse, test, answers):.1f} %, logits differ by {difference:.1e}")


def decoder(sparsity: float) -> None:
    """One block at 128 tokens, pruned in three ways; 2:4 prunes half, whatever sparsity is asked for."""
    x = torch.randn(1, 128, 576)
    ways: dict[str, Callable[[nn.Module], Any]] = {
        "wanda": lambda block: prune.wanda(block, sparsity, x),
        "2:4": lambda block: prune.magnitude(block, structure=prune.NM(2, 4)),
        "blocks of 8 x 8": lambda block: prune.magnitude(block, sparsity, structure=prune.Block(8, 8)),
    }
    for name, way in ways.items():
        block = DecoderBlock().eval()
        way(block)
        sparse = convert(block, example_inputs=x)
        with torch.no_grad():
            difference = (sparse(x) - block(x)).abs().max()
        print(f"{name}: {100 * prune.sparsity(block):.1f} % zeros, results differ by {difference:.1e}")
        print(f"{sparse.conversion}\n")


@torch.no_grad()
def accuracy(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    """The share of images that are classified right."""
    return float((model(x).argmax(1) == y).float().mean())


if __name__ == "__main__":
    main()

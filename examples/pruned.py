"""Prune a model while it is trained, convert it, and compare: an image classifier, or a decoder block.

python examples/pruned.py --data mnist/ --sparsity 0.95      a perceptron 784-1024-512-10 on MNIST
python examples/pruned.py                                    the same on generated images
python examples/pruned.py --model decoder --sparsity 0.7     a decoder block (576 / 1536), wanda, 2:4 and blocks
"""

from __future__ import annotations

import argparse
from pathlib import Path

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
        classifier(given.data, given.sparsity, given.epochs, given.seed)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", choices=("mlp", "decoder"), default="mlp")
    parser.add_argument("--data", type=Path, help="folder with MNIST's four files; generated images without it")
    parser.add_argument("--sparsity", type=float, default=0.9)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def classifier(path: Path | None, sparsity: float, epochs: int, seed: int) -> None:
    """A little more is pruned before each epoch; then the sparse model must classify as the masked one."""
    x, y, test, answers = digits(path, seed)
    model = mlp([x.shape[1], 1024, 512, 10])
    pruning = prune.Gradual(model, sparsity, steps=epochs)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for epoch in range(1, epochs + 1):
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
    """One block at 128 tokens, pruned in three ways."""
    x = torch.randn(1, 128, 576)
    ways = {
        "wanda": {"sparsity": sparsity, "method": "wanda"},
        "2:4": {"structure": prune.NM(2, 4)},
        "blocks of 8 x 8": {"sparsity": sparsity, "structure": prune.Block(8, 8)},
    }
    for name, options in ways.items():
        block = DecoderBlock().eval()
        if "method" not in options:
            prune.magnitude(block, **options)  # type: ignore[arg-type]
            options = {}
        sparse = convert(block, example_inputs=x, **options)  # type: ignore[arg-type]
        print(f"{name}\n{sparse.conversion}\n")


@torch.no_grad()
def accuracy(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    """The share of images that are classified right."""
    return float((model(x).argmax(1) == y).float().mean())


if __name__ == "__main__":
    main()

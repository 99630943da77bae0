"""Train an autoencoder on images that are mostly zero, reading the stored pixels alone; then prune and convert one.

python examples/autoencoder.py --data mnist/        a folder with MNIST's files
python examples/autoencoder.py                      generated images
python examples/autoencoder.py --sparsity 0.95      a pruned-weight autoencoder instead of a sparse input
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from datasets import digits
from torch import nn
from torch.nn import functional as F

import scorch
from scorch.nn import convert, prune
from scorch.nn.models import SparseInputAutoencoder, autoencoder

BATCH = 256


def main() -> None:
    """Train, and print the reconstruction error on the test images."""
    given = arguments()
    torch.manual_seed(given.seed)
    train, _, test, _ = digits(given.data, given.seed)
    print(f"{len(train)} images of {train.shape[1]} pixels, {100 * (train != 0).float().mean():.0f} % of them not zero")
    if given.sparsity is None:
        model: nn.Module = SparseInputAutoencoder(train.shape[1], given.hidden)
        fit(model, train, given.epochs, as_input=lambda x: scorch.tensor(x, "csr"))
        error = F.mse_loss(model(scorch.tensor(test, "csr")), test)
        print(
            f"mean squared error {error:.4f}; of the mean image {F.mse_loss(train.mean(0).expand_as(test), test):.4f}"
        )
        return
    model = autoencoder((train.shape[1], 4 * given.hidden, 2 * given.hidden))
    pruning = prune.Gradual(model, given.sparsity, steps=given.epochs)
    for _ in range(given.epochs):
        pruning.step()
        fit(model, train, 1)
    sparse = convert(model, example_inputs=test[:BATCH])
    print(sparse.conversion)
    with torch.no_grad():
        dense_error, error = F.mse_loss(model(test), test), F.mse_loss(sparse(test), test)
    print(f"mean squared error {error:.4f}; of the masked dense model {dense_error:.4f}")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with MNIST's four files; generated images without it")
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument(
        "--sparsity", type=float, help="prune the weights of a deeper autoencoder to this share of zeros"
    )
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def fit(model: nn.Module, images: torch.Tensor, epochs: int, as_input: Callable[[Any], Any] = lambda x: x) -> None:
    """Adam on the squared error of the reconstruction."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for epoch in range(1, epochs + 1):
        start = perf_counter()
        for indices in torch.randperm(len(images)).split(BATCH):
            batch = images[indices]
            optimizer.zero_grad()
            loss = F.mse_loss(model(as_input(batch)), batch)
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch}: error of the last batch {loss:.4f}, {perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()

"""Train an autoencoder on images that are mostly zero, reading the stored pixels alone; or prune and convert one.

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

import options
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
    train = train[: given.samples]
    print(f"{len(train)} images of {train.shape[1]} pixels, {100 * (train != 0).float().mean():.0f} % of them not zero")
    if given.sparsity is None:
        sparse_input(given, train, test)
    else:
        pruned_weights(given, train, test)


def sparse_input(given: argparse.Namespace, train: torch.Tensor, test: torch.Tensor) -> None:
    """Images as sparse rows; the error to beat is that of the mean image."""
    model = SparseInputAutoencoder(train.shape[1], given.hidden)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for epoch in range(1, given.epochs + 1):
        print(f"epoch {epoch}: {fit(model, optimizer, train, as_input=lambda x: scorch.tensor(x, 'csr'))}")
    with torch.no_grad():
        error = F.mse_loss(model(scorch.tensor(test, "csr")), test)
    print(f"mean squared error {error:.4f}; of the mean image {F.mse_loss(train.mean(0).expand_as(test), test):.4f}")


def pruned_weights(given: argparse.Namespace, train: torch.Tensor, test: torch.Tensor) -> None:
    """A little more is pruned before each epoch; then the sparse model must reconstruct as the masked one."""
    model = autoencoder((train.shape[1], 4 * given.hidden, 2 * given.hidden))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    pruning = prune.Gradual(model, given.sparsity, steps=given.epochs)
    for epoch in range(1, given.epochs + 1):
        pruning.step()
        print(f"epoch {epoch}: {100 * prune.sparsity(model):.1f} % zeros, {fit(model, optimizer, train)}")
    sparse = convert(model, example_inputs=test[:BATCH])
    print(sparse.conversion)
    with torch.no_grad():
        masked, found = model(test), sparse(test)
    print(
        f"sparse: mean squared error {F.mse_loss(found, test):.4f}, images differ by {(found - masked).abs().max():.1e}"
    )


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = options.parser(__doc__)
    parser.add_argument("--data", type=Path, help="folder with MNIST's four files; generated images without it")
    parser.add_argument(
        "--hidden",
        type=options.above_zero,
        default=256,
        help="hidden units, default: %(default)s; the pruned autoencoder's layers have 4 and 2 times as many",
    )
    parser.add_argument("--epochs", type=options.above_zero, default=3, help="default: %(default)s")
    parser.add_argument(
        "--sparsity", type=options.share, help="prune the weights of a deeper autoencoder to this share of zeros"
    )
    parser.add_argument("--samples", type=options.above_zero, help="train on at most this many images; default: all")
    parser.add_argument("--seed", type=options.seed, default=0, help="default: %(default)s")
    return parser.parse_args()


def fit(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: torch.Tensor,
    as_input: Callable[[Any], Any] = lambda x: x,
) -> str:
    """One epoch on the squared error of the reconstruction, and how it went."""
    start = perf_counter()
    for indices in torch.randperm(len(images)).split(BATCH):
        batch = images[indices]
        optimizer.zero_grad()
        loss = F.mse_loss(model(as_input(batch)), batch)
        loss.backward()
        optimizer.step()
    return f"error of the last batch {loss:.4f}, {perf_counter() - start:.1f} s"


if __name__ == "__main__":
    main()

"""Train a text classifier with sparse attention: BigBird-like or Longformer.

python examples/transformer.py --data text/              IMDB: imdb_train.jsonl.gz and imdb_test.jsonl.gz
python examples/transformer.py --data text/sst2          SST-2: sst2_train.tsv.gz and sst2_glue_dev.tsv.gz
python examples/transformer.py --model longformer        generated texts
"""

from __future__ import annotations

import argparse
from pathlib import Path
from time import perf_counter

import options
import torch
from datasets import reviews
from torch import nn
from torch.nn import functional as F

from scorch.nn.models import bigbird, longformer

VOCABULARY = 8000
BATCH = 32
MODELS = {"bigbird": bigbird, "longformer": longformer}


def main() -> None:
    """Train, and print the accuracy on the test texts."""
    given = arguments()
    torch.manual_seed(given.seed)
    tokens, labels, test, answers = reviews(given.data, given.length, VOCABULARY, given.seed)
    tokens, labels = tokens[: given.samples], labels[: given.samples]
    model = MODELS[given.model](VOCABULARY, 2, given.length)
    print(f"{len(tokens)} texts of up to {given.length} tokens; {given.model}, {model.layers[0].attention.mask}")
    optimizer = torch.optim.AdamW(model.parameters(), lr=given.rate)
    for epoch in range(1, given.epochs + 1):
        start = perf_counter()
        model.train()
        for indices in torch.randperm(len(tokens)).split(BATCH):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(tokens[indices]), labels[indices])
            loss.backward()
            optimizer.step()
        share = accuracy(model, test[:1000], answers[:1000])
        print(f"epoch {epoch}: loss {loss:.3f}, test accuracy {100 * share:.1f} %, {perf_counter() - start:.1f} s")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = options.parser(__doc__)
    parser.add_argument("--data", type=Path, help="folder of texts, as above; generated ones without it")
    parser.add_argument("--model", choices=MODELS, default="bigbird", help="default: %(default)s")
    parser.add_argument(
        "--length",
        type=options.above_zero,
        default=256,
        help="tokens of a text, what is longer is cut; default: %(default)s",
    )
    parser.add_argument(
        "--samples",
        type=options.above_zero,
        default=4000,
        help="at most this many texts to train on; default: %(default)s",
    )
    parser.add_argument("--epochs", type=options.above_zero, default=3, help="default: %(default)s")
    parser.add_argument("--rate", type=options.rate, default=1e-3, help="learning rate; default: %(default)s")
    parser.add_argument("--seed", type=options.seed, default=0, help="default: %(default)s")
    return parser.parse_args()


@torch.no_grad()
def accuracy(model: nn.Module, tokens: torch.Tensor, labels: torch.Tensor) -> float:
    """The share of texts that are classified right."""
    model.eval()
    found = torch.cat([model(batch).argmax(1) for batch in tokens.split(BATCH)])
    return float((found == labels).float().mean())


if __name__ == "__main__":
    main()

"""The data sets of the benchmark by name: how to split them, what network and how long to train."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from scorch.fairness.bench import adult, celeba, digits, mnist
from scorch.fairness.bench.split import MissingDataError, Split
from scorch.fairness.networks import small_cnn

__all__ = ["DATASETS", "DataSet", "load"]


@dataclass(frozen=True)
class DataSet:
    """`make(folder, seed, quick)` gives the parts; `kind` is "image" or "attribute", as the claims are grouped."""

    name: str
    kind: str
    make: Callable[[Path, int, bool], Split]
    network: Any
    epochs: int
    batch_size: int
    needs: str | None = None  # the folder that must be given: "data" or "celeba"


def _cnn(shape: tuple[int, ...], classes: int) -> torch.nn.Module:
    channels, height, width = shape
    return small_cnn(channels, height, width, classes)


def _celeba_split(folder: Path, seed: int, quick: bool) -> Split:
    return celeba.split(folder, seed, limit=4000 if quick else 20_000)


DATASETS: dict[str, DataSet] = {
    d.name: d
    for d in (
        DataSet("digits_long_tail", "image", lambda _, seed, quick: digits.long_tailed(seed), (64,), 80, 64),
        DataSet("digits_noisy", "image", lambda _, seed, quick: digits.noisy(seed), (64,), 40, 64),
        DataSet(
            "mnist_long_tail",
            "image",
            lambda folder, seed, quick: mnist.long_tailed(folder, seed, largest=400 if quick else 2000),
            _cnn,
            20,
            64,
            "data",
        ),
        DataSet(
            "adult",
            "attribute",
            lambda folder, seed, quick: adult.clean(folder, seed, limit=5000 if quick else None),
            (64,),
            12,
            256,
            "data",
        ),
        DataSet(
            "adult_corrupted",
            "attribute",
            lambda folder, seed, quick: adult.corrupted(folder, seed, limit=5000 if quick else None),
            (64,),
            12,
            256,
            "data",
        ),
        DataSet("celeba", "attribute", _celeba_split, _cnn, 10, 128, "celeba"),
    )
}


def load(name: str, seed: int, quick: bool, data: Path | None, celeba_folder: Path | None) -> Split:
    """The parts of a data set; raises MissingDataError if its files, or the option that names them, are missing."""
    dataset = DATASETS[name]
    folder = {"data": data, "celeba": celeba_folder, None: Path()}[dataset.needs]
    if folder is None:
        hint = "--data, or the variable SCORCH_DATA," if dataset.needs == "data" else "--celeba"
        raise MissingDataError(f"{name} needs files: name their folder by {hint}")
    return dataset.make(folder, seed, quick)

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
    balanced: bool = False  # whether the exemplars have as many of every group (label, attribute)

    @property
    def comparison(self) -> str:
        """The data sets over which FORML and its rivals are compared together."""
        return f"{self.kind}, exemplars balanced by group" if self.balanced else self.kind


def _cnn(shape: tuple[int, ...], classes: int) -> torch.nn.Module:
    channels, height, width = shape
    return small_cnn(channels, height, width, classes)


def _mnist_split(folder: Path, seed: int, quick: bool) -> Split:
    return mnist.long_tailed(folder, seed, largest=300 if quick else 600, shrink=2)


def _celeba_split(folder: Path, seed: int, quick: bool) -> Split:
    return celeba.split(folder, seed, limit=4000 if quick else 20_000)


def _adult(name: str, make: Callable[..., Split], balanced: bool = False) -> DataSet:
    def split(folder: Path, seed: int, quick: bool) -> Split:
        return make(folder, seed, exemplars=400 if balanced else 1000, balanced=balanced, limit=5000 if quick else None)

    return DataSet(name, "attribute", split, (64,), 6, 512, "data", balanced)


DATASETS: dict[str, DataSet] = {
    d.name: d
    for d in (
        DataSet("digits_long_tail", "image", lambda _, seed, quick: digits.long_tailed(seed), (64,), 30, 128),
        DataSet("digits_noisy", "image", lambda _, seed, quick: digits.noisy(seed), (64,), 15, 128),
        DataSet("mnist_long_tail", "image", _mnist_split, _cnn, 10, 128, "data"),
        _adult("adult", adult.clean),
        _adult("adult_corrupted", adult.corrupted),
        _adult("adult_balanced", adult.clean, balanced=True),
        _adult("adult_corrupted_balanced", adult.corrupted, balanced=True),
        DataSet("celeba", "attribute", _celeba_split, _cnn, 10, 128, "celeba", balanced=True),
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

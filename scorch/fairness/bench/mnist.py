"""MNIST with a long tail, from the IDX files under images/mnist of a data folder."""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path

import numpy as np

from scorch.fairness.bench.split import MissingDataError, Part, Split, long_tail, per_group
from scorch.fairness.counts import Table
from scorch.fairness.errors import FairnessError

__all__ = ["long_tailed", "read_idx"]

_FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}


def read_idx(path: Path) -> Table:
    """An array of bytes from an IDX file, gzipped or not; raises FairnessError if it is none."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rb") as file:
        content = file.read()
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise FairnessError(f"{path} is not an IDX file of bytes")
    rank = content[3]
    shape = np.frombuffer(content, ">u4", rank, 4).astype(int)
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * rank)
    if values.size != np.prod(shape):
        raise FairnessError(f"{path} is cut short: {values.size} values of {np.prod(shape)}")
    return values.reshape(shape)


@cache
def _part(folder: Path, name: str, shrink: int) -> Part:
    images, labels = (folder / file for file in _FILES[name])
    if not images.is_file() or not labels.is_file():
        raise MissingDataError(f"MNIST needs {images} and {labels.name} beside it")
    raw = read_idx(images)
    blocks = raw.reshape(len(raw), raw.shape[1] // shrink, shrink, -1, shrink)
    pixels = blocks.mean(axis=(2, 4), dtype=np.float32)[:, None] / 255
    return Part(pixels, read_idx(labels).astype(np.int64))


def long_tailed(
    data: Path, seed: int, *, ratio: float = 100, largest: int = 2000, exemplars: int = 20, shrink: int = 1
) -> Split:
    """`exemplars` a class, 100 a class for validation, the official test part; a hundredfold tail.

    Squares of `shrink` x `shrink` pixels become their mean. Raises MissingDataError if the files are not there.
    """
    folder = data / "images" / "mnist"
    pool, test = _part(folder, "train", shrink), _part(folder, "test", shrink)
    rng = np.random.default_rng(seed)
    shown, rest = per_group(pool.y, exemplars, rng)
    remaining = pool[rest]
    checked, rest = per_group(remaining.y, 100, rng)
    train = remaining[rest]
    return Split(train[long_tail(train.y, ratio, largest, rng)], pool[shown], remaining[checked], test)

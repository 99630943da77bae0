"""Data for the examples: files where a path is given, else small generated sets that can be learnt."""

from __future__ import annotations

import gzip
import json
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
import torch

import scorch

__all__ = ["Graph", "digits", "graph", "reviews"]


@dataclass(frozen=True)
class Graph:
    """A graph whose nodes have features (sparse), classes, and a split for training, validation and test."""

    name: str
    adjacency: scorch.Tensor
    x: scorch.Tensor
    y: torch.Tensor
    train: torch.Tensor
    validation: torch.Tensor
    test: torch.Tensor

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.y.max()) + 1


def graph(path: Path | None = None, seed: int = 0) -> Graph:
    """A graph from an npz file (adj_*, x_* in CSR, y; train_idx, val_idx, test_idx if it has a split), or generated.

    Features are divided by the sum of their row. A file without a split gets a seeded one: 20 nodes of each class for
    training, 30 for validation, the others for the test.
    """
    if path is None:
        return _generated_graph(seed)
    with _reading(path):
        with _archive(path) as file:
            adjacency, x = (_csr(file, name) for name in ("adj", "x"))
            y = torch.from_numpy(file["y"].astype(np.int64))
            split = (
                [torch.from_numpy(file[f"{part}_idx"].astype(np.int64)) for part in ("train", "val", "test")]
                if ("train_idx" in file)
                else _split(y, seed)
            )
        if {*adjacency.shape, x.shape[0]} != {len(y)}:
            raise ValueError(f"adj {adjacency.shape}, x {x.shape} and y ({len(y)},) are not of the same nodes")
        return Graph(path.stem, scorch.tensor(adjacency), _row_normalised(x), y, *split)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """One line instead of a traceback for a file that is not there or not what it should be."""
    try:
        yield
    except (OSError, EOFError, KeyError, IndexError, TypeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        why = error.args[0] if isinstance(error, KeyError) else getattr(error, "strerror", None) or error
        raise SystemExit(f"cannot read {path}: {why}") from None


def _archive(path: Path) -> Any:
    """The arrays of an npz file of a graph with features."""
    with path.open("rb") as stream:
        if not zipfile.is_zipfile(stream):
            raise ValueError("it is no npz file")
    file = np.load(path, allow_pickle=False)
    needed = [f"{name}_{part}" for name in ("adj", "x") for part in ("indptr", "indices", "shape")] + ["y"]
    if missing := [name for name in needed if name not in file]:
        raise ValueError(f"it has no {', '.join(missing)}, which the models need")
    return file


def _csr(file: Any, name: str) -> scipy.sparse.csr_array:
    indptr, indices = file[f"{name}_indptr"], file[f"{name}_indices"]
    data = file[f"{name}_data"].astype(np.float32) if f"{name}_data" in file else np.ones(len(indices), np.float32)
    return scipy.sparse.csr_array((data, indices, indptr), shape=tuple(file[f"{name}_shape"]))


def _row_normalised(x: scipy.sparse.csr_array) -> scorch.Tensor:
    sums = np.repeat(x.sum(axis=1), np.diff(x.indptr))
    return scorch.tensor(x).with_values(torch.from_numpy((x.data / np.where(sums == 0, 1, sums)).astype(np.float32)))


def _split(y: torch.Tensor, seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shuffled = [members[torch.randperm(len(members), generator=generator)] for members in _by_class(y)]
    train = torch.cat([members[:20] for members in shuffled])
    validation = torch.cat([members[20:50] for members in shuffled])
    return [train, validation, torch.cat([members[50:] for members in shuffled])]


def _by_class(y: torch.Tensor) -> list[torch.Tensor]:
    return [(y == label).nonzero().reshape(-1) for label in range(int(y.max()) + 1)]


def _generated_graph(seed: int, nodes: int = 1000, classes: int = 4, words: int = 400) -> Graph:
    """Papers of four fields: mostly cited within a field, and each with some words of its field's vocabulary."""
    rng = np.random.default_rng(seed)
    y = rng.integers(classes, size=nodes)
    a, b = rng.integers(nodes, size=(2, 12 * nodes))
    near = rng.random(len(a)) < np.where(y[a] == y[b], 0.5, 0.06)
    edges = scipy.sparse.coo_array((np.ones(near.sum(), np.float32), (a[near], b[near])), shape=(nodes, nodes))
    adjacency = scipy.sparse.csr_array(((edges + edges.T) > 0).astype(np.float32))
    own = words // classes
    chosen = np.where(rng.random((nodes, 12)) < 0.3, y[:, None] * own, 0) + rng.integers(own, size=(nodes, 12))
    chosen = np.where(rng.random((nodes, 12)) < 0.4, rng.integers(words, size=(nodes, 12)), chosen)
    x = scipy.sparse.coo_array(
        (np.ones(chosen.size, np.float32), (np.repeat(np.arange(nodes), 12), chosen.reshape(-1))), shape=(nodes, words)
    ).tocsr()
    labels = torch.from_numpy(y)
    return Graph("generated", scorch.tensor(adjacency), _row_normalised(x), labels, *_split(labels, seed))


def digits(path: Path | None = None, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images in [0, 1], (samples, pixels), and labels, for training and test: a folder of MNIST's files, or generated.

    The generated ones are ten random strokes of 784 pixels, each time with some pixels missing and some too many.
    """
    if path is not None:
        files = [
            path / f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
        ]
        images, labels, test_images, test_labels = map(_idx, files)
        flat = [x.reshape(len(x), -1).float() / 255 for x in (images, test_images)]
        return flat[0], labels.long(), flat[1], test_labels.long()
    generator = torch.Generator().manual_seed(seed)
    strokes = torch.rand(10, 784, generator=generator) < 0.2
    y = torch.randint(10, (5000,), generator=generator)
    flipped = torch.rand(5000, 784, generator=generator)
    x = torch.where(strokes[y], flipped < 0.7, flipped < 0.03).float()
    return x[:4000], y[:4000], x[4000:], y[4000:]


def _idx(path: Path) -> torch.Tensor:
    """A tensor from an IDX file of bytes: two zeros, the type, the rank, the extents, the data."""
    with _reading(path):
        data = gzip.decompress(path.read_bytes())
        if data[:3] != b"\0\0\x08":
            raise ValueError("it is no IDX file of bytes")
        rank = data[3]
        shape = np.frombuffer(data, ">u4", rank, 4).astype(int)
        return torch.from_numpy(np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape).copy())


def reviews(
    path: Path | None = None, length: int = 512, vocabulary: int = 8000, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Token ids (samples, length), 0 for padding, and labels 0 or 1, for training and test.

    `path` is a folder with imdb_train.jsonl.gz and imdb_test.jsonl.gz; or, with /sst2 at its end, one with
    sst2_train.tsv.gz and sst2_glue_dev.tsv.gz. The generated texts are random words, among them more of one or the
    other kind.
    """
    if path is None:
        return _generated_reviews(length, seed)
    names = ("imdb_train.jsonl.gz", "imdb_test.jsonl.gz")
    if path.name == "sst2":
        names = ("sst2_train.tsv.gz", "sst2_glue_dev.tsv.gz")
        path = path if path.is_dir() else path.parent
    train, test = (_texts(path / name) for name in names)
    counts = Counter(word for text, _ in train for word in text)
    known = {word: n + 2 for n, (word, _) in enumerate(counts.most_common(vocabulary - 2))}
    parts = []
    for texts in (train, test):
        ids = torch.zeros(len(texts), length, dtype=torch.int64)
        for row, (text, _) in zip(ids, texts, strict=True):
            found = torch.tensor([known.get(word, 1) for word in text[:length]] or [1])
            row[: len(found)] = found
        parts += [ids, torch.tensor([label for _, label in texts])]
    return parts[0], parts[1], parts[2], parts[3]


def _texts(path: Path) -> list[tuple[list[str], int]]:
    """Words and label of each text of a file."""
    with _reading(path):
        # Not splitlines: texts hold separators of Unicode, which end no line of the file.
        lines = [line for line in gzip.decompress(path.read_bytes()).decode("utf-8").split("\n") if line]
        if path.name.endswith(".jsonl.gz"):
            pairs = [(record["text"], record["label"]) for record in map(json.loads, lines)]
        else:
            rows = [line.split("\t") for line in lines]
            pairs = [_labelled(row) for row in rows if any(cell in ("0", "1") for cell in row)]
        if not pairs:
            raise ValueError("it has no text with a label")
    return [(re.findall(r"[a-z']+|[!?.]", text.lower()), _label(label)) for text, label in pairs]


def _labelled(row: list[str]) -> tuple[str, str]:
    """Text and label of a line, in whichever order the file has them."""
    return (row[1], row[0]) if row[0] in ("0", "1") else (row[0], row[1])


def _label(label: Any) -> int:
    return int(label in (1, "1", "pos", "positive"))


def _generated_reviews(
    length: int, seed: int, samples: int = 600, words: int = 200
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(2, (samples,), generator=generator)
    plain = torch.randint(22, words, (samples, length), generator=generator)
    telling = torch.randint(2, 12, (samples, length), generator=generator) + 10 * y[:, None]
    x = torch.where(torch.rand(samples, length, generator=generator) < 0.05, telling, plain)
    return x[:500], y[:500], x[500:], y[500:]

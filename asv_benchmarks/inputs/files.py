"""Real matrices from files: MatrixMarket and scipy archives, graphs, pruned-weight patterns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy import io, sparse

from .generate import values_for

__all__ = ["graph", "matrix", "stem", "tensor", "weight", "weight_names"]


def stem(path: Path) -> str:
    """The name of a file without its endings.

    >>> stem(Path("matrices/email-Enron.mtx.gz"))
    'email-Enron'
    """
    return path.name.split(".")[0]


def matrix(path: Path) -> Any:
    """A `.mtx`, `.mtx.gz` or scipy `.npz` file as CSR float32, duplicates summed, explicit zeros kept."""
    found = sparse.load_npz(path) if path.suffix == ".npz" else io.mmread(path)
    result = sparse.csr_array(found, dtype=np.float32)
    result.sum_duplicates()
    return result


def tensor(path: Path) -> Any:
    """A `.tns` or `.tns.gz` file (coordinates from 1, then the value, a line) as COO float32."""
    table = np.loadtxt(path, ndmin=2)
    coords = table[:, :-1].T.astype(np.int32) - 1
    return sparse.coo_array((table[:, -1].astype(np.float32), tuple(coords)))


def graph(path: Path) -> Any:
    """The adjacency of a graph archive (`adj_indptr, adj_indices, adj_shape`), ones as values."""
    with np.load(path, allow_pickle=False) as archive:
        indptr, indices, shape = (archive[f"adj_{part}"] for part in ("indptr", "indices", "shape"))
    ones = np.ones(len(indices), np.float32)
    index = np.int32 if len(indices) < 2**31 else np.int64
    result = sparse.csr_array((ones, indices.astype(index), indptr.astype(index)), shape=tuple(map(int, shape)))
    result.sort_indices()
    return result


def weight_names(path: Path) -> tuple[str, ...]:
    """The names of the patterns in an archive with the keys `<name>|indptr`, `|indices`, `|shape`."""
    with np.load(path, allow_pickle=False) as archive:
        return tuple(key.removesuffix("|shape") for key in archive.files if key.endswith("|shape"))


def weight(path: Path, name: str) -> Any:
    """One pattern of a weight archive; the values are random, as the archive has none."""
    with np.load(path, allow_pickle=False) as archive:
        indptr, indices, shape = (archive[f"{name}|{part}"] for part in ("indptr", "indices", "shape"))
    arrays = (values_for(len(indices)), indices.astype(np.int32), indptr.astype(np.int32))
    return sparse.csr_array(arrays, shape=tuple(map(int, shape)))

"""What the demo runs on: data that an installed package ships, a generated graph, or a file of the user's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

import scorch
from scorch.errors import UnsupportedError

__all__ = ["Subject", "built_in", "digits", "from_file", "power_law"]

_LARGEST = 1e15  # the demo multiplies two values, and adds up some thousands of products


@dataclass(frozen=True)
class Subject:
    """A named sparse operand of float32 values: a scipy csr matrix, or coordinates (ndim, nnz) and values.

    `matrix` is None for a tensor of order three and more.
    """

    name: str
    shape: tuple[int, ...]
    matrix: Any
    coords: Any
    values: Any

    @classmethod
    def of_matrix(cls, name: str, matrix: Any) -> Subject:
        """A subject from any scipy matrix: sorted csr without duplicates."""
        csr = sp.csr_array(matrix, dtype=np.float32)
        csr.sum_duplicates()
        return cls(name, tuple(csr.shape), csr, None, csr.data)

    @property
    def nnz(self) -> int:
        """Stored entries."""
        return len(self.values)

    @property
    def density(self) -> float:
        """Stored entries by places; 0 for a tensor without a place."""
        places = float(np.prod(np.array(self.shape, dtype=np.float64)))
        return self.nnz / places if places else 0.0

    def __str__(self) -> str:
        shape = " x ".join(map(str, self.shape))
        return f"{self.name}: {shape}, {self.nnz:,} nonzeros, density {self.density:.2g}"


def built_in(seed: int = 0) -> list[Subject]:
    """The two subjects of a demo without a file.

    >>> [subject.shape for subject in built_in()]
    [(1797, 64), (20000, 20000)]
    """
    return [digits(seed), power_law(seed=seed)]


def digits(seed: int = 0) -> Subject:
    """Scikit-learn's digits, 1797 images of 64 pixels, half of them zero; generated ones without it."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        shape = (1797, 64)
        rng = np.random.default_rng(seed)
        pixels = rng.random(shape) * (rng.random(shape) < 0.5)
        return Subject.of_matrix("generated digits (scikit-learn is not installed)", pixels)
    return Subject.of_matrix("handwritten digits (scikit-learn)", load_digits().data / 16)


def power_law(n: int = 20_000, mean_degree: float = 10.0, exponent: float = 2.1, seed: int = 0) -> Subject:
    """A directed graph whose degrees follow a power law, as a matrix of weights in [0, 1).

    The Chung-Lu model: both ends of an edge are drawn with the probability weight_i / sum, weight_i ~
    i^(-1/(exponent-1)).
    Source: Chung and Lu, "Connected components in random graphs with given expected degree sequences", 2002.

    >>> power_law(100, seed=1).shape
    (100, 100)
    """
    rng = np.random.default_rng(seed)
    weights = np.arange(1, n + 1, dtype=np.float64) ** (-1.0 / (exponent - 1.0))
    count = int(n * mean_degree)
    # Each side has its own numbering, so that big rows are neither first nor the big columns.
    rows, columns = (rng.permutation(n)[rng.choice(n, count, p=weights / weights.sum())] for _ in range(2))
    graph = sp.coo_array((np.ones(count, dtype=np.float32), (rows, columns)), shape=(n, n)).tocsr()
    graph.data = rng.random(graph.nnz, dtype=np.float32)
    return Subject.of_matrix(f"power-law graph (seed {seed})", graph)


def from_file(path: str | Path) -> Subject:
    """Read a file with `scorch.read`; values become float32.

    Raises FormatError and FileNotFoundError as `scorch.read` does, UnsupportedError for a tensor of order 0
    or 1.
    """
    tensor = scorch.read(path)
    if tensor.ndim < 2:
        raise UnsupportedError(f"{path} holds a tensor of order {tensor.ndim}; the demo takes order 2 and more")
    name = Path(path).name
    coords, values = tensor.coords().numpy(), _real(tensor.values, path)
    if tensor.ndim == 2:
        return Subject.of_matrix(name, sp.coo_array((values, tuple(coords)), shape=tuple(tensor.shape)))
    return Subject(name, tuple(tensor.shape), None, coords, values)


def _real(values: torch.Tensor, path: str | Path) -> Any:
    if values.is_complex():
        raise UnsupportedError(f"{path} holds complex numbers; the demo takes real ones")
    real = values.detach().reshape(-1).to(torch.float32)
    if not bool((real.abs() <= _LARGEST).all()):
        raise UnsupportedError(f"{path} holds nan or values beyond {_LARGEST:.0e}, whose products float32 cannot hold")
    return real.numpy()

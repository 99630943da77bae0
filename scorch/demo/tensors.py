"""The demo's operations on tensors of order three and more: TTV, TTM and MTTKRP.

Neither torch nor scipy has them. The rivals gather rows of the factors by coordinate, multiply, and add up:
torch with `index_add_`, numpy with a sparse matrix of ones in place of the slow `np.add.at`. Which entries
add up, and that matrix, are found beforehand, so they cost the rivals nothing.
"""

from __future__ import annotations

import string
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

import scorch
from scorch.demo.cases import Case, Contender
from scorch.demo.compare import flat
from scorch.demo.subjects import Subject

__all__ = ["tensor_cases"]


def tensor_cases(subject: Subject, k: int = 16, seed: int = 0) -> Iterator[Case]:
    """TTV and TTM over the last dimension and MTTKRP into the first, k columns wide."""
    rng = np.random.default_rng(seed)
    coords, values = torch.from_numpy(subject.coords), torch.from_numpy(subject.values)
    tensor = scorch.from_coo(coords, values, subject.shape, format="csf")
    factors = [rng.standard_normal((extent, k), dtype=np.float32) for extent in subject.shape[1:]]
    vector = rng.standard_normal(subject.shape[-1], dtype=np.float32)
    letters = string.ascii_lowercase[: len(subject.shape)]
    kept, last = letters[:-1], letters[-1]
    groups = _Groups.of(subject, len(kept))
    yield _case("TTV", f"{letters},{last}->{kept}", tensor, _Job(subject, [vector], groups))
    yield _case(f"TTM, K = {k}", f"{letters},{last}z->{kept}z", tensor, _Job(subject, factors[-1:], groups))
    notation = ",".join([letters, *(f"{letter}z" for letter in letters[1:])]) + f"->{letters[0]}z"
    yield _case(f"MTTKRP, rank {k}", notation, tensor, _Job(subject, factors, _Groups.of(subject, 1)))


def _case(name: str, notation: str, tensor: Any, job: _Job) -> Case:
    dense = [torch.from_numpy(factor) for factor in job.factors]
    ours = Contender("scorch", lambda: scorch.einsum(notation, tensor, *dense))
    rivals = (
        Contender("torch", job.with_torch(), job.place),
        Contender("numpy", job.with_numpy, job.place),
    )
    note = "torch and numpy have none: gathered rows, added up by groups that were found beforehand"
    return Case(name, notation, (tensor, *dense), (ours, *rivals), job.reference, note)


@dataclass(frozen=True)
class _Groups:
    """Which stored entries add up into one: the group of each entry, and the coordinates of each group."""

    member: Any
    coords: Any

    @classmethod
    def of(cls, subject: Subject, kept: int) -> _Groups:
        """Entries whose first `kept` coordinates are equal."""
        unique, member = np.unique(subject.coords[:kept], axis=1, return_inverse=True)
        return cls(member.reshape(-1), unique)


class _Job:
    """Each stored entry times a row of each of the factors of the last dimensions, added up by group."""

    def __init__(self, subject: Subject, factors: list[Any], groups: _Groups) -> None:
        self.subject, self.factors, self.groups = subject, factors, groups
        self.coords = [np.ascontiguousarray(c) for c in subject.coords[len(subject.shape) - len(factors) :]]
        shape = (groups.coords.shape[1], subject.nnz)
        ones = np.ones(subject.nnz, dtype=np.float32)
        self.adder = sp.csr_array((ones, (groups.member, np.arange(subject.nnz))), shape=shape)

    def with_numpy(self) -> Any:
        """(groups,) or (groups, columns) in float32."""
        return self._summed(self.subject.values, self.factors, self.adder)

    def with_torch(self) -> Any:
        """A function that gives what `with_numpy` gives, computed by torch."""
        values, member = torch.from_numpy(self.subject.values), torch.from_numpy(self.groups.member)
        factors, coords = (
            [torch.from_numpy(f) for f in self.factors],
            [torch.from_numpy(c) for c in self.coords],
        )
        groups = self.groups.coords.shape[1]

        def call() -> Any:
            terms = _product(values, [f.index_select(0, c) for f, c in zip(factors, coords, strict=True)])
            return torch.zeros(groups, *terms.shape[1:]).index_add_(0, member, terms).numpy()

        return call

    def reference(self) -> tuple[Any, Any]:
        """The result in float64 and its scale, as csr matrices."""
        adder = self.adder.astype(np.float64)
        values, factors = (
            self.subject.values.astype(np.float64),
            [f.astype(np.float64) for f in self.factors],
        )
        exact = self._summed(values, factors, adder)
        return self.place(exact), self.place(self._summed(abs(values), [abs(f) for f in factors], adder))

    def place(self, summed: Any) -> Any:
        """The csr matrix (first dimension, all others) of what `with_numpy` gives."""
        coords, shape = self.groups.coords, self.subject.shape[: len(self.groups.coords)]
        if summed.ndim == 2:
            width = summed.shape[1]
            columns = np.tile(np.arange(width), coords.shape[1])
            coords, shape = np.vstack([np.repeat(coords, width, axis=1), columns]), (*shape, width)
        return flat(coords, summed.reshape(-1), shape)

    def _summed(self, values: Any, factors: list[Any], adder: Any) -> Any:
        return adder @ _product(values, [f[c] for f, c in zip(factors, self.coords, strict=True)])


def _product(values: Any, rows: list[Any]) -> Any:
    result = values if rows[0].ndim == 1 else values[:, None]
    for row in rows:
        result = result * row
    return result

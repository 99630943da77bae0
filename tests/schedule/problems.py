"""Problems for the tests of the schedule: an einsum over operands of given formats."""

from __future__ import annotations

import numpy as np
import torch

import scorch
from scorch.engine import problem_of
from scorch.formats import Format, Storage, resolve
from scorch.ir.einsum import parse_einsum
from scorch.operand import as_storage
from scorch.schedule.problem import Problem

Spec = tuple[tuple[int, ...], int, "Format | str"]


def sparse(shape: tuple[int, ...], nnz: int, format: Format | str, dtype: torch.dtype = torch.float32) -> Storage:
    """A tensor with about `nnz` entries in random places; dense ones hold ones."""
    if format == "dense":
        return Storage.from_dense(torch.ones(shape, dtype=dtype))
    rng = np.random.default_rng(0)
    coords = np.stack([rng.integers(extent, size=nnz) for extent in shape])
    return as_storage(scorch.from_coo(coords, torch.ones(nnz, dtype=dtype), shape, format=format))


def problem(notation: str, *specs: Spec, wanted: Format | str | None = None, threads: int = 2) -> Problem:
    """What the schedule is asked for an einsum; `specs` are (shape, nnz, format) of each operand."""
    storages = [sparse(*spec) for spec in specs]
    statement = parse_einsum(notation, [s.pattern.shape for s in storages])
    format = None if wanted is None else resolve(wanted, len(statement.target.indices))
    with scorch.config.using(threads=threads):
        return problem_of(statement, storages, format)

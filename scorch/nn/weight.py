"""A sparse weight as torch modules hold it: the pattern in buffers, the values in a Parameter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

import scorch
from scorch.errors import DtypeError, FormatError, ScorchError, UnsupportedError

__all__ = ["SparseWeight", "random_weight"]


class SparseWeight(nn.Module):
    """A trainable sparse tensor: a fixed pattern and a Parameter with a value for each stored entry.

    Optimisers see `values`, `state_dict` holds `values` and the level arrays (pos1, crd1: the arrays of level 1),
    `.to(dtype)` changes the values alone. A state_dict with another pattern is taken over as it is, as long as the
    format is the same. Raises FormatError for arrays that do not fit together, DtypeError for integers,
    UnsupportedError off the CPU.

    >>> import torch, scorch
    >>> weight = SparseWeight(scorch.tensor(torch.eye(3), format="csr"))
    >>> sorted(weight.state_dict())
    ['crd1', 'pos1', 'values']
    >>> weight().nnz
    3
    """

    values: nn.Parameter

    def __init__(self, matrix: scorch.Tensor) -> None:
        super().__init__()
        if matrix.format.is_dense:
            raise FormatError("a sparse weight needs a sparse format, such as 'csr': scorch.tensor(weight, 'csr')")
        if not (matrix.dtype.is_floating_point or matrix.dtype.is_complex):
            raise DtypeError(f"a weight is trained, and {matrix.dtype} has no gradient: pass weight.to(torch.float32)")
        self.shape = matrix.shape
        self.format = matrix.format
        self._names: list[list[str]] = []
        for level, arrays in enumerate(matrix.level_arrays):
            self._names.append(list(arrays))
            for name, array in arrays.items():
                # A view with a version of its own: loading a state into it is no change of the matrix.
                self.register_buffer(f"{name}{level}", torch.from_numpy(array.numpy()))
        self.values = nn.Parameter(matrix.values.detach().clone())
        self._pattern: scorch.Tensor | None = matrix.detach()
        self._last: tuple[scorch.Tensor, int] | None = None

    @property
    def density(self) -> float:
        """Stored entries per place."""
        return self.values.numel() / max(1, math.prod(self.shape))

    def forward(self) -> scorch.Tensor:
        """The weight as a Tensor over the Parameter: gradients of what is computed with it reach `values`."""
        values = self.values
        if not torch.compiler.is_compiling():
            last = self._last
            # The tensor of the last call serves as long as the Parameter is the same object on the same memory.
            if last is not None and last[0]._storage.values is values and last[1] == values.data_ptr():
                return last[0]
        if not values.is_cpu:
            raise UnsupportedError(
                f"Scorch runs on CPU; the layer's values are on {values.device}: call layer.to('cpu')"
            )
        if self._pattern is None:
            self._pattern = self._checked()
        made = self._pattern.with_values(values)
        if not torch.compiler.is_compiling():
            self._last = (made, values.data_ptr()) if made._storage.values is values else None
        return made

    def _checked(self) -> scorch.Tensor:
        """The tensor of the buffers, validated."""
        arrays = [{name: getattr(self, f"{name}{level}") for name in names} for level, names in enumerate(self._names)]
        return scorch.Tensor.from_levels(self.shape, self.format, arrays, self.values.detach())

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        """Take over the pattern too: the arrays may have other lengths than this weight's."""
        for name, held in [*self.named_buffers(recurse=False), ("values", self.values)]:
            given = state_dict.get(prefix + name)
            # New memory for level arrays always: other tensors may share the old, and patterns do not change.
            if isinstance(given, torch.Tensor) and (held is not self.values or given.shape != held.shape):
                held.data = torch.empty(given.shape, dtype=held.dtype)
        super()._load_from_state_dict(state_dict, prefix, *args)
        self._pattern = self._last = None
        errors = args[-1]
        try:
            self._pattern = self._checked()
        except ScorchError as error:
            errors.append(f"the state of {prefix or 'the weight'} is no {self.format} tensor: {error}")

    def __getstate__(self) -> dict[str, Any]:
        # The tensor is made again from the buffers; a pickle with both would hold the pattern twice.
        return {**self.__dict__, "_pattern": None, "_last": None}

    def extra_repr(self) -> str:
        return f"{tuple(self.shape)}, {self.format}, nnz={self.values.numel()}, density={self.density:.3g}"


def random_weight(
    shape: Sequence[int], sparsity: float, dtype: torch.dtype | None = None, generator: torch.Generator | None = None
) -> scorch.Tensor:
    """A random csr matrix with the share `sparsity` of its places empty, for a layer to begin with.

    Values are uniform in +-1 / sqrt(stored entries a row), as torch.nn.Linear begins for a dense row. Raises
    FormatError for a sparsity outside [0, 1).

    >>> random_weight((4, 5), 0.75).nnz
    5
    """
    if not 0 <= sparsity < 1:
        raise FormatError(f"sparsity is a share in [0, 1), got {sparsity}")
    rows, cols = shape
    count = rows * cols - round(sparsity * rows * cols)
    places = torch.randperm(rows * cols, generator=generator)[:count].sort().values
    bound = 1 / math.sqrt(max(1.0, count / max(1, rows)))
    values = torch.empty(count, dtype=dtype).uniform_(-bound, bound, generator=generator)
    return scorch.from_coo(torch.stack([places // cols, places % cols]), values, (rows, cols), format="csr")

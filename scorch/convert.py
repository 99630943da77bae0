"""One format or number type to another: the expression `ij->ij` with another result format, compiled like any other."""

from __future__ import annotations

from scorch import autograd, reorder
from scorch.formats import Format, Storage, dtypes

__all__ = ["reformat", "retype"]


def reformat(storage: Storage, format: Format) -> Storage:
    """The tensor in another format, differentiable; duplicates are summed and order established where it asks for that.

    >>> import torch
    >>> from scorch.formats import csr
    >>> reformat(Storage.from_dense(torch.tensor([[0.0, 2.0]])), csr).pattern
    Pattern(shape=(1, 2), format=csr, nnz=1)
    """
    recorded = autograd.recording() and autograd.is_recorded(storage.values)
    return reorder.reformat(storage, format, autograd.evaluate if recorded else None)


def retype(storage: Storage, dtype: str) -> Storage:
    """The tensor with values of another number type, on the same pattern.

    >>> import torch
    >>> retype(Storage.from_dense(torch.tensor([1.5, 2.0])), "int32").values
    tensor([1, 2], dtype=torch.int32)
    """
    if storage.dtype == dtype:
        return storage
    return Storage(storage.pattern, storage.values.to(dtypes.to_torch(dtype)), storage.fill)

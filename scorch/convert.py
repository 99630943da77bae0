"""One format or number type to another: the expression `ij->ij` with another result format, compiled like any other."""

from __future__ import annotations

from scorch.formats import Storage, dtypes
from scorch.reorder import reformat

__all__ = ["reformat", "retype"]


def retype(storage: Storage, dtype: str) -> Storage:
    """The tensor with values of another number type, on the same pattern.

    >>> import torch
    >>> retype(Storage.from_dense(torch.tensor([1.5, 2.0])), "int32").values
    tensor([1, 2], dtype=torch.int32)
    """
    if storage.dtype == dtype:
        return storage
    return Storage(storage.pattern, storage.values.to(dtypes.to_torch(dtype)), storage.fill)

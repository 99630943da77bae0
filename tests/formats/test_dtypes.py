from __future__ import annotations

import numpy as np
import pytest
import torch

from scorch.errors import DtypeError
from scorch.formats import dtypes


@pytest.mark.parametrize("name", dtypes.NAMES)
def test_names_go_both_ways(name: str) -> None:
    assert dtypes.name_of(dtypes.to_torch(name)) == name
    assert name in dtypes.HALVES or dtypes.name_of(dtypes.to_numpy(name)) == name
    assert dtypes.name_of(name) == name
    assert dtypes.itemsize(name) == torch.empty(0, dtype=dtypes.to_torch(name)).element_size()


@pytest.mark.parametrize("a", dtypes.NAMES)
@pytest.mark.parametrize("b", dtypes.NAMES)
def test_promotion_is_that_of_torch(a: str, b: str) -> None:
    promoted = torch.ones(1, dtype=dtypes.to_torch(a)) + torch.ones(1, dtype=dtypes.to_torch(b))
    assert dtypes.to_torch(dtypes.promote(a, b)) == promoted.dtype


@pytest.mark.parametrize("name", dtypes.NAMES)
def test_arrays_share_the_memory_of_tensors(name: str) -> None:
    values = torch.ones(3, dtype=dtypes.to_torch(name))
    array = dtypes.array_of(values)
    assert array.dtype == dtypes.to_numpy(name)
    back = dtypes.tensor_of(array, name)
    assert back.dtype == values.dtype
    assert back.data_ptr() == values.data_ptr()


@pytest.mark.parametrize("dtype", [torch.float8_e5m2, torch.qint8, np.uint16, "float12", object, "O"])
def test_unknown_types(dtype: object) -> None:
    with pytest.raises(DtypeError, match="is not supported; Scorch computes with bool, uint8"):
        dtypes.name_of(dtype)

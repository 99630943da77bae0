"""The one way from a torch function to the compiler: a statement in index notation over named operands."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from scorch import autograd, engine, recall
from scorch.errors import ShapeError
from scorch.formats import Format, Storage, dtypes
from scorch.ir.normalise import normalise
from scorch.ir.notation import Assign
from scorch.ir.parse import parse_statements
from scorch.operand import as_storage, bind
from scorch.tensor import Tensor

__all__ = ["access", "broadcast", "computed", "index_names", "narrowed"]

_LETTERS = "ijklmnpqrstuvw"


@lru_cache(maxsize=4096)
def _statements(text: str) -> tuple[Assign, ...]:
    return normalise(parse_statements(text))


def computed(
    text: str, *, out_format: Format | None = None, dtype: torch.dtype | None = None, **operands: Any
) -> torch.Tensor | Tensor:
    """The result of statements over named operands: a torch tensor where it is structurally dense.

    >>> computed("C[i] = A[i] * B[i]", A=torch.ones(2), B=torch.arange(2.0))
    tensor([0., 1.])
    """
    call = (text, out_format, dtype, *operands)
    result = recall.run(call, tuple(operands.values()))
    if result is None:
        result = _remembered(call, text, out_format, dtype, operands)
    return result if isinstance(result, torch.Tensor) else Tensor(result)


def _remembered(
    call: object, text: str, out_format: Format | None, dtype: torch.dtype | None, operands: dict[str, Any]
) -> torch.Tensor | Storage:
    """The result, computed in full; if its kernels serve operands like these again, the call finds them."""
    storages = {name: as_storage(x) for name, x in operands.items()}
    statements, name = _statements(text), None if dtype is None else dtypes.name_of(dtype)
    result = autograd.compute(statements, storages, out_format, name)
    bound = bind(operands.values()) if all(map(_is_tensor, operands.values())) else None
    replay = None if bound is None else engine.find_replay(statements, storages, out_format, name)
    if bound is not None and replay is not None:
        program, order = replay.single or (replay, None)
        recall.keep(call, tuple(operands.values()), bound[0], program, order)
    return result


def _is_tensor(x: object) -> bool:
    return isinstance(x, Tensor | torch.Tensor)


def index_names(count: int) -> tuple[str, ...]:
    """Names of so many indices.

    >>> index_names(3)
    ('i', 'j', 'k')
    """
    if count <= len(_LETTERS):
        return tuple(_LETTERS[:count])
    return tuple(f"i{d}" for d in range(count))


def access(name: str, indices: Sequence[str]) -> str:
    """The text of an access.

    >>> access("A", ("i", "j")), access("s", ())
    ('A[i,j]', 's')
    """
    return f"{name}[{','.join(indices)}]" if indices else name


def broadcast(*shapes: Sequence[int]) -> tuple[int, ...]:
    """The shape to which shapes are broadcast together; ShapeError if they don't fit."""
    try:
        return np.broadcast_shapes(*map(tuple, shapes))
    except ValueError:
        listed = " and ".join(str(tuple(shape)) for shape in shapes)
        raise ShapeError(f"shapes {listed} can't be broadcast together") from None


def narrowed(x: Any, shape: Sequence[int], names: Sequence[str]) -> tuple[Any, tuple[str, ...]]:
    """An operand and its indices in a result of `shape`: notation broadcasts by leaving an index out.

    Dimensions of extent 1 that are repeated in the result are squeezed out.
    """
    own = names[len(names) - x.ndim :]
    extents = shape[len(shape) - x.ndim :]
    gone = tuple(d for d in range(x.ndim) if x.shape[d] == 1 and extents[d] != 1)
    kept = tuple(name for d, name in enumerate(own) if d not in gone)
    return (x.squeeze(gone) if gone else x), kept

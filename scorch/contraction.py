"""An einsum over operands of any kind, by the program that is kept for operands like these."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeAlias, TypeGuard

import numpy as np
import torch
from torch.autograd.graph import increment_version

from scorch import autograd, engine, recall
from scorch.errors import DtypeError, FormatError, NotationError, ShapeError, UnsupportedError
from scorch.formats import Format, Storage, resolve
from scorch.formats.storage import Values
from scorch.ir.einsum import operand_names, parse_einsum
from scorch.ir.notation import Assign
from scorch.operand import as_storage, bind, is_plain_dense
from scorch.runtime.memory import LARGE

__all__ = ["contract", "prepared"]

Result: TypeAlias = "torch.Tensor | Storage"


def contract(
    notation: str, operands: Sequence[Any], out_format: Format | str | None = None, out: torch.Tensor | None = None
) -> Result:
    """The result of an einsum, recorded if torch wants that; a dense one is put into `out` if that is given.

    Raises what `scorch.einsum` raises, without a word on the operands.

    >>> contract("i,i->", [torch.ones(2), torch.ones(2)])
    tensor(2.)
    """
    place = out if out is not None and _is_large(out) else None
    result: Result | None = recall.run((notation, out_format), operands) if place is None else None
    if result is None:
        bound = bind(operands)
        if bound is None:
            return _recorded(notation, operands, out_format, out)
        keys, vals = bound
        program = _program(notation, operands, out_format, keys)
        if place is not None and _may_write(program, place, vals):
            increment_version(place)
            return program(vals, place)
        if place is None:
            recall.keep((notation, out_format), operands, keys, program)
        made: Result = program(vals)
        result = made
    return result if out is None else _copied(result, out)


def _is_large(out: Any) -> bool:
    """Whether it takes a while to copy a result into `out`, which kernels might write to themselves."""
    return isinstance(out, torch.Tensor) and is_plain_dense(out) and out.nbytes >= LARGE and not out.requires_grad


def _may_write(program: Any, out: torch.Tensor, vals: Sequence[Values]) -> TypeGuard[engine.Program]:
    """Whether a program's only kernel writes a result like `out`, and reads nothing of its memory."""
    if not isinstance(program, engine.Program) or program.direct is None:
        return False
    alike = program.direct.shape == tuple(out.shape) and program.direct.dtype == out.dtype
    return alike and not any(_overlaps(out, each) for each in vals)


def _overlaps(out: torch.Tensor, values: Values) -> bool:
    """Whether two runs of memory have a byte in common."""
    place = values.ctypes.data if isinstance(values, np.ndarray) else values.data_ptr()
    return place < out.data_ptr() + out.nbytes and out.data_ptr() < place + values.nbytes


def _program(notation: str, operands: Sequence[Any], out_format: Format | str | None, keys: tuple[object, ...]) -> Any:
    """The program of operands that were bound under these keys."""
    key = (notation, out_format, keys, engine.settings())
    program = engine.find(key)
    return prepared(notation, operands, out_format, key) if program is None else program


def prepared(
    notation: str, operands: Sequence[Any], out_format: Format | str | None, key: object = None
) -> engine.AnyProgram | engine.Filled:
    """The program of an einsum, planned and compiled unless an equal one is kept; kept under `key` too."""
    storages, statement, wanted = _read(notation, operands, out_format)
    program = engine.prepare_product(statement, storages, wanted)
    if key is not None:
        engine.remember(key, program, storages)
    return program


def _read(
    notation: str, operands: Sequence[Any], out_format: Format | str | None
) -> tuple[list[Storage], Assign, Format | None]:
    """The operands, the statement, and the format that is wanted."""
    if not isinstance(notation, str):
        kind = type(notation).__name__
        raise NotationError(f"an einsum begins with a string such as 'ik,kj->ij', not with a {kind}")
    storages = [as_storage(x) for x in operands]
    statement = _statement(notation, tuple(s.pattern.shape for s in storages))
    return storages, statement, None if out_format is None else resolve(out_format, len(statement.target.indices))


@lru_cache(maxsize=4096)
def _statement(notation: str, shapes: tuple[tuple[int, ...], ...]) -> Assign:
    return parse_einsum(notation, shapes)


def _recorded(
    notation: str, operands: Sequence[Any], out_format: Format | str | None, out: torch.Tensor | None
) -> Result:
    """An einsum that torch wants to differentiate or to transform."""
    if out is not None:
        raise UnsupportedError("out= cannot be recorded for differentiation; drop it, or use torch.no_grad()")
    storages, statement, wanted = _read(notation, operands, out_format)
    if engine.are_filled(storages):
        named = dict(zip(operand_names(len(storages)), storages, strict=False))
        return autograd.compute((statement,), named, wanted)
    return autograd.evaluate(statement, storages, wanted)


def _copied(result: Result, out: torch.Tensor) -> torch.Tensor:
    """A dense result in memory that was given for it; ShapeError, DtypeError or FormatError where it doesn't fit."""
    if not isinstance(out, torch.Tensor) or out.layout is not torch.strided:
        raise FormatError("out= takes a dense torch.Tensor; ask for a sparse result with out_format=")
    if not isinstance(result, torch.Tensor):
        raise FormatError("the result is sparse and cannot go into out=; ask for a dense one with out_format='dense'")
    if out.shape != result.shape:
        raise ShapeError(f"out has the shape {tuple(out.shape)}, the result {tuple(result.shape)}")
    if not torch.can_cast(result.dtype, out.dtype):
        raise DtypeError(f"a result of {result.dtype} cannot be stored as {out.dtype}")
    return out.copy_(result)

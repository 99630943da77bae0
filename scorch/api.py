"""The front doors: einsum, kernel, explain. They wrap operands, enrich errors, and hand over to the engine."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias

import torch

from scorch import engine
from scorch.errors import NotationError, ScorchError
from scorch.explain import Explanation
from scorch.formats import Format, resolve
from scorch.ir.einsum import parse_einsum
from scorch.ir.notation import Assign
from scorch.operand import as_storage, bind
from scorch.tensor import Tensor

__all__ = ["einsum", "explain", "kernel"]

Result: TypeAlias = "torch.Tensor | Tensor"


@lru_cache(maxsize=4096)
def _statement(notation: str, shapes: tuple[tuple[int, ...], ...]) -> Assign:
    return parse_einsum(notation, shapes)


def einsum(notation: str, *operands: Any, out_format: Format | str | None = None) -> Result:
    """Evaluate an einsum over sparse and dense operands.

    `notation` is numpy's: "ik,kj->ij", repeated indices, "...", implicit result. Operands are scorch, torch (dense or
    sparse), scipy.sparse or numpy tensors of any rank; their memory is read in place and never changed. The result has
    the promoted number type; it is a torch.Tensor where the expression makes it structurally dense, else a
    scorch.Tensor, unless `out_format` asks for a format.

    Raises NotationError, ShapeError, FormatError or DtypeError, each with the operands and the way out.

    >>> import torch
    >>> A = torch.tensor([[0.0, 2.0], [1.0, 0.0]]).to_sparse_csr()
    >>> einsum("ik,kj->ij", A, torch.eye(2))
    tensor([[0., 2.],
            [1., 0.]])
    """
    try:
        bound = [bind(x) for x in operands]
        key = (notation, out_format, tuple([part for part, _ in bound]), engine.settings())
        program = engine.find(key)
        if program is None:
            program = _prepared(notation, operands, out_format, key)
        result = program([vals for _, vals in bound])
    except ScorchError as error:
        raise error.explain_with(_context(notation, operands)) from None
    return result if isinstance(result, torch.Tensor) else Tensor(result)


def _prepared(
    notation: str, operands: tuple[Any, ...], out_format: Format | str | None, key: object = None
) -> engine.AnyProgram:
    """The program of an einsum, planned and compiled unless an equal one is kept; kept under `key` too."""
    if not isinstance(notation, str):
        kind = type(notation).__name__
        raise NotationError(f"an einsum begins with a string such as 'ik,kj->ij', not with a {kind}")
    storages = [as_storage(x) for x in operands]
    statement = _statement(notation, tuple(s.pattern.shape for s in storages))
    wanted = None if out_format is None else resolve(out_format, len(statement.target.indices))
    program = engine.prepare(statement, storages, wanted)
    if key is not None:
        engine.remember(key, program, storages)
    return program


def _context(notation: str, operands: tuple[Any, ...]) -> str:
    """The expression and a line for each operand."""
    lines = [f"  in einsum({notation!r})"]
    for number, x in enumerate(operands):
        shape = tuple(getattr(x, "shape", ())) if hasattr(x, "shape") else "?"
        kind = getattr(x, "format", None) or getattr(x, "layout", None)
        kind = type(x).__name__ if kind is None or callable(kind) else kind
        dtype = str(getattr(x, "dtype", "?")).removeprefix("torch.")
        home = type(x).__module__.split(".")[0]
        lines.append(f"  operand {number}: {home} {str(kind).removeprefix('torch.')}, shape {shape}, {dtype}")
    return "\n".join(lines)


def kernel(notation: str, *operands: Any, out_format: Format | str | None = None) -> Callable[..., Result]:
    """Plan and compile an einsum once for operands like these; the function that is returned is the cheapest call there
    is.

    Operands of another structure, shape or number type are legal too, and take the way of `einsum`.

    >>> import scorch, torch
    >>> A = scorch.tensor(torch.eye(3).to_sparse_csr())
    >>> f = scorch.kernel("ik,k->i", A, torch.ones(3))
    >>> f(A, torch.tensor([1.0, 2.0, 3.0]))
    tensor([1., 2., 3.])
    """
    try:
        program = _prepared(notation, operands, out_format)
        return BoundKernel(notation, program, out_format, tuple([bind(x)[0] for x in operands]))
    except ScorchError as error:
        raise error.explain_with(_context(notation, operands)) from None


class BoundKernel:
    """What `scorch.kernel` returns: a program with the keys of the operands that it takes."""

    def __init__(
        self, notation: str, program: engine.AnyProgram, out_format: Format | str | None, keys: tuple[object, ...]
    ) -> None:
        self.notation = notation
        self.program = program
        self._keys = keys
        self._out_format = out_format

    def __call__(self, *operands: Any) -> Result:
        try:
            bound = [bind(x) for x in operands]
        except ScorchError as error:
            raise error.explain_with(_context(self.notation, operands)) from None
        if tuple([part for part, _ in bound]) != self._keys:
            return einsum(self.notation, *operands, out_format=self._out_format)
        result = self.program([vals for _, vals in bound])
        return result if isinstance(result, torch.Tensor) else Tensor(result)

    def __repr__(self) -> str:
        return f"kernel({self.notation!r})\n{self.program.plan}"


def explain(notation: str, *operands: Any, out_format: Format | str | None = None) -> Explanation:
    """What `einsum` would do with these operands, and why: the plan, its alternatives with estimated costs, the source.

    >>> import torch
    >>> e = explain("ik,k->i", torch.eye(3).to_sparse_csr(), torch.ones(3))
    >>> print(e.notation)
    C[i] += A[i,k] * B[k]
    """
    try:
        program = _prepared(notation, operands, out_format)
        return Explanation.of(program, [as_storage(x) for x in operands])
    except ScorchError as error:
        raise error.explain_with(_context(notation, operands)) from None

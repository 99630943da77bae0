"""What torch.compile and torch.export see of an einsum: one registered operator, `scorch::run`, and its gradient.

Eager calls never come here. While torch traces, a call is split: what it is (the notation, the patterns of the sparse
operands, known by their handles) is a constant of the graph, and its arrays are the graph's tensors.
"""

from __future__ import annotations

import operator
from typing import Any

import torch

from scorch import autograd
from scorch.blocked import readable
from scorch.dynamo import is_mended
from scorch.errors import UnsupportedError
from scorch.formats import Format, Pattern, Storage, dtypes, resolve
from scorch.formats.storage import dense_pattern, pattern_of
from scorch.ir.einsum import parse_einsum
from scorch.ir.notation import Access, accesses
from scorch.operand import Stored
from scorch.reorder import is_plain
from scorch.schedule.result import is_sparse_result

__all__ = ["traced_einsum", "traced_function"]

_CALLS: dict[str, tuple[str, tuple[str, ...], Format | str | None, int]] = {}
_FOUND: dict[object, tuple[str, tuple[tuple[int, int], ...], str, int]] = {}
DENSE = ""  # the handle of a dense operand


def traced_einsum(notation: str, operands: tuple[Any, ...], out_format: Format | str | None) -> Any:
    """The values of an einsum's result as a node of the graph that is being traced, and the operand on whose pattern
    they are: -1 for a dense result."""
    handles = [x._storage.pattern.handle if isinstance(x, Stored) else DENSE for x in operands]
    arrays = [x._storage.values if isinstance(x, Stored) else x for x in operands]
    ranks = [len(x.shape) for x in operands]
    types = [x.dtype for x in operands]
    spec, places, dtype, source = _described(notation, tuple(handles), tuple(ranks), tuple(types), out_format)
    if source >= 0:
        shape = [arrays[source].shape[0]]
    else:
        shape = [operands[n].shape[d] for n, d in places]
    return torch.ops.scorch.run(spec, arrays, shape, getattr(torch, dtype)), source


_PRODUCTS = {(2, 2): "ij,jk->ik", (2, 1): "ij,j->i", (1, 2): "i,ij->j", (1, 1): "i,i->"}


def traced_function(func: Any, args: tuple[Any, ...]) -> Any:
    """A torch function of sparse tensors as a node of the graph that is being traced: products of matrices and vectors.

    `A @ x` is refused where dynamo could not be mended, see `scorch.dynamo`.
    """
    if func is torch.Tensor.__rmatmul__ and is_mended():  # of (x, A) for A @ x
        args = args[::-1]
    known = func is torch.matmul or func is torch.mm or func is torch.mv or func is operator.matmul
    if known or (is_mended() and (func is torch.Tensor.__rmatmul__ or func is torch.Tensor.matmul)):
        notation = _PRODUCTS.get((len(args[0].shape), len(args[1].shape)))
        if notation is not None:
            return traced_einsum(notation, (args[0], args[1]), None)[0]
    raise UnsupportedError(
        f"{getattr(func, '__name__', func)} of a sparse tensor cannot be traced by torch.compile; write "
        "torch.matmul(A, x) for A @ x, or scorch.einsum(...)"
    )


def _described(
    notation: str,
    handles: tuple[str, ...],
    ranks: tuple[int, ...],
    types: tuple[torch.dtype, ...],
    out_format: Format | str | None,
) -> tuple[str, tuple[tuple[int, int], ...], str, int]:
    """What is known of a call before it runs: its key, where the result's extents come from, its number type, and the
    operand whose pattern it has."""
    key = (notation, handles, ranks, types, out_format)
    if key not in _FOUND:
        _FOUND[key] = _describe(*key)
    return _FOUND[key]


_described._dynamo_marked_constant = True  # type: ignore[attr-defined]  # what torch.compiler.assume_constant_result sets


def _describe(
    notation: str,
    handles: tuple[str, ...],
    ranks: tuple[int, ...],
    types: tuple[torch.dtype, ...],
    out_format: Format | str | None,
) -> tuple[str, tuple[tuple[int, int], ...], str, int]:
    patterns = [
        dense_pattern((2,) * rank, tuple(range(rank))) if handle == DENSE else pattern_of(handle)
        for handle, rank in zip(handles, ranks, strict=True)
    ]
    if "..." in notation:
        raise UnsupportedError(f"{notation!r} cannot be traced: name the indices that '...' stands for")
    statement = parse_einsum(notation, [pattern.shape for pattern in patterns])
    read = list(accesses(statement.expr))
    places = tuple(_place(read, v) for v in statement.target.indices)
    wanted = None if out_format is None else resolve(out_format, len(places))
    storages = [Storage(p, torch.empty(p.nnz, dtype=t)) for p, t in zip(patterns, types, strict=True)]
    source = -1 if (wanted is not None and wanted.is_dense) else _source(statement, storages, read, wanted, notation)
    spec = f"{notation} {' '.join(handle or 'dense' for handle in handles)} {out_format or ''}"
    _CALLS[spec] = notation, handles, out_format, source
    return spec, places, dtypes.promote(*(dtypes.name_of(t) for t in types)), source


def _place(read: list[Access], index: str) -> tuple[int, int]:
    """The operand and dimension from which an index takes its extent."""
    return next((n, a.indices.index(index)) for n, a in enumerate(read) if index in a.indices)


def _source(statement: Any, storages: list[Storage], read: list[Access], wanted: Format | None, notation: str) -> int:
    """The operand whose very pattern the result has; -1 for a dense result; UnsupportedError for any other."""
    sparse = [n for n, storage in enumerate(storages) if not storage.pattern.format.is_dense]
    if wanted is None and not sparse:
        return -1
    if len(sparse) == 1 and set(read[sparse[0]].indices) == set(statement.target.indices) and not statement.equal:
        same = read[sparse[0]].indices == statement.target.indices
        if same and wanted in (None, storages[sparse[0]].pattern.format):
            return sparse[0]
    elif wanted is None and not is_sparse_result(_problem(statement, storages)):
        return -1
    raise UnsupportedError(
        f"the number of entries of {notation!r} depends on its operands' coordinates, so it cannot be traced by "
        "torch.compile; compute it outside, or ask for out_format='dense'"
    )


def _problem(statement: Any, storages: list[Storage]) -> Any:
    from scorch.schedule.problem import Operand, Problem

    names = [access.tensor for access in accesses(statement.expr)]
    storages = [s if is_plain(s.pattern.format) else readable(s) for s in storages]
    described = tuple(Operand.of(n, s.pattern, s.dtype, s.fill) for n, s in zip(names, storages, strict=True))
    extents = {
        v: e
        for a, s in zip(accesses(statement.expr), storages, strict=True)
        for v, e in zip(a.indices, s.pattern.shape, strict=True)
    }
    return Problem(statement, described, extents, "float32", 1)


def _call(spec: str, arrays: list[torch.Tensor]) -> autograd.Call:
    notation, handles, out_format, source = _CALLS[spec]
    patterns: list[Pattern] = [
        Storage.from_dense(array).pattern if handle == DENSE else pattern_of(handle)
        for handle, array in zip(handles, arrays, strict=True)
    ]
    statement = parse_einsum(notation, [pattern.shape for pattern in patterns])
    wanted = None if out_format is None else resolve(out_format, len(statement.target.indices))
    made = None if source < 0 else (patterns[source], 0)
    return autograd.Call(statement, tuple((pattern, 0) for pattern in patterns), wanted, None, None, made)


@torch.library.custom_op("scorch::run", mutates_args=())
def _run(spec: str, arrays: list[torch.Tensor], shape: list[int], dtype: torch.dtype) -> torch.Tensor:
    return _call(spec, arrays).run(arrays)


@_run.register_fake
def _(spec: str, arrays: list[torch.Tensor], shape: list[int], dtype: torch.dtype) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype)


@torch.library.custom_op("scorch::run_gradient", mutates_args=())
def _run_gradient(spec: str, grad: torch.Tensor, arrays: list[torch.Tensor], number: int) -> torch.Tensor:
    found: torch.Tensor = _call(spec, arrays).gradient(number, grad.contiguous(), None, arrays)
    return found.to(arrays[number].dtype, copy=True).contiguous()


@_run_gradient.register_fake
def _(spec: str, grad: torch.Tensor, arrays: list[torch.Tensor], number: int) -> torch.Tensor:
    return torch.empty(arrays[number].shape, dtype=arrays[number].dtype)


def _remember(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
    ctx.spec = inputs[0]
    ctx.save_for_backward(*inputs[1])
    ctx.needed = [x.requires_grad for x in inputs[1]]


def _backward(ctx: Any, grad: torch.Tensor) -> tuple[Any, ...]:
    arrays = list(ctx.saved_tensors)
    found = [
        torch.ops.scorch.run_gradient(ctx.spec, grad, arrays, n) if needed else None
        for n, needed in enumerate(ctx.needed)
    ]
    return None, found, None, None


_run.register_autograd(_backward, setup_context=_remember)

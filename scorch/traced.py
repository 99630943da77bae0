"""What torch.compile and torch.export see of statements: one registered operator, `scorch::compute`, and its gradient.

As an einsum (`scorch.ops`), a call is split while torch traces: the text and the patterns of the sparse operands are a
constant of the graph, the arrays are its tensors. What the result is like is found by computing the statements once
on ones, with the operands' own patterns and the smallest dense dimensions that fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch.utils._python_dispatch import _disable_current_modes

from scorch import api
from scorch.errors import UnsupportedError
from scorch.formats import Format, Storage
from scorch.formats.storage import pattern_of
from scorch.ir.check import check_statements
from scorch.ir.notation import accesses
from scorch.ir.parse import parse_statements
from scorch.ir.statement import Raw
from scorch.operand import Stored
from scorch.tensor import Tensor

__all__ = ["traced_compute"]

DENSE = ""  # the handle of a dense operand
SMALLEST = 2  # the extent of a dimension that no pattern fixes, while the result is found out
Place: TypeAlias = "tuple[str, int]"  # a tensor and a dimension; a statement's number and an index


@dataclass(frozen=True)
class Kind:
    """All that a graph knows of an operand: handle of its pattern, fill, rank and number type."""

    handle: str
    fill: bool | int | float | complex
    rank: int
    dtype: torch.dtype

    def tensor(self, values: torch.Tensor) -> Any:
        """The operand with these values."""
        if self.handle == DENSE:
            return values
        return Tensor(Storage(pattern_of(self.handle), values, self.fill))


@dataclass(frozen=True)
class Call:
    """Statements with what is known of their operands."""

    text: str
    operands: tuple[tuple[str, Kind], ...]
    out_format: Format | str | None

    def __call__(self, arrays: list[torch.Tensor]) -> Any:
        """The result for the operands' values."""
        named = {name: kind.tensor(array) for (name, kind), array in zip(self.operands, arrays, strict=True)}
        return api.evaluated((self.text,), named, self.out_format)


Found: TypeAlias = "tuple[str, tuple[tuple[int, int], ...], str, int]"
_CALLS: dict[str, Call] = {}
_FOUND: dict[Call, Found] = {}


def traced_compute(text: str, operands: Mapping[str, Any], out_format: Format | str | None) -> tuple[torch.Tensor, int]:
    """The values of the statements' result as a node of the graph, and the operand on whose pattern they are: -1 for
    a dense result."""
    tensors: list[Any] = [x if isinstance(x, Stored | torch.Tensor) else torch.tensor(x) for x in operands.values()]
    arrays = [x._storage.values if isinstance(x, Stored) else x for x in tensors]
    spec, places, dtype, source = _described(
        text,
        tuple(operands),
        tuple([x._storage.pattern.handle if isinstance(x, Stored) else DENSE for x in tensors]),
        tuple([x._storage.fill if isinstance(x, Stored) else 0 for x in tensors]),
        tuple([len(x.shape) for x in tensors]),
        tuple([x.dtype for x in tensors]),
        out_format,
    )
    shape = [arrays[source].shape[0]] if source >= 0 else [tensors[n].shape[d] for n, d in places]
    return torch.ops.scorch.compute(spec, arrays, shape, getattr(torch, dtype)), source


def _described(
    text: str,
    names: tuple[str, ...],
    handles: tuple[str, ...],
    fills: tuple[Any, ...],
    ranks: tuple[int, ...],
    types: tuple[torch.dtype, ...],
    out_format: Format | str | None,
) -> Found:
    """What is known of a call before it runs: its key, where the result's extents come from, its number type, and the
    operand whose pattern it has."""
    kinds = map(Kind, handles, fills, ranks, types)
    call = Call(text, tuple(zip(names, kinds, strict=True)), out_format)
    if call not in _FOUND:
        _FOUND[call] = _describe(call)
    return _FOUND[call]


_described._dynamo_marked_constant = True  # type: ignore[attr-defined]  # what torch.compiler.assume_constant_result sets


def _describe(call: Call) -> Found:
    statements = parse_statements(call.text)
    check_statements(statements)
    if any(raw.views for raw in statements):
        raise UnsupportedError(
            f"{call.text!r} reads at computed coordinates, which torch.compile cannot trace; compute it outside"
        )
    extents = Extents(statements, call)
    with torch._C.DisableTorchFunction(), _disable_current_modes():  # torch.export would trace this too
        result = call(extents.ones())
    values, source = (result, -1) if isinstance(result, torch.Tensor) else (result.values, _source(call, result))
    target = statements[-1].target
    places = () if source >= 0 else tuple(extents.origin((target.tensor, n)) for n in range(len(target.indices)))
    spec = f"{len(_CALLS)} {call.text}"
    _CALLS[spec] = call
    return spec, places, str(values.dtype).removeprefix("torch."), source


def _source(call: Call, result: Tensor) -> int:
    """The operand whose very pattern a sparse result has; UnsupportedError if there is none."""
    for n, (_, kind) in enumerate(call.operands):
        if kind.handle == result._storage.pattern.handle and result.fill == kind.fill:
            return n
    raise UnsupportedError(
        f"the number of entries of {call.text!r} depends on its operands' coordinates, so it cannot be traced by "
        "torch.compile; compute it outside, or ask for out_format='dense'"
    )


class Extents:
    """Which dimensions of tensors are equal, because an index runs over all of them."""

    def __init__(self, statements: tuple[Raw, ...], call: Call) -> None:
        self.kinds = dict(call.operands)
        self.parents: dict[Any, Any] = {}
        for number, raw in enumerate(statements):
            for access in (raw.target, *accesses(raw.expr)):
                for dimension, index in enumerate(access.indices):
                    self._join((access.tensor, dimension), (f"{number}:", index))
        self.known = {
            self._root((name, d)): extent
            for name, kind in call.operands
            if kind.handle != DENSE
            for d, extent in enumerate(pattern_of(kind.handle).shape)
        }

    def _root(self, place: Any) -> Any:
        while (parent := self.parents.get(place, place)) != place:
            place = parent
        return place

    def _join(self, a: Any, b: Any) -> None:
        self.parents[self._root(a)] = self._root(b)

    def ones(self) -> list[torch.Tensor]:
        """Values for each operand."""
        return [torch.ones(self._shape(name, kind), dtype=kind.dtype) for name, kind in self.kinds.items()]

    def _shape(self, name: str, kind: Kind) -> list[int]:
        if kind.handle != DENSE:
            return [pattern_of(kind.handle).nnz]
        return [self.known.get(self._root((name, d)), SMALLEST) for d in range(kind.rank)]

    def origin(self, place: Place) -> tuple[int, int]:
        """The operand and dimension that have the extent of a dimension of the result."""
        root = self._root(place)
        candidates = ((n, name, d) for n, (name, kind) in enumerate(self.kinds.items()) for d in range(kind.rank))
        return next((n, d) for n, name, d in candidates if self._root((name, d)) == root)


def _values(result: Any) -> torch.Tensor:
    return result if isinstance(result, torch.Tensor) else result.values


@torch.library.custom_op("scorch::compute", mutates_args=())
def _compute(spec: str, arrays: list[torch.Tensor], shape: list[int], dtype: torch.dtype) -> torch.Tensor:
    with torch.no_grad():
        return _values(_CALLS[spec](arrays)).contiguous()


@_compute.register_fake
def _(spec: str, arrays: list[torch.Tensor], shape: list[int], dtype: torch.dtype) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype)


def _gradient(spec: str, grad: torch.Tensor, arrays: list[torch.Tensor], needed: list[int]) -> list[torch.Tensor]:
    """The gradients of the operands that are `needed`: the statements computed again, recorded."""
    with torch.enable_grad():
        leaves = [array.detach() for array in arrays]
        wanted = [leaves[n].requires_grad_() for n in needed]
        found = torch.autograd.grad(_values(_CALLS[spec](leaves)), wanted, grad, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g.contiguous() for x, g in zip(wanted, found, strict=True)]


# Not a custom_op, whose body torch runs with recording shut off.
_library: Any = torch.library.Library("scorch", "FRAGMENT")  # type: ignore[no-untyped-call]
_library.define("compute_gradient(str spec, Tensor grad, Tensor[] arrays, int[] needed) -> Tensor[]")
_library.impl("compute_gradient", _gradient, "CPU")


@torch.library.register_fake("scorch::compute_gradient", lib=_library)  # type: ignore[untyped-decorator]
def _(spec: str, grad: torch.Tensor, arrays: list[torch.Tensor], needed: list[int]) -> list[torch.Tensor]:
    return [torch.empty(arrays[n].shape, dtype=arrays[n].dtype) for n in needed]


def _remember(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
    ctx.spec = inputs[0]
    ctx.save_for_backward(*inputs[1])
    ctx.needed = [n for n, x in enumerate(inputs[1]) if x.requires_grad]


def _backward(ctx: Any, grad: torch.Tensor) -> tuple[Any, ...]:
    arrays = list(ctx.saved_tensors)
    # Where torch records the backward pass (create_graph), it is made of calls that can be differentiated again.
    is_recorded = torch.is_grad_enabled() and not torch.compiler.is_compiling()
    gradients = _recorded_gradient if is_recorded else torch.ops.scorch.compute_gradient
    found = dict(zip(ctx.needed, gradients(ctx.spec, grad, arrays, ctx.needed), strict=True))
    return None, [found.get(n) for n in range(len(arrays))], None, None


def _recorded_gradient(spec: str, grad: torch.Tensor, arrays: list[torch.Tensor], needed: list[int]) -> list[Any]:
    """The gradients of the operands that are `needed`, as functions of `grad` and of the operands."""
    aliases = [array.view_as(array) for array in arrays]
    wanted = [aliases[n] for n in needed]
    result = _values(_CALLS[spec](aliases))
    return list(torch.autograd.grad(result, wanted, grad, create_graph=True, allow_unused=True))


_compute.register_autograd(_backward, setup_context=_remember)

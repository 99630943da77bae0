"""One kernel, bound to the patterns of its operands."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import torch

from scorch import reorder
from scorch.emit.jit import Compiled
from scorch.errors import ShapeError
from scorch.formats import Format, Pattern, Storage, dtypes
from scorch.formats.storage import Values, as_tensor
from scorch.frozen import Frozen
from scorch.ir.notation import Assign
from scorch.ir.plan import Plan
from scorch.ir.statement import ABSENT
from scorch.runtime.launch import Launcher

__all__ = ["Program", "Result", "explained", "in_room"]

Result: TypeAlias = "Storage | torch.Tensor"
Made = TypeVar("Made")


class Program:
    """A plan that is compiled and bound to operand patterns; called with the values of operands that have those
    patterns. `launch` is a launcher of that plan which is bound to none, where there is one."""

    def __init__(
        self, plan: Plan, compiled: Compiled, operands: Sequence[Storage], launch: Launcher | None = None
    ) -> None:
        self.plan = plan
        self.compiled = compiled
        names = [spec.name for spec in plan.kernel.operands]
        self.fills = [0 if spec.fill == ABSENT.value else spec.fill for spec in plan.kernel.operands]
        patterns = [storage.pattern for storage in operands]
        self.reorderings: list[tuple[int, reorder.Reordering]] = []
        self.copies: dict[str, Storage] = {}  # of frozen operands
        for name, format in plan.conversions:
            n = names.index(name)
            if operands[n].is_frozen:
                made = self.copies[name] = _copy(operands[n], format)
                patterns[n] = made.pattern
            else:
                reordering = reorder.reorder(patterns[n], format)
                self.reorderings.append((n, reordering))
                patterns[n] = reordering.pattern
        held = {name: made.vals for name, made in self.copies.items()}
        known = dict(zip(names, patterns, strict=True))
        self.launch = (
            Launcher(plan, compiled, known, held) if launch is None else launch.bound(known, dict(plan.extents))
        )
        wanted = plan.wanted
        self.wanted = wanted if wanted is not None and wanted != plan.kernel.result.format else None
        self.rounded = dtypes.to_torch(plan.dtype) if plan.dtype != plan.kernel.result.dtype else None
        self.stored: int | None = None  # values that the last sparse result stored
        self.source = compiled.module.source
        self.path: Path | None = compiled.path
        simple = not self.reorderings and self.wanted is None and self.rounded is None
        self.direct = self.launch.direct if simple and self.launch.is_natural else None
        self.shared = self._sharing(names, patterns) if simple else None
        self.shortcuts: dict[object, Any] = {}  # functions of calls that run this, which go when it goes

    def _sharing(self, names: list[str], patterns: list[Pattern]) -> int | None:
        """The operand whose pattern the result has, as it is, if values are written the shortest way."""
        assembly = self.plan.kernel.assembly
        if assembly.kind != "share" or assembly.source is None or self.launch.direct is None:
            return None
        n = names.index(assembly.source.tensor)
        return n if self.launch.shared() is patterns[n] else None

    def __call__(self, vals: list[Values], out: torch.Tensor | None = None) -> Result:
        """Run with the operands' flat values, which the call may replace in the list; `direct` may be given memory for
        the result."""
        try:
            if self.direct is not None:
                return self.direct(vals, out)
            return self._run(vals)
        except (MemoryError, RuntimeError) as error:
            raise self.explaining()(error) from None

    def explaining(self) -> Callable[[Exception], Exception]:
        """What tells of a failed allocation; it does not hold the program."""
        return partial(_explained, (self.plan.statement, self.launch.shape, self.launch.result.format))

    def _run(self, vals: list[Values]) -> Result:
        for n, reordering in self.reorderings:
            if not reordering.is_direct:
                stored = as_tensor(vals[n], self.plan.kernel.operands[n].dtype)
                vals[n] = dtypes.array_of(reordering.values(stored, self.fills[n]))
        result = self.launch(vals)
        if self.wanted is not None:
            assert isinstance(result, Storage)
            result = reorder.reformat(result, self.wanted)
        if isinstance(result, Storage):
            self.stored = result.pattern.nnz
        return result if self.rounded is None else _rounded(result, self.rounded)


def _copy(storage: Storage, format: Format) -> Storage:
    """A frozen tensor in another format, which it keeps."""
    assert isinstance(storage, Frozen)
    made = storage.copies.get(format)
    if made is None:
        try:
            reordering = reorder.reorder(storage.pattern, format)
            values = reordering.values(storage.values.reshape(-1), storage.fill)
        except MemoryError:
            storage.has_room = False
            raise _NoRoom(f"no memory for a copy of {storage.pattern} as {format}") from None
        made = storage.copies[format] = Storage(reordering.pattern, values, storage.fill)
    return made


class _NoRoom(MemoryError):
    """A copy of a frozen tensor that a plan asks for does not fit; plans made from now on do without."""


def in_room(make: Callable[[], Made]) -> Made:
    """What `make` plans and compiles, a second time where there was no memory for a copy, which it is warned of."""
    try:
        return make()
    except _NoRoom as error:
        warnings.warn(f"scorch: {error}; the frozen tensor is read as it is", RuntimeWarning, stacklevel=6)
        return in_room(make)


def _rounded(result: Result, dtype: torch.dtype) -> Result:
    """A result in the number type that was asked for, where the kernel summed in a wider one."""
    if isinstance(result, torch.Tensor):
        return result.to(dtype)
    return Storage(result.pattern, result.values.to(dtype), result.fill)


def _explained(what: tuple[Assign, tuple[int, ...], object], error: Exception) -> Exception:
    return explained(error, *what)


def explained(error: Exception, statement: Assign, shape: tuple[int, ...], format: object) -> Exception:
    """A failed allocation as an error with a way out; any other error as it is."""
    if not isinstance(error, MemoryError) and not any(
        word in str(error) for word in ("allocate memory", "Storage size")
    ):
        return error
    return ShapeError(
        f"{statement} needs more memory than there is for a {format} result of shape {shape}; ask for an out_format "
        "that stores less, such as 'coo', or compute the result in parts"
    )

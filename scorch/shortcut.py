"""The shortest way through a call that comes again, as a function of its own.

What the tests of a guard, the values of operands and the arguments of a kernel have in loops and lists takes longer
than a small kernel does. So the function of a call is written as text, operand by operand, and compiled by Python, as
`dataclasses` writes `__init__`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import torch
from torch.autograd import forward_ad

from scorch import engine
from scorch.formats import Storage
from scorch.operand import Stored, as_storage
from scorch.runtime import threads
from scorch.runtime.direct import PARALLEL, Direct
from scorch.runtime.memory import allocate, maker

__all__ = ["Shortcut", "Test", "View", "is_plain", "write"]

Test: TypeAlias = Callable[[object], bool]
View: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]  # shape and strides
Shortcut: TypeAlias = "Callable[[Sequence[Any]], torch.Tensor | Storage | None]"


class Guard(Protocol):
    """What is asked of each operand: see `scorch.recall.Guard`."""

    dense: list[tuple[int, Test]]
    sparse: list[tuple[int, object]]
    learned: bool


is_transforming = torch._C._are_functorch_transforms_active  # as autograd.transforming, without its call


def is_plain() -> bool:
    """Whether no transform of torch.func is at work, and no forward derivative is recorded."""
    return not is_transforming() and forward_ad._current_level < 0


def write(
    operands: Sequence[Any],
    guard: Guard,
    program: object,
    order: Sequence[int] | None = None,
    view: View | None = None,
) -> Shortcut | None:
    """A function that takes operands like these and gives the result of the program, or None of other operands, on
    another number of threads, or while torch records or transforms.

    `order` says which operands the program takes, if not all in their order; `view` how the result's memory is wanted,
    if not as the last kernel writes it. None where one of the program's kernels does not write every place of a dense
    result, or every value of a pattern that it shares with an operand, once.
    """
    steps = _steps(program, range(len(operands)) if order is None else order)
    ways = [step.direct.known(step.direct.workers()) for step in steps]
    if not steps or None in ways or (view is not None and (steps[-1].direct.is_large or steps[-1].shared is not None)):
        return None
    known: dict[str, Any] = {
        "Storage": Storage,
        "Stored": Stored,
        "Tensor": torch.Tensor,
        "as_storage": as_storage,
        "is_transforming": is_transforming,
        "forward_ad": forward_ad,
        "threads": threads,
        "is_grad_enabled": torch.is_grad_enabled,
        "allocate": allocate,
    }
    tests = dict(guard.dense)
    recorded = " or is_grad_enabled()" if guard.learned else ""
    lines = [
        f"if len(operands) != {len(operands)} or is_transforming() or forward_ad._current_level >= 0{recorded}:",
        "    return None",
        "".join(f"x{place}, " for place in range(len(operands))) + "= operands",
    ]
    for place, key in guard.sparse:
        known[f"key{place}"] = key
        kind, storage = ("Stored", "._storage") if isinstance(operands[place], Stored) else ("Tensor", "")
        lines += [
            f"if not isinstance(x{place}, {kind}):",
            "    return None",
            f"s{place} = x{place}{storage}" if storage else f"s{place} = as_storage(x{place})",
            f"if s{place}.key != key{place} or (s{place}.values.requires_grad and is_grad_enabled()):",
            "    return None",
        ]
    refused = [f"not test{place}(x{place})" for place in tests]
    if any(step.direct.is_parallel for step in steps):
        workers = threads.workers()
        refused.append(f"threads.ready() != {workers}" if workers > 1 else "threads.workers() != 1")
    known |= {f"test{place}": test for place, test in tests.items()}
    if refused:
        lines += [f"if {' or '.join(refused)}:", "    return None"]
    for number, step in enumerate(steps):
        shown = view if number == len(steps) - 1 else None
        lines += _called(number, step, len(operands), tests, known, shown)
    lines.append(f"return {_result(steps, known)}")
    exec("def call(operands):\n" + "".join(f"    {line}\n" for line in lines), known)
    written: Shortcut = known.pop("call")  # whose names hold it no longer, so that it goes with whoever holds it
    return written


@dataclass(frozen=True, slots=True)
class _Step:
    """The way of a kernel, which values it takes, operands before earlier results, and what tells of its failure."""

    direct: Direct
    reads: Sequence[int]
    explained: Callable[[Exception], Exception]
    shared: int | None = None  # the operand whose pattern the result has
    fill: bool | int | float | complex = 0


def _steps(program: object, order: Sequence[int]) -> list[_Step]:
    """The kernels of a program in order; none if one of them has no short way."""
    if isinstance(program, engine.Program) and program.shared is not None and program.launch.direct is not None:
        fill = program.launch.result.fill
        return [_Step(program.launch.direct, order, program.explaining(), order[program.shared], fill)]
    if isinstance(program, engine.Program):
        found = [(program, order)]
    elif isinstance(program, engine.Replay) and program.is_direct:
        found = [(step.program, step.reads) for step in program.steps]  # type: ignore[misc]
    else:
        return []
    return [_Step(each.direct, reads, each.explaining()) for each, reads in found if each.direct is not None]


def _result(steps: Sequence[_Step], known: dict[str, Any]) -> str:
    """What the last step made."""
    made, shared = f"out{len(steps) - 1}", steps[-1].shared
    if shared is None:
        return made
    known["fill"] = steps[-1].fill
    return f"Storage(s{shared}.pattern, {made}, fill)"


def _called(
    number: int, step: _Step, operands: int, tests: Mapping[int, Test], known: dict[str, Any], view: View | None
) -> list[str]:
    """The lines of a step, and the objects that they name."""
    direct, workers = step.direct, step.direct.workers()
    way = direct.known(workers)
    assert way is not None
    entry, fixed, arrays, addresses, result = way

    def name(what: str, value: Any) -> str:
        known[f"{what}_{number}"] = value
        return f"{what}_{number}"

    arguments = [name(f"c{place}", value) for place, value in enumerate(fixed)]
    for place, read in arrays:
        arguments[place] = f"s{step.reads[read]}.vals"
    for place, read in addresses:
        source = step.reads[read]
        if source >= operands:
            arguments[place] = f"out{source - operands}.data_ptr()"
        else:
            arguments[place] = f"x{source}.data_ptr()" if source in tests else f"s{source}.vals.ctypes.data"
    arguments[result] = f"out{number}.data_ptr()"
    before, after = [], []
    if direct.rows is not None:
        shift = direct.shift(workers)
        take, give_back = (name(each, getattr(direct.rows.scratch, each)) for each in ("take", "give_back"))
        before, after = [f"    rows = {take}({workers})"], [f"    {give_back}(rows)"]
        for place, key in direct.rows.places:
            row = f"rows[{name(f'row{place}', key)}]"
            arguments[shift + place] = row if shift == PARALLEL else f"{row}[0]"
    extents, steps = (direct.shape, direct.strides) if view is None else view
    if direct.is_large:
        room = f"{name('make', maker(direct.shape, direct.dtype))}()"
    else:
        room = f"allocate({name('shape', extents)}, {name('strides', steps)}, {name('dtype', direct.dtype)})"
    return [
        "try:",
        f"    out{number} = {room}",
        *before,
        f"    {name('entry', entry)}({', '.join(arguments)})",
        *after,
        "except (MemoryError, RuntimeError) as error:",
        f"    raise {name('explained', step.explained)}(error) from None",
    ]

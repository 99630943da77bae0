"""The shortest way through a call that comes again, as a function of its own.

What the tests of a guard, the values of operands and the arguments of a kernel have in loops and lists takes longer
than a small kernel does. So the function of a call is written as text, operand by operand, and compiled by Python, as
`dataclasses` writes `__init__`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

import torch
from torch.autograd import forward_ad

from scorch import engine
from scorch.operand import Stored, as_storage
from scorch.runtime import threads
from scorch.runtime.memory import allocate, empty

__all__ = ["Shortcut", "Test", "is_plain", "write"]

Test: TypeAlias = Callable[[object], bool]
Shortcut: TypeAlias = "Callable[[Sequence[Any]], torch.Tensor | None]"


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
) -> Shortcut | None:
    """A function that takes operands like these and gives the result of the program, or None of other operands, on
    another number of threads, or while torch records or transforms.

    `order` says which operands the program takes, if not all in their order. None where a program's result needs more
    than one kernel that writes every place once.
    """
    if not isinstance(program, engine.Program) or program.direct is None:
        return None
    direct, workers = program.direct, program.direct.workers()
    way = direct.known(workers)
    if way is None:
        return None
    entry, fixed, arrays, addresses, result = way
    taken = range(len(operands)) if order is None else order
    known: dict[str, Any] = {
        "Stored": Stored,
        "Tensor": torch.Tensor,
        "as_storage": as_storage,
        "is_transforming": is_transforming,
        "forward_ad": forward_ad,
        "threads": threads,
        "entry": entry,
        "explained": program.explaining(),
    }
    tests = dict(guard.dense)
    known["is_grad_enabled"] = torch.is_grad_enabled
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
    if direct.is_parallel:
        refused.append(f"threads.ready() != {workers}" if workers > 1 else "threads.workers() != 1")
    known |= {f"test{place}": test for place, test in tests.items()}
    if refused:
        lines += [f"if {' or '.join(refused)}:", "    return None"]
    arguments = [f"c{place}" for place in range(len(fixed))]
    known |= {f"c{place}": value for place, value in enumerate(fixed)}
    for place, number in arrays:
        arguments[place] = f"s{taken[number]}.vals"
    for place, number in addresses:
        operand = taken[number]
        arguments[place] = f"x{operand}.data_ptr()" if operand in tests else f"s{operand}.vals.ctypes.data"
    arguments[result] = "out.data_ptr()"
    before, after = [], []
    if direct.rows is not None:
        shift = direct.shift(workers)
        known |= {"take": direct.rows.scratch.take, "give_back": direct.rows.scratch.give_back}
        before, after = [f"    rows = take({workers})"], ["    give_back(rows)"]
        for place, key in direct.rows.places:
            known[f"row{place}"] = key
            arguments[shift + place] = f"rows[row{place}]" + ("" if shift == 2 else "[0]")
    known |= {"shape": direct.shape, "strides": direct.strides, "dtype": direct.dtype}
    known |= {"empty": empty, "allocate": allocate}
    lines += [
        "try:",
        "    out = empty(shape, dtype)" if direct.is_large else "    out = allocate(shape, strides, dtype)",
        *before,
        f"    entry({', '.join(arguments)})",
        *after,
        "except (MemoryError, RuntimeError) as error:",
        "    raise explained(error) from None",
        "return out",
    ]
    exec("def call(operands):\n" + "".join(f"    {line}\n" for line in lines), known)
    written: Shortcut = known.pop("call")  # whose names hold it no longer, so that it goes with whoever holds it
    return written

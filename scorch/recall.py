"""The shortest way through a call that comes again: is it given operands like the last time's?

An inline cache (Hölzle, Chambers and Ungar 1991): beside the table of all programs, each call keeps the few that it ran
last, with one test an operand. A test of a dense operand is one of those that torch.compile makes for its own code, a
single step where the key of an operand takes ten.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch

from scorch import engine
from scorch.formats.storage import Values
from scorch.operand import Stored, as_storage, is_plain_dense, is_plain_view
from scorch.shortcut import Shortcut, Test, View, is_plain, write

__all__ = ["Guard", "keep", "keep_view", "run", "shortcut"]

MOST = 4  # programs of one call, the last one first: more than that are looked up among all
CALLS = 2048
SHORTENED = 8  # times a program is recalled before its call is written as a function, which takes 0.2 ms


class Guard:
    """A test for each operand of a call.

    >>> guard = Guard.of([torch.ones(2, 3)], [None])
    >>> guard.values([torch.zeros(2, 3)]) is None, guard.values([torch.zeros(3, 2)]) is None
    (False, True)
    """

    __slots__ = ("_count", "dense", "learned", "sparse")

    def __init__(
        self, count: int, dense: list[tuple[int, Test]], sparse: list[tuple[int, object]], learned: bool
    ) -> None:
        self._count = count
        self.dense, self.sparse = dense, sparse
        self.learned = learned  # whether a dense operand wants gradients, which `torch.no_grad` keeps from it

    @classmethod
    def of(cls, operands: Sequence[Any], keys: Sequence[object]) -> Guard | None:
        """The guard of operands that have been bound under these keys; None if one of them is of another kind."""
        dense: list[tuple[int, Test]] = []
        sparse: list[tuple[int, object]] = []
        learned = False
        for place, (x, key) in enumerate(zip(operands, keys, strict=True)):
            if isinstance(x, Stored) or (isinstance(x, torch.Tensor) and x.layout is not torch.strided):
                sparse.append((place, key))
            else:
                test = _test(x) if is_plain_dense(x) else None
                if test is None:
                    return None
                dense.append((place, test))
                learned = learned or x.requires_grad
        return cls(len(operands), dense, sparse, learned)

    def values(self, operands: Sequence[Any]) -> list[Values] | None:
        """The values of operands that pass all tests, else None."""
        if len(operands) != self._count or not is_plain():
            return None
        recording = torch.is_grad_enabled()
        if recording and self.learned:
            return None
        vals = list(operands)
        for place, test in self.dense:
            if not test(vals[place]):
                return None
        for place, key in self.sparse:
            x = vals[place]
            if isinstance(x, Stored):
                storage = x._storage
            elif isinstance(x, torch.Tensor):
                storage = as_storage(x)
            else:
                return None
            if storage.key != key or (recording and storage.values.requires_grad):
                return None
            vals[place] = storage.vals
        return vals


def _test(x: torch.Tensor) -> Test | None:
    """Whether an object is a tensor of this class, number type, shape, strides and device, that wants a gradient if
    this one does; none if that would be recorded."""
    if (x.requires_grad and torch.is_grad_enabled()) or not _has_tests():
        return None
    return _made(x)


def _made(x: torch.Tensor) -> Test:
    guards: Any = torch._C._dynamo.guards
    made = guards.TensorGuards(x, dynamic_dims_sizes=[list(x.shape)], dynamic_dims_strides=[list(x.stride())])
    return made.check  # type: ignore[no-any-return]


@cache
def _has_tests() -> bool:
    """Whether this version of torch has the tests, and they tell apart what has to be told apart."""
    try:
        with torch.inference_mode(False):
            like = torch.zeros(2, 3)
            test = _made(torch.zeros(2, 3))
            unlike = (
                torch.zeros(3, 2),
                torch.zeros(3, 2).T,
                torch.zeros(2, 3, dtype=torch.int32),
                torch.zeros(2, 3, requires_grad=True),
                torch.zeros(2, 3).to_sparse(),
                torch.zeros(2, 3, device="meta"),
                torch._neg_view(torch.zeros(2, 3)),
                None,
            )
            return test(like) and not any(map(test, unlike))
    except (AttributeError, TypeError, RuntimeError, SystemError):
        return False


# --- the programs of a call ---------------------------------------------------------------------------------


class _Entry:
    """A program, held as long as the table of all programs holds it, and when it may serve."""

    __slots__ = ("_recalled", "_shortcut", "guard", "order", "program", "settings")

    def __init__(self, guard: Guard, program: Any, order: Sequence[int] | None) -> None:
        self.guard = guard
        self.program = weakref.ref(program)
        self.order = order
        self.settings = engine.settings()
        self._recalled = 0
        self._shortcut: weakref.ref[Shortcut] | None = None

    @property
    def shortcut(self) -> Shortcut | None:
        """The function that the call was written as, once it was, for as long as the program lives."""
        return None if self._shortcut is None else self._shortcut()

    def run(self, operands: Sequence[Any]) -> Any:
        """The program's result for operands like those that it was kept for; None of others, or when it is gone."""
        call = self.shortcut
        result = None if call is None else call(operands)
        if result is not None:
            return result
        vals = self.guard.values(operands)
        program = None if vals is None else self.program()
        if vals is None or program is None:
            return None
        result = program(vals if self.order is None else [vals[n] for n in self.order])
        self._recalled += 1
        if self._recalled == SHORTENED:
            made = shortcut(self.guard, operands, program, self.order)
            self._shortcut = None if made is None else weakref.ref(made)
        return result


class _View(_Entry):
    """The same through other views of the operands' memory: by its shortcut alone, which takes addresses."""

    __slots__ = ()

    def __init__(self, guard: Guard, program: Any, order: Sequence[int] | None, shortcut: Shortcut) -> None:
        super().__init__(guard, program, order)
        self._shortcut = weakref.ref(shortcut)

    def run(self, operands: Sequence[Any]) -> Any:
        call = self.shortcut
        return None if call is None else call(operands)


_calls: dict[object, list[_Entry]] = {}


def shortcut(
    guard: Guard,
    operands: Sequence[Any],
    program: Any,
    order: Sequence[int] | None = None,
    result: torch.Tensor | None = None,
) -> Shortcut | None:
    """A function of operands like these, which the guard passes, that gives the program's result; held by the program.

    `result` is a view of the program's result that is wanted in place of it. None where it has no such function.
    """
    if not isinstance(program, engine.Program | engine.Replay):
        return None
    kinds = tuple(isinstance(x, Stored) for x in operands)
    view = None if result is None else _view(result)
    views = None if view is None else (view, *(None if isinstance(x, Stored) else _view(x) for x in operands))
    key = (kinds, guard.learned, None if order is None else tuple(order), engine.settings(), views)
    if program.shortcuts.get(key) is None:
        program.shortcuts[key] = write(operands, guard, program, order, view)
    found: Shortcut | None = program.shortcuts[key]
    return found


def _view(x: torch.Tensor) -> View:
    return tuple(x.shape), x.stride()


def run(call: object, operands: Sequence[Any]) -> Any:
    """The result of a program that the call ran on operands like these; None if there is none."""
    try:
        entries = _calls.get(call)
    except TypeError:  # no key at all, with a list for a format, say: told elsewhere
        return None
    if entries is None:
        return None
    settings = engine.settings()
    for entry in entries:
        if entry.settings == settings:
            result = entry.run(operands)
            if result is not None:
                if entry is not entries[0]:
                    _calls[call] = [entry, *(other for other in entries if other is not entry)]
                return result
    return None


def keep(
    call: object, operands: Sequence[Any], keys: Sequence[object], program: Any, order: Sequence[int] | None = None
) -> None:
    """Remember the program of a call for operands that were bound under these keys.

    `order` says which of them the program takes, if not all in their order.
    """
    guard = Guard.of(operands, keys)
    if guard is None:
        return
    _insert(call, _Entry(guard, program, order))


def _insert(call: object, made: _Entry) -> None:
    if len(_calls) >= CALLS and call not in _calls:
        _calls.clear()
    entries = [entry for entry in _calls.get(call, ()) if entry.program() is not None]
    _calls[call] = [made, *entries[: MOST - 1]]


def keep_view(
    call: object, operands: Sequence[Any], inner: object, inner_operands: Sequence[Any], result: torch.Tensor
) -> None:
    """Let a call take the way of the one that it leads to: its operands are views of the inner call's, from the same
    addresses, and `result` is one of the inner call's result.

    Once the inner call was recalled often enough to have a shortcut, and for a few kinds of operands; nothing is kept
    else.
    """
    settings = engine.settings()
    fitting = (entry for entry in _calls.get(inner, ()) if entry.guard.values(inner_operands) is not None)
    entry = next(fitting, None)
    program = None if entry is None or entry.shortcut is None or entry.settings != settings else entry.program()
    alike = [view for view in _calls.get(call, ()) if view.settings == settings and view.program() is not None]
    if entry is None or program is None or len(alike) == MOST or not _has_tests():
        return
    dense: list[tuple[int, Test]] = []
    sparse: list[tuple[int, object]] = []
    for place, x in enumerate(operands):
        if isinstance(x, Stored):
            sparse.append((place, x._storage.key))
        elif is_plain_view(x):
            dense.append((place, _made(x)))
        else:
            return
    guard = Guard(len(operands), dense, sparse, any(operands[place].requires_grad for place, _ in dense))
    found = shortcut(guard, operands, program, entry.order, result)
    if found is not None:
        _insert(call, _View(guard, program, entry.order, found))

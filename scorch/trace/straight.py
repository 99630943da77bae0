"""Functions without conditions, loops and side effects: a call that comes again on operands like the last time's runs
the kernels of that time, and none of the Python code.

What such a function records follows from its code and from the kinds of its arguments. Its code says so: no jumps, no
names but those of operations that are put off, and of what a module holds. That such a call did nothing but put off
operations, whose results came together at the end, is looked at when it runs. Whatever else it read is part of the key
under which its kernels are kept.
"""

from __future__ import annotations

import dis
import inspect
import sys
from collections.abc import Callable, Sequence
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import nn

from scorch import engine, recall
from scorch.hooks import has_global_hooks, hooks_of
from scorch.operand import as_storage, bind
from scorch.tensor import Tensor
from scorch.trace.known import is_known, is_rearranging, known_name
from scorch.trace.node import Call
from scorch.trace.run import Evaluated
from scorch.trace.tape import Tape, is_dense, replay, taped

__all__ = ["Straight", "straight"]

ATTEMPTS = 3  # recorded calls of a function from which kernels are taken in vain, before it is given up

_STEPS = frozenset(
    (
        *("RESUME", "NOP", "CACHE", "EXTENDED_ARG", "NOT_TAKEN", "PRECALL", "CALL", "KW_NAMES", "CALL_KW"),
        *("PUSH_NULL", "POP_TOP", "COPY", "SWAP", "LOAD_FAST", "LOAD_FAST_CHECK", "LOAD_FAST_LOAD_FAST"),
        *("LOAD_FAST_BORROW", "LOAD_FAST_BORROW_LOAD_FAST_BORROW", "STORE_FAST", "STORE_FAST_LOAD_FAST"),
        *("STORE_FAST_STORE_FAST", "LOAD_CONST", "LOAD_SMALL_INT", "LOAD_GLOBAL", "LOAD_ATTR", "LOAD_METHOD"),
        *("BINARY_OP", "BINARY_SUBSCR", "BINARY_SLICE", "BUILD_SLICE", "BUILD_TUPLE", "COMPARE_OP"),
        *("UNARY_NEGATIVE", "UNARY_POSITIVE", "RETURN_VALUE", "RETURN_CONST"),
    )
)
"""Instructions of Python 3.11 and later that go on to the next one and change nothing that outlives the call."""

_SCORCH = sys.modules["scorch"]
_SPACES: tuple[ModuleType, ...] = (torch, nn, nn.functional, torch.special, torch.sparse, torch.linalg, _SCORCH)
_NAMED = frozenset(("nn", "functional", "special", "sparse", "linalg", "dropout"))
_TURNED = frozenset(("T", "mT"))
_ASKED = frozenset(("shape", "size", "ndim", "dim", "numel", "dtype", "nnz", "density"))
_PLAIN = (int, float, bool, str, type(None), torch.dtype)
_TENSORS = frozenset((torch.Tensor, nn.Parameter, Tensor))
_NAMING = ("LOAD_GLOBAL", "LOAD_ATTR", "LOAD_METHOD")


class Straight:
    """A function whose code is straight: the calls that it comes down to are looked up by what they depend on."""

    def __init__(self, function: FunctionType) -> None:
        self._arguments = function.__code__.co_argcount
        self._values = function.__globals__
        read = [step for step in dis.get_instructions(function.__code__) if step.opname in _NAMING]
        self._globals = sorted({step.argval for step in read if step.opname == "LOAD_GLOBAL"})
        self._attributes = sorted({step.argval for step in read if step.opname != "LOAD_GLOBAL"})
        self._is_of_tensors = all(map(_is_asked, self._attributes))  # no attribute is read but of theirs
        self._left = ATTEMPTS

    def asked(self, args: tuple[Any, ...]) -> _Asked | None:
        """What a call is known by, and the tensors that it may read; None if more than that may decide what it does."""
        of_module = bool(args) and isinstance(args[0], nn.Module)
        if not (self._left and len(args) == self._arguments and (self._is_of_tensors or of_module)):
            return None
        if not _is_undisturbed():
            return None
        operands: list[Any] = []
        kinds: list[object] = []
        for x in args:
            if type(x) in _TENSORS:
                operands.append(x)
            elif isinstance(x, _PLAIN):
                kinds.append((len(operands), type(x), x))
            elif isinstance(x, nn.Module) and not has_global_hooks():  # type: ignore[no-untyped-call]
                held = self._held(x, operands) if x is args[0] else None
                if held is None:
                    return None
                kinds.append(held)
            else:
                return None
        read = self._read()
        return None if read is None else _Asked((self, read, tuple(kinds)), operands)

    def run(self, asked: _Asked) -> Any:
        """The result of a call like one before; None if there was none."""
        made = recall.run(asked.call, asked.operands)
        if made is None:
            tape: Tape | None = engine.find(_key(asked))
            return None if tape is None else tape(asked.operands)
        return made if isinstance(made, torch.Tensor) else Tensor(made)

    def learn(self, asked: _Asked, rearranged: Sequence[tuple[Any, Call]], evaluated: Evaluated) -> None:
        """Keep what a recorded call ran, which did nothing but that."""
        tape = taped(asked.operands, rearranged, evaluated)
        if tape is None:
            self._left -= 1
            return
        sparse = [as_storage(x) for x in asked.operands if not is_dense(x)]
        engine.remember(_key(asked), tape, sparse)
        bound = bind(asked.operands)
        kernels = None if bound is None else replay(asked.operands, rearranged, evaluated)
        if bound is not None and kernels is not None:
            engine.remember((asked.call, bound[0], engine.settings()), kernels, sparse)
            recall.keep(asked.call, asked.operands, bound[0], kernels)

    def _read(self) -> tuple[object, ...] | None:
        """What global names stand for, if it is torch, Scorch, one of their operations, or a constant."""
        found: list[object] = []
        for name in self._globals:
            value = self._values.get(name)
            if any(value is space for space in _SPACES) or _is_operation(value):
                found.append(value)
            elif value is not None and isinstance(value, _PLAIN):
                found.append((type(value), value))
            else:  # what is only built in, too
                return None
        return tuple(found)

    def _held(self, module: nn.Module, operands: list[Any]) -> tuple[object, ...] | None:
        """What the code may read of a module: constants, and the same of the modules inside; its tensors go to the
        operands. None if there is more than that."""
        kind, attributes = type(module), module.__dict__
        parameters, buffers, modules = module._parameters, module._buffers, module._modules
        found: list[object] = [kind, attributes["training"]]
        for name in self._attributes:
            if name in parameters:
                held: Any = parameters[name]
            elif name in buffers:
                held = buffers[name]
            elif name in modules:
                inside = _inside(modules[name], operands)
                if inside is None:
                    return None
                found.append(inside)
                continue
            elif name in attributes:
                held = attributes[name]
            elif hasattr(kind, name) or not _is_asked(name):
                return None
            else:
                continue
            if type(held) in _TENSORS:
                operands.append(held)
                found.append(name)
            elif isinstance(held, _PLAIN):
                found.append((name, type(held), held))
            else:
                return None
        return tuple(found)


class _Asked(NamedTuple):
    """A call: what it is known by, and the tensors that it may read, in order."""

    call: object
    operands: list[Any]


def _key(asked: _Asked) -> object:
    """What the steps of a call depend on beside the call: the kinds of its operands, and whether torch records."""
    kinds = [
        (x.shape, x.dtype, x.device, x.requires_grad) if is_dense(x) else (as_storage(x).key, x.requires_grad)
        for x in asked.operands
    ]
    return asked.call, tuple(kinds), torch.is_grad_enabled(), engine.settings()


_known: WeakKeyDictionary[Callable[..., Any], Straight | None] = WeakKeyDictionary()


def straight(function: Callable[..., Any]) -> Straight | None:
    """The function as one whose calls can be looked up; None if its code may do anything but put off operations.

    >>> def layer(A, X): return torch.relu(A @ X)
    >>> def branch(A, X): return A @ X if len(X) else X
    >>> straight(layer) is straight(layer), straight(branch)
    (True, None)
    """
    try:
        return _known[function]
    except KeyError:
        made = Straight(function) if isinstance(function, FunctionType) and _is_straight(function.__code__) else None
        _known[function] = made
        return made


# --- what code does -----------------------------------------------------------------------------------------


def _is_straight(code: CodeType) -> bool:
    """Whether all of a function's instructions are run at each call, and read arguments, constants and names only."""
    several = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS | inspect.CO_GENERATOR | inspect.CO_COROUTINE
    if code.co_flags & (several | inspect.CO_ASYNC_GENERATOR) or code.co_kwonlyargcount:
        return False
    if code.co_freevars or code.co_cellvars:
        return False
    return all(step.opname in _STEPS for step in dis.get_instructions(code))


def _is_operation(value: Any) -> bool:
    """Whether a function is one of torch's or Scorch's that is put off."""
    name = getattr(value, "__name__", None)
    if not isinstance(name, str) or not is_known(known_name(name)):
        return False
    return any(getattr(space, name, None) is value for space in _SPACES)


def _inside(module: nn.Module | None, operands: list[Any]) -> tuple[object, ...] | None:
    """What a module depends on that another one calls; its tensors go to the operands."""
    if module is None or not _is_bare(module):
        return None
    if type(module) is nn.Sequential:
        parts = [_inside(each, operands) for each in module._modules.values()]
        return None if None in parts else (nn.Sequential, *parts)
    known = straight(type(module).forward)
    read = None if known is None else known._read()
    held = None if known is None or read is None else known._held(module, operands)
    return None if held is None else (read, held)


def _is_bare(module: nn.Module) -> bool:
    """Whether calling a module runs its class's forward and nothing else, given that no hooks are for all modules."""
    kind = type(module)
    patched = "forward" in module.__dict__ or any(hooks_of(module))
    return not patched and kind.__call__ is nn.Module.__call__ and kind.__getattr__ is nn.Module.__getattr__


def _is_asked(name: str) -> bool:
    """Whether a name may be one of an operation that is put off, or of what a tensor tells of its kind."""
    plain = known_name(name)
    return name in _ASKED or name in _NAMED or name in _TURNED or is_known(plain) or is_rearranging(plain)


def _is_undisturbed() -> bool:
    """Whether nobody looks at what torch runs, or changes it."""
    functions, dispatched = torch._C._len_torch_function_stack(), torch._C._len_torch_dispatch_stack()
    return not functions and not dispatched and not torch.is_autocast_enabled("cpu")

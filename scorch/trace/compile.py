"""`scorch.compile`: functions and modules whose sparse parts are fused when they run."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any, TypeVar, overload
from weakref import WeakKeyDictionary

import torch
from torch.utils import _pytree as pytree

from scorch import autograd
from scorch.functions import registry
from scorch.operand import Stored
from scorch.trace.record import recording
from scorch.trace.run import Told
from scorch.trace.straight import straight
from scorch.trace.value import Deferred

__all__ = ["compile", "run_recorded", "why_eager"]

F = TypeVar("F", bound="Callable[..., Any]")

_EAGER: WeakKeyDictionary[Callable[..., Any], str] = WeakKeyDictionary()


@overload
def compile(function: F, *, fuse: bool = True) -> F: ...


@overload
def compile(function: None = None, *, fuse: bool = True) -> Callable[[F], F]: ...


def compile(function: Any = None, *, fuse: bool = True) -> Any:
    """A function, method or torch.nn.Module whose operations on sparse tensors are fused where that is faster.

    Each call runs the Python code. Operations that Scorch knows are put off until somebody looks at a value, at the
    latest when the function returns; then they run together, in the order and in as many kernels as are expected to be
    fastest. All others run in torch as they are, in their order. Gradients, control flow and side effects are those of
    the function itself. A module is returned as a copy that shares its parameters. `fuse=False` runs operations one by
    one. `scorch.explain(f, *args)` shows both programs.

    >>> import scorch
    >>> @compile
    ... def layer(A, X, W, b):
    ...     return torch.relu(A @ (X @ W) + b)
    >>> A = scorch.tensor([[0.0, 2.0], [1.0, 0.0]], "csr")
    >>> layer(A, torch.eye(2), torch.ones(2, 2), torch.tensor([-1.5, 0.0]))
    tensor([[0.5000, 2.0000],
            [0.0000, 1.0000]])
    """
    if function is None:
        return functools.partial(compile, fuse=fuse)
    if isinstance(function, type) and issubclass(function, torch.nn.Module):
        function.forward = compile(function.forward, fuse=fuse)
        return function
    if isinstance(function, torch.nn.Module):
        made = copy.copy(function)
        made.forward = functools.partial(_forward, made, fuse)
        return made
    if not callable(function):
        raise TypeError(f"compile takes a function or a torch.nn.Module, not a {type(function).__name__}")

    @functools.wraps(function)
    def compiled(*args: Any, **kwargs: Any) -> Any:
        if _runs_plainly():
            return function(*args, **kwargs)
        return run_recorded(function, fuse, args, kwargs)

    return compiled


def _forward(module: torch.nn.Module, fuse: bool, *args: Any, **kwargs: Any) -> Any:
    """What a compiled module does when it is called."""
    function = type(module).forward
    if _runs_plainly():
        return function(module, *args, **kwargs)
    return run_recorded(function, fuse, (module, *args), kwargs)


def _runs_plainly() -> bool:
    """Whether somebody else traces or transforms, or a compiled function has called this one: then it is a part of
    what is traced."""
    return torch.compiler.is_compiling() or autograd.transforming() or registry.taker() is not None


def run_recorded(
    function: Callable[..., Any], fuse: bool, args: tuple[Any, ...], kwargs: dict[str, Any], told: Told | None = None
) -> Any:
    """The result of a function whose known operations are put off."""
    if function in _EAGER and told is None:
        return function(*args, **kwargs)
    known = straight(function) if fuse and told is None and not kwargs else None
    asked = None if known is None else known.asked(args)
    if known is not None and asked is not None:
        result = known.run(asked)
        if result is not None:
            return result
    reason = None
    with recording(fuse, told) as recorder:
        try:
            result = _finished(function(*args, **kwargs), recorder)
        except Exception as error:
            if recorder.has_written:
                raise
            reason = f"{type(error).__name__}: {error}"
    if reason is None:
        evaluated = recorder.evaluated
        only = evaluated is not None and not recorder.has_written and evaluated.result is result
        if known is not None and asked is not None and evaluated is not None and only:
            known.learn(asked, recorder.rearranged, evaluated)
        return result
    result = function(*args, **kwargs)  # raises again what is wrong with the function or its arguments
    _EAGER[function] = reason
    return result


def why_eager(function: Callable[..., Any]) -> str | None:
    """Why a function is not recorded any more: the error that it gave; None if it is."""
    return _EAGER.get(function)


def _finished(result: Any, recorder: Any) -> Any:
    """A function's result with tensors in place of what stands for them."""
    with recorder.paused():
        return _settled(result, recorder)


def _settled(result: Any, recorder: Any) -> Any:
    leaves, tree = pytree.tree_flatten(result, is_leaf=lambda x: isinstance(x, Stored) or type(x) is torch.Tensor)
    nodes = [leaf._node for leaf in leaves if isinstance(leaf, Deferred) and not leaf._node.is_done]
    if nodes:
        recorder.compute_all(list(dict.fromkeys(nodes)))
    made = [leaf._force() if isinstance(leaf, Deferred) else leaf for leaf in leaves]
    del leaves, result
    recorder.settle()
    return pytree.tree_unflatten(made, tree)

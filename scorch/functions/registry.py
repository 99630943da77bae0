"""One table: the function of torch that is called, and what does its work for sparse Tensors.

`Tensor.__torch_function__`, the methods of Tensor, Python's operators, numpy's functions and the Array API come here.
The files of implementations are imported by `scorch.functions.table`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeAlias, TypeVar

import torch

from scorch import exchange, tensor_repr
from scorch.errors import ScorchError, UnsupportedError
from scorch.operand import Stored

__all__ = [
    "Densifies",
    "call",
    "check_fill",
    "dispatch",
    "fills_allowed",
    "implementation",
    "implements",
    "interception",
    "names",
    "taker",
    "unavailable",
]

Implementation: TypeAlias = Callable[..., Any]
F = TypeVar("F", bound=Implementation)

Taker: TypeAlias = Callable[[str, Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]

_NAMESPACES = (torch, torch.Tensor, torch.nn.functional)

_BY_NAME: dict[str, Implementation] = {}
_BY_FUNCTION: dict[Any, str] = {}
_TAKES_REPEATED: set[str] = set()


class Densifies(UnsupportedError):
    """The result of a function would be dense, and nobody asked for a dense one."""


interception: ContextVar[Taker | None] = ContextVar("interception", default=None)
"""Who takes calls in place of the implementations: whoever records a function."""

taker = interception.get

_fills_allowed: ContextVar[bool] = ContextVar("fills_allowed", default=False)


@contextmanager
def fills_allowed() -> Iterator[None]:
    """Results may have another fill than 0, though no operand's fill is one: the Array API's way."""
    token = _fills_allowed.set(True)
    try:
        yield
    finally:
        _fills_allowed.reset(token)


def check_fill(name: str, fill: Any, *operands: Any) -> bool:
    """Whether a result's fill is one that no operand has asked for; Densifies unless that is allowed."""
    sparse = [x for x in operands if isinstance(x, Stored)]
    if fill == 0 or any(x._storage.fill != 0 for x in sparse):
        return False
    if _fills_allowed.get():
        return True
    pattern = sparse[0]._storage.pattern
    size = tensor_repr.bytes_text(pattern.size * sparse[0]._storage.values.element_size())
    raise Densifies(
        f"{name} makes {fill} of the entries that are not stored, so its result is dense ({size}); ask for that by "
        f"passing x.to_dense() or a dense out=, or work on the stored entries: x.with_values({name}(x.values))"
    )


def implements(name: str, *others: str, takes_repeated: bool = False) -> Callable[[F], F]:
    """Register the implementation of torch functions.

    A plain name stands for the function and for the method of that name; one with dots is looked up from `torch`.
    `takes_repeated`: also for tensors that store a coordinate more than once; others get them summed first.
    """

    def register(function: F) -> F:
        for given in (name, *others):
            _BY_NAME[given] = function
            if takes_repeated:
                _TAKES_REPEATED.add(given)
            for known in _functions_of(given):
                _BY_FUNCTION.setdefault(known, given)
        return function

    return register


def _functions_of(name: str) -> list[Any]:
    *path, last = name.split(".")
    if not path:
        return [found for space in _NAMESPACES if (found := getattr(space, last, None)) is not None]
    space: Any = torch
    for part in path:
        space = getattr(space, part)
    return [getattr(space, last)]


def _load() -> None:
    """Fill the table: the files of implementations use tensors, which use this file."""
    from scorch.functions import table  # noqa: F401


def names() -> tuple[str, ...]:
    """Every name under which something is registered."""
    _load()
    return tuple(sorted(_BY_NAME))


def implementation(name: str) -> Implementation | None:
    """What does the work of the function of that name for sparse tensors, if anything does."""
    _load()
    return _BY_NAME.get(name)


def dispatch(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The result of a torch function that was given Tensors: torch's own work if all of them are dense."""
    _load()
    args, kwargs = _plain(args), _plain(kwargs)
    if not any(map(_is_sparse, _flat((args, kwargs)))):
        return func(*args, **kwargs)
    name = _BY_FUNCTION.get(func)
    if name is None:
        return _unknown(func, args, kwargs)
    return _run(name, func, args, kwargs)


def call(name: str, *args: Any, **kwargs: Any) -> Any:
    """The result of the function that is registered under a name."""
    return _call(name, _called, args, kwargs)


def call_method(name: str, *args: Any, **kwargs: Any) -> Any:
    """The same for a method of the first argument: torch's methods take shapes as several arguments, too."""
    return _call(name, _called_method, args, kwargs)


def _call(name: str, function: Implementation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    take = taker()
    if take is not None:
        return take(name, partial(function, name), args, kwargs)
    return function(name, *args, **kwargs)


def _called(name: str, *args: Any, **kwargs: Any) -> Any:
    _load()
    return _apply(name, _functions_of(name)[0] if _functions_of(name) else _BY_NAME[name], args, kwargs)


def _called_method(name: str, *args: Any, **kwargs: Any) -> Any:
    _load()
    return _apply(name, getattr(torch.Tensor, name.removeprefix("Tensor."), _BY_NAME.get(name)), args, kwargs)


def _apply(name: str, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    args, kwargs = _plain(args), _plain(kwargs)
    if not any(map(_is_sparse, _flat((args, kwargs)))):
        return function(*args, **kwargs)
    if name not in _BY_NAME:
        return _unknown(function, args, kwargs)
    return _run(name, function, args, kwargs)


def _run(name: str, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    out = kwargs.pop("out", None)
    if name not in _TAKES_REPEATED:
        args, kwargs = _mapped(_summed, args), _mapped(_summed, kwargs)
    try:
        result = _BY_NAME[name](*args, **kwargs)
    except Densifies as error:
        if out is None:
            raise _explained(error, name, args, kwargs) from None
        return func(*_mapped(_dense, args), **_mapped(_dense, kwargs), out=out)
    except ScorchError as error:
        raise _explained(error, name, args, kwargs) from None
    return result if out is None else _written(out, result)


def _unknown(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A function that is not in the table: an in-place method of a dense tensor, or an error."""
    name = getattr(func, "__name__", str(func))
    base = name.removesuffix("_")
    if base != name and base in _BY_NAME and args and not _is_sparse(args[0]):
        return args[0].copy_(_dense(_run(base, getattr(torch.Tensor, base), args, kwargs)))
    raise UnsupportedError(unavailable(name))


def unavailable(name: str) -> str:
    """Why a torch function or method does nothing for sparse tensors, and what to write instead."""
    _load()
    base = name.removesuffix("_")
    if base != name and base in _BY_NAME:
        return f"the pattern of a scorch.Tensor doesn't change: write A = A.{base}(...) for A.{name}(...)"
    return (
        f"torch's {name} is not available for sparse scorch tensors; use A.to_dense() if there is room, or "
        f"A.with_values(...) for what works on the stored values"
    )


def _written(out: Any, result: Any) -> Any:
    if not isinstance(out, torch.Tensor) or not isinstance(result, Stored | torch.Tensor):
        raise UnsupportedError("out= takes a dense torch tensor")
    dense = _dense(result)
    if out.shape != dense.shape:
        out.resize_(dense.shape)
    return out.copy_(dense)


# --- arguments ----------------------------------------------------------------------------------------------


def _flat(value: Any) -> list[Any]:
    """The arguments in nested lists, tuples and mappings."""
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if not isinstance(value, list | tuple):
        return [value]
    return [leaf for part in value for leaf in _flat(part)]


def _mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """The same nest of arguments with a function applied to each."""
    if isinstance(value, dict):
        return {key: _mapped(function, part) for key, part in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_mapped(function, part) for part in value)
    return function(value)


def _is_sparse(x: Any) -> bool:
    return isinstance(x, Stored) and not x._storage.pattern.format.is_dense


def _plain(value: Any) -> Any:
    """Arguments with each dense Tensor as the torch tensor on its memory."""
    return _mapped(
        lambda x: exchange.dense_view(x._storage) if isinstance(x, Stored) and not _is_sparse(x) else x, value
    )


def _dense(x: Any) -> Any:
    return exchange.to_dense(x._storage) if isinstance(x, Stored) else x


def _summed(x: Any) -> Any:
    """A tensor that stores each coordinate once."""
    if not isinstance(x, Stored) or x._storage.pattern.format.is_unique:
        return x
    return type(x)(exchange.reformatted(x._storage, x._storage.pattern.format.sorted))  # type: ignore[call-arg]


def _explained(error: ScorchError, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> ScorchError:
    lines = [f"  in torch's {name} of"]
    for x in _flat((tuple(args), kwargs)):
        if isinstance(x, Stored):
            pattern = x._storage.pattern
            lines.append(
                f"    scorch.Tensor: shape {pattern.shape}, {pattern.format}, {x._storage.dtype}, nnz {pattern.nnz}"
            )
        elif isinstance(x, torch.Tensor):
            lines.append(f"    torch.Tensor: shape {tuple(x.shape)}, {str(x.dtype).removeprefix('torch.')}")
    return error.explain_with("\n".join(lines))

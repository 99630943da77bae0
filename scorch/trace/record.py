"""Running a function while its calls are recorded: those that Scorch knows are put off, all others run as they are."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any

import torch
from torch.autograd.function import Function
from torch.overrides import TorchFunctionMode

from scorch import autograd, exchange
from scorch.errors import UnsupportedError
from scorch.functions import registry
from scorch.operand import Stored
from scorch.trace.known import draft_of, in_place, is_known, is_rearranging, known_name, outside
from scorch.trace.node import Call, Draft, Node, node_of
from scorch.trace.run import Evaluated, Told, evaluate
from scorch.trace.value import Deferred, DenseValue, SparseValue, resolved

__all__ = ["Recorder", "recording"]

_READERS = frozenset(
    getattr(torch.Tensor, name).__get__
    for name in ("shape", "dtype", "device", "layout", "ndim", "requires_grad", "is_leaf", "is_cpu", "is_sparse")
) | frozenset(
    getattr(torch.Tensor, name)
    for name in (
        *("size", "stride", "dim", "numel", "data_ptr", "is_contiguous"),
        *("is_floating_point", "is_complex", "is_inference"),
    )
)
"""What is asked of a tensor most often, and is no operation: nothing is put off or computed for it."""


class Recorder(TorchFunctionMode):
    """Sees every call of torch and Scorch that the thread makes within `with`.

    Python itself runs as ever, with its conditions and loops: whoever looks at a value that was put off has it
    computed.
    """

    def __init__(self, fuse: bool = True, told: Told | None = None) -> None:
        super().__init__()
        self.fuse = fuse
        self.told = told
        self.has_written = False  # whether a call changed a tensor in place
        self.ran = False  # whether a call was not put off, but for those that only rearrange a tensor
        self.rearranged: list[tuple[Any, Call]] = []  # what those gave
        self.evaluations = 0
        self.evaluated: Evaluated | None = None  # the only one; of several, and beside other calls, nothing is held
        self.count = 0
        self.pending: weakref.WeakValueDictionary[int, Deferred] = weakref.WeakValueDictionary()
        self._off = 0

    def __enter__(self) -> Recorder:
        super().__enter__()  # type: ignore[no-untyped-call]
        self._token = registry.interception.set(self._intercept)
        _intercept_functions()
        return self

    def __exit__(self, *problem: Any) -> None:
        _release_functions()
        registry.interception.reset(self._token)
        super().__exit__(*problem)  # type: ignore[no-untyped-call]

    def paused(self) -> _Paused:
        """Calls are not recorded within."""
        return _Paused(self)

    def _intercept(self, name: str, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The result of one of Scorch's own functions."""
        _refuse_compiling()
        with _Aside(self):
            return self.take(name, func, args, kwargs)

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _READERS and args and not isinstance(args[0], Deferred):
            return func(*args, **kwargs)
        _refuse_compiling()
        if self._off:
            return func(*resolved(args), **resolved(kwargs))
        return self.take(_name(func), func, args, kwargs)

    def take(self, name: str, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The result of a call, or what stands for it."""
        name = known_name(name)
        if name == "dropout" and _is_idle(*args, **kwargs):
            return args[0]
        if kwargs.get("inplace"):
            name += "_"
            kwargs = {key: value for key, value in kwargs.items() if key != "inplace"}
            func = partial(func, inplace=True)
        if is_known(name) and not autograd.transforming():
            plain, named = _plain(args), _plain(kwargs)
            draft = draft_of(name, plain, named)
            node = None if draft is None else self._node(name, draft, Call(func, plain, named))
            if node is not None:
                return self._stand_in(node)
        elif self._renews(name, args, kwargs):
            self._does_more()
            return args[0]
        rearranges = is_rearranging(name) and bool(args) and type(args[0]) in (torch.Tensor, torch.nn.Parameter)
        writes = _writes(name, args, kwargs)
        with self.paused():
            if writes:
                self.has_written = True
                self.settle()
            result = func(*resolved(args), **resolved(kwargs))
        if not (rearranges and type(result) is torch.Tensor):
            self._does_more()
        elif not self.ran:
            self.rearranged.append((result, Call(func, args, kwargs)))
        if self.told is not None and not name.startswith("get") and (writes or all(result is not x for x in args)):
            self.told.ran(name, args, kwargs, result)  # not what gives back what it is given
        return result

    def _renews(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether a call changes in place what is put off still: its stand-in stands for the result from now on."""
        base = in_place(name)
        if base is None or not args or not isinstance(args[0], DenseValue) or args[0]._node.is_done:
            return False
        old, plain = args[0]._node, _plain(args)
        draft = draft_of(base, plain, _plain(kwargs))
        node = None if draft is None else self._node(base, draft, Call(outside(base), plain, _plain(kwargs)))
        if node is None or (node.shape, node.dtype, node.sparse) != (old.shape, old.dtype, False):
            return False
        del self.pending[old.number]
        args[0]._node = node
        self.pending[node.number] = args[0]
        return True

    def _node(self, name: str, draft: Draft, call: Call) -> Node | None:
        """The node of a draft, those of the drafts that it reads made before it."""
        made: dict[int, Node] = {}
        for part in draft.operands:
            if isinstance(part, Draft):
                assert part.call is not None
                inner = self._node(part.call.function.__name__, part, part.call)
                if inner is None:
                    return None
                made[id(part)] = inner

        def put(values: Sequence[Any]) -> tuple[Any, ...]:
            return tuple(made.get(id(x), x) for x in values)

        whole = Draft(draft.form, put(draft.operands))
        if draft.call is not None:
            name = draft.call.function.__name__ if made else name
            call = Call(draft.call.function, put(draft.call.args), draft.call.kwargs)
        self.count += 1
        node = node_of(self.count, name, whole, call)
        if node is not None and self.told is not None:
            self.told.put_off(node)
        return node

    def _stand_in(self, node: Node) -> Deferred:
        kind = SparseValue if node.sparse else DenseValue
        made = kind(node, self.compute)
        self.pending[node.number] = made
        return made

    def compute(self, node: Node) -> None:
        """Compute a node that somebody looks at; what else may be looked at and costs more than a pass is kept too."""
        self.compute_all([node])

    def compute_all(self, nodes: Sequence[Node]) -> None:
        """Compute nodes together."""
        with self.paused():
            looked_at = {stand._node for stand in list(self.pending.values())}
            made = evaluate(nodes, looked_at, self.fuse, self.told)
            self.evaluations += 1
            self.evaluated = made if self.evaluations == 1 and not self.ran else None

    def _does_more(self) -> None:
        """A call was not put off: what else was done need not be known, and its tensors are let go."""
        self.ran, self.evaluated = True, None
        self.rearranged.clear()

    def settle(self) -> None:
        """Compute all that is put off and may still be looked at."""
        nodes = [stand._node for stand in list(self.pending.values()) if not stand._node.is_done]
        if nodes:
            self.compute_all(sorted(nodes, key=lambda node: node.number))
        self.pending.clear()


class _Aside:
    """torch asks the recorder about nothing within: it would about every shape, too."""

    __slots__ = ("_popped", "_recorder")

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def __enter__(self) -> None:
        self._popped = _is_on_top(self._recorder)  # not within another mode, or where torch has put it aside
        if self._popped:
            torch._C._pop_torch_function_stack()

    def __exit__(self, *problem: object) -> None:
        if self._popped:
            torch._C._push_on_torch_function_stack(self._recorder)


class _Paused(_Aside):
    """Neither Scorch nor torch asks the recorder within."""

    __slots__ = ("_token",)

    def __enter__(self) -> None:
        self._token = registry.interception.set(None)
        self._recorder._off += 1
        super().__enter__()

    def __exit__(self, *problem: object) -> None:
        super().__exit__(*problem)
        self._recorder._off -= 1
        registry.interception.reset(self._token)


@contextmanager
def recording(fuse: bool, told: Told | None = None) -> Iterator[Recorder]:
    """A recorder at work."""
    recorder = Recorder(fuse, told)
    with recorder:
        yield recorder


def _refuse_compiling() -> None:
    """UnsupportedError where a function of torch.compile is called within: it then runs as it is written."""
    if torch.compiler.is_compiling():
        raise UnsupportedError("torch.compile does not trace what scorch.compile records")


def _is_on_top(mode: TorchFunctionMode) -> bool:
    depth = torch._C._len_torch_function_stack()
    return bool(depth) and torch._C._get_function_stack_at(depth - 1) is mode


def _name(func: Any) -> str:
    name: str = getattr(func, "__name__", "")
    if name in ("__get__", "__set__"):
        return f"{name.strip('_')} {getattr(getattr(func, '__self__', None), '__name__', '')}"
    return name


def _plain(value: Any) -> Any:
    """Arguments with nodes for what stands for them, their results for those that are there, and dense tensors for
    scorch.Tensors of a dense format."""
    if isinstance(value, Deferred):
        return value._node.value if value._node.is_done else value._node
    if type(value) is dict:
        return {key: _plain(part) for key, part in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_plain(part) for part in value)
    if isinstance(value, Stored) and value._storage.pattern.format.is_dense:
        return exchange.dense_view(value._storage)
    return value


def _writes(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a call may change a tensor that others see."""
    always, perhaps = _writing(name)
    return always or kwargs.get("out") is not None or (perhaps and any(x is True for x in args[1:]))


@lru_cache(maxsize=1024)
def _writing(name: str) -> tuple[bool, bool]:
    """Whether calls of a name change a tensor, and whether they may be asked to."""
    return (
        name.endswith("_")
        or name.startswith("set ")
        or name in ("setitem", "backward")
        or (name.startswith("i") and hasattr(torch.Tensor, f"__{name}__")),
        hasattr(torch.nn.functional, name),
    )


def _is_idle(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> bool:
    """Whether dropout leaves its input as it is."""
    return not training or p == 0


# --- functions of users -------------------------------------------------------------------------------------

_lock = threading.Lock()
_recorders = 0
_apply = Function.__dict__["apply"]


def _intercept_functions() -> None:
    """Let torch.autograd.Function.apply take tensors in place of what stands for them, and run unrecorded: torch asks
    nobody about it."""
    global _recorders
    with _lock:
        if not _recorders:
            Function.apply = classmethod(_resolving_apply)  # type: ignore[assignment, method-assign]
        _recorders += 1


def _release_functions() -> None:
    global _recorders
    with _lock:
        _recorders -= 1
        if not _recorders:
            Function.apply = _apply  # type: ignore[method-assign]


def _resolving_apply(cls: type[Function], *args: Any, **kwargs: Any) -> Any:
    taker = registry.taker()
    apply = partial(_apply.__func__, cls)
    if taker is None:
        return apply(*args, **kwargs)
    return taker(f"function {cls.__name__}", apply, args, kwargs)

"""One call that is put off: what it computes in index notation, on what, and how torch would do it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, TypeAlias

import torch

from scorch.errors import ShapeError
from scorch.formats import Format, Storage, dense, dtypes
from scorch.formats.storage import dense_pattern
from scorch.functions.statement import broadcast
from scorch.ir.absence import absent_value
from scorch.ir.einsum import operand_names
from scorch.ir.notation import Access, Apply, Assign, Expr
from scorch.ir.statement import ABSENT
from scorch.operand import Stored, as_storage
from scorch.schedule.problem import Operand, Problem
from scorch.schedule.result import is_sparse_result
from scorch.schedule.statistics import Statistics

__all__ = [
    "Call",
    "Contract",
    "Draft",
    "Form",
    "Map",
    "Node",
    "Softmax",
    "Sum",
    "contraction",
    "described",
    "is_sparse",
    "letters",
    "node_of",
]

FLOATS = (torch.float32, torch.float64)
LETTERS = "abcdefgh"


@dataclass(frozen=True, slots=True)
class Map:
    """A function of each value, with torch's broadcasting: an expression over `letters`, one an operand."""

    expr: Expr

    def __str__(self) -> str:
        return str(self.expr)


@dataclass(frozen=True, slots=True)
class Contract:
    """The sum of products over the indices that the result lacks: an einsum."""

    terms: tuple[tuple[str, ...], ...]
    out: tuple[str, ...]

    def __str__(self) -> str:
        return f"{','.join(map(''.join, self.terms))}->{''.join(self.out)}"


@dataclass(frozen=True, slots=True)
class Softmax:
    """softmax along the last dimension of a sparse tensor, over what is stored."""


@dataclass(frozen=True, slots=True)
class Sum:
    """The sum of a sparse tensor along some dimensions."""

    gone: tuple[int, ...]
    keepdim: bool


Form: TypeAlias = "Map | Contract | Softmax | Sum"


@dataclass(frozen=True, slots=True)
class Call:
    """A function with its arguments, which may hold Nodes, as Python would call it."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Draft:
    """What a known call would compute; `call` is how torch does it if that is not the call itself."""

    form: Form
    operands: tuple[Any, ...]
    call: Call | None = None


@dataclass(eq=False, slots=True)
class Node:
    """A call that is put off.

    `like` is the sparse operand whose pattern the result has, None if it has another or is dense; `recorded`, whether
    autograd would have recorded the call; `value` is its result once it is there.
    """

    number: int
    name: str
    form: Form
    operands: tuple[Any, ...]
    call: Call
    shape: tuple[int, ...]
    dtype: torch.dtype
    sparse: bool
    like: Storage | None
    recorded: bool
    value: Any = None

    @property
    def is_done(self) -> bool:
        """Whether the result is there."""
        return self.value is not None

    @property
    def requires_grad(self) -> bool:
        """Whether the result is part of a graph of differentiation."""
        return self.recorded

    def done(self, value: Any) -> None:
        """Take the result, and let go of what it was made of."""
        self.value = value
        self.operands = ()
        self.call = Call(self.call.function, ())


def letters(count: int) -> tuple[Access, ...]:
    """The accesses that stand for the operands of a Map.

    >>> print(*letters(2))
    a b
    """
    return tuple(Access(letter, ()) for letter in LETTERS[:count])


def is_sparse(x: Any) -> bool:
    """Whether an operand has entries that are not stored."""
    if isinstance(x, Node):
        return x.sparse
    if isinstance(x, Stored):
        return not x._storage.pattern.format.is_dense
    return x.layout is not torch.strided


def node_of(number: int, name: str, draft: Draft, call: Call) -> Node | None:
    """The node of a draft over tensors and nodes; None if it is left to torch.

    It is for mixed number types, sizes that torch would refuse, sparse operands that are broadcast, results whose
    absent entries would not be 0, and empty tensors.
    """
    operands = draft.operands
    types = {x.dtype for x in operands}
    shape = _shape(draft)
    if shape is None or len(types) != 1 or not types <= set(FLOATS) or any(0 in x.shape for x in operands):
        return None
    structure = _structure(draft, shape)
    if structure is None:
        return None
    recorded = torch.is_grad_enabled() and any(x.requires_grad for x in operands)
    (dtype,) = types
    return Node(number, name, draft.form, operands, call, shape, dtype, *structure, recorded)


# --- shapes -------------------------------------------------------------------------------------------------


def _shape(draft: Draft) -> tuple[int, ...] | None:
    match draft.form:
        case Map():
            try:
                return broadcast(*(x.shape for x in draft.operands))
            except ShapeError:
                return None
        case Contract(terms=terms, out=out):
            extents: dict[str, int] = {}
            for term, x in zip(terms, draft.operands, strict=True):
                if len(term) != len(x.shape):
                    return None
                if any(extents.setdefault(v, e) != e for v, e in zip(term, x.shape, strict=True)):
                    return None
            return tuple(extents[v] for v in out)
        case Softmax():
            return tuple(draft.operands[0].shape)
        case Sum(gone=gone, keepdim=keepdim):
            extents_ = enumerate(draft.operands[0].shape)
            return tuple(1 if d in gone else e for d, e in extents_ if keepdim or d not in gone)


# --- what is stored -----------------------------------------------------------------------------------------


def _structure(draft: Draft, shape: tuple[int, ...]) -> tuple[bool, Storage | None] | None:
    """Whether the result is sparse, and like which operand; None if Scorch should not put it off."""
    sparse = [x for x in draft.operands if is_sparse(x)]
    if any(1 in x.shape or _fill(x) != 0 for x in sparse):
        return None
    if not sparse:
        return False, None
    likes = [x.like if isinstance(x, Node) else as_storage(x) for x in sparse]
    match draft.form:
        case Map(expr=expr):
            if any(tuple(x.shape) != shape for x in sparse):
                return None
            return _mapped(expr, draft.operands, likes)
        case Contract():
            return _contracted(draft, likes)
        case Softmax():
            return True, likes[0]
        case Sum():
            return False, None


def _fill(x: Any) -> Any:
    return x._storage.fill if isinstance(x, Stored) else 0


def _mapped(expr: Expr, operands: Sequence[Any], likes: Sequence[Storage | None]) -> tuple[bool, Storage | None] | None:
    sparse = [access.tensor for access, x in zip(letters(len(operands)), operands, strict=True) if is_sparse(x)]
    value = _absent(expr, tuple(sparse))
    if value is None:
        return False, None
    if value != ABSENT and value.value != 0:
        return None
    decides = [like for name, like in zip(sparse, likes, strict=True) if _absent(expr, (name,)) is not None]
    return True, decides[0] if len(sparse) == 1 and decides else None


@lru_cache(maxsize=1024)
def _absent(expr: Expr, sparse: tuple[str, ...]) -> Any:
    return absent_value(expr, dict.fromkeys(sparse, 0))


def _contracted(draft: Draft, likes: Sequence[Storage | None]) -> tuple[bool, Storage | None] | None:
    assert isinstance(draft.form, Contract)
    if any(like is None for like in likes):
        return None
    sparse = [n for n, x in enumerate(draft.operands) if is_sparse(x)]
    formats = dict(zip(sparse, (like.pattern.format for like in likes if like is not None), strict=True))
    if not _is_sparse_product(draft.form, tuple(formats.get(n) for n in range(len(draft.operands)))):
        return False, None
    same = len(sparse) == 1 and draft.form.terms[sparse[0]] == draft.form.out
    return True, likes[0] if same else None


@lru_cache(maxsize=1024)
def _is_sparse_product(form: Contract, formats: tuple[Format | None, ...]) -> bool:
    """Whether a contraction of operands in these formats, None for a dense one, is sparse: their entries play no
    part in that."""
    operands = [
        Operand(
            "", format or dense(len(term)), "float32", Statistics(0, (), (), 0.0, 0, 0.0, 0.0), (), (2,) * len(term)
        )
        for term, format in zip(form.terms, formats, strict=True)
    ]
    return is_sparse_result(contraction(form, operands, torch.float32))


def contraction(form: Contract, operands: Sequence[Operand], dtype: torch.dtype, threads: int = 1) -> Problem:
    """What the schedule is asked about a contraction of operands A, B, ..."""
    names = operand_names(len(operands))
    read = tuple(Access(name, term) for name, term in zip(names, form.terms, strict=False))
    expr: Expr = Apply("mul", read) if len(read) > 1 else read[0]
    statement = Assign(Access(names[len(operands)], form.out), expr)
    extents = {v: e for term, x in zip(form.terms, operands, strict=True) for v, e in zip(term, x.shape, strict=True)}
    called = tuple(replace(x, name=name) for name, x in zip(names, operands, strict=False))
    return Problem(statement, called, extents, dtypes.name_of(dtype), threads)


def described(x: Any) -> Operand:
    """An operand as the schedule sees it; one that is not computed yet has the pattern of what it is like."""
    if is_sparse(x):
        storage = x.like if isinstance(x, Node) else as_storage(x)
        assert storage is not None  # a node that is like nothing is not described
        return Operand.of("A", storage.pattern, storage.dtype)
    shape = tuple(x.shape)
    return Operand.of("A", dense_pattern(shape, tuple(range(len(shape)))), dtypes.name_of(x.dtype))

"""What must hold of written statements, whatever the operands are; NotationError points at what doesn't."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from scorch.errors import NotationError
from scorch.ir.notation import Access, Apply, Expr, accesses
from scorch.ir.statement import ABSENT, Raw

__all__ = ["check_statements", "operands_of"]


def check_statements(statements: Sequence[Raw]) -> None:
    """Check the names and indices of statements.

    NotationError for a name that is assigned twice, read before it is assigned, used with different numbers of indices
    or both as a tensor and an index; for an index that a target has twice or that its right-hand side lacks; and for
    `absent` anywhere but in a `where`.

    >>> from scorch.ir.parse import parse_statements
    >>> check_statements(parse_statements("C[i,j] = A[i]"))
    Traceback (most recent call last):
    scorch.errors.NotationError: index j of the result is in no operand of its right-hand side, so it has no extent
      C[i,j] = A[i]
      ^
    """
    if not statements:
        raise NotationError("there is no statement to compute")
    assigned = [raw.target.tensor for raw in statements]
    for n, raw in enumerate(statements):
        _check_target(raw, assigned[:n])
        _check_order(raw, assigned[n:])
        if any(ABSENT in _values(part) for part in _parts(raw.expr)) or raw.expr == ABSENT:
            raw.fail("'absent' is only a value of where(condition, value, absent)")
    _check_names(statements)


def operands_of(statements: Sequence[Raw]) -> tuple[str, ...]:
    """The names of the tensors that must be given, in order of appearance: those that are read and not assigned.

    >>> from scorch.ir.parse import parse_statements
    >>> operands_of(parse_statements("T[i] = A[i,k] * x[k]; C[i] = T[i] - a * x[i]"))
    ('A', 'x', 'a')
    """
    assigned = {raw.target.tensor for raw in statements}
    reads = (raw.sources(access) for raw in statements for access in accesses(raw.expr))
    read = dict.fromkeys(name for names in reads for name in names)
    return tuple(name for name in read if name not in assigned)


def _check_target(raw: Raw, before: Sequence[str]) -> None:
    target = raw.target
    known = {v for access in accesses(raw.expr) for v in access.indices}
    if target.tensor in before:
        raw.fail(f"{target.tensor} is assigned twice; give each result a name of its own")
    for n, index in enumerate(target.indices):
        if index in target.indices[:n]:
            raw.fail(f"index {index!r} is duplicate: a result has each index once")
        if index not in known:
            raw.fail(f"index {index} of the result is in no operand of its right-hand side, so it has no extent")


def _check_order(raw: Raw, later: Sequence[str]) -> None:
    for access in accesses(raw.expr):
        for name in raw.sources(access):
            if name == raw.target.tensor:
                raw.fail(f"{name} is read by the statement that assigns it; name the result differently", access)
            if name in later:
                raw.fail(f"{name} is read before it is assigned", access)


def _check_names(statements: Sequence[Raw]) -> None:
    indices = {v for raw in statements for access in _accesses(raw) for v in access.indices}
    first: dict[str, Access] = {}
    for raw in statements:
        for access in _accesses(raw):
            where = None if access is raw.target else access
            if named := [name for name in raw.sources(access) if name in indices]:
                raw.fail(f"{named[0]} is an index, so no tensor can have its name", where)
            known = first.setdefault(access.tensor, access)
            if len(known.indices) != len(access.indices):
                raw.fail(f"{access} has {_count(access)}, but {known} has {_count(known)}", where)


def _accesses(raw: Raw) -> Iterator[Access]:
    yield raw.target
    yield from accesses(raw.expr)


def _parts(expr: Expr) -> Iterator[Apply]:
    """Every operator of an expression, outermost first."""
    if isinstance(expr, Apply):
        yield expr
        for arg in expr.args:
            yield from _parts(arg)


def _values(expr: Apply) -> tuple[Expr, ...]:
    """The arguments that must have a value everywhere."""
    return expr.args[:1] if expr.op == "where" else expr.args


def _count(access: Access) -> str:
    number = len(access.indices)
    return "no index" if number == 0 else "1 index" if number == 1 else f"{number} indices"

"""Einsum strings to index notation: repeated indices, ellipsis, implicit output, any number of operands."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from scorch.errors import NotationError, ShapeError
from scorch.ir.notation import Access, Apply, Assign, Expr

__all__ = ["operand_names", "parse_einsum"]

_LETTERS = "ABCDEFGHJKLMNOPQRSTUVWXYZ"


def operand_names(count: int) -> tuple[str, ...]:
    """Names for `count` operands, and after them the result's.

    >>> operand_names(2)
    ('A', 'B', 'C')
    """
    return tuple(_LETTERS[n] if count < len(_LETTERS) else f"A{n}" for n in range(count + 1))


def parse_einsum(text: str, shapes: Sequence[tuple[int, ...]]) -> Assign:
    """The statement of an einsum string for operands of these shapes.

    NotationError names the offending part and its column. Size-1 dimensions under `...` broadcast, named ones don't.

    >>> print(parse_einsum("ik,kj", [(2, 3), (3, 4)]))
    C[i,j] += A[i,k] * B[k,j]
    >>> print(parse_einsum("...ii->...i", [(5, 3, 3)]))
    B[e0,i] = A[e0,i,i2], i2 == i
    """
    inputs, output = _split(text, len(shapes))
    terms = [_expand(term, len(shape), text) for term, shape in zip(inputs, shapes, strict=True)]
    dots = max((sum(v.startswith("e") for v in term) for term in terms), default=0)
    target = _implicit(inputs, dots) if output is None else _expand(output, None, text, dots)
    _check_output(target, terms, text)
    names = operand_names(len(shapes))
    equal: list[tuple[str, str]] = []
    broadcast = _broadcast_extents(terms, shapes)
    operands: list[Expr] = []
    for name, term, shape in zip(names, terms, shapes, strict=False):
        term = [_unbroadcast(v, n, extent, broadcast) for n, (v, extent) in enumerate(zip(term, shape, strict=True))]
        operands.append(Access(name, _distinct(term, equal)))
    # written left to right as one n-ary product: `*` is associative and the schedule picks the path
    expr = operands[0] if len(operands) == 1 else Apply("mul", tuple(operands))
    return Assign(Access(names[len(shapes)], tuple(target)), expr, "add", tuple(equal))


def _split(text: str, count: int) -> tuple[list[str], str | None]:
    plain = text.replace(" ", "")
    for column, letter in enumerate(text):
        if not (letter.isalpha() and letter.isascii()) and letter not in " ,.->":
            raise NotationError(f"unexpected {letter!r} at column {column} of {text!r}; indices are letters")
    left, arrow, right = plain.partition("->")
    if "->" in right or "-" in left + right or ">" in left + right:
        raise NotationError(f"{text!r} needs exactly one '->' between operands and result")
    if "," in right:
        raise NotationError(f"{text!r} names more than one result")
    inputs = left.split(",")
    if len(inputs) != count:
        raise NotationError(
            f"{text!r} is for {len(inputs)} operand{'s'[: len(inputs) != 1]}, "
            f"but {count} {'was' if count == 1 else 'were'} given"
        )
    return inputs, right if arrow else None


def _expand(term: str, rank: int | None, text: str, dots: int = 0) -> list[str]:
    """One term's indices; `...` becomes e<d> ... e0, numbered from the right so that operands of other ranks align."""
    head, ellipsis, tail = term.partition("...")
    if "." in head or "." in tail:
        raise NotationError(f"{term!r} in {text!r}: an ellipsis is three dots, once a term")
    named = len(head) + len(tail)
    if rank is None:
        hidden = dots if ellipsis else 0
    else:
        hidden = rank - named
        if hidden < 0 or (hidden > 0 and not ellipsis):
            raise ShapeError(
                f"the term {term!r} of {text!r} has {named} indices, but its operand has {rank} dimensions"
            )
    return [*head, *(f"e{d}" for d in reversed(range(hidden))), *tail]


def _implicit(inputs: list[str], dots: int) -> list[str]:
    letters = "".join(inputs).replace(".", "")
    return [f"e{d}" for d in reversed(range(dots))] + sorted(v for v in set(letters) if letters.count(v) == 1)


def _check_output(target: list[str], terms: list[list[str]], text: str) -> None:
    known = {v for term in terms for v in term}
    for v in target:
        if target.count(v) > 1:
            raise NotationError(
                f"index {v!r} stands twice in the result of {text!r}; build a diagonal with a second operand"
            )
        if v not in known:
            raise NotationError(f"index {v!r} of the result of {text!r} is in no operand")
    hidden = {v for v in known if v.startswith("e") and len(v) > 1}
    if hidden - set(target) and "->" in text:
        raise NotationError(f"the operands of {text!r} have '...', the result has not: write '...' there too")


def _broadcast_extents(terms: list[list[str]], shapes: Sequence[tuple[int, ...]]) -> dict[str, int]:
    extents: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        for v, extent in zip(term, shape, strict=True):
            if len(v) > 1:
                extents[v] = reduce(lambda a, b: b if a == 1 else a, (extents.get(v, 1), extent))
    return extents


def _unbroadcast(v: str, axis: int, extent: int, broadcast: dict[str, int]) -> str:
    """A size-1 dimension that meets a larger one gets an index of its own, which is then summed over its one place."""
    return f"{v}b{axis}" if len(v) > 1 and extent == 1 and broadcast[v] != 1 else v


def _distinct(term: list[str], equal: list[tuple[str, str]]) -> tuple[str, ...]:
    """Indices of one access made distinct; the copies are recorded in `equal`."""
    seen: dict[str, int] = {}
    taken = {first for first, _ in equal}
    out = []
    for v in term:
        seen[v] = seen.get(v, 0) + 1
        if seen[v] == 1:
            out.append(v)
            continue
        fresh = next(name for n in range(2, 99) if (name := f"{v}{n}") not in taken)
        taken.add(fresh)
        equal.append((fresh, v))
        out.append(fresh)
    return tuple(out)

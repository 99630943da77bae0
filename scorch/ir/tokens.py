"""Tokens of index notation, and errors that point into its text."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from typing import Literal, NoReturn

from scorch.errors import NotationError

__all__ = ["RESERVED", "Token", "fail_at", "is_name", "tokenize"]

Kind = Literal["name", "number", "symbol", "end of statement", "end"]


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text, and the column of the text (not of its line) at which it begins."""

    kind: Kind
    text: str
    column: int

    def __str__(self) -> str:
        if self.kind in ("end", "end of statement"):
            return "the end" if self.text != ";" else "';'"
        return repr(self.text)


_TOKEN = re.compile(
    r"""
    (?P<space>   [^\S\n]+ )
  | (?P<number>  (?: \d+ \.? \d* | \.\d+ ) (?: [eE] [+-]? \d+ )? (?: j (?! \w ) )? )
  | (?P<name>    [A-Za-z_] [A-Za-z0-9_]* )
  | (?P<symbol>  -> | \*\*= | //= | \*\* | // | [=!<>]= | [-+*/%|&^@] = | [-+*/%|&<>=()\[\],~] )
  | (?P<end>     [;\n] )
    """,
    re.VERBOSE,
)

_HINTS = {
    "^": "a power is written **",
    "@": "a product of matrices is written with indices: A[i,k] * B[k,j]",
    "!": "'not' is written ~",
    ".": "an ellipsis is for scorch.einsum; here every index has a name",
    ":": "slices are not part of index notation",
    "{": "grouping is by ( and )",
}


RESERVED = frozenset(keyword.kwlist) | {"inf", "nan", "absent"}
"""Names that no index and no tensor can have: constants, and words that mean something in generated code."""


def is_name(text: str) -> bool:
    """Whether an index or a tensor can be called so.

    >>> is_name("i2"), is_name("2i"), is_name("lambda")
    (True, False, False)
    """
    match = _TOKEN.fullmatch(text)
    return match is not None and match.lastgroup == "name" and text not in RESERVED


def tokenize(text: str) -> list[Token]:
    """The tokens of a text, left to right, then one of kind "end".

    A newline ends a statement unless it is inside brackets or parentheses. NotationError points at a character that
    begins no token.

    >>> [token.text for token in tokenize("c[i] += 2*A[i]")]
    ['c', '[', 'i', ']', '+=', '2', '*', 'A', '[', 'i', ']', '']
    """
    tokens: list[Token] = []
    depth = column = 0
    while column < len(text):
        match = _TOKEN.match(text, column)
        if match is None:
            hint = _HINTS.get(text[column])
            fail_at(text, column, f"unexpected {text[column]!r}" + (f"; {hint}" if hint else ""))
        piece, kind = match.group(), match.lastgroup
        depth += (piece in "([") - (piece in ")]") if kind == "symbol" else 0
        if kind == "end":
            if piece == ";" or depth <= 0:
                tokens.append(Token("end of statement", piece, column))
        elif kind in ("number", "name", "symbol"):
            tokens.append(Token(kind, piece, column))  # type: ignore[arg-type]
        column = match.end()
    return [*tokens, Token("end", "", len(text.rstrip()))]


def fail_at(text: str, column: int, message: str) -> NoReturn:
    """Raise NotationError with the line of the text that holds the column, and a caret below it.

    >>> fail_at("a = b +", 7, "expected an operand")
    Traceback (most recent call last):
    scorch.errors.NotationError: expected an operand
      a = b +
             ^
    """
    begin = text.rfind("\n", 0, column) + 1
    line, _, _ = text[begin:].partition("\n")
    # tabs stay, so that the caret stands below its column however wide they are shown
    margin = "".join("\t" if letter == "\t" else " " for letter in text[begin:column])
    raise NotationError(f"{message}\n  {line}\n  {margin}^")

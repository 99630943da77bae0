"""FROSTT text files (.tns): a line for each stored value, its 1-based indices and then the value.

The format is that of the FROSTT collection (Smith, Choi, Li et al. 2017). Text is parsed in blocks of whole
lines, so that the memory needed beyond the result doesn't grow with the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

import numpy as np

from scorch.errors import DtypeError, FormatError, ShapeError
from scorch.formats.storage import Array
from scorch.tensor import Tensor, from_coo

__all__ = ["read_frostt", "write_frostt"]

_BLOCK = 1 << 24  # bytes of text parsed at once
_ROWS = 1 << 16  # rows of text formatted at once
_COMMENT = re.compile(rb"(?m)^[ \t]*#[^\n]*")
_NEWLINE, _BLANK = 10, 32
_EXACT = 2**53  # above it, float64, in which a block is parsed, skips integers


@dataclass(frozen=True)
class _Block:
    """Rows of numbers, and the line of the file on which each stands."""

    rows: Array
    lines: Array


def read_frostt(file: IO[bytes], shape: Sequence[int] | None = None) -> Tensor:
    """A coo Tensor of float64 (integers are exact up to 2^53) from an open .tns file.

    Lines that start with # are comments; values of repeated indices are summed. The extents are the largest
    indices unless `shape` gives them; an empty file needs it. Raises FormatError with the number of the line
    that cannot be read, ShapeError for an index outside `shape`.
    """
    blocks = list(_blocks(file, None if shape is None else len(shape)))
    if not blocks:
        if shape is None:
            raise FormatError("the file holds no entries, so that its shape is unknown; pass shape=")
        return from_coo(np.empty((len(shape), 0), dtype=np.int64), np.empty(0), shape)
    coords = np.concatenate([block.rows[:, :-1].T.astype(np.int64) for block in blocks], axis=1)
    coords -= 1
    values = np.concatenate([block.rows[:, -1] for block in blocks])
    largest = tuple(int(row.max()) + 1 for row in coords)
    if shape is None:
        shape = largest
    elif any(found > extent for found, extent in zip(largest, shape, strict=True)):
        raise ShapeError(f"the largest indices are {largest}, outside the shape {tuple(shape)}")
    return from_coo(coords, values, shape)


def _blocks(file: IO[bytes], ndim: int | None) -> Iterator[_Block]:
    first_line = 1
    width = None if ndim is None else ndim + 1
    while text := file.read(_BLOCK):
        text += file.readline()
        block = _parsed(_COMMENT.sub(b"", text), first_line, width)
        first_line += text.count(b"\n")
        if len(block.rows):
            width = block.rows.shape[1]
            yield block


def _parsed(text: bytes, first_line: int, width: int | None) -> _Block:
    counts = _words_by_line(text)
    lines = np.flatnonzero(counts)
    if not len(lines):
        return _Block(np.empty((0, 0)), lines)
    expected = int(counts[lines[0]]) if width is None else width
    uneven = lines[counts[lines] != expected]
    if len(uneven) or expected < 2:
        line = uneven[0] if len(uneven) else lines[0]
        wanted = f"{expected - 1} indices and a value" if expected > 1 else "at least one index and a value"
        raise FormatError(f"line {first_line + int(line)}: expected {wanted}, got {int(counts[line])} words")
    try:
        rows = np.fromstring(text, dtype=np.float64, sep=" ").reshape(-1, expected)
    except ValueError:
        raise FormatError(_unreadable(text, first_line)) from None
    lines = lines + first_line
    indices = rows[:, :-1]
    wrong = ~((indices >= 1) & (indices <= _EXACT) & (indices == np.floor(indices))).all(axis=1)
    if wrong.any():
        row = int(np.argmax(wrong))
        shown = " ".join(f"{index:g}" for index in indices[row])
        raise FormatError(f"line {int(lines[row])}: indices must be integers from 1 to 2^53, got {shown}")
    return _Block(rows, lines)


def _words_by_line(text: bytes) -> Array:
    """How many words each line has."""
    letters = np.frombuffer(text, dtype=np.uint8)
    begins = letters > _BLANK
    begins[1:] &= letters[:-1] <= _BLANK
    ends = np.append(np.flatnonzero(letters == _NEWLINE), len(letters))
    return np.diff(np.searchsorted(np.flatnonzero(begins), ends), prepend=0)


def _unreadable(text: bytes, first_line: int) -> str:
    for number, line in enumerate(text.split(b"\n"), first_line):
        for word in line.split():
            try:
                float(word)
            except ValueError:
                return f"line {number}: {word[:60].decode(errors='replace')!r} is no number"
    return f"line {first_line} or after: cannot be read as numbers"


def write_frostt(file: IO[bytes], x: Tensor) -> None:
    """Write the stored values of a tensor, in stored order, so that reading gives the same numbers.

    A file of a tensor whose last slices are empty needs `shape=` when it is read. Raises DtypeError for
    complex values.
    """
    if x.dtype.is_complex:
        raise DtypeError("a .tns file holds real numbers; write .mtx or .npz for complex ones")
    if not x.shape:
        raise ShapeError("a .tns file holds tensors of at least one dimension")
    values = x.values.numpy()
    if values.dtype == np.bool_:
        values = values.astype(np.int8)
    row = " ".join(["%d"] * x.ndim) + " %s\n"
    coords = x.coords().numpy()
    for start in range(0, x.nnz, _ROWS):
        part = slice(start, start + _ROWS)
        # numpy's own text of a number is the shortest that reads back as the same number of that type.
        columns = [*(coords[:, part] + 1).tolist(), values[part].astype(str).tolist()]
        words = [word for entry in zip(*columns, strict=True) for word in entry]
        file.write(((row * len(columns[0])) % tuple(words)).encode())

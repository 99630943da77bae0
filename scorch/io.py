"""Files: `read` and `write` of MatrixMarket (.mtx), FROSTT (.tns), scipy (.npz) and DLMC (.smtx) files."""

from __future__ import annotations

import gzip
import os
import secrets
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from scorch.errors import FormatError, ShapeError, UnsupportedError
from scorch.formats import Format, dtypes
from scorch.formats.storage import Array
from scorch.frostt import read_frostt, write_frostt
from scorch.tensor import Tensor, tensor

__all__ = ["read", "write"]


def read(
    path: str | os.PathLike[str],
    shape: Sequence[int] | None = None,
    format: Format | str | None = None,
    dtype: Any = None,
) -> Tensor:
    """A Tensor from a file; the suffix tells which kind, and `.gz` after it that it is compressed.

    - `.mtx[.gz]` MatrixMarket, every field and symmetry (one triangle becomes both): coo, dense for an array
      file.
    - `.tns[.gz]` FROSTT, lines of 1-based indices and a value: coo. The extents are the largest indices
      unless `shape` says.
    - `.npz` what scipy.sparse.save_npz wrote, in its own format. Nothing is unpickled.
    - `.smtx[.gz]` DLMC, a pattern: csr with ones in float32.

    `shape` must agree with a file that states its own. `format` and `dtype` convert the result. Raises
    FileNotFoundError, FormatError for an unknown suffix or malformed content, ShapeError for a shape that
    doesn't fit.
    """
    place = Path(path)
    if not place.is_file():
        raise FileNotFoundError(f"there is no file {place}")
    reader, _ = _kind(place)
    try:
        with _opened(place) as file:
            result = reader(file, shape)
    except (EOFError, zlib.error, zipfile.BadZipFile, gzip.BadGzipFile) as error:
        raise FormatError(f"{place} is damaged or cut off: {error}") from None
    except (FormatError, ShapeError) as error:
        raise type(error)(f"{place}: {error}") from None
    if shape is not None and tuple(shape) != result.shape:
        raise ShapeError(f"{place} holds a tensor of shape {result.shape}, not {tuple(shape)}")
    targets = [target for target in (dtype, format) if target is not None]
    return result.to(*targets)


def write(path: str | os.PathLike[str], x: Any) -> None:
    """Write a Tensor, or whatever `scorch.tensor` takes, to a file whose kind the suffix tells (see `read`).

    The file appears whole or not at all. Half types are written as float32, which holds them.

    Raises FormatError for an unknown suffix, UnsupportedError for what a kind of file cannot hold: a fill that isn't 0,
    more than two dimensions in .mtx, values other than 1 in .smtx.
    """
    place = Path(path)
    _, writer = _kind(place)
    held = x if isinstance(x, Tensor) else tensor(x)
    if held.fill != 0:
        raise UnsupportedError(
            f"{place.name}: files hold no fill value, and this tensor's is {held.fill}; write its to_dense()"
        )
    half = dtypes.name_of(held.dtype) in dtypes.HALVES
    with _replacing(place) as file:
        writer(file, held.detach().to(torch.float32) if half else held.detach())


@contextmanager
def _opened(place: Path) -> Iterator[IO[bytes]]:
    with (gzip.open if place.suffix == ".gz" else open)(place, "rb") as file:
        yield file  # type: ignore[misc]


@contextmanager
def _replacing(place: Path) -> Iterator[IO[bytes]]:
    """A new file that takes the place of `place` when all is written, and goes away when something fails."""
    fresh = place.with_name(f".{place.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(fresh, "xb") as file:
            if place.suffix == ".gz":
                with gzip.GzipFile(filename=place.stem, fileobj=file, mode="wb", compresslevel=6) as packed:
                    yield packed  # type: ignore[misc]
            else:
                yield file
        os.replace(fresh, place)
    finally:
        fresh.unlink(missing_ok=True)


# --- MatrixMarket -----------------------------------------------------------------------------------------


def _read_mtx(file: IO[bytes], shape: Sequence[int] | None) -> Tensor:
    import scipy.io

    try:
        return tensor(scipy.io.mmread(file, spmatrix=False))
    except ValueError as error:
        raise FormatError(f"not a MatrixMarket file that can be read: {error}") from None


def _write_mtx(file: IO[bytes], x: Tensor) -> None:
    import scipy.io

    if x.ndim != 2:
        raise UnsupportedError(f"a MatrixMarket file holds matrices; a tensor of shape {x.shape} fits a .tns file")
    content: Any = x.to_dense().numpy() if x.format.is_dense else x.to_scipy().tocoo()
    if content.dtype == np.bool_:
        content = content.astype(np.int8)
    # "general": finding a symmetry would take a transposition and leave out stored entries.
    scipy.io.mmwrite(file, content, symmetry="general")


# --- scipy's npz ------------------------------------------------------------------------------------------


def _read_npz(file: IO[bytes], shape: Sequence[int] | None) -> Tensor:
    import scipy.sparse

    try:
        return tensor(scipy.sparse.load_npz(file))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"not a file of scipy.sparse.save_npz: {error}") from None


def _write_npz(file: IO[bytes], x: Tensor) -> None:
    import scipy.sparse

    if x.format.is_dense:
        raise UnsupportedError("an .npz file of scipy holds sparse arrays; convert with .to('csr'), or use numpy.savez")
    scipy.sparse.save_npz(file, x.to_scipy())


# --- DLMC's smtx ------------------------------------------------------------------------------------------


def _read_smtx(file: IO[bytes], shape: Sequence[int] | None) -> Tensor:
    first = file.readline().replace(b",", b" ")
    extents = _integers(first, 1)
    if len(extents) != 3 or (extents < 0).any():
        raise FormatError(f"line 1 must be 'rows, columns, nonzeros', got {first[:60].decode(errors='replace')!r}")
    rows, columns, nnz = (int(extent) for extent in extents)
    pos, crd = _integers(file.readline(), 2), _integers(file.read(), 3)
    for line, found, expected in ((2, len(pos), rows + 1), (3, len(crd), nnz)):
        if found != expected:
            raise FormatError(f"line {line} must hold {expected} integers, it holds {found}")
    import scipy.sparse

    # A vessel for the arrays: whether columns are sorted within rows is found out there.
    vessel: Any = scipy.sparse.csr_array((rows, columns), dtype=np.float32)
    vessel.indptr, vessel.indices, vessel.data = pos, crd, np.ones(nnz, dtype=np.float32)
    return tensor(vessel)


def _integers(text: bytes, line: int) -> Array:
    try:
        return np.fromstring(text, dtype=np.int64, sep=" ") if text.strip() else np.empty(0, dtype=np.int64)
    except ValueError:
        bad = next((word for word in text.split() if not word.lstrip(b"+-").isdigit()), text[:60])
        raise FormatError(f"line {line}: expected integers, got {bad[:60].decode(errors='replace')!r}") from None


def _write_smtx(file: IO[bytes], x: Tensor) -> None:
    if x.ndim != 2:
        raise UnsupportedError(f"an .smtx file holds matrices; a tensor of shape {x.shape} fits a .tns file")
    if not bool((x.values == 1).all()):
        raise UnsupportedError("an .smtx file holds a pattern without values; write .mtx, or x.with_values of ones")
    csr: Any = x.to("csr").to_scipy()
    lines = [
        ", ".join(map(str, (*x.shape, x.nnz))),
        *(" ".join(map(str, row.tolist())) for row in (csr.indptr, csr.indices)),
    ]
    file.write(("\n".join(lines) + "\n").encode())


# --- by suffix --------------------------------------------------------------------------------------------


_Reader = Callable[[IO[bytes], Sequence[int] | None], Tensor]
_Writer = Callable[[IO[bytes], Tensor], None]
_KINDS: dict[str, tuple[_Reader, _Writer]] = {
    ".mtx": (_read_mtx, _write_mtx),
    ".tns": (read_frostt, write_frostt),
    ".smtx": (_read_smtx, _write_smtx),
}


def _kind(place: Path) -> tuple[_Reader, _Writer]:
    suffixes = [suffix.lower() for suffix in place.suffixes]
    if suffixes[-1:] == [".npz"]:
        return _read_npz, _write_npz
    name = suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else "".join(suffixes[-1:])
    if name not in _KINDS:
        known = ", ".join([*(f"{suffix}, {suffix}.gz" for suffix in _KINDS), ".npz"])
        raise FormatError(f"unknown kind of file {place.name!r}; known suffixes are {known}")
    return _KINDS[name]

"""What is in the kernel cache: generated sources, Numba's indexes and machine code; how to empty it.

Only files that the cache itself writes are counted or deleted, because `scorch.config.cache_dir` may name a
folder that holds other things as well.
"""

from __future__ import annotations

import io
import os
import pickle
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

__all__ = ["Entry", "Inventory", "clear", "kind_of", "survey", "writable"]

_INDEX, _CODE, _SOURCE, _OTHER = "index", "machine code", "source", "other"
# A generated module is <readable name>_<16 digits of its hash>.py; the names of Numba's files begin alike.
_OURS = re.compile(r".+_[0-9a-f]{16}(?P<rest>\..+)")
_KINDS = {".py": _SOURCE, ".nbi": _INDEX, ".nbc": _CODE, ".pyc": _OTHER, ".tmp": _OTHER}


@dataclass(frozen=True, slots=True)
class Entry:
    """One file that does not belong: its path and what is wrong with it."""

    path: Path
    defect: str

    def __str__(self) -> str:
        return f"{self.path}: {self.defect}"


@dataclass(frozen=True, slots=True)
class Inventory:
    """The cache directory at one moment: how many kernels, how many bytes, and which entries are of no use.

    A *stale* entry was written by another Numba or has lost its source; a *damaged* one was not written to
    its end. Both are harmless: they are compiled anew when needed.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = survey(Path(folder))
    >>> found.kernels, found.compiled, found.bytes, found.stale, found.damaged
    (0, 0, 0, (), ())
    """

    path: Path
    exists: bool
    writable: bool
    kernels: int
    compiled: int
    bytes: int
    stale: tuple[Entry, ...]
    damaged: tuple[Entry, ...]


def survey(folder: Path) -> Inventory:
    """Look through a cache directory, which need not exist. Nothing in it is executed or changed."""
    files = [(path, kind) for path, kind in _files(folder)]
    sources = {path.stem for path, kind in files if kind == _SOURCE}
    stale, damaged = [], []
    for path, kind in files:
        defect = _damage(path, kind)
        if defect:
            damaged.append(Entry(path, defect))
        elif kind == _INDEX and (why := _age(path, sources)):
            stale.append(Entry(path, why))
    return Inventory(
        path=folder,
        exists=folder.is_dir(),
        writable=writable(folder),
        kernels=len(sources),
        compiled=sum(kind == _CODE for _, kind in files),
        bytes=sum(_size(path) for path, _ in files),
        stale=tuple(stale),
        damaged=tuple(damaged),
    )


def clear(folder: Path) -> tuple[int, int]:
    """Delete the cache's own files and the folders that are empty then; return how many files and bytes went.

    A file that can't be deleted is left and not counted. `folder` itself stays.
    """
    count = size = 0
    for path, _ in list(_files(folder)):
        before = _size(path)
        try:
            path.unlink()
        except OSError:
            continue
        count, size = count + 1, size + before
    for root, _, _ in os.walk(folder, topdown=False):
        if Path(root) != folder and not os.listdir(root):
            Path(root).rmdir()
    return count, size


def writable(folder: Path) -> bool:
    """Whether a file can be written to `folder`, or to the nearest folder above it that exists."""
    for candidate in (folder, *folder.parents):
        if candidate.exists():
            return _takes_files(candidate)
    return False


def _takes_files(folder: Path) -> bool:
    # Tried out, because root is allowed everything by the mode bits, on read-only file systems too.
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def kind_of(path: Path) -> str | None:
    """Which sort of cache file a path is, None if the cache did not write it; known by the name alone.

    >>> kind_of(Path("spmm_0123456789abcdef.py")), kind_of(Path("thesis.py"))
    ('source', None)
    """
    return _KINDS.get(path.suffix) if _OURS.fullmatch(path.name) else None


def _files(folder: Path) -> Iterator[tuple[Path, str]]:
    for root, _, names in os.walk(folder):
        for name in sorted(names):
            path = Path(root, name)
            kind = kind_of(path)
            if kind is not None:
                yield path, kind


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # deleted by another process meanwhile
        return 0


def _damage(path: Path, kind: str) -> str:
    """What shows that a file was not written to its end, "" if nothing does."""
    if _size(path) == 0:
        return "empty"
    if kind not in (_INDEX, _CODE):
        return ""
    try:
        with path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            last = file.read(1)
    except OSError as error:
        return f"not readable ({error.strerror})"
    if last != pickle.STOP:
        return "cut short"
    if kind == _INDEX and _version(path) is None:
        return "not an index of Numba"
    return ""


def _age(path: Path, sources: set[str]) -> str:
    """Why an index is of no use any more, "" if it is."""
    written_by = _version(path)
    current = _numba_version()
    if current and written_by != current:
        return f"written by Numba {written_by}, this is {current}"
    # Numba names its entries <source>.<function>-<line>.<python>.nbi
    if path.name.split(".")[0] not in sources:
        return "its source is gone"
    return ""


def _numba_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("numba")
    except PackageNotFoundError:
        return ""


class _TextOnly(pickle.Unpickler):
    """Reads the version string that an index starts with, and refuses whatever could run code."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"{module}.{name} in the head of an index")


def _version(path: Path) -> str | None:
    try:
        found = _TextOnly(io.BytesIO(path.read_bytes())).load()
    except Exception:  # whatever a damaged pickle raises, and that is nearly everything
        return None
    return found if isinstance(found, str) else None

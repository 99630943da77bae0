"""What is in the kernel cache: generated sources and the machine code beside them; how to empty it.

Only files that the cache itself writes are counted or deleted, and only in its own folder, because
`scorch.config.cache_dir` may name a folder that holds other things as well.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scorch.emit.cache import digest
from scorch.emit.entry import Damaged, unpack

__all__ = ["Entry", "Inventory", "clear", "kind_of", "survey", "writable"]

_CODE, _SOURCE, _UNFINISHED, _MEASURED = "machine code", "source", "unfinished", "measurements"
# A generated module is <readable name>_<16 digits of its hash>.py; all other names begin with its own.
_OURS = re.compile(r"(?P<stem>.+_(?P<hash>[0-9a-f]{16}))\..+")
_KINDS = {".py": _SOURCE, ".nbc": _CODE, ".tmp": _UNFINISHED, ".json": _MEASURED}
_WRITING = 3600  # seconds after which an unfinished file is taken to be left behind


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

    A *stale* entry was made by another version of Scorch or Numba, or has lost its source; a *damaged* one
    does not hold what was written. Both are harmless: they are compiled anew when needed.

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
    """Look through a folder of generated modules, which need not exist; nothing is executed or changed."""
    files = list(_files(folder))
    sources = {path.stem for path, kind in files if kind == _SOURCE}
    stale, damaged = [], []
    for path, kind in files:
        if defect := _damage(path, kind):
            damaged.append(Entry(path, defect))
        elif why := _age(path, kind, sources):
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
    """Delete the cache's own files, and the folder if it is empty then; return how many files and bytes went.

    A file that can't be deleted is left and not counted.
    """
    count = size = 0
    for path, _ in list(_files(folder)):
        before = _size(path)
        try:
            path.unlink()
        except OSError:
            continue
        count, size = count + 1, size + before
    if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
        folder.rmdir()
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
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        return
    for path in paths:
        kind = kind_of(path)
        if kind is not None and path.is_file():
            yield path, kind


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # deleted by another process meanwhile
        return 0


def _damage(path: Path, kind: str) -> str:
    """What shows that a file does not hold what was written, "" if nothing does."""
    if kind == _UNFINISHED:
        return ""
    if _size(path) == 0:
        return "empty"
    if kind == _CODE:
        try:
            unpack(path.read_bytes())
        except Damaged as error:
            return str(error)
        except OSError as error:
            return f"not readable ({error.strerror})"
    return ""


def _age(path: Path, kind: str, sources: set[str]) -> str:
    """Why a file is of no use any more, "" if it is."""
    found = _OURS.fullmatch(path.name)
    if kind == _UNFINISHED:
        return "left by a process that ended while writing" if _seconds(path) > _WRITING else ""
    if kind == _MEASURED:
        return ""
    if kind == _CODE:
        return "" if found and found["stem"] in sources else "its source is gone"
    current = found and found["hash"] in _digests(path)
    return "" if current else "made by another version of Scorch or Numba, or edited"


def _digests(path: Path) -> set[str]:
    """The hashes that a source would have today, compiled with and without bounds checks."""
    try:
        text = path.read_bytes().decode(errors="replace")
    except OSError:  # deleted by another process meanwhile, or not readable
        return set()
    return {digest(text, checked) for checked in (False, True)}


def _seconds(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0

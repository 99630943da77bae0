"""Generated modules on disk: written atomically, found again by content, replaced if they hold anything else.

A module's file is named by a hash of its text and of the vocabulary that it calls. Its machine code lies
beside it, see `scorch.emit.machine`. Whatever is wrong with the directory, a kernel runs: at worst from a
temporary file, with a warning.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import sys
import tempfile
import threading
import warnings
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from scorch.config import config
from scorch.emit import vocabulary
from scorch.emit.entry import write_atomically
from scorch.emit.module import Module
from scorch.errors import CacheError, UnsupportedError

__all__ = ["PACKAGE", "digest", "directory", "load", "lock", "stem_of"]

PACKAGE = "scorch_kernels"  # the first part of the modules' names in sys.modules

lock = threading.RLock()  # held while modules are made and compiled functions are put into them

_told: set[Path] = set()


def directory() -> Path:
    """Where generated modules and their machine code are kept; it need not exist."""
    return config.cache_dir / "kernels"


def digest(source: str, checked: bool) -> str:
    """16 hexadecimal digits of a module's text and of the vocabulary that it is compiled with."""
    return hashlib.sha256(f"{vocabulary.fingerprint(checked)}\0{source}".encode()).hexdigest()[:16]


def stem_of(module: Module, checked: bool) -> str:
    """The name of a module's file without its suffix: readable, then a hash."""
    return f"{module.slug}_{digest(module.source, checked)}"


def load(module: Module, checked: bool) -> ModuleType:
    """The module, with a file that holds its text; CacheError if no such file can be written anywhere.

    The text itself is executed and not what the file holds, which another process may replace at any moment.
    """
    stem = stem_of(module, checked)
    with lock:
        path = _placed(directory() / f"{stem}.py", module.source)
        name = f"{PACKAGE}.{stem}"
        loaded = sys.modules.get(name)
        if loaded is not None and loaded.__file__ == str(path):
            return loaded
        return _execute(name, path, module.source)


def _execute(name: str, path: Path, source: str) -> ModuleType:
    spec = spec_from_file_location(name, path)
    if spec is None:
        raise CacheError(f"cannot import the generated module {path}")
    made = module_from_spec(spec)
    try:
        code = compile(source, path, "exec")
    except SyntaxError as error:
        if "nested" not in str(error):
            raise
        raise UnsupportedError(f"{error.msg} for Python in one kernel; split the expression into several") from None
    exec(code, made.__dict__)
    sys.modules[name] = made  # machine code on disk refers to its module by name
    return made


def _placed(path: Path, source: str) -> Path:
    """The path if the text is or can be put there, else one in a temporary directory, with a warning."""
    text = source.encode()
    if _holds(path, text):
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text)
        return path
    except OSError as error:
        return _placed_elsewhere(path, text, error)


def _holds(path: Path, text: bytes) -> bool:
    try:
        return path.is_file() and path.read_bytes() == text
    except OSError:
        return False


def _placed_elsewhere(path: Path, text: bytes, reason: OSError) -> Path:
    try:
        other = _temporary() / path.name
        if not _holds(other, text):
            other.parent.mkdir(exist_ok=True)  # a cleaner of temporary files may have taken it
            write_atomically(other, text)
    except OSError as error:
        raise CacheError(
            f"no kernel can be written: neither to {path.parent} ({reason.strerror}) nor to a temporary "
            f"directory ({error.strerror}); set scorch.config.cache_dir or SCORCH_CACHE_DIR to one that can "
            "be written to"
        ) from None
    if path.parent not in _told:
        _told.add(path.parent)
        warnings.warn(
            f"scorch: nothing can be written to the cache directory {path.parent} ({reason.strerror}). New "
            f"kernels of this process go to {other.parent} and are compiled again by the next. Set "
            "scorch.config.cache_dir or SCORCH_CACHE_DIR to a directory that can be written to.",
            RuntimeWarning,
            stacklevel=2,
        )
    return other


@cache
def _temporary() -> Path:
    """A directory of this process, deleted when it ends (a forked child leaves that to its parent)."""
    folder, owner = Path(tempfile.mkdtemp(prefix="scorch-")), os.getpid()
    atexit.register(lambda: shutil.rmtree(folder, ignore_errors=True) if os.getpid() == owner else None)
    return folder

"""Generated modules on disk: written atomically, found again by content, replaced when damaged.

Numba keeps the machine code beside each file and keys it by the file's content, the signature and the CPU, but not by the
vocabulary that the file calls; so the vocabulary's fingerprint is part of the file's name.
"""

from __future__ import annotations

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
from scorch.emit.module import Module
from scorch.errors import CacheError

__all__ = ["directory", "forget", "load", "path_of", "write_atomically"]

_lock = threading.Lock()


@cache
def _usable(wanted: Path) -> Path:
    """The directory if it can be written, else a temporary one for this process, with a warning."""
    try:
        wanted.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=wanted):
            return wanted
    except OSError as error:
        try:
            other = Path(tempfile.mkdtemp(prefix="scorch-"))
        except OSError:
            raise CacheError(f"no kernel can be written: neither {wanted} nor a temporary directory is writable ({error})") from None
        warnings.warn(
            f"scorch: the cache directory {wanted} cannot be written ({error.strerror}); kernels of this process are kept in {other} "
            "and compiled again by the next. Set scorch.config.cache_dir or SCORCH_CACHE_DIR to a writable one.",
            RuntimeWarning,
            stacklevel=2,
        )
        return other


def directory() -> Path:
    """Where generated modules are kept."""
    return _usable(config.cache_dir / "kernels")


def path_of(module: Module, checked: bool) -> Path:
    """The file of a module: a readable name and a hash of its text and of what it is compiled with."""
    digest = hashlib.sha256(f"{vocabulary.fingerprint(checked)}\0{module.source}".encode()).hexdigest()[:16]
    return directory() / f"{module.slug}_{digest}.py"


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that any reader sees all of it or none."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise


def load(module: Module, checked: bool) -> ModuleType:
    """The module, imported from its file, which is written if it is absent or does not hold the module's text."""
    path = path_of(module, checked)
    name = f"scorch_kernels.{path.stem}"
    with _lock:
        loaded = sys.modules.get(name)
        if loaded is not None and loaded.__file__ == str(path):
            return loaded
        if not path.exists() or path.read_text(encoding="utf-8", errors="replace") != module.source:
            write_atomically(path, module.source)
        return _import(name, path)


def _import(name: str, path: Path) -> ModuleType:
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise CacheError(f"cannot import the generated module {path}")
    found = module_from_spec(spec)
    sys.modules[name] = found  # before it runs: a cached kernel that names it would crash the next process otherwise
    dont_write, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec.loader.exec_module(found)
    finally:
        sys.dont_write_bytecode = dont_write
    return found


def forget(path: Path) -> None:
    """Delete the machine code that Numba keeps for a file, so that it is compiled again."""
    for entry in (path.parent / "__pycache__").glob(f"{path.stem}.*.nb[ic]"):
        entry.unlink(missing_ok=True)


def clear() -> int:
    """Delete every generated module and its machine code; how many modules there were."""
    home = directory()
    count = len(list(home.glob("*.py")))
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True, exist_ok=True)
    return count

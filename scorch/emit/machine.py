"""Machine code on disk, for Numba's dispatchers. Imports Numba, so it is imported with the first kernel.

Numba's own cache has an index beside its data files. Two processes that write at once can leave an index that
takes one CPU's code for another's; a damaged file raises or crashes; compiler options and the functions that
a kernel calls are not part of the key; and loading starts the whole compiler. Here every signature is one
file, named by its key and checked by its sum (`scorch.emit.entry`): there is nothing to keep consistent, and
what is wrong is compiled again.
"""

from __future__ import annotations

import pickle
import sys
import warnings
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import _Cache
from numba.core.compiler import CompileResult
from numba.core.runtime import rtsys  # type: ignore[attr-defined]
from numba.core.serialize import dumps

from scorch.emit import vocabulary
from scorch.emit.entry import Damaged, name_of, pack, unpack, write_atomically

__all__ = ["MachineCode"]

# Settings of Numba that change the code it makes.
_SETTINGS = ("OPT", "BOUNDSCHECK", "DEBUGINFO_DEFAULT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "ENABLE_AVX", "USING_SVML")

# Numba has no types for these.
_rebuild: Any = CompileResult._rebuild
_dumps: Any = dumps

_told: set[Path] = set()


class MachineCode(_Cache):
    """What a dispatcher asks for compiled code before it compiles, and gives it to afterwards; never raises.

    `path` is the file of the function's module, whose name is a hash of its text and vocabulary.
    """

    def __init__(self, dispatcher: Any, path: Path) -> None:
        self._folder = path.parent
        self._stem = path.stem
        self._function = dispatcher.py_func.__name__
        options = dispatcher.targetoptions
        chosen = [(name, sorted(v) if isinstance(v, set) else v) for name, v in sorted(options.items())]
        settings = [(name, str(getattr(numba.config, name, None))) for name in _SETTINGS]
        versions = (sys.implementation.cache_tag, numba.__version__)
        self._constant = (self._stem, self._function, chosen, settings, *versions)

    @property
    def cache_path(self) -> str:
        """The folder of the entries."""
        return str(self._folder)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Numba's compile result for a signature, None if there is none that is sound."""
        # All that loading needs of the compiler. Starting all of it costs 0.3 s, most of it for scipy.linalg.
        rtsys.initialize(target_context)
        found = self._read(self._key(sig, target_context.codegen()))
        if found is not None:
            try:
                return _rebuild(target_context, *pickle.loads(found))
            except Exception:  # whatever an entry raises that was sound where it was written
                pass
        vocabulary.register()
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compile result; a warning, once for a folder, if that is not possible."""
        if data.library.has_dynamic_globals:
            return  # refers to this process's memory
        key = self._key(sig, data.codegen)
        entry = pack(key, _dumps(data._reduce()))
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self._path(key), entry)
        except OSError as error:
            self._tell(error)

    def flush(self) -> None:
        """Delete the entries of all signatures."""
        for path in self._folder.glob(f"{self._stem}.{self._function}.*.nbc"):
            path.unlink(missing_ok=True)

    def enable(self) -> None:
        """Always enabled."""

    def disable(self) -> None:
        """Always enabled."""

    def _key(self, sig: Any, codegen: Any) -> str:
        """Everything that the machine code depends on, in one line."""
        types = tuple(map(str, getattr(sig, "args", sig)))
        return repr((*self._constant, types, codegen.magic_tuple()))

    def _path(self, key: str) -> Path:
        return self._folder / name_of(self._stem, self._function, key)

    def _read(self, key: str) -> bytes | None:
        try:
            found, payload = unpack(self._path(key).read_bytes())
        except (OSError, Damaged):
            return None
        return payload if found == key else None

    def _tell(self, error: OSError) -> None:
        if self._folder not in _told:
            _told.add(self._folder)
            warnings.warn(
                f"scorch: machine code cannot be kept in {self._folder} ({error.strerror}): the next process "
                "compiles it again. Set scorch.config.cache_dir or SCORCH_CACHE_DIR to a directory that can "
                "be written to.",
                RuntimeWarning,
                stacklevel=2,
            )

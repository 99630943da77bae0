"""Settings of the process: attributes of `scorch.config`, each also an environment variable `SCORCH_*`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["Config", "config"]

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off", ""}


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(f"expected a truth value such as 1 or 0, got {value!r}")


def _threads(value: object) -> int | None:
    text = str(value).strip()
    if value is None or text == "":
        return None
    if not text.lstrip("+-").isdecimal():
        raise ValueError(f"expected a whole number of threads, got {value!r}")
    number = int(text)
    if number < 1:
        raise ValueError(f"threads must be at least 1, got {number}")
    return number


def _mebibytes(value: object) -> int:
    text = str(value).strip()
    if isinstance(value, bool) or not text.isdecimal():
        raise ValueError(f"expected a whole number of MiB, 0 or more, got {value!r}")
    return int(text)


def _directory(value: object) -> Path:
    """An absolute path: the process may change its working directory."""
    if value is None or str(value) == "":
        root = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        return Path(root).absolute() / "scorch"
    if "\0" in str(value):
        raise ValueError(f"expected the path of a directory, got {value!r}")
    try:
        return Path(str(value)).expanduser().absolute()
    except RuntimeError as error:  # ~someone who has no home
        raise ValueError(f"{value!r}: {error}") from None


_SETTINGS: dict[str, tuple[Callable[[object], Any], object, str]] = {
    "threads": (_threads, None, "threads a kernel may use; None follows torch.get_num_threads()"),
    "cache_dir": (_directory, None, "where generated kernels and their machine code are kept"),
    "check": (_boolean, False, "compile kernels with bounds checks, serial and slow"),
    "jit": (_boolean, True, "compile kernels with Numba; False runs the same source as plain Python"),
    "kept_memory": (_mebibytes, 256, "MiB of memory of freed results that are kept for new ones; 0 keeps none"),
    "calibrate": (_boolean, False, "price plans by what this machine was measured to take, once, in a few seconds"),
    "autotune": (_boolean, False, "time the best few plans on the real operands once and keep the winner"),
}


_states: dict[tuple[object, ...], int] = {}


class Config:
    """The settings, read from the environment when the process starts; assignment is validated.

    A wrong value raises ValueError when it is assigned. In the environment it gives a RuntimeWarning, and the
    default holds.

    >>> from scorch.config import Config
    >>> c = Config(environ={"SCORCH_THREADS": "2"})
    >>> c.threads, c.jit
    (2, True)
    >>> c.threads = 0
    Traceback (most recent call last):
      ...
    ValueError: scorch.config.threads: threads must be at least 1, got 0
    """

    threads: int | None
    cache_dir: Path
    kept_memory: int
    check: bool
    jit: bool
    calibrate: bool
    autotune: bool
    state: int  # a number for what compiled programs depend on, ready to be part of a key

    def __init__(self, environ: dict[str, str] | None = None) -> None:
        source = os.environ if environ is None else environ
        for name, (_, default, _) in _SETTINGS.items():
            setattr(self, name, default)
            variable = f"SCORCH_{name.upper()}"
            try:
                setattr(self, name, source.get(variable, default))
            except ValueError as error:
                # Not raised: it would be a traceback of `import scorch`, for what need not stop anything.
                text = f"the environment variable {variable}={source[variable]!r} is ignored: {error}"
                warnings.warn(text, RuntimeWarning, stacklevel=2)

    def __setattr__(self, name: str, value: object) -> None:
        if name not in _SETTINGS:
            raise AttributeError(f"scorch.config has no setting {name!r}; there are {', '.join(_SETTINGS)}")
        try:
            object.__setattr__(self, name, _SETTINGS[name][0](value))
        except (TypeError, ValueError) as error:
            raise ValueError(f"scorch.config.{name}: {error}") from None
        settings = tuple(self.__dict__.get(key) for key in ("jit", "check", "cache_dir", "calibrate", "autotune"))
        object.__setattr__(self, "state", _states.setdefault(settings, len(_states)))

    @contextmanager
    def using(self, **settings: object) -> Iterator[Config]:
        """Set some settings inside a `with` block and restore them after it.

        >>> from scorch.config import config
        >>> with config.using(jit=False):
        ...     config.jit
        False
        """
        before = {name: getattr(self, name) for name in settings}
        try:
            for name, value in settings.items():
                setattr(self, name, value)
            yield self
        finally:
            for name, value in before.items():
                setattr(self, name, value)

    def __repr__(self) -> str:
        width = max(map(len, _SETTINGS))
        lines = (
            f"{name:<{width}} = {getattr(self, name)!s:<8}  # {help_}" for name, (_, _, help_) in _SETTINGS.items()
        )
        return "\n".join(lines)


config = Config()

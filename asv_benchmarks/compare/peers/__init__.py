"""The libraries that are compared, one file each; a file says which operations its library knows.

A new peer is a new file with a `PEER` and a line in `_ALL`. Peers whose modules can't be imported are passed
over, except Scorch itself, whose absence is shown.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from typing import Any

from asv_benchmarks.compare.model import Contender, Peer

from . import deepsparse_engine, graphblas_suite, ours, parts, pydata, scipy_sparse, torch_dense, torch_sparse

__all__ = ["available", "contenders", "passed_over", "set_threads", "version", "versions"]

_ALL = (
    ours.PEER,
    torch_sparse.PEER,
    scipy_sparse.PEER,
    torch_dense.PEER,
    pydata.PEER,
    graphblas_suite.PEER,
    deepsparse_engine.PEER,
    parts.PEER,
)
_MISSING = "not installed"
_DISTRIBUTIONS = {"graphblas": "python-graphblas"}


@cache
def available() -> tuple[Peer, ...]:
    """The peers whose modules are importable, Scorch first."""
    return tuple(peer for peer in _ALL if peer is ours.PEER or not any(map(_obstacle, peer.modules)))


def contenders(operation: str, operands: tuple[Any, ...]) -> Iterator[tuple[Peer, Contender]]:
    """Every contender of every available peer that knows the operation."""
    for peer in available():
        make = peer.operations.get(operation)
        if make is not None:
            for contender in make(*operands):
                yield peer, contender


def set_threads(number: int) -> None:
    """Tell every peer that can be told how many threads to use."""
    for peer in available():
        if peer.set_threads is not None:
            peer.set_threads(number)


def versions() -> dict[str, str]:
    """The version of each module that takes part."""
    names = dict.fromkeys(module for peer in available() for module in peer.modules if "." not in module)
    found = {name: version(name) for name in names}
    if engine := deepsparse_engine.version():
        found["deepsparse"] = engine
    return found


def passed_over() -> dict[str, str]:
    """Peers that are installed, but don't fit the versions of what they need, and what they raise."""
    why = {peer.name: [_obstacle(module) for module in peer.modules] for peer in _ALL}
    return {name: found[-1] for name, found in why.items() if found and found[0] != _MISSING and found[-1]}


@cache
def _obstacle(module: str) -> str:
    """Why a module can't be imported, or an empty string."""
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        return _MISSING if error.name == module else str(error)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def version(module: str) -> str:
    """The installed version of a module's distribution, or "not installed"."""
    try:
        return metadata.version(_DISTRIBUTIONS.get(module, module))
    except metadata.PackageNotFoundError:
        return _MISSING

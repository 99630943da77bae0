"""What the benchmark files share: which matrices and contenders there are, and how a call is built."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from asv_benchmarks.compare import families, peers
from asv_benchmarks.compare.model import Contender, LeftOut, Options
from asv_benchmarks.inputs import data_folder

__all__ = ["CONTENDERS", "build", "matrices", "options"]

# One of each library is enough for a record over time; `compare` has every layout.
CONTENDERS = ("scorch", "torch csr32", "scipy")
_GENERATED = ("uniform-20000-1e-3", "powerlaw-50k", "pruned-2048x1024-90")
_REAL = ("email-Enron", "bcsstk16", "delaunay_n16")


def options() -> Options:
    """The options of `compare` that give the same cases."""
    return Options(data=data_folder())


def matrices(*more: str, without: tuple[str, ...] = ()) -> list[str]:
    """Names of the matrices to measure: the real ones only where their folder is known."""
    names = (*_GENERATED, *more, *(_REAL if data_folder() is not None else ()))
    return [name for name in names if name not in without]


def build(case_id: str, label: str) -> Callable[[], Any]:
    """The call of a contender, run twice before. Where it can't run: NotImplementedError, to asv a skip."""
    contender, made = _prepared(case_id, label)
    call: Callable[[], Any] = made() if contender.fresh else made
    return call


@lru_cache(maxsize=1)
def _prepared(case_id: str, label: str) -> tuple[Contender, Callable[[], Any]]:
    # Kept, because asv sets a benchmark up again before every sample.
    warnings.filterwarnings("ignore", message="Sparse .* tensor support is in beta state")
    case = families.find(case_id, options())
    for _, contender in peers.contenders(case.operation, case.load()):
        if contender.label == label:
            return contender, _warmed(contender)
    raise NotImplementedError(f"{label} does not know {case.operation}")


def _warmed(contender: Contender) -> Callable[[], Any]:
    try:
        made = contender.build()
        for _ in range(2):
            call = made() if contender.fresh else made
            call()
    except (ImportError, NotImplementedError, LeftOut) as error:
        raise NotImplementedError(str(error)) from error
    return made

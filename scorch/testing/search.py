"""Many random cases: what each came to, and a summary of all of them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from random import Random

import scorch
from scorch.ir.notation import Apply, Expr
from scorch.testing.cases import Case, random_case
from scorch.testing.shrink import shrunk

__all__ = ["Outcome", "Search", "Summary", "outcome_of", "run"]

_CHUNK = 50  # cases between two lines of progress


@dataclass(frozen=True)
class Search:
    """Which cases are run: `cases` seeds from `seed` on, a share of them compiled."""

    seed: int = 0
    cases: int = 1000
    compiled_share: float = 0.0

    @property
    def chunks(self) -> Iterator[Search]:
        """The same cases in parts."""
        for seed in range(self.seed, self.seed + self.cases, _CHUNK):
            yield Search(seed, min(_CHUNK, self.seed + self.cases - seed), self.compiled_share)

    def is_compiled(self, seed: int) -> bool:
        """Whether the case of a seed is compiled; the same in every run."""
        return Random(-seed - 1).random() < self.compiled_share


@dataclass(frozen=True)
class Outcome:
    """What one case came to.

    `kind` is "agrees", "refused" (`message` then begins with the ScorchError's name), "wrong" or "internal error".
    """

    seed: int
    kind: str
    message: str
    case: Case
    compiled: bool
    seconds: float

    @property
    def failed(self) -> bool:
        """Whether Scorch is at fault."""
        return self.kind in ("wrong", "internal error")


@dataclass
class Summary:
    """What was covered, and what failed; `str()` is the report."""

    search: Search
    kinds: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)
    dtypes: Counter[str] = field(default_factory=Counter)
    operators: Counter[str] = field(default_factory=Counter)
    statements: Counter[int] = field(default_factory=Counter)
    compiled: int = 0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Count a case; a failing one is shrunk."""
        self.kinds[outcome.kind] += 1
        self.compiled += outcome.compiled
        self.seconds += outcome.seconds
        case = outcome.case
        self.statements[len(case.statements)] += 1
        self.formats.update(str(operand.format) for _, operand in case.operands)
        self.dtypes.update(operand.dtype for _, operand in case.operands)
        for raw in case.statements:
            self.operators.update(_operators(raw.expr))
            self.operators.update([f"{raw.reduce}="] if raw.reduce else [])
        if outcome.kind == "refused":
            self.refused[outcome.message.partition(":")[0]] += 1

    def __str__(self) -> str:
        total = sum(self.kinds.values())
        first, last = self.search.seed, self.search.seed + self.search.cases - 1
        lines = [
            f"{total:,} random cases of seeds {first} to {last}: {self.compiled} compiled, {self.seconds:.0f} s",
            f"  agree with the oracle   {self.kinds['agrees']:,}",
            f"  refused, with a reason  {self.kinds['refused']:,}{_listed(self.refused)}",
            f"  wrong                   {self.kinds['wrong']:,}",
            f"  internal errors         {self.kinds['internal error']:,}",
            f"  statements in a case   {_listed(self.statements)}",
            f"  number types           {_listed(self.dtypes)}",
            f"  formats                 {len(self.formats)}; most frequent{_listed(self.formats, 6)}",
            f"  operators               {len(self.operators)}{_listed(self.operators)}",
        ]
        return "\n".join([*lines, *self.failures])


def _listed(counts: Counter[str] | Counter[int], most: int | None = None) -> str:
    return f" ({', '.join(f'{name} {count:,}' for name, count in counts.most_common(most))})" if counts else ""


def _operators(expr: Expr) -> Iterator[str]:
    if isinstance(expr, Apply):
        yield expr.op
        for arg in expr.args:
            yield from _operators(arg)


def run(search: Search, jobs: int = 1, progress: Callable[[str], None] | None = None) -> Summary:
    """Run all the cases in so many processes.

    >>> summary = run(Search(seed=5, cases=2))
    >>> summary.kinds["agrees"], summary.failures
    (2, [])
    """
    summary = Summary(search)
    start = time.perf_counter()
    for outcomes in _in_parts(search, jobs):
        for outcome in outcomes:
            summary.add(outcome)
            if outcome.failed:
                summary.failures.append(_report(outcome))
                if progress is not None:
                    progress(summary.failures[-1])
        if progress is not None:
            done = sum(summary.kinds.values())
            progress(f"{done:,} of {search.cases:,} cases, {len(summary.failures)} failed")
    summary.seconds = time.perf_counter() - start
    return summary


def _in_parts(search: Search, jobs: int) -> Iterator[Iterable[Outcome]]:
    if jobs == 1:
        yield from map(_part, search.chunks)
        return
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        yield from pool.map(_part, search.chunks)


def _part(search: Search) -> list[Outcome]:
    return [outcome_of(seed, search.is_compiled(seed)) for seed in range(search.seed, search.seed + search.cases)]


def outcome_of(seed: int, compiled: bool = False) -> Outcome:
    """Make and check the case of a seed."""
    start = time.perf_counter()
    case = random_case(Random(seed))
    kind, message = verdict(case, compiled)
    return Outcome(seed, kind, message, case, compiled, time.perf_counter() - start)


def verdict(case: Case, compiled: bool = False) -> tuple[str, str]:
    """What a case comes to, and why; see `Outcome`."""
    try:
        with scorch.config.using(jit=compiled), _quiet():
            refused = case.check()
    except AssertionError as error:
        return "wrong", str(error)
    except Exception as error:  # whatever it is, it is not a ScorchError
        return "internal error", f"{type(error).__name__}: {error}"
    return ("agrees", "") if refused is None else ("refused", refused)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without numpy's warnings of what the cases do on purpose: divisions by zero, overflow."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _report(outcome: Outcome) -> str:
    """A failure: why, its shrunk case, and the line that reproduces it."""

    def fails(case: Case) -> bool:
        return verdict(case, outcome.compiled)[0] == outcome.kind

    small = shrunk(outcome.case, fails)
    _, message = verdict(small, outcome.compiled)
    share = " --compiled-share 1" if outcome.compiled else ""
    again = f"python -m scorch.testing --seed {outcome.seed} --cases 1{share}"
    return f"{outcome.kind}: {message or outcome.message}\n{small}\n  again: {again}"

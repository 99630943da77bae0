"""The values that pass between the parts: cases, contenders, outcomes, peers, families."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Case", "CaseResult", "Contender", "Family", "LeftOut", "Options", "Outcome", "Peer", "Work"]


class LeftOut(Exception):
    """A contender declines a case (too large, not a fit); the message says why."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for. `budget` is in seconds a case, `rounds` the most rounds of a case, `within` the
    minutes that the whole run should take."""

    data: Path | None = None
    families: tuple[str, ...] = ()
    case: str = "*"
    rounds: int = 200
    budget: float = 2.0
    threads: int | None = None
    quick: bool = False
    json: Path | None = None
    markdown: Path | None = None
    list: bool = False
    roofline: bool = False
    deepsparse: str | None = None
    within: float | None = None


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to do the operation of a case.

    `build` prepares the operands (untimed) and returns the call to time. With `fresh`, it returns a function
    that makes a new call instead; it runs untimed before every call, so that nothing is remembered.
    `result` turns what the call returns into something that `check` understands. `clock` gives the nanoseconds of one
    call where it runs in another process, whose pipes are not part of the operation.
    """

    label: str
    build: Callable[[], Callable[[], Any]]
    fresh: bool = False
    result: Callable[[Any], Any] = lambda value: value
    clock: Callable[[], float] | None = None


@dataclass(frozen=True, slots=True)
class Peer:
    """A library: the operations that it knows, each a function from operands to contenders.

    Only `counted` peers make the ratio; the others stand beside. One that is no `rival` does a part of the work, whose
    results nobody looks at, and stands beside as a bound. `modules` are what it imports (their
    versions are printed), `set_threads` tells it how many threads to use.
    """

    name: str
    operations: Mapping[str, Callable[..., Iterable[Contender]]]
    modules: tuple[str, ...]
    counted: bool = True
    set_threads: Callable[[int], None] | None = None
    rival: bool = True


@dataclass(frozen=True, slots=True)
class Case:
    """An operation on operands: scipy arrays and contiguous numpy arrays, float32, made by `load`.

    `reference` computes the expected result from the operands; None where there is nothing to check.
    `inner` calls are timed as one when a single call is too short for the clock. `by_largest`: errors are measured by
    the largest entry of the result, not by its terms, which nobody knows of a model.
    """

    family: str
    matrix: str
    variant: str
    operation: str
    load: Callable[[], tuple[Any, ...]]
    reference: Callable[..., Any] | None = None
    real: bool = False
    inner: int = 1
    by_largest: bool = False

    @property
    def id(self) -> str:
        return "/".join(part for part in (self.family, self.matrix, self.variant) if part)


@dataclass(slots=True)
class Outcome:
    """What one contender gave. `value`: median nanoseconds (bytes, for memory); None when it did not run.

    `peak`: bytes that a call takes at most beyond its operands, where it was looked at. What is no `rival` did a part
    of the work.
    """

    label: str
    peer: str
    counted: bool
    value: float | None = None
    low: float | None = None
    high: float | None = None
    rounds: int = 0
    peak: int | None = None
    error: str = ""
    wrong: str = ""
    unsorted: bool = False
    rival: bool = True


@dataclass(frozen=True, slots=True)
class Work:
    """What an operation needs: bytes `moved` when every array is moved once, and `flops`.

    `picks` rows of `row` bytes are read from all over a table, one a nonzero, of which `used` bytes are read at all.
    `reuse` are the distances in bytes at which they are read again, as `reuse.distances` counts them.
    """

    moved: int
    flops: int
    picks: int = 0
    row: int = 0
    used: int = 0
    reuse: tuple[int, ...] = ()


@dataclass(slots=True)
class CaseResult:
    """All outcomes of a case. `size` describes the operands, `notes` what a reader of the row should know."""

    case: str
    family: str
    matrix: str
    variant: str
    real: bool
    size: str = ""
    outcomes: list[Outcome] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    work: Work | None = None


@dataclass(frozen=True, slots=True)
class Family:
    """Cases of one kind, and how one is measured. `unit` is ms, us or MiB; `averaged` families get a mean.

    `usual` ones are measured unless others are asked for. `closing` says a line about all results.
    """

    name: str
    title: str
    unit: str
    cases: Callable[[Options], Iterator[Case]]
    measure: Callable[[Case, Options], CaseResult]
    averaged: bool = True
    about: str = ""
    usual: bool = True
    closing: Callable[[Sequence[CaseResult]], str] | None = None

"""Statements that come again on operands like the last time's: their programs in order, without the way to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from scorch.engine.expression import AnyProgram
from scorch.engine.kept import find, remember, settings
from scorch.engine.program import Program, Result
from scorch.engine.statements import compute
from scorch.formats import Format, Storage
from scorch.formats.storage import Values
from scorch.ir.canonical import canonical_run
from scorch.ir.notation import Assign

__all__ = ["Recorder", "Replay", "find_replay", "joined", "replayed"]


@dataclass(frozen=True, slots=True)
class _Step:
    """A program, and which values it takes: those of the operands in their order, then those of the steps before."""

    program: AnyProgram
    reads: tuple[int, ...]


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Replay:
    """The steps of statements; called with the values of their operands.

    >>> from scorch.engine import compute
    >>> from scorch.ir.normalise import normalise
    >>> from scorch.ir.parse import parse_statements
    >>> statements = normalise(parse_statements("T[k] max= A[i,k]; y[i] = A[i,k] * T[k]"))
    >>> recorder, A = Recorder(("A",)), Storage.from_dense(torch.eye(2))
    >>> _ = compute(statements, {"A": A}, observe=recorder.observe)
    >>> recorder.made(statements)([A.vals])
    tensor([1., 1.])
    """

    steps: tuple[_Step, ...]
    shortcuts: dict[object, Any] = field(default_factory=dict, compare=False)  # as those of a program

    @property
    def is_direct(self) -> bool:
        """Whether every step takes the shortest way, on which the memory of its operands is read as it is."""
        return all(isinstance(step.program, Program) and step.program.direct is not None for step in self.steps)

    def __call__(self, vals: Sequence[Values]) -> Result:
        *before, last = self.steps
        if not before:
            return last.program([vals[n] for n in last.reads])
        known = list(vals)
        for step in before:
            made = step.program([known[n] for n in step.reads])
            known.append((Storage.from_dense(made) if isinstance(made, torch.Tensor) else made).vals)
        return last.program([known[n] for n in last.reads])

    @property
    def single(self) -> tuple[AnyProgram, tuple[int, ...]] | None:
        """The program and what it reads, if one is all there is."""
        return (self.steps[0].program, self.steps[0].reads) if len(self.steps) == 1 else None


def joined(operands: int, parts: Sequence[tuple[Replay, Sequence[int]]]) -> Replay:
    """Replays one after the other as one of so many operands. Each takes the values whose numbers come with it: of
    operands, or of the steps before it, counted from the operands on."""
    steps: list[_Step] = []
    for part, given in parts:
        places = [*given, *range(operands + len(steps), operands + len(steps) + len(part.steps))]
        steps += [_Step(step.program, tuple([places[n] for n in step.reads])) for step in part.steps]
    return Replay(tuple(steps))


@dataclass
class Recorder:
    """Watches `engine.compute` over operands of these names."""

    operands: Sequence[str]
    _programs: list[AnyProgram] = field(default_factory=list)
    _reads: list[tuple[str, ...]] = field(default_factory=list)
    _targets: list[str] = field(default_factory=list)
    _comes_again: list[bool] = field(default_factory=list)

    def observe(
        self, statements: tuple[Assign, ...], program: AnyProgram, _: Sequence[Storage], result: Result
    ) -> None:
        """Note a step, as `engine.Observer`."""
        self._programs.append(program)
        self._reads.append(tuple(canonical_run(statements)[1]))
        self._targets.append(statements[-1].target.tensor)
        self._comes_again.append(isinstance(result, torch.Tensor) or _shares(program))

    def made(self, statements: Sequence[Assign]) -> Replay | None:
        """The steps that computed the statements.

        None where the programs of a second call depend on more than its operands: a sparse temporary has a pattern,
        and so statistics, of its own, unless it takes that of an operand.
        """
        names = [*self.operands, *self._targets]
        if not self._targets or self._targets[-1] != statements[-1].target.tensor or len(set(names)) < len(names):
            return None
        if not all(self._comes_again[:-1]):
            return None
        places = {name: n for n, name in enumerate(names)}
        if not all(name in places for reads in self._reads for name in reads):
            return None  # a constant, which no program made
        reads = [tuple(places[name] for name in read) for read in self._reads]
        return Replay(tuple(map(_Step, self._programs, reads)))


def _shares(program: AnyProgram) -> bool:
    """Whether the result's pattern is the same one whenever those of the operands are."""
    return isinstance(program, Program) and program.wanted is None and program.plan.kernel.assembly.kind == "share"


def replayed(
    statements: Sequence[Assign],
    operands: Mapping[str, Storage],
    wanted: Format | None = None,
    dtype: str | None = None,
) -> Result:
    """As `compute`; what comes again on operands of the same structure runs its programs at once."""
    replay = find_replay(statements, operands, wanted, dtype)
    if replay is not None:
        return replay([storage.vals for storage in operands.values()])
    recorder = Recorder(tuple(operands))
    result = compute(statements, operands, wanted, dtype, recorder.observe)
    replay = recorder.made(statements)
    if replay is not None:
        remember(_key(statements, operands, wanted, dtype), replay, list(operands.values()))
    return result


def find_replay(
    statements: Sequence[Assign],
    operands: Mapping[str, Storage],
    wanted: Format | None = None,
    dtype: str | None = None,
) -> Replay | None:
    """The programs of what was computed before on operands like these."""
    found: Replay | None = find(_key(statements, operands, wanted, dtype))
    return found


def _key(
    statements: Sequence[Assign], operands: Mapping[str, Storage], wanted: Format | None, dtype: str | None
) -> object:
    keys = tuple([storage.key for storage in operands.values()])
    return tuple(statements), tuple(operands), keys, wanted, dtype, settings()

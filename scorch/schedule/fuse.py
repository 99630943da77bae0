"""Statements that become one kernel: reductions finished where their values are written, and rows shared by several.

    T[i,j] += A[i,k] * X[k,j]
    C[i,j] = relu(T[i,j] + b[j])     ->     C[i,j] += A[i,k] * X[k,j], then relu(acc + b[j])

What is left are statements over the same rows (`scorch.schedule.rows`). All of it is found from the notation alone, and
done where it is expected to take less time than one kernel for each statement.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from scorch.errors import ScheduleError
from scorch.formats import Format, dtypes
from scorch.ir.absence import absent_value, is_same
from scorch.ir.notation import REDUCED, Apply, Assign, Expr, Literal, accesses, substitute
from scorch.ir.plan import Alternative, Entrywise, Handover, Plan, Split
from scorch.ir.reduction import with_absent_entries
from scorch.ir.statement import ABSENT, is_masked
from scorch.ir.types import Kind, type_of
from scorch.schedule.chain import plan_chain
from scorch.schedule.cost import LINE
from scorch.schedule.lanes import SCALAR_WIDTH
from scorch.schedule.path import contract, estimated
from scorch.schedule.planner import schedule
from scorch.schedule.problem import Operand, Problem
from scorch.schedule.result import candidate_formats
from scorch.schedule.rows import plan_rows
from scorch.schedule.sequence import plan_sequence

__all__ = ["finished", "fuse", "runs"]

CALL = 10.0  # microseconds: one more kernel's launch, and a temporary's memory
HANDED = 4  # times that of a line from beyond the second cache, for one that was just written by another core
SAVED = 2  # times CALL, at most, for a statement that needs no kernel of its own and wakes no threads
MOST = 12  # statements that are looked at together
FLOATS = ("float32", "float64")


@dataclass(frozen=True)
class _Asked:
    """What the operands are, and what is wanted of the last statement."""

    operands: Mapping[str, Operand]
    threads: int
    wanted: Format | None
    dtype: str | None


@lru_cache(maxsize=4096)
def runs(statements: tuple[Assign, ...]) -> tuple[int, ...]:
    """How many of the first statements may become one kernel, most of them first: what they make on the way is read by
    nobody else.

    >>> from scorch.ir.notation import Access, Apply
    >>> a, b, c, d = (Access(name, ("i",)) for name in "ABCD")
    >>> chain = [Assign(b, Apply("exp", (a,))), Assign(c, Apply("neg", (b,))), Assign(d, Apply("mul", (b, c)))]
    >>> runs(tuple(chain))
    (3,)
    """
    found: list[int] = []
    for count in range(min(len(statements), MOST), 1, -1):
        made = {statement.target.tensor for statement in statements[: count - 1]}
        later = {a.tensor for statement in statements[count:] for a in statement.accesses}
        used = {a.tensor for statement in statements[:count] for a in statement.accesses}
        if not made & later and made <= used and not any(isinstance(s.expr, Literal) for s in statements[:count]):
            found.append(count)
    return tuple(found)


def fuse(
    statements: Sequence[Assign],
    operands: Mapping[str, Operand],
    threads: int,
    wanted: Format | None = None,
    dtype: str | None = None,
) -> Plan | None:
    """One kernel for all of the statements, if there is one that is expected to be faster than one for each."""
    asked = _Asked(operands, threads, wanted, dtype)
    problems = _problems(statements, asked)
    if problems is None:
        return None
    joined = finished(statements)
    plan = _finished_plan(joined[0], problems, asked) if len(joined) == 1 else _several_plan(joined, problems, asked)
    if plan is None:
        return None
    made = {statement.target.tensor for statement in joined[:-1]}
    handed = _handed(problem for problem in problems if problem.statement.target.tensor in made)
    apart, note = _apart(problems, contract, plan.cost + CALL - handed)
    if plan.cost + CALL >= apart + handed:
        return None
    # a sum that is finished by another statement comes last, and its operands with it: they are given in one order
    given = list(operands)
    specs = sorted(plan.kernel.operands, key=lambda spec: given.index(spec.name))
    plan = replace(plan, kernel=replace(plan.kernel, operands=tuple(specs)))
    names = [statement.target.tensor for statement in statements]
    other = Alternative(f"a kernel for each of {', '.join(names)}", apart + handed - CALL, note)
    told = f"one kernel for {', '.join(names)}: what only they read is never stored"
    return replace(plan, reasons=(*plan.reasons, told), alternatives=(*_first(plan), other))


def _apart(
    problems: Sequence[Problem], plan: Callable[[Problem], Plan | Split | Handover | Entrywise], enough: float
) -> tuple[float, str]:
    """Microseconds of a kernel for each problem, as it is planned; or, once it is clear that they are more than
    `enough`, of some of them and a word on that. Those of few indices come first, which take the least time to plan.
    """
    total = CALL * len(problems)
    for problem in sorted(problems, key=lambda problem: len(problem.statement.indices)):
        if total > enough:
            return total, "at least"
        total += plan(problem).cost
    return total, ""


def _first(plan: Plan) -> tuple[Alternative, ...]:
    return plan.alternatives or (Alternative("one kernel", plan.cost),)


def _problems(statements: Sequence[Assign], asked: _Asked) -> list[Problem] | None:
    """Each statement as a problem of its own, over estimated temporaries; None if one is not for a fused kernel.

    All arithmetic must be in one floating-point type, and no reduction may have to count absent entries.
    """
    known = dict(asked.operands)
    problems: list[Problem] = []
    for n, statement in enumerate(statements):
        last = n == len(statements) - 1
        read = tuple(known[name] for name in dict.fromkeys(a.tensor for a in statement.accesses))
        result = type_of(statement, {n: Kind(o.dtype, 2 if o.shape else 1) for n, o in known.items()})
        if last and asked.dtype is not None:
            result = asked.dtype
        extents = {v: e for a in statement.accesses for v, e in zip(a.indices, known[a.tensor].shape, strict=True)}
        arithmetic = dtypes.computed(result)
        problem = Problem(
            statement, read, extents, arithmetic, asked.threads, asked.wanted if last else None, True, result
        )
        if result not in FLOATS or statement.equal or problem.filters:
            return None
        if len(with_absent_entries(statement, problem.fills, extents)) > 1:
            return None
        if statement.reduced and is_masked(statement) and not _only_entries(statement, statements[n + 1 :]):
            return None  # it has no value where others have 0
        problems.append(problem)
        known[statement.target.tensor] = replace(
            estimated(problem), name=statement.target.tensor, dtype=result, fill=problem.fill
        )
    return problems if len({problem.dtype for problem in problems}) == 1 else None


def _only_entries(masked: Assign, readers: Sequence[Assign]) -> bool:
    """Whether what reads a masked temporary asks where it has entries, or adds products with it, a sum."""
    target = masked.target
    for statement in readers:
        if target.tensor not in {a.tensor for a in statement.accesses}:
            continue
        value = absent_value(statement.expr, {target.tensor: 0})
        asks = value is not None and value == ABSENT
        adds = (
            masked.reduce == "add"
            and statement.reduced
            and statement.reduce == "add"
            and value is not None
            and value.value == 0
        )
        if not asks and not adds:
            return False
    return True


def finished(statements: Sequence[Assign]) -> tuple[Assign, ...]:
    """The statements with each reduction joined to the elementwise statement that alone reads it.

    >>> from scorch.ir.notation import Access, Apply
    >>> a, t, x, c = Access("A", ("i", "k")), Access("T", ("i",)), Access("x", ("i",)), Access("C", ("i",))
    >>> print(*finished([Assign(t, a), Assign(c, Apply("mul", (t, x)))]))
    C[i] += A[i,k], then acc * x[i]
    """
    left = list(statements)
    for first in statements[:-1]:
        readers = [n for n, s in enumerate(left) if any(a.tensor == first.target.tensor for a in s.accesses)]
        current = next((s for s in left if s.target == first.target), None)
        if current is None or len(readers) != 1:
            continue
        both = _joined(current, left[readers[0]])
        if both is not None:
            left[readers[0]] = both
            left.remove(current)
    return tuple(left)


def _joined(first: Assign, then: Assign) -> Assign | None:
    """A reduction and what becomes of its values as one statement, if it is read where they are made only."""
    if not first.reduced or then.reduced or first.equal or then.equal or then.finish is not None:
        return None
    if set(first.target.indices) != set(then.target.indices):
        return None
    if any(a.tensor == first.target.tensor and a != first.target for a in accesses(then.expr)):
        return None
    value: Expr = REDUCED if first.finish is None else first.finish
    return Assign(then.target, first.expr, first.reduce, (), substitute(then.expr, {first.target: value}))


def _finished_plan(statement: Assign, problems: list[Problem], asked: _Asked) -> Plan | None:
    """The plan of a reduction with its finish; None if the result would not be the same."""
    first, last = problems[0], problems[-1]
    read = tuple(asked.operands[name] for name in dict.fromkeys(a.tensor for a in statement.accesses))
    extents = {v: e for problem in problems for v, e in problem.extents.items()}
    problem = Problem(statement, read, extents, last.dtype, asked.threads, asked.wanted, True, last.rounded)
    if not _same_result(first, last, problem):
        return None
    try:
        return schedule(problem)
    except ScheduleError:
        return None


def _same_result(first: Problem, last: Problem, whole: Problem) -> bool:
    """Whether what has entries, and what others are worth, is the same in one step."""
    format = candidate_formats(first)[0]
    if format.is_dense:
        asks = any(isinstance(e, Apply) and e.op == "stored" for e in _parts(last.statement.expr))
        return not asks and candidate_formats(whole)[0].is_dense
    alone, together = absent_value(last.statement.expr, last.fills), whole.absent
    return (
        alone is not None and together is not None and is_same(alone, together) and together.value in (0, ABSENT.value)
    )


def _parts(expr: Expr) -> Iterator[Expr]:
    yield expr
    if isinstance(expr, Apply):
        for arg in expr.args:
            yield from _parts(arg)


def _several_plan(joined: Sequence[Assign], problems: list[Problem], asked: _Asked) -> Plan | None:
    """The cheapest plan of several statements: over the same rows, tile by tile, or one after the other."""
    whole = joined_problems(joined, problems, asked.operands)
    if whole is None:
        return None
    plans = [plan for plan in (plan_rows(whole), _chain_plan(whole), _sequence_plan(whole)) if plan is not None]
    return min(plans, key=lambda plan: plan.cost, default=None)


def joined_problems(
    joined: Sequence[Assign], problems: list[Problem], operands: Mapping[str, Operand]
) -> list[Problem] | None:
    """The problems of statements of which some were joined, which must have had dense results of their own."""
    by_target = {problem.statement.target.tensor: problem for problem in problems}
    known = dict(operands)
    whole: list[Problem] = []
    for statement in joined:
        own = by_target[statement.target.tensor]
        if statement.finish is not None and not candidate_formats(own)[0].is_dense:
            return None
        read = tuple(known[name] for name in dict.fromkeys(a.tensor for a in statement.accesses))
        extents = {v: e for a in statement.accesses for v, e in zip(a.indices, known[a.tensor].shape, strict=True)}
        problem = replace_problem(own, statement, read, extents)
        whole.append(problem)
        known[statement.target.tensor] = replace(
            estimated(problem), name=statement.target.tensor, dtype=problem.dtype, fill=own.fill
        )
    return whole


def _chain_plan(links: Sequence[Problem]) -> Plan | None:
    """The plan of a chain, if that is expected to be faster than a kernel for each of its links."""
    plan = plan_chain(links)
    if plan is None:
        return None
    handed = _handed(links[:-1])
    return plan if plan.cost < _apart(links, schedule, plan.cost - handed)[0] + handed else None


def _sequence_plan(links: Sequence[Problem]) -> Plan | None:
    """The plan without threads, if what it may save is worth looking for it."""
    least = sum(link.products * link.prices.scalar for link in links) / SCALAR_WIDTH / 1000
    return plan_sequence(links) if least < CALL * len(links) * SAVED else None


def _handed(problems: Iterable[Problem]) -> float:
    """Microseconds for which threads wait for dense temporaries that others wrote."""
    dense = [problem for problem in problems if candidate_formats(problem)[0].is_dense]
    lines = sum(dtypes.itemsize(problem.dtype) * math.prod(problem.shape) / LINE for problem in dense)
    return lines * HANDED * dense[0].prices.line / 1000 if dense else 0.0


def replace_problem(
    problem: Problem, statement: Assign, operands: tuple[Operand, ...], extents: dict[str, int]
) -> Problem:
    """The problem of another statement with the same result."""
    return Problem(statement, operands, extents, problem.dtype, problem.threads, problem.wanted, True, problem.rounded)

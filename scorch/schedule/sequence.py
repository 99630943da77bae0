"""One kernel for statements that are too small for threads: the nest of each, one after the other.

    T[i] += A[i,k] * x[k], then relu(acc)              workspace T[i]: row
    y[j] += B[j,i] * T[i]                      ->      for i: ...  T[i] = relu(acc)
                                                       for j: ...  y[j] = acc

What kernels of a few microseconds take is mostly their launch, which is paid once then, and temporaries are workspaces
that one thread keeps. Layers of one sample are such statements.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from scorch.errors import ScheduleError
from scorch.formats import dense
from scorch.ir.notation import Access, substitute
from scorch.ir.plan import Alternative, Compute, Kernel, Loop, Partition, Plan, Stmt, Where, Workspace, walk
from scorch.schedule.chain import agree
from scorch.schedule.planner import schedule
from scorch.schedule.problem import Problem

__all__ = ["plan_sequence"]


def plan_sequence(problems: Sequence[Problem]) -> Plan | None:
    """The plan of statements, each a problem over operands and the temporaries before it, by one thread; None if one of
    them cannot be a nest among others."""
    if not agree(problems):
        return None
    plans: list[Plan] = []
    for problem in problems:
        plan = _nest(problem)
        if plan is None:
            return None
        plans.append(plan)
    *before, last = plans
    converted = [pair for plan in plans for pair in plan.conversions]
    times = Counter(access.tensor for problem in problems for access in problem.accesses)
    if any(times[name] > 1 for name, _ in converted) or not _are_apart(plans):
        return None
    root = _named(last.kernel.root, len(plans))
    for number, (problem, plan) in reversed(list(enumerate(zip(problems, before, strict=False), 1))):
        target = problem.statement.target
        row = Workspace(target.tensor, target.indices, "row", problem.dtype)
        root = Where(row, _named(plan.kernel.root, number), root)
    made = {problem.statement.target.tensor for problem in problems}
    operands = {spec.name: spec for plan in plans for spec in plan.kernel.operands if spec.name not in made}
    kernel = Kernel(
        tuple(operands.values()),
        last.kernel.result,
        last.kernel.statement,
        root,
        last.kernel.assembly,
        before=tuple(plan.kernel.statement for plan in before),
    )
    cost = sum(plan.cost for plan in plans)
    sparse = {
        o.name: o for problem in problems for o in problem.operands if o.name in operands and not o.format.is_dense
    }
    reasons = (
        *(f"{o.name}: {o.statistics}" for o in sparse.values()),
        f"estimated loops {cost:.4g} us, by {problems[-1].prices.origin}",
        "serial: threads would be started for each statement",
    )
    return Plan(
        kernel,
        tuple(converted),
        Partition("serial"),
        tuple({v: e for problem in problems for v, e in problem.extents.items()}.items()),
        cost,
        last.dtype,
        reasons,
        (Alternative("one kernel, one statement after the other, serial", cost),),
        last.wanted,
    )


def _nest(problem: Problem) -> Plan | None:
    """The serial plan of a statement, if it writes each place of a dense result once, of operands as they are or kept
    copies of them."""
    try:
        plan = schedule(replace(problem, threads=1))
    except ScheduleError:
        return None
    target = problem.statement.target.indices
    frozen = {operand.name for operand in problem.operands if operand.frozen}
    assembly, result = plan.kernel.assembly, plan.kernel.result
    if not target or assembly.kind != "locate" or not assembly.owned or result.format != dense(len(target)):
        return None
    if (
        plan.dtype != result.dtype
        or result.dtype != problem.dtype
        or any(name not in frozen for name, _ in plan.conversions)
    ):
        return None
    shared = any(_takes_several(stmt) for stmt in walk(plan.kernel.root))
    return None if shared or plan.kernel.unit != "serial" else plan


def _takes_several(stmt: Stmt) -> bool:
    """Whether a loop takes several coordinates whose reductions share a loop, or blocks that are turned."""
    return isinstance(stmt, Loop) and bool(stmt.turned or (stmt.unroll > 1 and isinstance(stmt.body, Where)))


def _are_apart(plans: Sequence[Plan]) -> bool:
    """Whether no two nests have memory under one name."""
    names = Counter(
        stmt.workspace.name
        for plan in plans
        for stmt in walk(plan.kernel.root)
        if isinstance(stmt, Where) and stmt.workspace.kind != "register"
    )
    return all(count == 1 for count in names.values())


def _named(root: Stmt, number: int) -> Stmt:
    """A nest with a number behind the names of its registers, which are of other types in other nests."""
    registers = [s.workspace for s in walk(root) if isinstance(s, Where) and s.workspace.kind == "register"]
    names = {Access(w.name, w.indices): Access(f"{w.name}_{number}", w.indices) for w in registers}
    return _renamed(root, names)


def _renamed(stmt: Stmt, names: Mapping[Access, Access]) -> Stmt:
    match stmt:
        case Compute(target, reduce, expr):
            return Compute(names.get(target, target), reduce, substitute(expr, names))
        case Loop():
            return replace(stmt, body=_renamed(stmt.body, names))
        case Where(workspace, producer, consumer):
            access = Access(workspace.name, workspace.indices)
            workspace = replace(workspace, name=names.get(access, access).tensor)
            return Where(workspace, _renamed(producer, names), _renamed(consumer, names))
    raise ScheduleError(f"{type(stmt).__name__} has no place in a nest with a dense result")

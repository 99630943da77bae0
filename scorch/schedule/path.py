"""Contraction path: all operands in one kernel, two of them first, or the whole of a dense expression through torch.

Pairs are priced by what their product is expected to hold, as opt_einsum prices them by extents; the rest is planned
when the product is there, from its true statistics.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

from scorch.formats import Format, dense
from scorch.ir.einsum import operand_names
from scorch.ir.notation import Access, Apply, Assign, Expr
from scorch.ir.plan import Alternative, Handover, Plan, Split
from scorch.schedule.partition import PARALLEL, serial_below
from scorch.schedule.planner import alternatives, schedule
from scorch.schedule.problem import Operand, Problem, appended_bits
from scorch.schedule.result import candidate_formats
from scorch.schedule.statistics import Statistics, product
from scorch.schedule.tile import vector_lanes

__all__ = ["contract", "described", "estimated", "priced_pairs", "renamed"]

TORCH_CALL = 12.0  # microseconds: of a call that torch computes, its shapes and checks included
TORCH_SHARE = 0.8  # of the multiply-adds that the CPU could do, of large matrices
TORCH_HALF = 16  # rows or columns of a matrix for which torch reaches half of that; twice as many of a sum's terms
MKL_SHARE, MKL_HALF = 0.9, 9  # the same on Intel's CPUs with AVX-512, which MKL has its best kernels for
BREADTH = 2  # pairs that are followed to the end where there are four or five operands; where there are more, one
MOST_FUSED_INDICES = 6  # more are not looked at as one loop nest if they can be split


def contract(problem: Problem) -> Plan | Split | Handover:
    """The cheapest of one kernel, each pair first, and torch, estimated on one core; or `problem.choice` among them."""
    if problem.choice is not None:
        named = dict(_options(replace(problem, choice=None)))
        return named.get(problem.choice) or schedule(problem)
    options = list(_options(problem))
    name, best = min(options, key=lambda option: option[1].cost)
    if len(options) == 1:
        return best
    ranked = sorted(options, key=lambda option: option[1].cost)
    others = tuple(Alternative(text, option.cost) for text, option in ranked)
    if isinstance(best, Plan):
        return replace(best, alternatives=best.alternatives + tuple(a for a in others if a.description != name))
    return replace(best, alternatives=others)


def described(problem: Problem) -> tuple[Alternative, ...]:
    """Every way to compute the whole, cheapest first; any of them may be asked for as `Problem.choice`."""
    found = list(alternatives(problem))
    found += [Alternative(name, plan.cost) for name, plan in _options(problem) if not isinstance(plan, Plan)]
    return tuple(sorted(found, key=lambda each: each.cost))


def priced_pairs(problem: Problem) -> dict[tuple[int, int], float]:
    """The expected time of a product with each pair of its operands multiplied first; none of fewer than three."""
    return {split.pair: split.cost for split in _splits(problem)}


def _options(problem: Problem) -> Iterator[tuple[str, Plan | Split | Handover]]:
    """Ways to compute the whole, each with the name by which it can be asked for."""
    splits = list(_splits(problem)) if problem.convert and not any(problem.fills.values()) else []
    if len(problem.statement.indices) <= MOST_FUSED_INDICES or not splits:
        yield "all operands in one loop nest", schedule(problem)
    yield from ((f"{split.first} first, then {split.rest}", split) for split in splits)
    yield from (("torch.einsum", handover) for handover in _handover(problem))


def _handover(problem: Problem) -> Iterator[Handover]:
    """torch.einsum, where every operand is dense and there is something to contract."""
    factors = _factors(problem.statement)
    if factors is None or len(factors) != 2 or problem.result_dtype not in ("float32", "float64"):
        return
    if not all(operand.format.is_dense for operand in problem.operands) or problem.wanted not in (
        None,
        dense(len(problem.shape)),
    ):
        return
    letters = {v: chr(ord("a") + n) for n, v in enumerate(problem.statement.indices)}
    terms = ["".join(letters[v] for v in access.indices) for access in (*factors, problem.statement.target)]
    notation = f"{','.join(terms[:-1])}->{terms[-1]}"
    yield Handover(problem.statement, notation, problem.dtype, TORCH_CALL + _torch_time(problem, *factors))


def _torch_time(problem: Problem, left: Access, right: Access) -> float:
    """Microseconds of torch's product: the CPU's own, less what narrow matrices leave of it."""
    target = problem.statement.target.indices
    at_home = problem.machine.gathers and not problem.machine.microcoded
    share, half = (MKL_SHARE, MKL_HALF) if at_home else (TORCH_SHARE, TORCH_HALF)
    for mine, other in ((left, right), (right, left)):
        rows = product(problem.extents[v] for v in mine.indices if v in target and v not in other.indices)
        share *= rows / (rows + half)
    terms = product(problem.extents[v] for v in problem.statement.reduced)
    share *= terms / (terms + 2 * half)
    work = problem.products * problem.prices.fma / vector_lanes(problem) / max(share, 1e-9)
    return work / 1000 / (problem.threads * PARALLEL if work > serial_below(problem.prices) else 1)


def _factors(statement: Assign) -> tuple[Access, ...] | None:
    """The accesses of a plain product, each of an operand of its own; None for any other expression."""
    expr = statement.expr
    if (
        statement.finish
        or statement.equal
        or statement.reduce != "add"
        or not isinstance(expr, Apply)
        or expr.op != "mul"
    ):
        return None
    accesses = tuple(arg for arg in expr.args if isinstance(arg, Access))
    return accesses if len(accesses) == len(expr.args) == len({a.tensor for a in accesses}) else None


def _splits(problem: Problem) -> Iterator[Split]:
    factors = _factors(problem.statement)
    if factors is None or len(factors) < 3:
        return
    connected = [
        pair for pair in _pairs(problem, factors) if set(factors[pair[0]].indices) & set(factors[pair[1]].indices)
    ]
    pairs = connected or _pairs(problem, factors)
    if len(factors) > 3:  # the rest of each choice is planned in turn: look at few
        breadth = BREADTH if len(factors) <= 5 else 1
        pairs = sorted(pairs, key=lambda pair: _first_cost(problem, factors, pair))[:breadth]
    for pair in pairs:
        yield _split(problem, factors, pair)


def _pairs(problem: Problem, factors: tuple[Access, ...]) -> list[tuple[int, int]]:
    """The pairs that may be multiplied first: not with the operand whose pattern the result takes."""
    return list(combinations([n for n, factor in enumerate(factors) if factor.tensor != problem.onto], 2))


def _first_cost(problem: Problem, factors: tuple[Access, ...], pair: tuple[int, int]) -> float:
    """How much a pair's product takes to compute and to keep: its terms and its entries."""
    step = _first(problem, factors, pair)[1]
    return step.products + step.entries(step.statement.target.indices)


def _first(problem: Problem, factors: tuple[Access, ...], pair: tuple[int, int]) -> tuple[tuple[str, ...], Problem]:
    """The indices that a pair's product must keep, and the problem of computing it."""
    left, right = (factors[n] for n in pair)
    needed = set(problem.statement.target.indices)
    needed = needed.union(*(factor.indices for n, factor in enumerate(factors) if n not in pair))
    kept = tuple(v for v in dict.fromkeys(left.indices + right.indices) if v in needed)
    first = _product([left.indices, right.indices], kept)
    return kept, _sub(problem, first, [problem.by_name[f.tensor] for f in (left, right)], None)


def _split(problem: Problem, factors: tuple[Access, ...], pair: tuple[int, int]) -> Split:
    """A pair first, its product sorted or not: dense factors take what they are multiplied with in any order."""
    others = [factor for n, factor in enumerate(factors) if n not in pair]
    kept, first = _first(problem, factors, pair)
    made = candidate_formats(first)[0]
    ways = [first]
    if made != made.unsorted and made.unsorted.is_unique and all(problem.format(factor).is_dense for factor in others):
        ways.append(replace(first, wanted=made.unsorted))
    return min((_priced(problem, others, pair, kept, way) for way in ways), key=lambda split: split.cost)


def _priced(
    problem: Problem, others: list[Access], pair: tuple[int, int], kept: tuple[str, ...], pair_problem: Problem
) -> Split:
    rest = _product([kept, *(f.indices for f in others)], problem.statement.target.indices)
    product = estimated(pair_problem)
    rest_operands = [product, *(problem.by_name[f.tensor] for f in others)]
    onto = renamed(problem.onto, [f.tensor for f in others])
    rest_cost = contract(_sub(problem, rest, rest_operands, problem.wanted, onto)).cost
    cost = contract(pair_problem).cost + rest_cost
    return Split(
        problem.statement, pair, pair_problem.statement, rest, problem.result_dtype, cost, format=pair_problem.wanted
    )


def renamed(onto: str | None, others: list[str]) -> str | None:
    """The name of an operand after a pair, of which it is none, was replaced by its product in front of the others.

    >>> renamed("C", ["B", "C"])
    'C'
    """
    return None if onto is None else operand_names(len(others) + 1)[1 + others.index(onto)]


def _product(terms: list[tuple[str, ...]], target: tuple[str, ...]) -> Assign:
    names = operand_names(len(terms))
    args: tuple[Expr, ...] = tuple(Access(name, term) for name, term in zip(names, terms, strict=False))
    return Assign(Access(names[len(terms)], target), Apply("mul", args))


def _sub(
    problem: Problem, statement: Assign, operands: list[Operand], wanted: Format | None, onto: str | None = None
) -> Problem:
    """A part of the problem, its operands renamed as the statement names them."""
    names = operand_names(len(operands))
    called = tuple(replace(operand, name=name) for name, operand in zip(names, operands, strict=False))
    extents = {v: problem.extents[v] for v in statement.indices}
    return replace(
        problem,
        statement=statement,
        operands=called,
        extents=extents,
        wanted=wanted,
        convert=True,
        rounded=None,
        onto=onto,
        choice=None,
    )


def estimated(problem: Problem) -> Operand:
    """A product that is not computed yet, as an operand with estimated statistics."""
    format = candidate_formats(problem)[0]
    indices = problem.statement.target.indices
    path = tuple(indices[d] for d in format.order)
    distinct = tuple(max(0, round(problem.entries(path[: d + 1]))) for d in range(len(path)))
    nnz = distinct[-1] if distinct else 1
    rows = distinct[-2] if len(distinct) > 1 else 1
    mean = nnz / max(1, rows)
    estimate = Statistics(nnz, distinct, distinct, mean, round(mean), 0.0, 1.0)
    return Operand("T", format, problem.dtype, estimate, appended_bits(format, problem.shape), problem.shape)

"""Workspaces: as large as the largest row can be, and kept for the next call."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import scorch
from scorch.emit.jit import compile_kernel
from scorch.engine import problem_of
from scorch.formats import Format, Pattern, Storage
from scorch.ir.einsum import parse_einsum
from scorch.ir.plan import Plan
from scorch.operand import as_storage
from scorch.runtime.launch import Launcher
from scorch.runtime.scratch import Scratch, workspaces
from scorch.schedule import planner
from scorch.schedule.sizing import Collector


def forced(kind: str, notation: str, operands: list[Storage], order: str, wanted: Format | str, few: int = 0) -> Plan:
    """The plan with these loops that collects its rows in an accumulator of this kind."""
    statement = parse_einsum(notation, [s.pattern.shape for s in operands])
    problem = problem_of(statement, operands, scorch.formats.resolve(wanted, len(statement.target.indices)))
    found = [
        c
        for c in planner._candidates(problem)
        if c.layout.order == tuple(order) and c.writing.scatter and not c.layout.conversions
    ]
    return planner._plan(problem, replace(found[0], accumulator=Collector(kind, few)), ())


def patterns(plan: Plan, operands: list[Storage]) -> dict[str, Pattern]:
    return {spec.name: s.pattern for spec, s in zip(plan.kernel.operands, operands, strict=True)}


def ones(shape: tuple[int, int], lengths: list[int]) -> Storage:
    rows = np.repeat(np.arange(len(lengths)), lengths)
    columns = np.concatenate([np.arange(length) for length in lengths])
    return as_storage(scorch.from_coo(np.stack([rows, columns]), torch.ones(len(rows)), shape, format="csr"))


@pytest.mark.smoke
@pytest.mark.parametrize("kind", ["bitmap", "marked bitmap", "list", "hash"])
def test_length_and_reuse(kind: str) -> None:
    A, B = ones((3, 4), [2, 1, 0]), ones((4, 900), [3, 1, 0, 2])
    plan = forced(kind, "ik,kj->ij", [A, B], "ikj", "csr")
    scratch = Scratch(workspaces(plan.kernel), patterns(plan, [A, B]), dict(plan.extents))
    arrays = scratch.take(2)
    assert {len(a) for a in arrays.values()} == {2}
    longest = {part: a.shape[1] for (_, part), a in arrays.items()}
    if kind == "hash":
        assert longest["keys"] == 16  # no row of the product has more than 2 * 3 entries
        assert longest["list"] >= 6
    else:
        assert longest["vals"] >= 900
    scratch.give_back(arrays)
    assert scratch.take(2) is arrays
    assert scratch.take(2) is not arrays
    scratch.give_back(arrays)
    assert len(next(iter(scratch.take(3).values()))) == 3  # too few threads: made anew


def test_one_row_for_all_loops_holds_every_entry() -> None:
    """The columns of all rows fall into one workspace, which the longest row does not bound."""
    A, B = Storage.from_dense(torch.ones(3, 50)), ones((50, 900), [1] * 50)
    plan = forced("hash", "ij,jk->k", [A, B], "ijk", "coo")
    scratch = Scratch(workspaces(plan.kernel), patterns(plan, [A, B]), dict(plan.extents))
    assert scratch.take(1)[("w", "list")].shape[1] >= 3 * 50


@pytest.mark.parametrize("kind", ["bitmap", "marked bitmap", "list", "hash"])
@pytest.mark.parametrize("few", [0, 4])
def test_workspaces_are_left_empty(kind: str, few: int) -> None:
    A, B = ones((3, 4), [2, 1, 4]), ones((4, 100), [30, 1, 0, 70])
    plan = forced(kind, "ik,kj->ij", [A, B], "ikj", "csr", few)
    with scorch.config.using(jit=False):
        launch = Launcher(plan, compile_kernel(plan.kernel), patterns(plan, [A, B]))
        first = launch([A.vals, B.vals])
        (kept,) = launch.scratch._free
        fresh = launch.scratch._make(1)
        assert all(
            np.array_equal(kept[key], fresh[key]) for key in kept if key[1] in ("vals", "bits", "top", "mark", "keys")
        )
        again = launch([A.vals, B.vals])
    assert isinstance(first, Storage)
    assert isinstance(again, Storage)
    assert torch.equal(first.values, again.values)

"""Plans that small inputs would never get: any candidate of the schedule, every accumulator, every way to divide the
work.

The chunks of a parallel plan run as plain Python here, in a random order and with the workspaces of random threads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

import scorch
from scorch import engine
from scorch.emit import jit
from scorch.emit.module import Phase
from scorch.formats import Format, coo, csf
from scorch.ir.plan import Kernel, Loop, Plan, Where, walk
from scorch.schedule import partition, planner, tile
from tests.differential.expressions import CHAINS, DEEP, ORDER3, PAIRS, SINGLES, VECTOR_PRODUCTS
from tests.differential.oracle import build, check, random_array, reference, shapes_of

THREADS = 3


class Chooser:
    """Takes a random candidate, accumulator and way of sizing in place of the cheapest, and counts what it took."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        self.seen: Counter[str] = Counter()

    def candidate(self, problem: Any) -> list[Any]:
        found = list(CANDIDATES(problem))
        return [found[self.rng.integers(len(found))]] if found else []

    def note(self, plan: Plan) -> None:
        kernel = plan.kernel
        self.seen[f"unit {kernel.unit}"] += 1
        self.seen[f"assembly {kernel.assembly.kind}"] += 1
        self.seen["private"] += kernel.private
        self.seen["bounded"] += kernel.assembly.bounded
        self.seen["converted"] += bool(plan.conversions)
        self.seen["sorted afterwards"] += plan.wanted is not None and plan.wanted != kernel.result.format
        for stmt in walk(kernel.root):
            if isinstance(stmt, Where):
                self.seen[f"workspace {stmt.workspace.kind}"] += 1
            if isinstance(stmt, Loop) and stmt.tile is not None:
                self.seen["gather" if stmt.tile.positions else "tile"] += 1


@pytest.fixture
def chooser(monkeypatch: pytest.MonkeyPatch, plain: None) -> Iterator[Chooser]:
    chooser = Chooser()
    make_plan, compile_kernel = planner._plan, jit.compile_kernel

    def plan(*arguments: Any) -> Plan:
        made = make_plan(*arguments)
        chooser.note(made)
        print(made)
        return made

    def compiled(kernel: Kernel) -> jit.Compiled:
        made = compile_kernel(kernel)
        print(made.module.source)  # pytest shows it if the test fails
        return with_chunks(made, chooser.rng) if kernel.unit != "serial" else made

    monkeypatch.setattr(planner, "_candidates", lambda problem: chooser.candidate(problem))
    monkeypatch.setattr(planner, "_plan", plan)
    monkeypatch.setattr(planner, "scatter_cost", lambda *_: float(chooser.rng.random()))
    monkeypatch.setattr(planner, "count_cost", lambda *_: float(chooser.rng.random()))
    monkeypatch.setattr(planner, "bound_cost", lambda *_: float(chooser.rng.random()))
    monkeypatch.setattr(tile, "SHORT_ROW", 0.0)
    for module in (partition, planner):
        monkeypatch.setattr(module, "SERIAL_BELOW", -1.0)
    monkeypatch.setattr(partition, "CHUNK", 1.0)
    monkeypatch.setattr(engine, "compile_kernel", compiled)
    engine._programs.clear()
    with scorch.config.using(threads=THREADS):
        yield chooser
    engine._programs.clear()


def with_chunks(compiled: jit.Compiled, rng: np.random.Generator) -> jit.Compiled:
    """The plain bodies, called for each chunk: what a parallel kernel does, serially and in no order."""

    def kernel(phase: Phase, body: Callable[..., None]) -> Callable[..., None]:
        def run(workers: int, chunks: int, cursor: Any, bounds: Any, *arguments: Any) -> None:
            assert len(bounds) == chunks + 1
            assert (np.diff(bounds) >= 0).all()
            for chunk in rng.permutation(chunks):
                t = rng.integers(workers)
                mine = [a[t] if p.kind == "workspace" else a for p, a in zip(phase.params, arguments, strict=True)]
                body(int(chunk), int(bounds[chunk]), int(bounds[chunk + 1]), *mine)

        return run

    return replace(compiled, kernels=tuple(map(kernel, compiled.phases, compiled.bodies)))


FORMATS: dict[int, tuple[Format | str, ...]] = {
    0: ("dense",),
    1: ("dense", "coo"),
    2: (
        "dense",
        "csr",
        "csc",
        "dcsr",
        "dcsc",
        "coo",
        coo(2, (1, 0)),
        Format("dense, dense", (1, 0)),
        Format("compressed, dense"),
        Format("dense, compressed(nonordered, nonunique)"),
        Format("compressed(nonordered, nonunique), singleton(nonordered, nonunique)"),
    ),
    3: ("dense", csf(3), coo(3), csf(3, (2, 0, 1)), coo(3, (1, 2, 0)), Format("dense, compressed, compressed")),
}
RESULTS: dict[int, tuple[Format | str | None, ...]] = {
    0: (None,),
    1: (None, "dense", "coo"),
    2: (None, "dense", "csr", "csc", "dcsr", "coo", coo(2, (1, 0)), Format("compressed, dense")),
    3: (None, "dense", "coo", "csf", csf(3, (2, 1, 0))),
    4: (None, "dense", "coo"),
}
NOTATIONS = [*PAIRS, *SINGLES, *VECTOR_PRODUCTS, *CHAINS, *(e for table in ORDER3.values() for e in table)]


def case(notation: str, rng: np.random.Generator, extents: dict[str, int] | None = None) -> None:
    arrays = [random_array(rng, shape, rng.choice((0.1, 0.4, 0.9))) for shape in shapes_of(notation, extents)]
    operands = []
    for array in arrays:
        formats = FORMATS[array.ndim]
        operands.append(build(array, formats[rng.integers(len(formats))], rng))
    results = RESULTS[reference(notation, arrays).ndim]
    check(notation, operands, arrays, results[rng.integers(len(results))])


@pytest.mark.parametrize("notation", NOTATIONS)
def test_any_candidate(notation: str, chooser: Chooser) -> None:
    for seed in range(200 if DEEP else 12):
        case(notation, np.random.default_rng(seed))


@pytest.mark.parametrize("notation", ["ik,kj->ij", "ki,kj->ij", "ij,kj->ki", "ij,j->i", "ij,ij->ij", "ijk,jl,kl->il"])
def test_extents_beyond_one_tile(notation: str, chooser: Chooser) -> None:
    """Vectors that are full, one that is masked, several passes."""
    for seed, width in product(range(8 if DEEP else 2), (8, 31, 33, 130)):
        case(notation, np.random.default_rng(seed), {"j": width, "l": 17})


def test_all_of_it_is_exercised(chooser: Chooser) -> None:
    for notation in NOTATIONS:
        for seed in range(6):
            case(notation, np.random.default_rng(1000 + seed))
    wanted = [f"unit {unit}" for unit in ("serial", "coordinates", "positions", "tiles")]
    wanted += [f"workspace {kind}" for kind in ("register", "bitmap", "list", "hash")]
    wanted += [f"assembly {kind}" for kind in ("locate", "share", "append")]
    wanted += ["private", "bounded", "converted", "sorted afterwards", "gather", "tile"]
    assert {name for name in wanted if not chooser.seen[name]} == set()


@pytest.mark.parametrize("notation", ["ik,k->i", "ik,kj->ij", "ik->i", "ik,ki->i", "ik,k,i->i"])
def test_merge_path(notation: str, chooser: Chooser, monkeypatch: pytest.MonkeyPatch) -> None:
    """One long row, empty rows around it, rows that end where a chunk does."""
    monkeypatch.setattr(planner, "_candidates", merge_paths_first)
    for lengths in ([40, 0, 0, 0], [0, 0, 40, 0], [0, 0, 0, 40], [1, 40, 1, 1], [7, 5, 0, 60, 0, 3], [64], [0, 1]):
        rng = np.random.default_rng(len(lengths))
        extents = {"i": len(lengths), "k": 64, "j": 33, "l": 3}
        shapes = shapes_of(notation, extents)
        arrays = [random_array(rng, shape, 1.0) for shape in shapes]
        a = np.zeros(shapes[0])
        for i, length in enumerate(lengths):
            a[i, rng.permutation(64)[:length]] = rng.integers(1, 9, length)
        operands = [build(a, "csr"), *(build(x, "dense") for x in arrays[1:])]
        check(notation, operands, [a, *arrays[1:]], "dense")
    assert chooser.seen["unit merge-path"]


CANDIDATES = planner._candidates


def merge_paths_first(problem: Any) -> list[Any]:
    found = sorted(CANDIDATES(problem), key=lambda candidate: candidate.cost)
    return [c for c in found if c.partition.unit == "merge-path"] or found

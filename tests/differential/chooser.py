"""Plans that small inputs would never get: a random candidate of the schedule, run in chunks in a random order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest

from scorch import engine
from scorch.emit import jit
from scorch.emit.module import Phase
from scorch.engine import expression, statements
from scorch.ir.plan import Kernel, Loop, Plan, Where, walk
from scorch.runtime import launch, memory
from scorch.schedule import candidate, lanes, partition, planner, sampling, sizing, tilings, unrolling
from scorch.schedule.machine import AVX2, AVX512

CANDIDATES = planner._candidates
IN_ORDERS = planner._in_orders
MAKE_PLAN = planner._plan
UNROLLINGS = unrolling.unrollings
COMPILE = jit.compile_kernel


class Chooser:
    """Takes a random candidate, accumulator and way of sizing in place of the cheapest, and counts what it took."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.restart(0)

    def restart(self, seed: int) -> None:
        """Forget what was planned; choose by another seed from now on."""
        self.rng = np.random.default_rng(seed)
        engine.kept.forget()

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Put the choices in the place of the schedule's, and divide every kernel that can be divided."""
        patch.setattr(planner, "_candidates", self.chosen)
        patch.setattr(planner, "_plan", self.plan)
        patch.setattr(candidate, "accumulators", self.accumulators)
        for price in ("count_cost", "room_cost"):
            patch.setattr(sizing, price, lambda *_: float(self.rng.random()))
        patch.setattr(sampling, "WORTH", -1)
        patch.setattr(sampling, "FEW", (1, 4))
        patch.setattr(partition, "LAUNCHES", -1.0)
        patch.setattr(partition, "CHUNK", 1.0)
        patch.setattr(partition, "SELECTED", 0.0)
        patch.setattr(memory, "LARGE", 64)
        patch.setattr(launch, "ADDRESSES", 8)
        patch.setattr(lanes, "_row_cost", lambda *_: float(self.rng.random()))
        patch.setattr(lanes, "_is_long", lambda *_: self.toss())
        patch.setattr(candidate, "along_positions", self.along_positions)
        patch.setattr(candidate, "rows_are_far", lambda *_: self.toss())
        patch.setattr(tilings, "rows_are_far", lambda *_: self.toss())
        patch.setattr(unrolling, "unrollings", self.unrollings)
        patch.setattr(unrolling, "SHORTEST", 0)
        for made in (expression, statements):
            patch.setattr(made, "compile_kernel", self.compiled)

    def along_positions(self, problem: Any, *rest: Any) -> lanes.Along | None:
        """Lanes that gather, as on a machine that does so well, or that are read past the ends of rows."""
        machine = AVX512 if self.toss() else AVX2
        return lanes.along_positions(replace(problem, machine=machine), *rest) if self.toss() else None

    def unrollings(self, *arguments: Any) -> dict[unrolling.Unrolling, float]:
        return {way: float(self.rng.random()) for way in UNROLLINGS(*arguments)}

    def accumulators(self, *arguments: Any) -> dict[sizing.Collector, float]:
        return {kind: float(self.rng.random()) for kind in sizing.accumulators(*arguments)}

    def toss(self) -> bool:
        return bool(self.rng.random() < 0.5)

    def chosen(self, problem: Any) -> list[Any]:
        """A random candidate of a random loop order: pricing those of all orders would be most of the time."""
        if len(problem.statement.indices) > planner.FEW_INDICES:
            return self.one_of(CANDIDATES(problem))
        orders = list(permutations(problem.statement.indices))
        for place in self.rng.permutation(len(orders)):
            if found := self.one_of(IN_ORDERS(problem, iter([orders[place]]))):
                return found
        return []

    def one_of(self, candidates: Iterable[Any]) -> list[Any]:
        found = list(candidates)
        return [found[self.rng.integers(len(found))]] if found else []

    def plan(self, *arguments: Any) -> Plan:
        made = MAKE_PLAN(*arguments)
        self._note(made)
        print(made)  # pytest shows it if the test fails
        return made

    def compiled(self, kernel: Kernel) -> jit.Compiled:
        made = COMPILE(kernel)
        print(made.module.source)
        return with_chunks(made, self.rng) if kernel.unit != "serial" else made

    def _note(self, plan: Plan) -> None:
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
            if isinstance(stmt, Loop):
                self.seen["past"] += stmt.past


def with_chunks(compiled: jit.Compiled, rng: np.random.Generator) -> jit.Compiled:
    """The plain bodies, called for each chunk: what a parallel kernel does, serially and in no order; or the parallel
    kernel as plain Python, on one thread, where each chunk waits for the one before it."""

    def kernel(phase: Phase, body: Callable[..., None]) -> Callable[..., None]:
        def run(workers: int, bounds: Any, *arguments: Any) -> None:
            assert (np.diff(bounds) >= 0).all()
            if len(arguments) > len(phase.params):
                with np.errstate(all="ignore"):
                    body.__wrapped__.__globals__[phase.kernel](workers, bounds, *arguments)
                return
            for chunk in rng.permutation(len(bounds) - 1):
                t = rng.integers(workers)
                mine = [a[t] if p.kind == "workspace" else a for p, a in zip(phase.params, arguments, strict=True)]
                body(int(chunk), int(bounds[chunk]), int(bounds[chunk + 1]), *mine)

        return run

    return replace(compiled, kernels=tuple(map(kernel, compiled.phases, compiled.bodies)))

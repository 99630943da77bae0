"""The text of a kernel module: one self-contained Python file with a `body` and a `kernel` for each phase."""

from __future__ import annotations

import re
from dataclasses import dataclass

from scorch.emit import vocabulary
from scorch.emit.builder import Param
from scorch.emit.lower import lower
from scorch.emit.printer import print_function
from scorch.ir.plan import Kernel

__all__ = ["Module", "Phase", "emit"]

_WORD = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True)
class Phase:
    """One phase of a module: the names of its functions, and what their parameters bind to."""

    name: str
    body: str
    kernel: str
    params: tuple[Param, ...]


@dataclass(frozen=True)
class Module:
    """Python source with its phases, in the order in which they run."""

    source: str
    phases: tuple[Phase, ...]
    slug: str


def emit(kernel: Kernel, checked: bool = False) -> Module:
    """The module of a kernel; `checked` takes the SIMD vocabulary that tests its bounds."""
    phases: list[Phase] = []
    functions: list[str] = []
    for name in kernel.phases:
        function, params = lower(kernel, name)
        suffix = f"_{name}" if len(kernel.phases) > 1 else ""
        phase = Phase(name, f"body{suffix}", f"kernel{suffix}", params)
        phases.append(phase)
        functions += ["", "", *print_function(function, phase.body)]
        if kernel.unit != "serial":
            functions += ["", "", *(_in_order(kernel, phase) if _has_rooms(kernel, phase) else _parallel(phase))]
    source = "\n".join([*_header(kernel, functions, checked), *functions]) + "\n"
    return Module(source, tuple(phases), _slug(kernel))


def _has_rooms(kernel: Kernel, phase: Phase) -> bool:
    """Whether chunks of this phase write into room of their thread's, from where their entries are moved."""
    return kernel.assembly.bounded and phase.name == "fill"


def _parallel(phase: Phase) -> list[str]:
    """Threads that take the next chunk until none is left: rows are skewed, a fixed share each would leave one waiting.

    The first chunk of each is its own: what it wrote and read of that at the last call may still be in its cache.
    """
    return [
        f"def {phase.kernel}(threads, bounds, {_names(phase)}):",
        "    chunks = len(bounds) - 1",
        "    cursor = np.empty(1, np.int64)",
        "    cursor[0] = threads",
        "    for t in prange(threads):",
        "        chunk = np.int64(t)",
        "        while chunk < chunks:",
        f"            {_call(phase)}",
        "            chunk = fetch_add(cursor, 0, 1)",
    ]


def _in_order(kernel: Kernel, phase: Phase) -> list[str]:
    """Threads that write the entries of a chunk into a room of their own, then move them behind those of the chunks
    before it.

    Every chunk is taken from the cursor: whoever waits for chunks before its own waits for a thread that is at work,
    however few of them run at once. Entries that the result has no place for are counted, and left out.
    """
    name, last = kernel.result.name, len(kernel.result.format.levels) - 1
    levels = {p.part: p.name for p in phase.params if p.kind == "level" and (p.owner, p.depth) == (name, last)}
    begin, count = (p.name for kind in ("begin", "count") for p in phase.params if p.kind == kind)
    kept = {levels["crd"]: f"{name}_crd", f"{name}_vals": f"{name}_kept"}
    lines = [
        f"def {phase.kernel}(threads, bounds, {_names(phase)}, ends, {', '.join(kept.values())}):",
        "    chunks = len(bounds) - 1",
        f"    room = len({name}_vals) // threads",
    ]
    if "pos" in levels:
        lines += [
            f"    nodes = (len({levels['pos']}) - 1) // bounds[chunks]  # above the entries, in a unit of a chunk"
        ]
    lines += [
        "    cursor = np.zeros(1, np.int64)",
        "    for t in prange(threads):",
        "        chunk = fetch_add(cursor, 0, 1)",
        "        while chunk < chunks:",
        f"            {begin}[chunk] = t * room",
        f"            {_call(phase)}",
        f"            made = {count}[chunk] - t * room",
        "            first = follow(ends, chunk, made)",
        f"            for q in range(min(made, len({name}_kept) - first)):",
        *(f"                {to}[at(first + q)] = {source}[at(t * room + q)]" for source, to in kept.items()),
    ]
    if "pos" in levels:
        lines += [
            "            for node in range(bounds[chunk] * nodes, bounds[chunk + 1] * nodes):",
            f"                {levels['pos']}[at(node + 1)] += first - t * room",
        ]
    return [*lines, "            chunk = fetch_add(cursor, 0, 1)"]


def _names(phase: Phase) -> str:
    return ", ".join(p.name for p in phase.params)


def _call(phase: Phase) -> str:
    """The body, for one chunk of thread t."""
    inner = ", ".join(f"{p.name}[t]" if p.kind == "workspace" else p.name for p in phase.params)
    return f"{phase.body}(chunk, bounds[chunk], bounds[chunk + 1], {inner})"


def _header(kernel: Kernel, functions: list[str], checked: bool) -> list[str]:
    words = set(_WORD.findall("\n".join(functions)))
    names = sorted(words & set(vocabulary.__all__))
    home = "scorch.emit.vocabulary.checked" if checked else "scorch.emit.vocabulary"
    first, *others = map(str, kernel.statements)
    lines = ['"""' + first, *others, ""]
    lines += [
        "operands  " + "; ".join(map(str, kernel.operands)),
        f"result    {kernel.result}",
        f"assembly  {kernel.assembly}",
    ]
    lines += ["loops"] + ["  " + line for line in str(kernel).splitlines()]
    lines += ["", "Written by Scorch. `body` takes the units lo ... hi - 1 of one chunk" + _unit(kernel), '"""', ""]
    lines += ["import math", ""] if "math" in words else []
    lines += ["import numpy as np"]
    lines += ["from numba import prange"] if "prange" in words else []
    lines += ["", f"from {home} import {', '.join(names)}"] if names else []
    lines += ["", "at = np.uint64  # positions are never negative: an unsigned subscript spares a test for wraparound"]
    return lines


def _unit(kernel: Kernel) -> str:
    return "." if kernel.unit == "serial" else f" ({kernel.unit}); `kernel` shares the chunks among threads."


def _slug(kernel: Kernel) -> str:
    """A short readable name: the indices of each tensor, as in an einsum string."""
    text = "_".join(["".join(a) for a in _indices(kernel)])
    return re.sub(r"\W", "", text)[:40] or "scalar"


def _indices(kernel: Kernel) -> list[tuple[str, ...]]:
    return [a.indices for a in kernel.accesses] + [kernel.statement.target.indices]

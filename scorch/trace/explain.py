"""What a compiled function does, beside what is written in it: text and HTML."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from typing import Any, overload

import torch

from scorch import api
from scorch.engine import AnyProgram, Observer
from scorch.errors import ScorchError
from scorch.explain import Explanation, Explanations, ranked
from scorch.formats import Storage
from scorch.indexing import Statement
from scorch.ir.notation import Assign
from scorch.ir.plan import Alternative
from scorch.operand import Stored
from scorch.trace.compile import run_recorded, why_eager
from scorch.trace.graph import Graph
from scorch.trace.node import Node
from scorch.trace.plan import AsIs, Step
from scorch.trace.value import Deferred

__all__ = ["Compiled", "Part", "explain"]


@dataclass(frozen=True)
class Part:
    """One step of the fused program: calls that became statements, with the kernels for them, or one call as it is.

    `orders` are the orders of multiplication that were looked at, with their expected times in microseconds; `refused`
    says why the statements could not be computed, so that the calls run as they are.
    """

    calls: tuple[str, ...]
    statements: tuple[Assign, ...] = ()
    orders: tuple[Alternative, ...] = ()
    kernels: tuple[Explanation, ...] = ()
    refused: str | None = None

    def __str__(self) -> str:
        if not self.statements:
            return "\n".join([*self.calls, "  as it is"])
        if self.refused is not None:
            return "\n".join([*self.calls, f"  one by one, as they are: {self.refused}"])
        lines = [*self.calls, *(f"  {statement}" for statement in self.statements)]
        lines.append(f"  {_counted(self.kernels)}")
        if self.orders:
            lines.append("  orders of multiplication, estimated time")
            lines += [f"    {line}" for line in ranked(self.orders)]
        return "\n".join(lines)


@dataclass(frozen=True)
class Compiled:
    """The operations of a function in the order in which it calls them, and the program that computes them.

    `original` has a line for each operation; `parts` are the steps that run in their place, `plan` and `source` the
    plans and sources of their kernels. `eager` says why a function runs as it is instead, None if it does not. As text,
    and in a notebook as HTML.
    """

    name: str
    original: tuple[str, ...]
    parts: tuple[Part, ...]
    eager: str | None = None

    @property
    def kernels(self) -> tuple[Explanation, ...]:
        """Every kernel, in the order in which they run."""
        return tuple(kernel for part in self.parts for kernel in part.kernels)

    @property
    def notation(self) -> tuple[Assign, ...]:
        """The statements of the fused program."""
        return tuple(statement for part in self.parts for statement in part.statements)

    @property
    def plan(self) -> tuple[Any, ...]:
        """The plan of each kernel."""
        return tuple(kernel.plan for kernel in self.kernels)

    @property
    def source(self) -> str:
        """The sources of all kernels, one after the other."""
        return "\n\n".join(kernel.source for kernel in self.kernels)

    def __str__(self) -> str:
        if self.eager is not None:
            return f"{self.name} runs as it is written: recorded, it raises {self.eager}"
        sections = [
            f"{self.name}, as it is written",
            *(f"  {line}" for line in self.original),
            "",
            "as it runs",
            *(f"  [{n}] {_indented(str(part))}" for n, part in enumerate(self.parts, 1)),
        ]
        text = "\n".join(sections)
        details = str(Explanations(self.kernels)) if self.kernels else ""
        return f"{text}\n\n\n{details}" if details else text

    def _repr_html_(self) -> str:
        if self.eager is not None:
            return f"<p>{escape(str(self))}</p>"

        def code(lines: Sequence[str]) -> str:
            return f"<pre style='font-family:monospace;line-height:1.3'>{escape(chr(10).join(lines))}</pre>"

        cells = (
            f"<td style='text-align:left;vertical-align:top'>{code(self.original)}</td>"
            f"<td style='text-align:left;vertical-align:top'>{code([str(part) for part in self.parts])}</td>"
        )
        head = f"<tr><th>{escape(self.name)}, as it is written</th><th>as it runs</th></tr>"
        table = f"<table>{head}<tr>{cells}</tr></table>"
        return table + (Explanations(self.kernels)._repr_html_() if self.kernels else "")


@overload
def explain(
    what: str | Statement, *operands: Any, out_format: Any = None, **named: Any
) -> Explanation | Explanations: ...


@overload
def explain(what: Callable[..., Any], *operands: Any, **named: Any) -> Compiled: ...


def explain(what: Any, *operands: Any, out_format: Any = None, **named: Any) -> Explanation | Explanations | Compiled:
    """What `einsum`, `compute` or a compiled function would do with these operands, and why.

    `what` is an einsum, a text of statements, a statement, or a function or module with its arguments, compiled or
    not: plans, alternatives with their costs, sources. All of it is computed for it.

    >>> import scorch
    >>> A = scorch.tensor(torch.eye(3), "csr")
    >>> print(explain(lambda A, x: torch.relu(A @ x) * 2, A, torch.ones(3)))
    <lambda>, as it is written
    ...
    """
    if isinstance(what, Statement) or not callable(what):
        return api.explain(what, *operands, out_format=out_format, **named)
    if out_format is not None:
        named["out_format"] = out_format
    function, bound = _written(what)
    notes = Notes()
    run_recorded(function, True, (*bound, *operands), named, notes)
    name = getattr(what, "__name__", type(what).__name__)
    return Compiled(name, tuple(notes.original), notes.parts, why_eager(function))


def _written(what: Callable[..., Any]) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """The function as it is written, and the arguments that it is bound to."""
    if isinstance(what, torch.nn.Module):
        return type(what).forward, (what,)
    if inspect.ismethod(what):
        return inspect.unwrap(what.__func__), (what.__self__,)
    return inspect.unwrap(what), ()


@dataclass
class Notes:
    """Takes down what a recorder does."""

    original: list[str] = field(default_factory=list)
    steps: list[tuple[Part, list[Explanation]]] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    held: list[Any] = field(default_factory=list)  # so that no id is given twice

    @property
    def parts(self) -> tuple[Part, ...]:
        """The steps, with the kernels that they have by now."""
        return tuple(replace(part, kernels=tuple(kernels)) for part, kernels in self.steps)

    def put_off(self, node: Node) -> None:
        """A call is put off."""
        name = self._named(node)
        self.original.append(f"{name} = {node.name}({self._listed(node.operands)})  {_kind(node)}")

    def ran(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        """A call ran as it is."""
        made = self._named(result)
        given = [*map(self._argument, args), *(f"{key}={self._argument(x)}" for key, x in kwargs.items())]
        line = f"{made} = {name}({', '.join(given)})  {_kind(result)}"
        self.original.append(line)
        self.steps.append((Part((line,)), []))

    def step(self, graph: Graph, step: Step) -> Observer:
        """A step is about to run; who observes its statements."""
        members = (step.node,) if isinstance(step, AsIs) else step.members
        nodes = [graph.nodes[n] for n in members]
        calls = tuple(f"{self._named(x)} = {x.name}({self._listed(x.operands)})" for x in nodes)
        part = Part(calls) if isinstance(step, AsIs) else Part(calls, step.statements, step.orders)
        kernels: list[Explanation] = []
        self.steps.append((part, kernels))

        def note(statements: tuple[Assign, ...], program: AnyProgram, storages: Sequence[Storage], _: Any) -> None:
            kernels.append(Explanation.of(program, storages, statements))

        return note

    def refused(self, error: ScorchError) -> None:
        """The statements of the last step were refused."""
        part, _ = self.steps.pop()
        self.steps.append((replace(part, refused=str(error)), []))

    def _named(self, x: Any) -> str:
        """The name of a value: %1, %2, ... as they come."""
        if isinstance(x, Deferred):
            x = x._node
        key = id(x)
        if key not in self.names:
            self.held.append(x)
            self.names[key] = f"%{len(self.names) + 1}"
        return self.names[key]

    def _listed(self, values: Sequence[Any]) -> str:
        return ", ".join(map(self._argument, values))

    def _argument(self, x: Any) -> str:
        if isinstance(x, torch.Tensor | Stored | Node):
            known = id(x._node if isinstance(x, Deferred) else x) in self.names
            return self._named(x) if known else f"{self._named(x)}: {_kind(x)}"
        if isinstance(x, list | tuple):
            return f"[{self._listed(x)}]"
        return repr(x) if isinstance(x, bool | int | float | str | None) else type(x).__name__


def _kind(x: Any) -> str:
    """Number type, shape, and format if it is sparse."""
    if not hasattr(x, "shape") or not hasattr(x, "dtype"):
        return type(x).__name__
    shape = "x".join(map(str, x.shape)) or "scalar"
    text = f"{str(x.dtype).removeprefix('torch.')} {shape}"
    if isinstance(x, Node):
        return f"sparse {text}" if x.sparse else text
    if isinstance(x, Stored):
        return f"{x._storage.pattern.format} {text}"
    layout = getattr(x, "layout", torch.strided)
    return text if layout is torch.strided else f"{str(layout).removeprefix('torch.')} {text}"


def _counted(kernels: Sequence[Explanation]) -> str:
    """How many kernels, and their expected time."""
    total = sum(kernel.plan.cost for kernel in kernels if hasattr(kernel.plan, "cost"))
    return f"{len(kernels)} kernel{'s' * (len(kernels) != 1)}, estimated {total:.4g} us"


def _indented(text: str) -> str:
    return text.replace("\n", "\n      ")

"""Building loop IR: a stack of open blocks, names that stay unique, and parameters that are declared when first
used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from keyword import iskeyword
from typing import Literal as OneOf

from scorch.ir import loops as ir

__all__ = ["Builder", "Param"]


@dataclass(frozen=True, slots=True)
class Param:
    """What the launcher must bind to one parameter of a kernel.

    `kind` "level" is array `part` of level `depth` of `owner`, "number" such a number, "vals" the values of `owner`,
    "extent" the size of index `owner`, "workspace" array `part` of workspace `owner` (one row a thread), "begin" and
    "count" the first position and the number of positions that each chunk appends to each level group of the result,
    "chunks" how many chunks this run has, "rows" the coordinate of `owner` at which each chunk of a merge path begins.
    """

    name: str
    kind: OneOf["level", "number", "vals", "extent", "workspace", "begin", "count", "chunks", "rows"]
    owner: str
    depth: int = 0
    part: str = ""
    dtype: str = "int64"

    @property
    def is_array(self) -> bool:
        return self.kind not in ("extent", "number", "chunks")

    @property
    def var(self) -> ir.Var:
        return ir.Var(self.name, f"{self.dtype}[]" if self.is_array else self.dtype)


class Builder:
    """Collects statements; `block` opens a nested one and gives it back as a tuple when closed."""

    def __init__(self) -> None:
        self._open: list[list[ir.Stmt]] = [[]]
        self._names: dict[str, int] = {}
        self.params: dict[str, Param] = {}

    def emit(self, *stmts: ir.Stmt) -> None:
        """Append statements to the innermost open block."""
        self._open[-1].extend(stmts)

    @contextmanager
    def block(self) -> Iterator[list[ir.Stmt]]:
        """Statements emitted inside go to the list that is given, not to the enclosing block."""
        inner: list[ir.Stmt] = []
        self._open.append(inner)
        names = dict(self._names)
        try:
            yield inner
        finally:
            self._open.pop()
            self._names = names  # a name that was used only inside is free again

    def fresh(self, name: str, dtype: str = "int64") -> ir.Var:
        """A variable of that name, with a number behind it if the name is taken, if only by Python (`is`)."""
        seen = self._names.get(name, int(iskeyword(name)))
        self._names[name] = seen + 1
        return ir.Var(name if seen == 0 else f"{name}_{seen + 1}", dtype)

    def let(self, name: str, value: ir.Expr) -> ir.Var:
        """A fresh variable set to the value; a value that is a variable already is given back as it is."""
        if isinstance(value, ir.Var):
            return value
        var = self.fresh(name, value.dtype)
        self.emit(ir.Let(var, value))
        return var

    def param(self, param: Param) -> ir.Var:
        """The variable of a parameter, declared at first use."""
        self.params.setdefault(param.name, param)
        return param.var

    def finish(self) -> ir.Block:
        """The statements of the outermost block."""
        return tuple(self._open[0])

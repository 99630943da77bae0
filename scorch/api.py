"""The front doors: einsum, compute, kernel, explain. They wrap operands, enrich errors, and hand over to the engine."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, TypeAlias

import torch
from torch.compiler import is_compiling

from scorch import autograd, engine, recall
from scorch.contraction import contract, prepared
from scorch.errors import NotationError, ScorchError, UnsupportedError
from scorch.explain import Explanation, Explanations
from scorch.formats import Format, Storage, resolve
from scorch.formats.storage import Values
from scorch.functions import registry
from scorch.indexing import Statement, collect
from scorch.ir.check import check_statements, operands_of
from scorch.ir.normalise import normalise
from scorch.ir.notation import Assign
from scorch.ir.parse import parse_statements
from scorch.ir.statement import Raw
from scorch.operand import as_storage, bind
from scorch.shortcut import Shortcut
from scorch.tensor import Tensor
from scorch.views import with_views

__all__ = ["compute", "einsum", "explain", "kernel"]

Result: TypeAlias = "torch.Tensor | Tensor"


def einsum(
    notation: str, *operands: Any, out_format: Format | str | None = None, out: torch.Tensor | None = None
) -> Result:
    """Evaluate an einsum over sparse and dense operands.

    `notation` is numpy's: "ik,kj->ij", repeated indices, "...", implicit result. Operands are scorch, torch (dense or
    sparse), scipy.sparse or numpy tensors of any rank; their memory is read in place and never changed. The result has
    the promoted number type; it is a torch.Tensor where the expression makes it structurally dense, else a
    scorch.Tensor, unless `out_format` asks for a format. A dense result is put into `out`, if one is given: by the
    kernel itself where `out` is contiguous, has the result's number type, and shares no memory with an operand.

    Raises NotationError, ShapeError, FormatError or DtypeError, each with the operands and the way out.

    >>> import torch
    >>> A = torch.tensor([[0.0, 2.0], [1.0, 0.0]]).to_sparse_csr()
    >>> einsum("ik,kj->ij", A, torch.eye(2))
    tensor([[0., 2.],
            [1., 0.]])
    """
    if is_compiling():
        return _traced(notation, operands, out_format)
    take = registry.taker()
    if take is not None:
        taken: Result = take("einsum", einsum, (notation, *operands), {"out_format": out_format, "out": out})
        return taken
    try:
        result = contract(notation, operands, out_format, out)
    except ScorchError as error:
        raise error.explain_with(_context(notation, operands)) from None
    return result if isinstance(result, torch.Tensor) else Tensor(result)


def _traced(notation: str, operands: tuple[Any, ...], out_format: Format | str | None) -> Result:
    """An einsum as a node of the graph that torch.compile traces."""
    from scorch.ops import traced_einsum

    values, source = traced_einsum(notation, operands, out_format)
    return values if source < 0 else Tensor(Storage(operands[source]._storage.pattern, values))


def _traced_statements(
    statements: tuple[str | Statement, ...],
    operands: dict[str, Any],
    out_format: Format | str | None,
    extents: Mapping[str, int] | None,
) -> Result:
    """Statements as a node of the graph that torch.compile traces."""
    from scorch.traced import traced_compute

    if extents is not None or not all(isinstance(s, str) for s in statements):
        raise UnsupportedError(
            "torch.compile traces statements that are text, without extents=: compute('y[i] = A[i,k] * x[k]', A=A, x=x)"
        )
    values, source = traced_compute("; ".join(map(str, statements)), operands, out_format)
    if source < 0:
        return values
    like = list(operands.values())[source]._storage
    return Tensor(Storage(like.pattern, values, like.fill))


def compute(
    *statements: str | Statement,
    out_format: Format | str | None = None,
    extents: Mapping[str, int] | None = None,
    **operands: Any,
) -> Result:
    """Evaluate index notation: one statement or several, the last one's result.

    Either a text over named operands, or statements made of Python objects (`scorch.indices`), which know theirs.
    `+ - * / // % **`, comparisons, `& | ~`, `where(c, a, b)`, `max(a, b)`, unary functions, constants; `=` sums over
    the indices that the target lacks, `+= *= max= min= |= &=` reduce the whole right-hand side. Targets of earlier
    statements are temporaries. Operands may be anything that `einsum` takes, and numbers. Absent entries have their
    tensor's fill; one that is the annihilator of its operator decides the result (0 times infinity is 0 there).
    `where(stored(M[i,j]), e, absent)` has M's entries only. Indices may be computed, `x[2*i + r - 1]`, or held by an
    integer tensor, `x[idx[i]]`: what is read outside of a tensor is absent. An index that stands nowhere else takes the
    values with which all reads are inside, or as many as `extents` gives it.

    Raises NotationError with the column, ShapeError, FormatError, DtypeError, and UnsupportedError for a result that
    would have to be dense and was not asked for as that.

    >>> import torch
    >>> A = torch.tensor([[0.0, 2.0], [1.0, 0.0]]).to_sparse_csr()
    >>> compute("C[i] max= A[i,k]; D[i] = C[i] * 10 + x", A=A, x=0.5)
    tensor([20.5000, 10.5000])
    """
    if is_compiling():
        return _traced_statements(statements, operands, out_format, extents)
    take = registry.taker()
    if take is not None:
        options = {"out_format": out_format, "extents": extents}
        taken: Result = take("compute", compute, statements, {**options, **operands})
        return taken
    return evaluated(statements, operands, out_format, extents)


def evaluated(
    statements: tuple[str | Statement, ...],
    operands: dict[str, Any],
    out_format: Format | str | None = None,
    extents: Mapping[str, int] | None = None,
) -> Result:
    """What `compute` returns, whoever records or traces.

    >>> import torch
    >>> evaluated(("y[i] = 2 * x[i]",), {"x": torch.ones(2)})
    tensor([2., 2.])
    """
    if len(statements) == 1 and isinstance(statements[0], str) and extents is None:
        result = _repeated(statements[0], out_format, operands)
        if result is not None:
            return result if isinstance(result, torch.Tensor) else Tensor(result)
    written, named = _read(statements, operands)
    try:
        result = _computed(written, named, out_format, extents=extents)
    except ScorchError as error:
        raise error.explain_with(_named_context(written, named)) from None
    return result if isinstance(result, torch.Tensor) else Tensor(result)


def _repeated(text: str, out_format: Format | str | None, operands: dict[str, Any]) -> Storage | torch.Tensor | None:
    """The result of a text on operands like those of an earlier call, without the way to its kernels; None if it can't
    be had so."""
    for x in operands.values():
        if type(x) is float:
            return None  # its number type depends on the other operands
    try:
        bound = bind(operands.values())
    except ScorchError:
        return None  # told where the statements are known
    if bound is None:
        return None
    keys, vals = bound
    key = (text, out_format, tuple(operands), keys, engine.settings())
    found = engine.find(key)
    if found is None:
        return _remembered(key, text, out_format, operands)
    result: Storage | torch.Tensor = found(vals)
    return result


def kept(text: str, out_format: Format | str | None, operands: dict[str, Any]) -> tuple[Any, Sequence[int]] | None:
    """The one kernel by which `compute` was computed before on operands like these, and which operand each of its own
    is; None if there is none.

    >>> import torch
    >>> A = Tensor(as_storage(torch.eye(2).to_sparse_csr()))
    >>> compute("y[i] = A[i,k] * x[k]", A=A, x=torch.ones(2))
    tensor([1., 1.])
    >>> kept("y[i] = A[i,k] * x[k]", None, {"A": A, "x": torch.ones(2)})[1]
    (0, 1)
    """
    replay = replayable(text, out_format, operands)
    return None if replay is None else replay.single


def replayable(text: str, out_format: Format | str | None, operands: dict[str, Any]) -> engine.Replay | None:
    """The kernels by which `compute` was computed before on operands like these, which take them in their order; None
    if a second call needs more than those."""
    bound = bind(operands.values())
    if bound is None:
        return None
    found: engine.Replay | None = engine.find((text, out_format, tuple(operands), bound[0], engine.settings()))
    return found


def _remembered(
    key: object, text: str, out_format: Format | str | None, operands: dict[str, Any]
) -> Storage | torch.Tensor | None:
    """The result, computed in full; its kernels are kept under the key, if they serve operands like these again."""
    written, named = _read((text,), operands)
    if any(raw.views for raw in written):
        return None  # whose operands are made anew at each call
    storages = {name: as_storage(x) for name, x in named.items()}
    recorder = engine.Recorder(tuple(storages))
    try:
        result = _computed(written, storages, out_format, recorder.observe)
    except ScorchError as error:
        raise error.explain_with(_named_context(written, named)) from None
    replay = recorder.made(_normalised(written))
    if replay is not None:
        engine.remember(key, replay, list(storages.values()))
    return result


def _unread(name: str, read: tuple[str, ...], assigned: set[str]) -> str:
    """What to say of an operand that no statement reads."""
    if name in assigned:
        return f"{name} is given and assigned to: operands don't change, so give the result another name"
    meant = difflib.get_close_matches(name, ("out_format", "extents"), n=1, cutoff=0.6)
    return f"{name} is given, but no statement reads it; they read {', '.join(read) or 'nothing'}" + (
        f" (is it the option {meant[0]}= that you mean?)" if meant else ""
    )


def _read(statements: tuple[str | Statement, ...], operands: dict[str, Any]) -> tuple[tuple[Raw, ...], dict[str, Any]]:
    """What is written, and the tensors behind its names; NotationError if they don't belong together."""
    if not statements:
        raise NotationError("compute needs a statement such as 'C[i,j] = A[i,k] * B[k,j]'")
    if all(isinstance(s, Statement) for s in statements):
        collected = collect(*(s for s in statements if isinstance(s, Statement)))
        if operands:
            raise NotationError(f"statements of Python objects know their operands; drop {', '.join(operands)}=")
        return collected.statements, collected.operands
    if not all(isinstance(s, str) for s in statements):
        raise NotationError("compute takes text, or statements such as C[i, j] << A[i, k] * B[k, j], and not both")
    written = _parsed("; ".join(map(str, statements)))
    read = operands_of(written)
    if missing := [name for name in read if name not in operands]:
        raise NotationError(f"{missing[0]} is read, but not given: pass {missing[0]}=...")
    if unused := [name for name in operands if name not in read]:
        raise NotationError(_unread(unused[0], read, {statement.target.tensor for statement in written}))
    return written, operands


@lru_cache(maxsize=4096)
def _parsed(text: str) -> tuple[Raw, ...]:
    return parse_statements(text)


@lru_cache(maxsize=4096)
def _normalised(statements: tuple[Raw, ...]) -> tuple[Assign, ...]:
    return normalise(statements)


def _computed(
    written: tuple[Raw, ...],
    named: dict[str, Any],
    out_format: Format | str | None,
    observe: engine.Observer | None = None,
    extents: Mapping[str, int] | None = None,
) -> Storage | torch.Tensor:
    check_statements(written)
    storages = _storages(named)
    if extents or any(raw.views for raw in written):
        written, storages = with_views(written, storages, _by_name(extents), partial(_temporary, observe))
    statements = _normalised(written)
    wanted = None if out_format is None else resolve(out_format, len(statements[-1].target.indices))
    return autograd.compute(statements, storages, wanted, observe=observe)


def _by_name(extents: Mapping[Any, int] | None) -> dict[str, int]:
    """Extents that may be given by Index objects."""
    return {str(index): extent for index, extent in (extents or {}).items()}


def _temporary(observe: engine.Observer | None, written: tuple[Raw, ...], storages: Mapping[str, Storage]) -> Storage:
    """The result of the last statement, for others to view."""
    made = autograd.compute(_normalised(written), storages, observe=observe)
    return made if isinstance(made, Storage) else Storage.from_dense(made)


def _storages(named: dict[str, Any]) -> dict[str, Storage]:
    """The operands by name; Python's numbers in a type that changes no tensor's."""
    found = {name: as_storage(x) for name, x in named.items() if not isinstance(x, float)}
    double = any(storage.dtype in ("float64", "complex128") for storage in found.values())
    for name, x in named.items():
        if isinstance(x, float):
            found[name] = as_storage(torch.tensor(x, dtype=torch.float64 if double else None))
    return found


def _named_context(written: tuple[Raw, ...], named: dict[str, Any]) -> str:
    """The statements and a line for each operand."""
    lines = [f"  in compute: {statement}" for statement in written]
    return "\n".join([*lines, *(f"  operand {name}: {_described(x)}" for name, x in named.items())])


def _context(notation: str, operands: tuple[Any, ...]) -> str:
    """The expression and a line for each operand."""
    lines = [f"  in einsum({notation!r})"]
    return "\n".join([*lines, *(f"  operand {number}: {_described(x)}" for number, x in enumerate(operands))])


def _described(x: Any) -> str:
    """Where an operand comes from, its format, shape and number type."""
    shape = tuple(getattr(x, "shape", ())) if hasattr(x, "shape") else "?"
    kind = getattr(x, "format", None) or getattr(x, "layout", None)
    kind = type(x).__name__ if kind is None or callable(kind) else kind
    dtype = str(getattr(x, "dtype", "?")).removeprefix("torch.")
    home = type(x).__module__.split(".")[0]
    return f"{home} {str(kind).removeprefix('torch.')}, shape {shape}, {dtype}"


def kernel(
    notation: str,
    *operands: Any,
    out_format: Format | str | None = None,
    extents: Mapping[str, int] | None = None,
    **named: Any,
) -> Callable[..., Result]:
    """Plan and compile once for operands like these; the function that is returned is the cheapest call there is.

    `notation` is an einsum over `operands`, or a text of statements as `compute` takes, over `named` ones. Operands of
    another structure, shape or number type are legal too, and take the way of `einsum` or `compute`.

    >>> import scorch, torch
    >>> A = scorch.tensor(torch.eye(3).to_sparse_csr())
    >>> f = scorch.kernel("ik,k->i", A, torch.ones(3))
    >>> f(A, torch.tensor([1.0, 2.0, 3.0]))
    tensor([1., 2., 3.])
    >>> g = scorch.kernel("y[i] = A[i,k] * x[k] + 1", A=A, x=torch.ones(3))
    >>> g(A=A, x=torch.tensor([1.0, 2.0, 3.0]))
    tensor([2., 3., 4.])
    """
    if _is_statement(notation):
        _without_positions(operands)
        compute(notation, out_format=out_format, extents=extents, **named)
        return StatementKernel(notation, out_format, extents)
    try:
        _without_names(named)
        program = prepared(notation, operands, out_format)
        with torch.no_grad():
            bound = bind(operands)
        keys = bound[0] if bound else None
        guard = recall.Guard.of(operands, keys) if keys else None
        return BoundKernel(notation, program, out_format, keys, guard)
    except ScorchError as error:
        raise error.explain_with(_context(notation, operands)) from None


def _is_statement(notation: object) -> bool:
    """Whether a text is index notation with an assignment, and no einsum."""
    return isinstance(notation, str) and "=" in notation


def _without_positions(operands: tuple[Any, ...]) -> None:
    if operands:
        raise NotationError("statements take their operands by name, as in explain('y[i] = A[i,k] * x[k]', A=A, x=x)")


def _without_names(named: dict[str, Any]) -> None:
    if named:
        raise NotationError(f"an einsum takes its operands in order, not by name: {', '.join(named)}=")


class BoundKernel:
    """What `scorch.kernel` returns for an einsum: a program with the keys of the operands that it takes."""

    def __init__(
        self,
        notation: str,
        program: engine.AnyProgram | engine.Filled,
        out_format: Format | str | None,
        keys: tuple[object, ...] | None,
        guard: recall.Guard | None,
    ) -> None:
        self.notation = notation
        self.program = program
        self._keys = keys
        self._guard = guard
        self._out_format = out_format
        self._shortcut: Shortcut | None = None
        self._is_written = guard is None

    def __call__(self, *operands: Any) -> Result:
        if is_compiling():
            return einsum(self.notation, *operands, out_format=self._out_format)
        try:
            short = None if self._shortcut is None else self._shortcut(operands)
            if short is not None:
                return short if isinstance(short, torch.Tensor) else Tensor(short)
            vals = None if self._guard is None else self._guard.values(operands)
            if vals is None:
                vals = self._values(operands)
        except ScorchError as error:
            raise error.explain_with(_context(self.notation, operands)) from None
        if vals is None:
            return einsum(self.notation, *operands, out_format=self._out_format)
        result = self.program(vals)
        if not self._is_written and self._guard is not None:
            self._is_written = True
            self._shortcut = recall.shortcut(self._guard, operands, self.program)
        return result if isinstance(result, torch.Tensor) else Tensor(result)

    def _values(self, operands: tuple[Any, ...]) -> list[Values] | None:
        """The values of operands like those that the program was made for; None of others."""
        bound = bind(operands)
        return bound[1] if bound is not None and bound[0] == self._keys else None

    def __repr__(self) -> str:
        plan = "" if isinstance(self.program, engine.Filled) else f"\n{self.program.plan}"
        return f"kernel({self.notation!r}){plan}"


class StatementKernel:
    """What `scorch.kernel` returns for statements; its programs are compiled already."""

    def __init__(
        self, notation: str, out_format: Format | str | None, extents: Mapping[str, int] | None = None
    ) -> None:
        self.notation = notation
        self._out_format = out_format
        self._extents = extents

    def __call__(self, **operands: Any) -> Result:
        return compute(self.notation, out_format=self._out_format, extents=self._extents, **operands)

    def __repr__(self) -> str:
        return f"kernel({self.notation!r})"


def explain(
    notation: str | Statement,
    *operands: Any,
    out_format: Format | str | None = None,
    extents: Mapping[str, int] | None = None,
    **named: Any,
) -> Explanation | Explanations:
    """What `einsum` or `compute` would do with these operands, and why: plans, alternatives with their costs, sources.

    Statements are computed for it, since each is planned when the temporaries that it reads are there; an einsum is
    only planned. Of a sparse result the expected number of stored values is told, and that of the last run, if any.

    >>> import torch
    >>> e = explain("ik,k->i", torch.eye(3).to_sparse_csr(), torch.ones(3))
    >>> print(e.notation)
    C[i] += A[i,k] * B[k]
    """
    if isinstance(notation, Statement) or _is_statement(notation):
        return _explained((notation, *operands), out_format, extents, named)
    try:
        _without_names(named)
        program = prepared(notation, operands, out_format)
        storages = [as_storage(x) for x in operands]
        if isinstance(program, engine.Filled):
            return _observed(lambda note: program([storage.vals for storage in storages], note))
        return Explanation.of(program, storages)
    except ScorchError as error:
        raise error.explain_with(_context(notation, operands)) from None


def _explained(
    statements: tuple[str | Statement, ...],
    out_format: Format | str | None,
    extents: Mapping[str, int] | None,
    operands: dict[str, Any],
) -> Explanation | Explanations:
    """One explanation for each kernel that statements come to."""
    if isinstance(statements[0], str):
        _without_positions(statements[1:])
    written, named = _read(statements, operands)
    try:
        return _observed(lambda note: _computed(written, named, out_format, note, extents))
    except ScorchError as error:
        raise error.explain_with(_named_context(written, named)) from None


def _observed(run: Callable[[engine.Observer], object]) -> Explanation | Explanations:
    """What a run of several statements does."""
    seen: list[tuple[engine.AnyProgram, Sequence[Storage], tuple[Assign, ...]]] = []
    run(lambda statements, program, storages, _: seen.append((program, storages, statements)))
    parts = [Explanation.of(*each) for each in seen]  # when all is done: they tell what the results came to
    return parts[0] if len(parts) == 1 else Explanations(tuple(parts))

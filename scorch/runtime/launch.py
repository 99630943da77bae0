"""Running the phases of a compiled kernel: what each parameter binds to, chunks, allocation between phases."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import torch

from scorch.emit.builder import Param
from scorch.emit.jit import Compiled
from scorch.emit.module import Phase
from scorch.formats import Pattern, Storage, dtypes
from scorch.formats.memory import check_memory
from scorch.formats.storage import Values, as_array, checked_size, hold
from scorch.ir.operators import identity
from scorch.ir.plan import Loop, Plan, walk
from scorch.runtime import threads
from scorch.runtime.chunks import chunk_bounds, merge_rows, unit_count
from scorch.runtime.direct import WHOLE, Direct, Workspaces
from scorch.runtime.levels import Levels
from scorch.runtime.memory import LARGE, array, cut, empty
from scorch.runtime.scratch import Scratch, workspaces

__all__ = ["Launcher"]

Array: TypeAlias = "np.ndarray[Any, Any]"
POSITION = 8  # bytes of the end of a position range
ADDRESSES = 1 << 28  # entries for which a result that isn't counted first has addresses, if there can be so many
MOST_NARROW = 2**31 - 1  # entries that counters of 32 bits can count


@dataclass(frozen=True)
class _Binding:
    """Arguments of a phase: those that are the same at every call, operands' values by place, and what a call makes."""

    fixed: list[Any]
    operands: list[tuple[int, int]]
    made: list[tuple[int, Param]]


@dataclass(frozen=True)
class _Places:
    """A phase's parameters by where their values come from, with the place of each."""

    bound: list[tuple[int, Param]]  # extents and arrays of operands: the same at every call
    operands: list[tuple[int, int]]
    made: list[tuple[int, Param]]


class Launcher:
    """A plan bound to the patterns of its operands: called with their values, it gives the result.

    `patterns` are those that the kernel reads, after conversion; their arrays are held, they themselves are not. One
    launcher may be called by several threads at once. `held` are the values of operands that are the same at each call,
    whatever is given in their place. Without patterns it is not bound yet: `bound` makes launchers of it.
    """

    def __init__(
        self,
        plan: Plan,
        compiled: Compiled,
        patterns: Mapping[str, Pattern] | None = None,
        held: Mapping[str, Array] | None = None,
    ) -> None:
        self.plan = plan
        self.kernel = plan.kernel
        self.compiled = compiled
        self._held = held or {}
        self.result = self.kernel.result
        self.order = {spec.name: n for n, spec in enumerate(self.kernel.operands)}
        self.partition = plan.partition
        self._torch_dtype = dtypes.to_torch(self.result.dtype)
        order = self.result.format.order
        self._dims = None if order == tuple(range(len(order))) else tuple(np.argsort(order).tolist())
        self._parallelizes = self.partition.unit != "serial" and compiled.kernels[0] is not None
        self._places = [self._sorted(phase) for phase in compiled.phases]
        self._wheres = workspaces(self.kernel)
        self._levels = Levels(self.kernel)
        loops = (s for s in walk(self.kernel.root) if isinstance(s, Loop) and s.index == self.partition.index)
        self._divided_loops = list(loops) if self.partition.index is not None else []
        if patterns is not None:
            self._bind(patterns, dict(plan.extents))

    def bound(self, patterns: Mapping[str, Pattern], extents: Mapping[str, int]) -> Launcher:
        """The kernel for operands of these patterns, in the formats and number types that it was compiled for."""
        made = object.__new__(Launcher)
        made.__dict__.update(self.__dict__)
        made._bind(patterns, dict(extents))
        return made

    def _bind(self, patterns: Mapping[str, Pattern], extents: dict[str, int]) -> None:
        """Whatever depends on the operands' structure."""
        self._patterns = {name: hold(pattern) for name, pattern in patterns.items()}
        self.extents = extents
        self.shape = tuple([extents[v] for v in self.kernel.statement.target.indices])
        weight = self.partition.weight
        self._weights = self._patterns[weight.tensor] if weight else None
        selected = self.partition.selected
        self._selected = self._patterns[selected.tensor] if selected else None
        self.units = self._units()
        self._bounds: Array | None = None
        self._most_entries: dict[int, tuple[int, int]] = {}
        self.scratch = Scratch(self._wheres, patterns, self.extents)
        self._bindings = [self._binding(places) for places in self._places]
        self._stored = [self.shape[d] for d in self.result.format.order]
        if self.result.format.is_dense:
            checked_size(self._stored)
        self._check_leading()
        self.direct = self._directly()

    def _directly(self) -> Direct | None:
        """The shortest way, if it leads to this result."""
        assembly, binding = self.kernel.assembly, self._bindings[0]
        if (
            assembly.kind not in ("locate", "share")
            or not assembly.owned
            or self.kernel.private
            or self.partition.unit == "merge-path"
            or [param.kind for _, param in binding.made if param.kind != "workspace"] != ["vals"]
            or not self.compiled.addressable
        ):
            return None
        rows = [(place, (p.owner, p.part)) for place, p in binding.made if p.kind == "workspace"]
        is_dense = [spec.format.is_dense for spec in self.kernel.operands]
        return Direct(
            self.compiled,
            self.units,
            self._chunk_bounds if self._parallelizes else None,
            binding.fixed,
            [pair for pair in binding.operands if not is_dense[pair[1]]],
            [pair for pair in binding.operands if is_dense[pair[1]]],
            next(place for place, param in binding.made if param.kind == "vals"),
            self._stored if assembly.kind == "locate" else [self.shared().nnz],
            self.result.dtype,
            Workspaces(self.scratch, rows) if rows else None,
        )

    def _check_leading(self) -> None:
        """Refuse leading dense levels (all of a dense result) that alone need more memory than there is."""
        places, format = 1, self.result.format
        for level, extent in zip(format.levels, self._stored, strict=True):
            if not level.full:
                break
            places *= extent
        width = dtypes.itemsize(self.result.dtype) if format.is_dense else POSITION
        check_memory(places * width, f"a {format} result of shape {self.shape}")

    @property
    def is_natural(self) -> bool:
        """Whether the result is dense and stored in the order of its dimensions."""
        return self._dims is None and self.kernel.assembly.kind == "locate"

    @property
    def weights(self) -> Pattern | None:
        """The pattern whose nonzeros are divided among the chunks."""
        return self._weights() if self._weights else None

    def _units(self) -> int:
        index = self.partition.index
        if index is None:
            return 0
        tile = self._divided_loops[0].tile if self._divided_loops else None
        width = tile.vectors * tile.lanes if tile else 1
        return unit_count(self.partition.unit, self.extents[index], self.weights, width)

    def _together(self) -> int:
        """How many units a loop takes at a time."""
        if self.partition.unit != "coordinates":
            return 1
        return max((loop.unroll for loop in self._divided_loops), default=1)

    def _sorted(self, phase: Phase) -> _Places:
        places = _Places([], [], [])
        for place, param in enumerate(phase.params):
            mine = param.owner == self.result.name
            held = param.kind == "vals" and param.owner in self._held
            if param.kind in ("extent", "number") or (param.kind == "level" and not mine) or held:
                places.bound.append((place, param))
            elif param.kind == "vals" and not mine:
                places.operands.append((place, self.order[param.owner]))
            else:
                places.made.append((place, param))
        return places

    def _binding(self, places: _Places) -> _Binding:
        fixed: list[Any] = [None] * (len(places.bound) + len(places.operands) + len(places.made))
        for place, param in places.bound:
            if param.kind == "level":
                fixed[place] = self._patterns[param.owner]().packed.arrays[param.depth][param.part]
            elif param.kind == "extent":
                fixed[place] = self.extents[param.owner]
            elif param.kind == "number":
                fixed[place] = self._patterns[param.owner]().numbers[param.depth][param.part]
            else:
                fixed[place] = self._held[param.owner]
        return _Binding(fixed, places.operands, places.made)

    def __call__(self, values: Sequence[Values]) -> Storage | torch.Tensor:
        """Run with the operands' flat values, in the kernel's operand order: a torch tensor if the result is dense."""
        kind = self.kernel.assembly.kind
        if self.direct is not None:
            made = self.direct(values)
            if kind == "share":
                return Storage(self.shared(), made, self.result.fill)
            return made if self._dims is None else made.permute(self._dims)
        vals = [as_array(part) for part in values]
        if kind == "locate":
            return self._dense(vals)
        if kind == "share":
            pattern = self.shared()
            made = self._allocated([pattern.nnz])
            self._run(0, vals, {"vals": dtypes.array_of(made)}, self._chunks())
            return Storage(pattern, made, self.result.fill)
        if kind == "relevel":
            return self._relevelled(vals)
        return self._bucketed(vals) if kind == "bucket" else self._appended(vals)

    def shared(self) -> Pattern:
        """The pattern that the result takes from an operand."""
        source, depth = self.kernel.assembly.source, self.kernel.assembly.depth
        assert source is not None
        pattern = self._patterns[source.tensor]()
        if depth is not None:
            return pattern.above(depth, self.result.format, self.shape)
        return pattern.permuted(tuple(source.indices.index(v) for v in self.kernel.statement.target.indices))

    # -- results -----------------------------------------------------------------------------------------------

    def _dense(self, vals: list[Array]) -> torch.Tensor:
        chunks = self._chunks()
        if self.kernel.private:
            copies = torch.zeros([chunks, *self._stored], dtype=self._torch_dtype)
            self._run(0, vals, {"vals": copies.numpy().reshape(-1)}, chunks)
            out = copies.sum(0, dtype=self._torch_dtype) if chunks > 1 else copies[0]
        elif self.partition.unit == "merge-path":
            out = self._divided(vals, chunks)
        else:
            out = self._allocated(self._stored)
            self._run(0, vals, {"vals": dtypes.array_of(out).reshape(-1)}, chunks)
        return out if self._dims is None else out.permute(self._dims)

    def _divided(self, vals: list[Array], chunks: int) -> torch.Tensor:
        """A place for each chunk's unfinished row behind the rows of the result; those are added at the end."""
        rows, *rest = self._stored
        room = empty([rows + chunks, *rest], self._torch_dtype)
        room[rows:] = 0
        bounds = self._chunk_bounds() if chunks > 1 else np.array([0, self.units])
        assert self.weights is not None
        starts = merge_rows(bounds, self.weights)
        starts[0], starts[-1] = 0, rows
        self._run(0, vals, {"vals": room.numpy().reshape(-1), "rows": starts}, chunks)
        if chunks > 1:
            unfinished = torch.from_numpy(starts[1:-1])
            room.index_add_(0, unfinished, room[rows : rows + chunks - 1].clone())
        return room[:rows]

    def _chunk_bounds(self) -> Array:
        if self._bounds is None:
            self._bounds = chunk_bounds(
                self.partition.unit,
                self.units,
                self.partition.chunks,
                self.weights,
                self._together(),
                self._selected() if self._selected else None,
            )
        return self._bounds

    def _allocated(self, shape: list[int]) -> torch.Tensor:
        """Memory for values, at the identity of the reduction unless the kernel writes every place."""
        if self.kernel.assembly.owned:
            return empty(shape, self._torch_dtype)
        if self._start == 0 and math.prod(shape) * self._torch_dtype.itemsize < LARGE:
            return torch.zeros(shape, dtype=self._torch_dtype)
        return empty(shape, self._torch_dtype).fill_(self._start)

    @cached_property
    def _start(self) -> Any:
        """The value of a place before anything is reduced into it."""
        statement = self.kernel.statement
        return identity(statement.reduce, self.kernel.dtype) if statement.reduced else self.result.fill

    def _appended(self, vals: list[Array]) -> Storage:
        """Count, find out where each chunk's positions begin, allocate, fill; or fill room for all there can be."""
        arrays, values = self._bounded(vals) if self.kernel.assembly.bounded else self._counted(vals)
        self._levels.finish(arrays)
        return Storage(Pattern(self.shape, self.result.format, arrays, validate=False), values, self.result.fill)

    def _counted(self, vals: list[Array]) -> tuple[list[dict[str, Array]], torch.Tensor]:
        """Entries and values in arrays of the right size."""
        format = self.result.format
        groups = sum(not (level.full or level.branchless) for level in format.levels)
        chunks = self._chunks()
        counts, begin = np.zeros((2, chunks, groups), dtype=np.int64)
        self._run(0, vals, {"begin": begin.reshape(-1), "count": counts.reshape(-1)}, chunks)
        if chunks > 1:
            np.cumsum(counts[:-1], axis=0, out=begin[1:])
        begin[0] = 0
        arrays, positions = self._levels.allocate(self.shape, counts.sum(axis=0) if chunks > 1 else counts[0])
        values = self._levels.room(self.shape, positions, self._torch_dtype)
        if format.levels[-1].full and not self.kernel.assembly.owned:
            values.fill_(self._start)
        made = {"vals": dtypes.array_of(values), "begin": begin.reshape(-1), "arrays": arrays}
        self._run(1, vals, made, chunks)
        return arrays, values

    def _bounded(self, vals: list[Array]) -> tuple[list[dict[str, Array]], torch.Tensor]:
        """Entries and values of a result of one appended level, its last, from room for all that there can be."""
        chunks = self._chunks()
        largest, whole = self._most(vals, chunks)
        arrays, _ = self._levels.allocate(self.shape, [0])
        level, kinds = arrays[-1], self._entry
        begin, count = np.zeros((2, chunks), dtype=np.int64)
        made = {"begin": begin, "count": count, "arrays": arrays}
        if chunks == 1:  # what it writes has its place in the result already
            self._check_entries(whole)
            kept = [array(whole, kind) for kind in kinds]
            level["crd"], made["vals"] = kept
            self._run(1, vals, made, chunks)
            total = int(count[0])
        else:
            workers = threads.workers()
            level["crd"], made["vals"] = (array(workers * largest, kind) for kind in kinds)
            total, places = min(whole, ADDRESSES), -1
            while total > places:  # once more where there are more than addresses were asked for
                places = total
                kept = [array(places, kind) for kind in kinds]  # memory that nothing is written to is not taken
                ends = np.full(chunks + 1, -1)
                ends[0] = 0
                self._run(1, vals, made, chunks, workers, (ends, *kept))
                total = int(ends[-1])
                self._check_entries(total)
        level["crd"], values = (cut(each, total) for each in kept)
        return arrays, dtypes.tensor_of(values, self.result.dtype)

    def _most(self, vals: list[Array], chunks: int) -> tuple[int, int]:
        """How many entries one of the chunks can have at most, and all together."""
        known = self._most_entries.get(chunks)
        if known is not None:
            return known
        begin, most = np.zeros((2, chunks), dtype=np.int64)
        self._run(0, vals, {"begin": begin, "count": most}, chunks)
        found = int(most.max(initial=0)), int(most.sum())
        if not self._places[0].operands:  # the operands' structure alone decides
            self._most_entries[chunks] = found
        return found

    @property
    def _entry(self) -> tuple[np.dtype[Any], np.dtype[Any]]:
        """The number types of a coordinate and a value of the innermost level."""
        return self._levels.index_types[-1], dtypes.to_numpy(self.result.dtype)

    def _check_entries(self, count: int) -> None:
        size = count * sum(kind.itemsize for kind in self._entry)
        if size >= LARGE:
            check_memory(size, f"{count} entries of a {self.result.format} result of shape {self.shape}")

    def _relevelled(self, vals: list[Array]) -> Storage:
        """The operand's values under levels of which it does not have all."""
        source = self.kernel.assembly.source
        assert source is not None
        values = dtypes.tensor_of(vals[self.order[source.tensor]], self.result.dtype)
        return Storage(self.relevelled(), values, self.result.fill)

    def relevelled(self) -> Pattern:
        """Write the levels that the operand does not have; its innermost coordinates are the result's if they are not
        written."""
        source, format = self.kernel.assembly.source, self.result.format
        assert source is not None
        pattern = self._patterns[source.tensor]()
        shared = self.kernel.assembly.depth != len(format.levels)
        arrays, _ = self._levels.allocate(self.shape, [pattern.nnz], shared)
        self._run(0, [], {"arrays": arrays}, self._chunks())
        if shared:
            arrays[-1]["crd"] = pattern.packed.arrays[-1]["crd"]
        self._levels.finish(arrays)
        return Pattern(self.shape, format, arrays, validate=False)

    def _bucketed(self, vals: list[Array]) -> Storage:
        """Count the entries of each outermost coordinate by chunks, fill."""
        format = self.result.format
        chunks = self._chunks()
        (operand,) = self.kernel.operands
        nnz = self._patterns[operand.name]().nnz
        # Counters are visited at random: the narrower they are, the more of them stay in the first cache.
        kind = np.int32 if nnz <= MOST_NARROW else np.int64
        counts = np.zeros(chunks * self.shape[format.order[0]], dtype=kind)
        self._run(0, vals, {"count": counts}, chunks)
        arrays, positions = self._levels.allocate(self.shape, [nnz])
        values = empty((positions,), self._torch_dtype)
        begin = counts if chunks == 1 else np.empty_like(counts)  # others still read what each counted
        made = {"vals": dtypes.array_of(values), "count": counts, "begin": begin, "chunks": chunks}
        self._run(1, vals, made | {"arrays": arrays}, chunks)
        if not format.levels[0].full:
            arrays[0]["pos"][1] = positions
        return Storage(Pattern(self.shape, format, arrays, validate=False), values, self.result.fill)

    # -- running -----------------------------------------------------------------------------------------------

    def _parallel(self) -> bool:
        return self._parallelizes and threads.available() > 1

    def _chunks(self) -> int:
        """How many chunks this run has; the phases of one run share them."""
        return self.partition.chunks if self._parallel() else 1

    def _run(
        self,
        number: int,
        vals: list[Array],
        made: dict[str, Any],
        chunks: int,
        workers: int | None = None,
        kept: Sequence[Array] = (),
    ) -> None:
        """Run one phase. `made` holds what this call allocated, by the kind of parameter that takes it; `kept` is where
        chunks leave what they made in room for the number of `workers`."""
        binding = self._bindings[number]
        arguments = binding.fixed.copy()
        for place, operand in binding.operands:
            arguments[place] = vals[operand]
        parallel = chunks > 1
        if workers is None:  # asked once: another thread may change the number
            workers = threads.workers() if parallel else 1
        scratch = self.scratch.take(workers) if self.scratch.needed else None
        for place, param in binding.made:
            arguments[place] = self._made(param, made, scratch, parallel)
        if parallel:
            self._run_chunks(number, workers, self._chunk_bounds(), [*arguments, *kept])
        else:
            self.compiled.bodies[number](WHOLE, 0, self.units, *arguments)
        if scratch is not None:
            self.scratch.give_back(scratch)  # not after an error: it may be half filled

    def _made(self, param: Param, made: dict[str, Any], scratch: Any, parallel: bool) -> Any:
        if param.kind == "workspace":
            array = scratch[param.owner, param.part]
            return array if parallel else array[0]
        if param.kind == "level":
            return made["arrays"][param.depth][param.part]
        return made[param.kind]

    def _run_chunks(self, number: int, workers: int, bounds: Array, arguments: list[Any]) -> None:
        kernel = self.compiled.kernels[number]
        assert kernel is not None
        threads.run(kernel, workers, bounds, *arguments)

"""Random cases: statements, operands and a result format, and what is wrong with what Scorch makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

import torch

from scorch.api import compute
from scorch.errors import ScorchError
from scorch.formats import Format, resolve
from scorch.ir.normalise import normalise
from scorch.ir.notation import accesses
from scorch.ir.parse import parse_statements
from scorch.ir.statement import Raw
from scorch.tensor import Tensor
from scorch.testing.expressions import Vocabulary, random_statements
from scorch.testing.oracle import close, reference
from scorch.testing.tensors import Operand, random_format

__all__ = ["Case", "random_case"]

_TYPES = {
    "float": ("float64", "float64", "float32", "float32", "float16", "bfloat16"),
    "int": ("int64", "int32", "int16", "int8", "uint8"),
    "bool": ("bool",),
    "complex": ("complex128", "complex64"),
}


@dataclass(frozen=True)
class Case:
    """Statements, the operands that they read, and the format that is asked for; None leaves it to the schedule.

    `extents` are those of all indices if computed coordinates alone don't tell them, else empty.
    """

    statements: tuple[Raw, ...]
    operands: tuple[tuple[str, Operand], ...]
    out_format: Format | None = None
    extents: tuple[tuple[str, int], ...] = ()

    @property
    def text(self) -> str:
        """The statements as they are given to `scorch.compute`."""
        return "; ".join(map(str, self.statements))

    def check(self) -> str | None:
        """Compare Scorch with the oracle; what Scorch says where it refuses the case, None where both agree.

        AssertionError if they don't agree, or if Scorch's result is not well formed.
        """
        tensors = self._made()
        before = {name: x.values.clone() for name, x in tensors.items()}
        try:
            extents = dict(self.extents) or None
            result = compute(self.text, out_format=self.out_format, extents=extents, **self._given(tensors))
        except ScorchError as error:
            return f"{type(error).__name__}: {error}"
        written = parse_statements(self.text)
        views = tuple(view for raw in written for view in raw.views)
        expected = reference(normalise(written), tensors, views, self._all_extents(tensors))
        found = result.validate().to_dense() if isinstance(result, Tensor) else result
        assert found.shape == expected.value.shape, f"shape {tuple(found.shape)}, not {tuple(expected.value.shape)}"
        assert found.dtype == expected.value.dtype, f"{found.dtype}, not {expected.value.dtype}"
        wrong = expected.certain & ~close(found, expected.value, 10 * expected.tolerance)
        assert not wrong.any(), f"{found[wrong][:5]}, not {expected.value[wrong][:5]} at {wrong.nonzero()[:5].tolist()}"
        self._check_format(result)
        for name, x in tensors.items():
            assert torch.equal(x.values.nan_to_num(), before[name].nan_to_num()), f"operand {name} was changed"
        return None

    def _made(self) -> dict[str, Tensor]:
        """The operands; those that differ in their variant alone share a pattern."""
        patterns: dict[Operand, Tensor] = {}
        found: dict[str, Tensor] = {}
        for name, operand in self.operands:
            made = operand.make()
            first = patterns.setdefault(replace(operand, variant=0), made)
            found[name] = made if first is made or made.format.is_dense else first.with_values(made.values)
        return found

    def _all_extents(self, tensors: Mapping[str, Tensor]) -> dict[str, int]:
        """The extent of each index: what is given, and what operands that are indexed by names tell."""
        found = dict(self.extents)
        for raw in self.statements:
            for access in accesses(raw.expr):
                if access.tensor in tensors:
                    found.update(zip(access.indices, tensors[access.tensor].shape, strict=True))
        return found

    def _given(self, tensors: dict[str, Tensor]) -> dict[str, Tensor | torch.Tensor]:
        """The operands as they are given: some of the dense ones as torch has them."""
        as_torch = [name for name, operand in self.operands if tensors[name].format.is_dense and operand.seed % 2]
        return {name: x.to_dense() if name in as_torch else x for name, x in tensors.items()}

    def _check_format(self, result: torch.Tensor | Tensor) -> None:
        if self.out_format is None:
            return
        kept = "dense" if isinstance(result, torch.Tensor) else result.format
        assert isinstance(result, torch.Tensor) == self.out_format.is_dense, f"the result is {kept}"
        assert isinstance(result, torch.Tensor) or result.format == resolve(self.out_format, result.ndim), (
            f"the result is {kept}, not {self.out_format}"
        )

    def __str__(self) -> str:
        lines = [f"  {self.text}  ->  {self.out_format or 'any format'}"]
        lines += [f"  extents {dict(self.extents)}"] * bool(self.extents)
        return "\n".join([*lines, *(f"  {name}: {operand}" for name, operand in self.operands)])


def random_case(rng: Random) -> Case:
    """A case from random choices; equal generators give equal cases.

    >>> random_case(Random(1)) == random_case(Random(1))
    True
    """
    kind = rng.choice(("float", "float", "float", "int", "bool", "complex"))
    words = Vocabulary(rng, kind)
    statements = random_statements(words)
    read = tensors_of(statements)
    dtype, mixed = rng.choice(_TYPES[kind]), rng.random() < 0.3
    filled, special = rng.random() < 0.15, kind == "float" and rng.random() < 0.05
    operands: list[tuple[str, Operand]] = []
    for name, shape in words.shapes.items():
        if name not in read:
            continue
        if name in words.below:
            operands.append((name, _coordinates(rng, shape, words.below[name])))
            continue
        alike = [x for _, x in operands if x.shape == shape and x.below is None and not x.format.is_dense]
        if alike and rng.random() < 0.2:
            operands.append((name, replace(rng.choice(alike), variant=rng.randrange(1, 9))))
            continue
        operand = _operand(rng, shape, rng.choice(_TYPES[kind]) if mixed else dtype)
        if filled and kind in ("float", "int") and rng.random() < 0.6 and not operand.format.is_dense:
            operand = replace(operand, fill=rng.choice((1, 2, float("inf") if kind == "float" else 3)))
        operands.append((name, replace(operand, special=special)))
    shape = tuple(words.extents[v] for v in statements[-1].target.indices)
    wanted = rng.choice((None, "dense", "dense", random_format(rng, len(shape), shape)))
    out_format = resolve(wanted, len(shape)) if wanted is not None else None
    return Case(statements, tuple(operands), out_format, _extents(rng, statements, words.extents))


def tensors_of(statements: Sequence[Raw]) -> set[str]:
    """The names of all tensors that statements read, those behind views among them."""
    return {name for raw in statements for access in accesses(raw.expr) for name in raw.sources(access)}


def _extents(rng: Random, statements: Sequence[Raw], extents: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """The extents to give: all of them, or none if every index stands in a tensor that tells it."""
    told = [{v for a in accesses(raw.expr) if raw.sources(a) == (a.tensor,) for v in a.indices} for raw in statements]
    known = all(raw.indices <= mine for raw, mine in zip(statements, told, strict=True) if raw.views)
    if known and (rng.random() < 0.8 or not any(raw.views for raw in statements)):
        return ()
    return tuple((v, extents[v]) for v in sorted(frozenset[str]().union(*(raw.indices for raw in statements))))


def _coordinates(rng: Random, shape: tuple[int, ...], below: int) -> Operand:
    """A tensor of coordinates."""
    dtype = rng.choice(("int64", "int32", "uint8"))
    return Operand(shape, random_format(rng, len(shape)), dtype, seed=rng.randrange(2**16), below=below)


def _operand(rng: Random, shape: tuple[int, ...], dtype: str) -> Operand:
    density = rng.choice((0.4, 0.02, 0.1, 0.9) if max(shape, default=0) > 20 else (0.4, 0.4, 0.2, 0.9, 0.0, 1.0))
    format = random_format(rng, len(shape), shape)
    sliced = not format.blocks and rng.random() < 0.08
    frozen = rng.random() < 0.1
    return Operand(shape, format, dtype, density=density, seed=rng.randrange(2**16), sliced=sliced, frozen=frozen)

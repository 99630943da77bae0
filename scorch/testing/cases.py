"""Random cases: statements, operands and a result format, and what is wrong with what Scorch makes of them."""

from __future__ import annotations

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
    """Statements, the operands that they read, and the format that is asked for; None leaves it to the schedule."""

    statements: tuple[Raw, ...]
    operands: tuple[tuple[str, Operand], ...]
    out_format: Format | None = None

    @property
    def text(self) -> str:
        """The statements as they are given to `scorch.compute`."""
        return "; ".join(map(str, self.statements))

    def check(self) -> str | None:
        """Compare Scorch with the oracle; what Scorch says where it refuses the case, None where both agree.

        AssertionError if they don't agree, or if Scorch's result is not well formed.
        """
        tensors = {name: operand.make() for name, operand in self.operands}
        before = {name: x.values.clone() for name, x in tensors.items()}
        try:
            result = compute(self.text, out_format=self.out_format, extents=None, **tensors)
        except ScorchError as error:
            return f"{type(error).__name__}: {error}"
        expected = reference(normalise(parse_statements(self.text)), tensors)
        found = result.validate().to_dense() if isinstance(result, Tensor) else result
        assert found.shape == expected.value.shape, f"shape {tuple(found.shape)}, not {tuple(expected.value.shape)}"
        assert found.dtype == expected.value.dtype, f"{found.dtype}, not {expected.value.dtype}"
        wrong = expected.certain & ~close(found, expected.value, 10 * expected.tolerance)
        assert not wrong.any(), f"{found[wrong][:5]}, not {expected.value[wrong][:5]} at {wrong.nonzero()[:5].tolist()}"
        self._check_format(result)
        for name, x in tensors.items():
            assert torch.equal(x.values.nan_to_num(), before[name].nan_to_num()), f"operand {name} was changed"
        return None

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
        return "\n".join([*lines, *(f"  {name}: {operand}" for name, operand in self.operands)])


def random_case(rng: Random) -> Case:
    """A case from random choices; equal generators give equal cases.

    >>> random_case(Random(1)) == random_case(Random(1))
    True
    """
    kind = rng.choice(("float", "float", "float", "int", "bool", "complex"))
    words = Vocabulary(rng, kind)
    statements = random_statements(words)
    read = {access.tensor for raw in statements for access in accesses(raw.expr)}
    dtype, mixed = rng.choice(_TYPES[kind]), rng.random() < 0.3
    filled, special = rng.random() < 0.15, kind == "float" and rng.random() < 0.05
    operands = []
    for name, shape in words.shapes.items():
        if name not in read:
            continue
        operand = _operand(rng, shape, rng.choice(_TYPES[kind]) if mixed else dtype)
        if filled and kind in ("float", "int") and rng.random() < 0.6 and not operand.format.is_dense:
            operand = replace(operand, fill=rng.choice((1, 2, float("inf") if kind == "float" else 3)))
        operands.append((name, replace(operand, special=special)))
    rank = len(statements[-1].target.indices)
    wanted = rng.choice((None, "dense", "dense", random_format(rng, rank)))
    return Case(statements, tuple(operands), resolve(wanted, rank) if wanted is not None else None)


def _operand(rng: Random, shape: tuple[int, ...], dtype: str) -> Operand:
    density = rng.choice((0.4, 0.4, 0.2, 0.9, 0.0, 1.0))
    return Operand(shape, random_format(rng, len(shape)), dtype, density=density, seed=rng.randrange(2**16))

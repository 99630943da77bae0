"""Hypothesis strategies, which shrink: formats, operands and whole cases. They need the package hypothesis.

>>> from hypothesis import given, settings
>>> from scorch.testing.strategies import cases
>>> @settings(max_examples=2, deadline=None, derandomize=True)
... @given(cases())
... def check(case):
...     with scorch.config.using(jit=False):
...         case.check()
>>> import scorch
>>> check()
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from hypothesis import strategies as st

from scorch.formats import Compressed, Dense, Format, Level, Singleton
from scorch.testing.cases import Case, random_case
from scorch.testing.tensors import Operand

__all__ = ["cases", "formats", "operands"]

_DTYPES = ("float64", "float32", "int64", "int32", "int16", "int8", "uint8", "bool", "complex128", "complex64")


@st.composite
def formats(draw: st.DrawFn, rank: int) -> Format:
    """Any legal format of a rank: dense, compressed and coordinate lists in any order; the last may be unordered.

    >>> from hypothesis import find
    >>> find(formats(2), lambda format: not format.is_dense)
    Format('compressed, dense')
    """
    levels: list[Level] = []
    while len(levels) < rank:
        depth = draw(st.integers(0, rank - len(levels)))
        if depth == 0:
            levels.append(Dense())
            continue
        ordered, unique = True, True
        if depth == rank - len(levels):
            ordered, unique = draw(st.sampled_from(((True, True), (True, True), (True, False), (False, False))))
        for n in range(depth):
            kind = Singleton if n else Compressed
            levels.append(kind(ordered=ordered, unique=unique and n == depth - 1))
    return Format(tuple(levels), tuple(draw(st.permutations(range(rank)))))


@st.composite
def operands(draw: st.DrawFn, shape: Sequence[int], dtypes: Sequence[str] = _DTYPES) -> Operand:
    """What it takes to make a tensor of a shape, of any format, number type and density; `.make()` makes it.

    >>> from hypothesis import find
    >>> find(operands((2, 3)), lambda operand: operand.make().nnz > 1).make().shape
    (2, 3)
    """
    return Operand(
        tuple(shape),
        draw(formats(len(shape))),
        draw(st.sampled_from(tuple(dtypes))),
        density=draw(st.sampled_from((0.4, 1.0, 0.9, 0.2, 0.0))),
        seed=draw(st.integers(0, 2**16)),
    )


def cases() -> st.SearchStrategy[Case]:
    """Random statements with their operands and result format: each choice is hypothesis's, so that they shrink."""
    return st.randoms(use_true_random=False).map(_case)


def _case(rng: Random) -> Case:
    return random_case(rng)

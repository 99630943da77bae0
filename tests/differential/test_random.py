"""Random einsums: indices, ranks 0 to 4, formats, dimension orders, number types, plans and result formats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scorch.formats import Format
from scorch.testing.strategies import formats
from tests.differential.chooser import Chooser
from tests.differential.expressions import DEEP
from tests.differential.oracle import build, check, random_array, reference

INDICES = "ijklm"
TYPES = ("float64", "float32", "int64", "int32", "uint8", "bool")
search = settings(
    max_examples=4000 if DEEP else 250,
    derandomize=not DEEP,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@dataclass(frozen=True)
class Case:
    """An einsum and all that it takes to make its operands."""

    notation: str
    shapes: tuple[tuple[int, ...], ...]
    formats: tuple[Format, ...]
    dtypes: tuple[str, ...]
    densities: tuple[float, ...]
    out_format: Format | None
    seed: int

    def run(self) -> None:
        rng = np.random.default_rng(self.seed)
        arrays = [
            random_array(rng, shape, density, dtype)
            for shape, density, dtype in zip(self.shapes, self.densities, self.dtypes, strict=True)
        ]
        operands = [build(a, f, rng) for a, f in zip(arrays, self.formats, strict=True)]
        check(self.notation, operands, arrays, self.out_format, rtol=1e-4)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    extents = {v: draw(st.sampled_from((3, 4, 2, 5, 1, 0))) for v in INDICES}
    ranks = draw(st.lists(st.integers(0, 4), min_size=1, max_size=3))
    terms = ["".join(draw(st.lists(st.sampled_from(INDICES), min_size=r, max_size=r))) for r in ranks]
    used = sorted(set("".join(terms)))
    target = draw(st.lists(st.sampled_from(used), unique=True, max_size=4)) if used else []
    notation = f"{','.join(terms)}->{''.join(target)}"
    shapes = tuple(tuple(extents[v] for v in term) for term in terms)
    dtype = draw(st.sampled_from(TYPES))
    mixed = draw(st.booleans())
    return Case(
        notation,
        shapes,
        tuple(draw(formats(r)) for r in ranks),
        tuple(draw(st.sampled_from(TYPES)) if mixed else dtype for _ in ranks),
        tuple(draw(st.sampled_from((0.4, 0.1, 0.9, 0.0))) for _ in ranks),
        draw(st.none() | formats(len(target))),
        draw(st.integers(0, 2**16)),
    )


@pytest.mark.usefixtures("plain")
@search
@given(case=cases())
def test_random_einsum(case: Case) -> None:
    case.run()


@search
@given(case=cases())
def test_random_einsum_by_any_plan(chooser: Chooser, case: Case) -> None:
    chooser.restart(case.seed)
    case.run()


@pytest.mark.usefixtures("plain")
@search
@given(data=st.data(), rank=st.integers(0, 4), seed=st.integers(0, 2**16))
def test_conversion_between_any_two_formats(data: st.DataObject, rank: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(data.draw(st.integers(0, 4)) for _ in range(rank))
    source, target = data.draw(formats(rank)), data.draw(formats(rank))
    array = random_array(rng, shape, data.draw(st.sampled_from((0.5, 0.1, 0.0))), data.draw(st.sampled_from(TYPES)))
    A = build(array, source, rng)
    B = A.to(target)
    assert B.format == target
    B.validate()
    np.testing.assert_array_equal(B.to_dense().numpy(), array)
    np.testing.assert_array_equal(reference("...->...", [A.to_dense().numpy()]), array)

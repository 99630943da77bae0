"""The half types: every bit pattern to float32, and float32 rounded as torch rounds, plain and compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from scorch.emit import vocabulary
from scorch.emit.vocabulary import (
    from_bfloat16,
    from_float16,
    to_bfloat16,
    to_float16,
    vload,
    vstore,
)

TYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}
CONVERSIONS = (("bfloat16", from_bfloat16, to_bfloat16), ("float16", from_float16, to_float16))
Array = np.ndarray[Any, Any]


def floats() -> Array:
    """Numbers of every kind: random bits, all half values, their neighbours, and what lies halfway between two."""
    halves = np.arange(65536, dtype=np.uint16)
    random = np.random.default_rng(3).integers(0, 1 << 32, 1 << 17, dtype=np.uint64).astype(np.uint32)
    with np.errstate(all="ignore"):
        exact = [halves.view(np.float16).astype(np.float32), (halves.astype(np.uint32) << 16).view(np.float32)]
        between = [((x[:-1].astype(np.float64) + x[1:]) / 2).astype(np.float32) for x in exact]
        near = [np.nextafter(x, np.float32(0)) for x in (*exact, *between)]
        parts = [random.view(np.float32), *exact, *between, *near]
    whole = np.concatenate(parts)
    return whole[: len(whole) // 16 * 16]


def check_from(name: str, found: Array) -> None:
    bits = np.arange(65536, dtype=np.uint16)
    wanted = torch.from_numpy(bits).view(TYPES[name]).float().numpy()
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(np.signbit(found), np.signbit(wanted))


def check_to(name: str, given: Array, bits: Array) -> None:
    found = torch.from_numpy(bits).view(TYPES[name]).float().numpy()
    wanted = torch.from_numpy(given).to(TYPES[name]).float().numpy()
    np.testing.assert_array_equal(found, wanted)
    number = ~np.isnan(wanted)
    np.testing.assert_array_equal(np.signbit(found[number]), np.signbit(wanted[number]))


@pytest.mark.parametrize(("name", "widen", "narrow"), CONVERSIONS)
def test_plain(name: str, widen: Callable[[Any], Any], narrow: Callable[[Any], Any]) -> None:
    check_from(name, widen(np.arange(65536, dtype=np.uint16)))
    check_to(name, floats(), narrow(floats()))
    assert isinstance(widen(np.uint16(0x3C00)), np.float32)
    assert isinstance(narrow(np.float32(1)), np.uint16)


def test_other_types_are_refused() -> None:
    with pytest.raises(TypeError, match="expected uint16, not float32"):
        from_bfloat16(np.float32(1))
    with pytest.raises(TypeError, match="expected float32, not float64"):
        to_float16(np.float64(1))


def one_by_one(function: Callable[[Any], Any]) -> Callable[[Array, Array], None]:
    def each(x: Array, out: Array) -> None:
        for i in range(len(x)):
            out[i] = function(x[i])

    return each


def by_vectors(function: Callable[[Any], Any]) -> Callable[[Array, Array], None]:
    def each(x: Array, out: Array) -> None:
        for i in range(0, len(x), 16):
            vstore(out, i, function(vload(x, i, 16)))

    return each


@pytest.mark.compiled
@pytest.mark.parametrize("instruction", [True, False], ids=["as this CPU has it", "by integer arithmetic"])
def test_compiled(instruction: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    import numba

    vocabulary.register()
    from scorch.emit.vocabulary.compiled import halves

    if not instruction:
        monkeypatch.setattr(halves, "_has_instruction", lambda _: False)

    given, bits = floats(), np.arange(65536, dtype=np.uint16)
    for name, widen, narrow in CONVERSIONS:
        for way in (one_by_one, by_vectors):
            found, rounded = np.zeros(65536, dtype=np.float32), np.zeros(len(given), dtype=np.uint16)
            numba.njit(way(widen))(bits, found)
            check_from(name, found)
            numba.njit(way(narrow))(given, rounded)
            check_to(name, given, rounded)

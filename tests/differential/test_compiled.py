"""A sample of the differential tests compiled by Numba: serial bodies, and every way to divide work on two threads."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import scorch
from scorch import engine
from scorch.formats import Format, coo, csf
from scorch.schedule import partition, planner
from scorch.schedule.candidate import Candidate
from tests.differential.chooser import CANDIDATES, Chooser
from tests.differential.oracle import build, check, random_array, shapes_of

pytestmark = pytest.mark.compiled

Formats = tuple[Format | str, ...]

SERIAL: list[tuple[str, Formats, Format | str | None, str]] = [
    ("ik,kj->ij", ("csr", "dense"), None, "float32"),
    ("ik,kj->ij", ("csr", "csr"), None, "float64"),
    ("ik,kj->ij", ("coo", "csc"), "coo", "int64"),
    ("ki,kj->ij", ("dcsc", "dcsr"), "csr", "float32"),
    ("ij,ji->ij", ("csr", "coo"), "dense", "int32"),
    ("ij,ij->", ("dcsr", "csr"), None, "uint8"),
    ("ik,kj->ij", ("csr", "dense"), None, "bool"),
    ("ij,ik,jk->ij", ("coo", "dense", "dense"), None, "float64"),
    ("ijk,jl,kl->il", (csf(3), "dense", "dense"), None, "float32"),
    ("ijk,k->ij", (coo(3, (1, 0, 2)), "dense"), "csr", "float64"),
    ("ii->i", ("csr",), "dense", "float32"),
    ("ij->ij", ("dense",), "csc", "int32"),
]


@pytest.mark.parametrize(("notation", "formats", "out_format", "dtype"), SERIAL)
def test_serial(notation: str, formats: Formats, out_format: Format | str | None, dtype: str) -> None:
    rng = np.random.default_rng(31)
    arrays = [random_array(rng, shape, 0.5, dtype) for shape in shapes_of(notation, {"j": 33})]
    if notation == "ij,ji->ij":
        arrays = [a[:5, :5].copy() for a in arrays]
    operands = [build(a, f) for a, f in zip(arrays, formats, strict=True)]
    check(notation, operands, arrays, out_format)
    emptied = [np.zeros_like(a) for a in arrays]
    check(notation, [build(a, f) for a, f in zip(emptied, formats, strict=True)], emptied, out_format)


@pytest.fixture
def divided(monkeypatch: pytest.MonkeyPatch) -> Iterator[Chooser]:
    """Two threads share every kernel that can be divided, however small."""
    chooser = Chooser()
    monkeypatch.setattr(partition, "LAUNCHES", -1.0)
    monkeypatch.setattr(partition, "CHUNK", 1.0)
    monkeypatch.setattr(planner, "_plan", chooser.plan)
    with scorch.config.using(threads=2):
        yield chooser
    engine.kept.forget()


DIVIDED: list[tuple[str, str, Formats, Format | str | None]] = [
    ("coordinates", "ik,kj->ij", ("csr", "dense"), None),
    ("coordinates", "ik,kj->ij", ("csr", "csr"), "csr"),
    ("coordinates", "ij,ij->ij", ("dcsr", "dcsr"), "dcsr"),
    ("positions", "ik,kj->ij", ("dcsr", "dense"), None),
    ("positions", "ij,j->ij", (coo(2), "dense"), None),
    ("positions", "ijk,k->ij", (csf(3), "dense"), "csr"),
    ("tiles", "ki,k->i", ("dense", "dense"), None),
    ("private", "ik,i->k", ("csr", "dense"), None),
    ("private", "ij->", ("coo",), None),
]


@pytest.mark.parametrize(("unit", "notation", "formats", "out_format"), DIVIDED)
def test_two_threads(
    unit: str, notation: str, formats: Formats, out_format: Format | str | None, divided: Chooser
) -> None:
    rng = np.random.default_rng(32)
    arrays = [random_array(rng, shape, 0.5) for shape in shapes_of(notation, {"i": 300, "k": 12})]
    operands = [build(a, f) for a, f in zip(arrays, formats, strict=True)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planner, "_candidates", lambda problem: those_with(unit, list(CANDIDATES(problem))))
        check(notation, operands, arrays, out_format)
    assert divided.seen["private" if unit == "private" else f"unit {unit}"]


def those_with(unit: str, candidates: list[Candidate]) -> list[Candidate]:
    """The candidates that divide work as wanted, or else all."""
    private = unit == "private"
    found = [c for c in candidates if c.partition.private == private and (private or c.partition.unit == unit)]
    return found or candidates


@pytest.mark.parametrize("notation", ["ik,k->i", "ik,kj->ij"])
def test_merge_path_on_two_threads(notation: str, divided: Chooser) -> None:
    rng = np.random.default_rng(33)
    shapes = shapes_of(notation, {"i": 50, "k": 2000, "j": 9})
    a = np.zeros(shapes[0])
    a[:, :3] = 1.0
    a[20, ::2] = rng.integers(1, 9, 1000)
    other = random_array(rng, shapes[1], 1.0)
    check(notation, [build(a, "csr"), build(other, "dense")], [a, other])
    assert divided.seen["unit merge-path"]


def test_checked_kernels_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(34)
    arrays = [random_array(rng, shape) for shape in ((6, 9), (9, 33))]
    with scorch.config.using(check=True):
        check("ik,kj->ij", [build(arrays[0], "csr"), build(arrays[1], "dense")], arrays)
        check("ik,kj->ij", [build(arrays[0], "csr"), build(arrays[1], "csr")], arrays)


def test_nan_and_infinity_compiled() -> None:
    rng = np.random.default_rng(35)
    a = random_array(rng, (6, 9), 0.5)
    a[1, 2], a[2, 3], a[3, 4] = np.nan, np.inf, -np.inf
    b = rng.integers(1, 4, (9, 33)).astype(np.float64)
    check("ik,kj->ij", [build(a, "csr"), build(b, "dense")], [a, b])
    check("ij->i", [build(a, "csr")], [a])

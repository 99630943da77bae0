"""A sample of rows: exact where all of them are in it, near where they are not, none where it would be of no use."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
import torch

import scorch
from scorch.engine import problem_of
from scorch.formats import Format, coo, csf
from scorch.ir.einsum import parse_einsum
from scorch.ir.normalise import normalise
from scorch.ir.parse import parse_statements
from scorch.operand import as_storage
from scorch.schedule import sampling
from scorch.schedule.problem import Problem
from scorch.schedule.sampling import Sample


def graph(nodes: int, degree: int, seed: int = 0) -> scipy.sparse.csr_array:
    """A graph whose columns are mostly a few hubs, and whose rows are of very different lengths."""
    rng = np.random.default_rng(seed)
    lengths = np.minimum(nodes // 4, (degree * rng.pareto(1.5, nodes)).astype(int))
    rows = np.repeat(np.arange(nodes), lengths)
    columns = (nodes * rng.random(len(rows)) ** 3).astype(int)
    made = scipy.sparse.csr_array((np.ones(len(rows), np.float32), (rows, columns)), (nodes, nodes))
    made.sum_duplicates()
    return made


def asked(notation: str, *operands: scorch.Tensor, wanted: str = "csr") -> Problem:
    storages = [as_storage(operand) for operand in operands]
    statement = parse_einsum(notation, [s.pattern.shape for s in storages])
    return problem_of(statement, storages, scorch.formats.resolve(wanted, len(statement.target.indices)))


def sampled(notation: str, *operands: scorch.Tensor) -> Sample:
    found = asked(notation, *operands).sample
    assert found is not None
    return found


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "WORTH", 0)


@pytest.mark.smoke
def test_products_are_counted(always: None) -> None:
    a = graph(400, 3)
    found = sampled("ik,kj->ij", scorch.tensor(a), scorch.tensor(a))
    products = np.diff(a.indptr)[a.indices]
    by_row = np.add.reduceat(np.append(products, 0), a.indptr[:-1]) * (np.diff(a.indptr) > 0)
    assert found.row == "i"
    assert found.products == pytest.approx(by_row.sum())
    for most, few in zip(sampling.FEW, found.few, strict=True):
        short = by_row[by_row <= most]
        assert (few.most, few.rows) == (most, len(short) / 400)
        assert (few.products, few.length) == pytest.approx((short.sum() / by_row.sum(), (short**2).sum() / short.sum()))


def test_more_rows_than_are_looked_at() -> None:
    a = graph(20_000, 4)
    found = sampled("ik,kj->ij", scorch.tensor(a), scorch.tensor(a))
    ones = scipy.sparse.csr_array((np.ones(a.nnz), a.indices, a.indptr), a.shape)
    assert found.products == pytest.approx((ones @ ones).sum(), rel=0.5)
    assert found.entries / found.products == pytest.approx((a @ a).nnz / (ones @ ones).sum(), rel=0.25)


def test_products_that_fall_together(always: None) -> None:
    band = scipy.sparse.csr_array(
        scipy.sparse.diags_array([np.ones(300)] * 21, offsets=range(-10, 11), shape=(300, 300))
    )
    found = sampled("ik,kj->ij", scorch.tensor(band), scorch.tensor(band))
    assert found.entries == pytest.approx((band @ band).nnz, rel=0.1)
    assert "places, by a sample of rows" in str(scorch.explain("ik,kj->ij", scorch.tensor(band), scorch.tensor(band)))


@pytest.mark.parametrize(
    ("notation", "formats", "row"),
    [
        ("ik,kj->ij", ("csr", "csr"), "i"),
        ("kj,ik->ij", ("csr", "csr"), "i"),
        ("ik,kj->ij", ("csc", "csc"), "j"),
        ("ki,kj->ij", ("csc", "csr"), "i"),
        ("ik,jk->ij", ("csr", "csc"), "i"),
        ("ik,kj->ji", ("csr", "csr"), "i"),
        ("ik,kj->ij", ("coo", "csr"), "i"),
        ("ik,kj->ij", ("csr", "coo"), "i"),
        ("ik,kj->ij", ("dcsr", "dcsr"), "i"),
        ("ki,kj->ij", ("dcsc", "coo"), "i"),
    ],
)
def test_whichever_way_operands_are_stored(always: None, notation: str, formats: tuple[str, str], row: str) -> None:
    dense = [torch.from_numpy(graph(40, 3, seed).toarray()) for seed in range(2)]
    operands = [scorch.tensor(d, format=f) for d, f in zip(dense, formats, strict=True)]
    found = sampled(notation, *operands)
    products = torch.einsum(notation, *((d != 0).double() for d in dense))
    assert found.row == row
    assert found.products == pytest.approx(float(products.sum()))


@pytest.mark.parametrize(
    ("notation", "formats"),
    [
        ("ik,kj->ij", ("csc", "csr")),
        ("ik,kj->ij", ("csr", coo(2, (1, 0)))),
        ("ik,kj->ij", ("csr", Format("compressed(nonordered, nonunique), singleton(nonordered, nonunique)"))),
        ("ik,kj->ij", ("csr", "dense")),
        ("ij,ij->ij", ("csr", "csr")),
        ("ik,kj->i", ("csr", "csr")),
        ("ik,kj->ij", ("csr", Format("dense, compressed(nonunique)"))),
    ],
)
def test_other_statements_have_none(always: None, notation: str, formats: tuple[Format | str, Format | str]) -> None:
    operands = [scorch.tensor(torch.eye(9), format=format) for format in formats]
    assert asked(notation, *operands, wanted="coo").sample is None


def test_a_sum_has_none(always: None) -> None:
    A = as_storage(scorch.tensor(torch.eye(9), format="csr"))
    for text, has in (("C[i,j] += A[i,k] * B[k,j]", True), ("C[i,j] += A[i,k] + B[k,j]", False)):
        (statement,) = normalise(parse_statements(text))
        assert (problem_of(statement, [A, A]).sample is not None) == has


def test_higher_order_operands_have_none(always: None) -> None:
    A = scorch.tensor(torch.ones(3, 4, 5), format=csf(3))
    assert asked("aik,kj->aij", A, scorch.tensor(torch.ones(5, 6), format="csr"), wanted="coo").sample is None


@pytest.mark.parametrize("shapes", [((0, 5), (5, 4)), ((3, 0), (0, 4)), ((3, 5), (5, 0)), ((3, 5), (5, 4))])
def test_nothing_to_count(always: None, shapes: tuple[tuple[int, int], tuple[int, int]]) -> None:
    operands = [scorch.from_coo([[], []], torch.empty(0), shape, format="csr") for shape in shapes]
    assert asked("ik,kj->ij", *operands).sample is None


def test_no_sample_of_a_small_product() -> None:
    A = scorch.tensor(torch.eye(100), format="csr")
    assert asked("ik,kj->ij", A, A).sample is None


def test_rows_longer_than_what_is_merged_of_them(always: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "MOST", 20)
    A = scorch.tensor(torch.ones(4, 50), format="csr")
    found = sampled("ik,jk->ij", A, scorch.tensor(torch.ones(6, 50), format="csc"))
    assert found.products == 4 * 50 * 6
    assert found.entries == pytest.approx(found.products / 3)  # three of 50 rows of six

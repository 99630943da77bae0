"""Dividing work: by what unit, and what must stay with one thread."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import scorch
from scorch.engine import problem_of
from scorch.formats import Format, Storage
from scorch.ir.einsum import parse_einsum
from scorch.ir.plan import Partition
from scorch.schedule import partition, planner
from scorch.schedule.machine import host
from scorch.schedule.planner import schedule
from scorch.schedule.prices import Prices
from tests.schedule.problems import Spec, problem
from tests.test_golden import skewed

N = 3000
LARGE: Spec = ((N, N), 30 * N, "csr")


def divided(notation: str, *specs: Spec, threads: int = 2, wanted: Format | str | None = None) -> Partition:
    with scorch.config.using(threads=threads):
        return schedule(problem(notation, *specs, threads=threads, wanted=wanted)).partition


@pytest.mark.smoke
def test_little_work_is_serial() -> None:
    assert divided("ik,k->i", ((20, 20), 50, "csr"), ((20,), 0, "dense")).unit == "serial"
    assert divided("ik,kj->ij", LARGE, ((N, 64), 0, "dense"), threads=1).unit == "serial"


def test_rows_are_weighted_by_their_nonzeros() -> None:
    found = divided("ik,kj->ij", LARGE, ((N, 64), 0, "dense"))
    assert (found.unit, found.index, str(found.weight), found.private) == ("coordinates", "i", "A[i,k]", False)
    assert found.chunks >= 2


@pytest.mark.parametrize("outer", ["csr", "dcsr"])
def test_rows_of_a_sparse_product_are_weighted_by_their_products(outer: str) -> None:
    found = divided("ik,kj->ij", ((N, N), 30 * N, outer), LARGE, wanted="csr")
    assert (str(found.weight), str(found.selected)) == ("A[i,k]", "B[k,j]")
    few = divided("ik,kj->ij", LARGE, ((N, N), 2 * N, "csr"), wanted="csr")
    assert (str(few.weight), few.selected) == ("A[i,k]", None)  # not worth counting them


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_entries_of_a_chunk_stay_in_the_second_cache(threads: int) -> None:
    large: Spec = ((N, N), 300 * N, "csr")
    with scorch.config.using(threads=threads):
        plan = schedule(problem("ik,kj->ij", large, large, threads=threads, wanted="csr"))
    most = 300 * 300 * N
    assert plan.kernel.assembly.bounded
    assert most * 8 / plan.partition.chunks <= host().near_bytes
    assert plan.partition.chunks % threads == 0


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_every_thread_gets_as_many_chunks(threads: int) -> None:
    for columns in (1, 4, 16, 64):
        assert divided("ik,kj->ij", LARGE, ((N, columns), 0, "dense"), threads=threads).chunks % threads == 0


def test_a_sparse_outer_level_is_divided_by_positions() -> None:
    assert divided("ik,kj->ij", ((N, N), 30 * N, "dcsr"), ((N, 64), 0, "dense")).unit == "positions"


def test_a_reduction_outermost_gets_private_results() -> None:
    found = divided("ik,i->k", LARGE, ((N,), 0, "dense"))
    assert (found.index, found.private, found.chunks) == ("i", True, 2)


def test_one_row_for_all_loops_is_not_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks that collect in the same sparse row would each append all of its coordinates."""
    monkeypatch.setattr(partition, "LAUNCHES", -1.0)
    unsorted = Format("compressed(nonordered, nonunique), singleton(nonordered, nonunique)")
    asked = problem("ij->i", ((N, N), 30 * N, unsorted), wanted="coo")
    for candidate in planner._candidates(asked):
        if candidate.writing.scatter is not None and candidate.writing.split == 0:
            assert candidate.partition.unit == "serial"


def test_the_outermost_loop_is_the_one_that_is_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tile of a result index stands outside the reductions, so these are not what threads share."""
    monkeypatch.setattr(partition, "LAUNCHES", -1.0)
    asked = problem("ki,k->i", ((N, 40), 0, "dense"), ((N,), 0, "dense"))
    for candidate in planner._candidates(asked):
        if candidate.layout.tiled == "i" and not candidate.layout.spread:
            assert candidate.partition.index != "k"


def test_a_long_row_is_divided() -> None:
    operands = [skewed(N, 8 * N, 8 * N), Storage.from_dense(torch.ones(8 * N))]
    with scorch.config.using(threads=2):
        asked = problem_of(parse_einsum("ik,k->i", [(N, 8 * N), (8 * N,)]), operands)
        assert schedule(asked).partition.unit == "merge-path"


def test_rows_are_divided_only_where_results_are_written_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a chunk has of an unfinished row goes to a place behind the last one, which appended results do not have."""
    monkeypatch.setattr(partition, "LAUNCHES", -1.0)
    lowest = Format("compressed, dense", order=(1, 0))  # all places of a column are there
    asked = problem("ij,kl->ik", ((2, 100), 90, "csr"), ((5, 4), 6, "csr"), wanted=lowest)
    collected = [c for c in planner._candidates(asked) if c.writing.assembly.kind != "locate"]
    assert collected
    assert all(candidate.partition.unit != "merge-path" for candidate in collected)


def test_a_kernel_is_shared_where_its_work_is_worth_its_launches() -> None:
    """By the price of a launch, once a phase."""
    cheap, dear = Prices(launch=1000.0), Prices(launch=1e9)
    for notation, wanted, phases in (("ik,k->i", None, 1), ("ij,ij->ij", "csr", 2)):
        other = ((N,), 0, "dense") if phases == 1 else ((N, N), 30 * N, "csr")
        asked = problem(notation, ((N, N), 30 * N, "csr"), other, wanted=wanted)
        assert schedule(replace(asked, prices=cheap)).partition.unit != "serial"
        alone = schedule(replace(asked, prices=dear))
        assert alone.partition.unit == "serial"
        assert alone.kernel.assembly.phases == phases
        few = f"serial: less than {5e6 * phases:.4g} us of work" + (" in 2 phases" if phases == 2 else "")
        assert few in alone.reasons

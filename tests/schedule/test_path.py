"""Contraction paths: fused, split or left to torch; and planned in reasonable time."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import torch

from scorch.engine import problem_of
from scorch.ir.einsum import parse_einsum
from scorch.ir.plan import Handover, Plan, Split
from scorch.schedule.machine import AVX512
from scorch.schedule.path import _splits, contract
from tests.schedule.problems import problem, sparse

N = 200


@pytest.mark.smoke
def test_dense_products_go_to_torch_where_it_is_faster() -> None:
    long = problem("ij,kj->ik", ((64, 8192), 0, "dense"), ((64, 8192), 0, "dense"))
    plan = contract(replace(long, machine=AVX512))
    assert isinstance(plan, Handover)
    assert "torch.einsum" in str(plan)
    narrow = problem("ij,jk->ik", ((N, N), 0, "dense"), ((N, 16), 0, "dense"))
    plan = contract(replace(narrow, machine=AVX512))
    assert isinstance(plan, Plan)
    assert "torch.einsum" in {alternative.description for alternative in plan.alternatives}


def test_sddmm_is_one_kernel() -> None:
    operands = [((N, N), 5 * N, "csr"), ((N, 32), 0, "dense"), ((N, 32), 0, "dense")]
    assert isinstance(contract(problem("ij,ik,jk->ij", *operands)), Plan)


def test_a_chain_is_split_where_a_product_is_small() -> None:
    tall, wide = ((N, 4), 0, "dense"), ((4, N), 0, "dense")
    plan = contract(problem("ij,jk,kl->il", ((N, N), 20 * N, "csr"), tall, wide))
    assert isinstance(plan, Split)
    assert plan.pair == (0, 1)
    assert plan.dtype == "float32"
    assert plan.alternatives


def test_a_path_computes_in_the_type_of_the_result() -> None:
    tall = sparse((N, 4), 0, "dense", torch.uint8)
    wide = sparse((4, N), 0, "dense", torch.float32)
    statement = parse_einsum("ij,jk,kl->il", [(N, N), (N, 4), (4, N)])
    plan = contract(problem_of(statement, [sparse((N, N), 20 * N, "csr", torch.uint8), tall, wide]))
    assert isinstance(plan, Split)
    assert plan.dtype == "float32"


@pytest.mark.parametrize("count", [8, 14])
def test_long_chains_are_planned(count: int) -> None:
    letters = "abcdefghijklmnop"
    notation = ",".join(letters[n] + letters[n + 1] for n in range(count)) + f"->a{letters[count]}"
    begin = time.perf_counter()
    contract(problem(notation, *[((9, 9), 20, "csr")] * count))
    assert time.perf_counter() - begin < 60  # following two choices at each step would take hours


def test_a_product_for_dense_factors_may_be_unsorted() -> None:
    wide = 20_000
    square, tall = ((wide, wide), 20 * wide, "csr"), ((wide, 2), 0, "dense")
    left_open = _splits(problem("ij,jk,kl->il", square, square, tall))
    assert [str(split.format) for split in left_open if split.pair == (0, 1)] == ["csr(unsorted)"]
    kept = _splits(problem("ij,jk,kl->il", square, square, square))
    assert [split.format for split in kept if split.pair == (0, 1)] == [None]

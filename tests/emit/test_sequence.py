"""Sequences: small statements in one kernel without threads, one nest after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

import scorch
from scorch.formats import Storage
from scorch.ir.plan import Plan
from scorch.schedule import sequence
from scorch.schedule.machine import AVX2, AVX512, SSE, Machine
from tests.emit.linked import linked, result

MACHINES = {
    "AVX-512": AVX512,
    "AVX-512, microcoded": replace(AVX512, microcoded=True),
    "AVX2": AVX2,
    "SSE": SSE,
}
SHAPES = {"V": (24, 40), "W": (37, 24), "D": (24, 40), "E": (24, 16), "F": (16, 9), "x": (40,), "b": (24,), "d": (37,)}
SPARSE = "VW"
TEXTS: dict[str, tuple[str, Callable[..., torch.Tensor]]] = {
    "layers": (
        "S[o] += V[o,i] * x[i]; T[o] = relu(S[o] + b[o]); Q[p] += W[p,o] * T[o]; C[p] = Q[p] + d[p]",
        lambda V, x, b, W, d: W @ torch.relu(V @ x + b) + d,
    ),
    "many columns": (
        "H[o,j] += V[o,i] * D[o,i] * E[o,j]; C[p,j] += W[p,o] * H[o,j]",
        lambda V, D, E, W: W @ ((V * D).sum(1, keepdim=True) * E),
    ),
    "dense": (
        "H[p,j] += W[p,o] * E[o,j]; C[p,k] += H[p,j] * F[j,k]",
        lambda W, E, F: W @ E @ F,
    ),
    "gathered from a matrix": (
        "T[o,i] = exp(D[o,i]); S[o] += V[o,i] * T[o,i]; C[p] += W[p,o] * S[o]",
        lambda D, V, W: W @ (V * torch.exp(D)).sum(1),
    ),
    "twice": (
        "S[o] += V[o,i] * x[i]; Q[p] += W[p,o] * S[o]; C[o] += W[p,o] * Q[p]; D[o] = C[o] + S[o]",
        lambda V, x, W: W.t() @ (W @ (V @ x)) + V @ x,
    ),
    "maximum": (
        "S[o] max= where(stored(V[o,i]), V[o,i] * x[i], absent); T[o] = S[o] + 1; C[p] += W[p,o] * T[o]",
        lambda V, x, W: W @ (torch.where(V != 0, V * x, -torch.inf).amax(1) + 1),
    ),
}
SEQUENCES = [kind for kind in TEXTS if kind not in ("twice", "dense")]


def operands(kind: str, dtype: torch.dtype) -> tuple[dict[str, torch.Tensor], dict[str, object]]:
    """The operands of a text, dense and as they are given."""
    read = [name for name in SHAPES if f"{name}[" in TEXTS[kind][0].replace("D[o] =", "")]
    dense = {name: torch.randn(SHAPES[name], dtype=dtype) for name in read}
    for name in set(read) & set(SPARSE):
        dense[name] *= torch.rand(SHAPES[name]) < 0.3
        dense[name][:, 0] = 1.0  # of a maximum over nothing there is no value
    return dense, {name: scorch.tensor(x, "csr") if name in SPARSE else x for name, x in dense.items()}


def planned(kind: str, given: dict[str, object], machine: Machine) -> tuple[Plan | None, dict[str, Storage]]:
    """The sequence of a text on a machine, whatever it costs, and its operands by name."""
    links, storages = linked(TEXTS[kind][0], given)
    plan = sequence.plan_sequence([replace(link, machine=machine, convert=False) for link in links])
    return plan, storages


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("kind", SEQUENCES)
def test_a_sequence_on_every_machine(kind: str, machine: str, dtype: torch.dtype) -> None:
    dense, given = operands(kind, dtype)
    with scorch.config.using(jit=False, threads=2):
        plan, storages = planned(kind, given, MACHINES[machine])
        assert plan is not None
        assert plan.partition.unit == "serial"
        assert "row float" in str(plan.kernel)
        found = result(plan, storages)
    torch.testing.assert_close(found, TEXTS[kind][1](**dense), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", SEQUENCES)
def test_a_sequence_compiled(kind: str) -> None:
    dense, given = operands(kind, torch.float32)
    plan, storages = planned(kind, given, AVX2)
    assert plan is not None
    found = result(plan, storages)
    torch.testing.assert_close(found, TEXTS[kind][1](**dense), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["twice", "dense"])
def test_sums_in_place_and_blocks_of_rows_are_no_nests_among_others(kind: str) -> None:
    _, given = operands(kind, torch.float32)
    assert planned(kind, given, AVX512)[0] is None


@pytest.mark.parametrize("kind", TEXTS)
def test_the_schedule_takes_it_for_small_statements(kind: str) -> None:
    dense, given = operands(kind, torch.float32)
    with scorch.config.using(jit=False, threads=2):
        found = scorch.compute(TEXTS[kind][0], **given)
    torch.testing.assert_close(found, TEXTS[kind][1](**dense), rtol=1e-4, atol=1e-4)


def test_its_price_is_that_of_one_start() -> None:
    _, given = operands("layers", torch.float32)
    told = str(scorch.explain(TEXTS["layers"][0], **given))
    assert "serial: threads would be started for each statement" in told
    assert "a kernel for each of" in told


def test_what_is_large_stays_apart() -> None:
    V = scorch.tensor(torch.randn(1500, 1500), "csr")
    text = "S[o] += V[o,i] * x[i]; C[o] += V[o,i] * S[i]"
    told = str(scorch.explain(text, V=V, x=torch.randn(1500)))
    assert "one after the other" not in told


def test_a_copy_of_a_frozen_operand_that_is_read_twice_is_not_shared() -> None:
    V = scorch.tensor(torch.randn(24, 24) * (torch.rand(24, 24) < 0.3), "csc").freeze()
    x = torch.randn(24)
    with scorch.config.using(jit=False):
        found = scorch.compute("S[o] += V[o,i] * x[i]; C[p] += V[p,o] * S[o]", V=V, x=x)
    torch.testing.assert_close(found, V.to_dense() @ (V.to_dense() @ x), rtol=1e-4, atol=1e-4)

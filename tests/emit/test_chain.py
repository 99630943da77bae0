"""Chains: statements that share a dense index, one kernel over tiles of it, temporaries in panels."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

import scorch
from scorch.formats import Storage
from scorch.ir.normalise import normalise
from scorch.ir.parse import parse_statements
from scorch.ir.plan import Plan
from scorch.operand import as_storage
from scorch.schedule import chain, fuse
from scorch.schedule.machine import AVX2, AVX512, SSE, Machine
from scorch.schedule.prices import Prices
from scorch.schedule.problem import Operand
from tests.emit.linked import linked, result

MACHINES = {"AVX-512": AVX512, "AVX2": AVX2, "SSE": SSE}
LAYERS = "S[o,n] += V[o,i] * X[i,n]; T[o,n] = relu(S[o,n] + c[o]); Q[p,n] += W[p,o] * T[o,n]; C[p,n] = Q[p,n] + d[p]"
BY_SAMPLE = LAYERS.replace("X[i,n]", "X[n,i]")
TEXTS: dict[str, tuple[str, Callable[..., torch.Tensor]]] = {
    "layers": (LAYERS, lambda V, X, c, W, d: W @ torch.relu(V @ X + c[:, None]) + d[:, None]),
    "samples": (BY_SAMPLE, lambda V, X, c, W, d: W @ torch.relu(V @ X.t() + c[:, None]) + d[:, None]),
    "gated": (
        "S[o,n] += V[o,i] * X[n,i]; U[o,n] += G[o,i] * X[n,i]; T[o,n]=tanh(S[o,n]) * U[o,n]; C[p,n]+=W[p,o] * T[o,n]",
        lambda V, X, G, W: W @ (torch.tanh(V @ X.t()) * (G @ X.t())),
    ),
    "twice": (
        "S[o,n] += V[o,i] * X[i,n]; Q[p,n] += W[p,o] * S[o,n]; C[o,n] += R[o,p] * Q[p,n]; D[o,n] = C[o,n] + S[o,n]",
        lambda V, X, W, R: R @ (W @ (V @ X)) + V @ X,
    ),
    "maximum": (
        "S[o,n] max= where(stored(V[o,i]), V[o,i] * X[i,n], absent); T[o,n] = S[o,n] + 1; C[p,n] += W[p,o] * T[o,n]",
        lambda V, X, W: W @ (torch.where(V[:, :, None] != 0, V[:, :, None] * X, -torch.inf).amax(1) + 1),
    ),
}


def sparse(rows: int, columns: int, format: str = "csr") -> tuple[torch.Tensor, scorch.Tensor]:
    made = torch.randn(rows, columns) * (torch.rand(rows, columns) < 0.3)
    made[:, 0] = 1.0  # of a maximum over nothing there is no value
    return made, scorch.tensor(made, format)


def operands(kind: str, columns: int, format: str = "csr") -> tuple[dict[str, torch.Tensor], dict[str, object]]:
    """The operands of a text, dense and as they are given."""
    names = {"layers": "VXcWd", "samples": "VXcWd", "gated": "VXGW", "twice": "VXWR", "maximum": "VXW"}[kind]
    shapes = {"V": (24, 19), "G": (24, 19), "W": (17, 24), "R": (24, 17)}
    dense: dict[str, torch.Tensor] = {}
    given: dict[str, object] = {}
    for name in names:
        if name in shapes:
            dense[name], given[name] = sparse(*shapes[name], format)
        else:
            sizes = {"c": (24,), "d": (17,), "X": (columns, 19) if "X[n,i]" in TEXTS[kind][0] else (19, columns)}
            dense[name] = given[name] = torch.randn(sizes[name])
    return dense, given


def planned(
    kind: str, given: dict[str, object], machine: Machine, **prices: float
) -> tuple[Plan | None, dict[str, Storage]]:
    """The chain of a text on a machine, whatever it costs, and its operands by name."""
    links, storages = linked(TEXTS[kind][0], given)
    free = Prices(launch=1e-3, **prices)  # so that no work is too little for threads
    plan = chain.plan_chain([replace(link, machine=machine, prices=free, threads=2) for link in links])
    return plan, storages


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("columns", [32, 45, 100, 250])
@pytest.mark.parametrize("kind", TEXTS)
def test_a_chain_on_every_machine(kind: str, columns: int, machine: str) -> None:
    dense, given = operands(kind, columns)
    with scorch.config.using(jit=False, threads=2):
        plan, storages = planned(kind, given, replace(MACHINES[machine], near_bytes=41 * 64 * 4))
        assert plan is not None
        assert "panel" in str(plan.kernel)
        found = result(plan, storages)
    torch.testing.assert_close(found, TEXTS[kind][1](**dense), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", TEXTS)
def test_a_chain_compiled_and_shared_among_threads(kind: str) -> None:
    dense, given = operands(kind, 150)
    with scorch.config.using(threads=2):
        plan, storages = planned(kind, given, AVX2)
        assert plan is not None
        found = result(plan, storages)
    torch.testing.assert_close(found, TEXTS[kind][1](**dense), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("columns", [32, 45, 100])
@pytest.mark.parametrize("kind", ["layers", "samples", "gated"])
def test_rows_of_frozen_operands_are_taken_together(kind: str, columns: int, machine: str) -> None:
    dense, given = operands(kind, columns)
    given = {name: x.freeze() if isinstance(x, scorch.Tensor) else x for name, x in given.items()}
    narrow = replace(MACHINES[machine], near_bytes=24 * 2 * MACHINES[machine].bits // 8 * 2)
    with scorch.config.using(jit=False, threads=2):
        plan, storages = planned(kind, given, narrow, sparse=100.0)  # what a coordinate takes is shared
        assert plan is not None
        assert "4 side by side" in str(plan.kernel)
        assert ("V" if kind != "gated" else "G") in dict(plan.conversions)
        found = result(plan, storages)
    torch.testing.assert_close(found, TEXTS[kind][1](**dense), rtol=1e-4, atol=1e-4)


def test_an_operand_that_is_read_twice_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "S[o,n] += W[o,i] * X[n,i]; C[p,n] += W[p,o] * S[o,n]; D[p,n] = C[p,n] + X[n,p]"
    monkeypatch.setitem(TEXTS, "tied", (text, lambda: x))
    dense, weight = sparse(24, 24)
    x = torch.randn(40, 24)
    with scorch.config.using(jit=False, threads=2):
        plan, storages = planned("tied", {"W": weight.freeze(), "X": x}, AVX2, sparse=100.0)
        assert plan is not None
        assert not plan.conversions
        found = result(plan, storages)
    torch.testing.assert_close(found, dense @ (dense @ x.t()) + x.t(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("format", ["coo", "dcsr", "csc"])
def test_rows_that_may_be_left_out_are_no_chain(format: str) -> None:
    assert planned("layers", operands("layers", 64, format)[1], AVX2)[0] is None


def test_what_does_not_stay_near_is_no_chain() -> None:
    given = operands("layers", 64)[1]
    line = 24 * AVX2.bits // 8  # a vector of each row of the temporary
    least = math.ceil(line / chain.NEAR)
    assert planned("layers", given, replace(AVX2, near_bytes=least))[0] is not None
    assert planned("layers", given, replace(AVX2, near_bytes=least - 1))[0] is None


@pytest.mark.parametrize(("rows", "vectors"), [(1, 4), (96, 4), (128, 2), (192, 2), (200, 1)])
def test_tiles_are_alike_and_as_wide_as_stays_near(rows: int, vectors: int) -> None:
    given = {"V": sparse(rows, 19)[1], "W": sparse(17, rows)[1], "c": torch.ones(rows), "d": torch.ones(17)}
    near = replace(AVX512, near_bytes=round(3 * 128 * 64 / chain.NEAR))  # three vectors of 128 rows: 16 make no threes
    plan, _ = planned("layers", given | {"X": torch.ones(19, 256)}, near)
    assert plan is not None
    assert f"tile({vectors} x 16 lanes)" in str(plan.kernel)


def test_fewer_vectors_than_threads_are_no_chain() -> None:
    assert planned("layers", operands("layers", 8)[1], AVX2)[0] is None
    assert planned("layers", operands("layers", 9)[1], AVX2)[0] is not None


@pytest.mark.parametrize(
    "text",
    [
        "S[o,n] += V[o,i] * X[i,n]; C[n,p] += W[p,o] * S[o,n]",  # vectors along n would be scattered
        "S[o,n] += V[o,i] * X[i,n]; C[o,m] += S[o,n] * Y[n,m]",  # no index is in all of them
        "S[o,n] += V[o,i] * X[i,n]; C[p,n] += (W[p,o] + d[p]) * S[o,n]",  # the sum visits more than W has
    ],
)
def test_other_statements_are_no_chain(text: str) -> None:
    known = {"V": sparse(24, 19)[1], "W": sparse(17, 24)[1], "X": torch.ones(19, 64), "Y": torch.ones(64, 5)}
    known |= {"d": torch.ones(17)}
    statements = normalise(parse_statements(text))
    names = {a.tensor for s in statements for a in s.accesses}
    described = {name: Operand.of(name, as_storage(x).pattern, "float32") for name, x in known.items() if name in names}
    problems = fuse._problems(statements, fuse._Asked(described, 2, None, None))
    links = problems and fuse.joined_problems(fuse.finished(statements), problems, described)
    assert not links or chain.plan_chain(links) is None

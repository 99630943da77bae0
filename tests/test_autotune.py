"""Plans by name, and autotuning: which plan runs, what is remembered, what explain says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import scorch
from scorch import engine
from scorch.config import config
from scorch.engine import autotune
from scorch.errors import ScheduleError
from scorch.formats import Storage, csr
from scorch.ir.einsum import parse_einsum
from scorch.operand import as_storage
from scorch.schedule.path import described


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path) -> Iterator[None]:
    with config.using(cache_dir=tmp_path, jit=False):
        yield


def operands(seed: int = 0) -> tuple[scorch.Tensor, scorch.Tensor]:
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(2):
        coords = rng.integers(0, 30, (2, 90))
        made.append(scorch.from_coo(coords, torch.from_numpy(rng.random(90)), (30, 30), format="csr"))
    return made[0], made[1]


def storages(*tensors: scorch.Tensor) -> list[Storage]:
    return [as_storage(tensor) for tensor in tensors]


def statement(notation: str, *tensors: scorch.Tensor):
    return parse_einsum(notation, [tensor.shape for tensor in tensors])


def test_every_plan_gives_the_same_product() -> None:
    a, b = operands()
    product = statement("ik,kj->ij", a, b)
    found = engine.choices(product, storages(a, b), csr)
    names = [each.description for each in found]
    assert len(names) == len(set(names)) > 8
    assert {"bitmap", "list", "hash"} <= {word for name in names for word in name.replace(",", "").split()}
    assert any("counted first" in name for name in names)
    assert any("room for every product" in name for name in names)
    expected = a.to_dense() @ b.to_dense()
    for name in names:
        program = engine.prepare(product, storages(a, b), csr, choice=name)
        result = program([storage.vals for storage in storages(a, b)])
        torch.testing.assert_close(scorch.Tensor(result).to_dense(), expected)


def test_the_cheapest_is_what_is_planned_anyway() -> None:
    a, b = operands()
    product = statement("ik,kj->ij", a, b)
    first = engine.choices(product, storages(a, b), csr)[0].description
    usual = engine.prepare(product, storages(a, b), csr)
    asked = engine.prepare(product, storages(a, b), csr, choice=first)
    assert asked.plan.kernel == usual.plan.kernel


def test_a_chain_may_be_asked_for() -> None:
    a, b = operands()
    product = statement("ik,kl,lj->ij", a, b, a)
    three = storages(a, b, a)
    chains = [each.description for each in engine.choices(product, three) if "first, then" in each.description]
    assert len(chains) == 2
    expected = a.to_dense() @ b.to_dense() @ a.to_dense()
    for name in chains:
        result = engine.prepare(product, three, choice=name)([storage.vals for storage in three])
        torch.testing.assert_close(scorch.Tensor(result).to_dense(), expected)


def test_a_plan_that_is_not_there() -> None:
    a, b = operands()
    with pytest.raises(ScheduleError, match=r"no plan for .* is called 'loops of magic'"):
        engine.prepare(statement("ik,kj->ij", a, b), storages(a, b), choice="loops of magic")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Autotuning as if the second plan were the fastest; which plans were timed."""
    timed: list[str] = []

    def measure(problem, plan, operands, make):
        names = [each.description for each in described(problem)][: autotune.FEW]
        timed.extend(names)
        return {name: 10.0 if n == 1 else 20.0 + n for n, name in enumerate(names)}

    monkeypatch.setattr(autotune, "_measure", measure)
    return timed


@pytest.mark.compiled
def test_the_fastest_is_remembered_and_explained(clock: list[str]) -> None:
    a, b = operands()
    with config.using(jit=True, autotune=True):
        text = str(scorch.explain("ik,kj->ij", a, b, out_format="csr"))
        assert "autotuned: 10 us, the fastest of 4 plans; the next took 20 us" in text
        assert len(clock) == 4
        result = scorch.einsum("ik,kj->ij", *operands(), out_format="csr")  # other patterns of the same kind
        assert len(clock) == 4
    torch.testing.assert_close(result.to_dense(), a.to_dense() @ b.to_dense())
    assert "autotuned" not in str(scorch.explain("ik,kj->ij", a, b, out_format="csr"))


@pytest.mark.compiled
def test_a_damaged_memory_is_measured_again_or_passed_over(clock: list[str], tmp_path: Path) -> None:
    with config.using(jit=True, autotune=True):
        scorch.einsum("ik,kj->ij", *operands(), out_format="csr")
        (path,) = (tmp_path / "kernels").glob("tuned_*.json")
        for text in ("", "[]", '{"one": 1}', '{"no such plan": 1, "nor this": 2}'):
            path.write_text(text)
            a, b = operands()
            result = scorch.einsum("ik,kj->ij", a, b, out_format="csr")
            torch.testing.assert_close(result.to_dense(), a.to_dense() @ b.to_dense(), msg=text)


def test_plans_are_timed_on_the_operands(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = operands()
    both = storages(a, b)
    product = statement("ik,kj->ij", a, b)
    problem = engine.problem_of(product, both, csr)
    calls: list[int] = []

    def make(plan):
        place = len(calls)
        calls.append(0)

        def run(vals):
            if place == 2:
                raise MemoryError
            assert [v.size for v in vals] == [v.vals.size for v in both]
            calls[place] += 1

        return run

    found = autotune._measure(problem, engine.prepare(product, both, csr).plan, both, make)
    assert len(calls) == autotune.FEW
    assert len(found) == autotune.FEW - 1  # one needs more memory than there is
    assert calls[0] == autotune._ROUNDS + 1
    assert calls[2] == 0


def test_plain_python_is_not_tuned(clock: list[str]) -> None:
    with config.using(autotune=True):
        scorch.einsum("ik,kj->ij", *operands(), out_format="csr")
    assert not clock

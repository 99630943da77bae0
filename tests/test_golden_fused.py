"""Plan and source of statements that share a kernel: an attention row, a graph convolution's layer, a chain of layers.

Run `pytest tests/test_golden_fused.py --update-golden` after a change that is meant to show here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch

import scorch
from scorch.emit.module import emit
from scorch.formats import Storage
from scorch.ir.canonical import canonical_run
from scorch.ir.normalise import normalise
from scorch.ir.parse import parse_statements
from scorch.operand import as_storage
from scorch.schedule import fuse
from scorch.schedule.machine import AVX512
from scorch.schedule.problem import Operand, Problem

Golden = Callable[[str, str], None]
N, D = 2000, 64
ATTENTION = (
    "S[i,j] = where(stored(M[i,j]), Q[i,d] * K[j,d], absent); m[i] max= where(stored(S[i,j]), S[i,j], absent); "
    "E[i,j] = where(stored(S[i,j]), exp(S[i,j] - m[i]), absent); s[i] += E[i,j]; O[i,e] = E[i,j] * V[j,e] / s[i]"
)
TEXTS = {
    "fused_attention": ATTENTION,
    "fused_gcn_layer": "H[i,e] = relu(M[i,j] * Q[j,e] + b[e])",
    "fused_layers": "T[i,e] = relu(M[i,j] * Q[j,e]); O[k,e] += M[k,i] * T[i,e]",
}


def _operands() -> dict[str, Storage]:
    rng = np.random.default_rng(0)
    coords = np.stack([np.repeat(np.arange(N), 20), rng.integers(N, size=20 * N)])
    M = as_storage(scorch.from_coo(coords, torch.ones(20 * N), (N, N), format="csr"))
    return {"M": M, "b": Storage.from_dense(torch.ones(D))} | {
        name: Storage.from_dense(torch.ones(N, D)) for name in "QKV"
    }


@pytest.mark.parametrize("name", TEXTS)
def test_plans_and_sources(name: str, golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    statements, tensors = canonical_run(normalise(parse_statements(TEXTS[name])))
    given = _operands()
    operands = {
        letter: Operand.of(letter, given[t].pattern, given[t].dtype)
        for letter, t in zip("ABCDE", tensors, strict=False)
    }
    monkeypatch.setattr(fuse, "Problem", partial(Problem, machine=AVX512))
    plan = fuse.fuse(statements, operands, 2)
    assert plan is not None
    source = emit(plan.kernel).source
    assert len(source[source.index("def body") :].splitlines()) < 150
    golden(name, f"{plan}\n\n{source}")


def test_scores_take_one_row_a_thread() -> None:
    """What a kernel keeps of the scores grows with the longest row, not with the number of pairs."""
    from scorch import engine

    given = {name: storage for name, storage in _operands().items() if name != "b"}
    program, count = engine.statements.fused(normalise(parse_statements(ATTENTION)), given, None, None)
    assert program is not None
    assert count == 6
    arrays = program.launch.scratch.take(2)
    longest = int(np.diff(given["M"].pattern.arrays[1]["pos"]).max())
    assert {shape[0] for shape in (array.shape for array in arrays.values())} == {2}
    assert max(array.shape[1] for array in arrays.values()) < longest + 64

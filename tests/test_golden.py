"""What the stages of the compiler print for a dozen kernels: notation, graph, lattices, plan and source.

Run `pytest tests/test_golden.py --update-golden` after a change that is meant to show here, and read the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

import scorch
from scorch import engine
from scorch.emit.module import emit
from scorch.formats import Format, Storage, coo, csf
from scorch.ir.einsum import parse_einsum
from scorch.ir.graph import build_graph, walks
from scorch.ir.lattice import build_lattice
from scorch.ir.plan import Plan
from scorch.ir.views import Affine, View
from scorch.operand import as_storage
from scorch.schedule.machine import AVX512
from scorch.schedule.planner import schedule
from scorch.views import view

pytestmark = pytest.mark.usefixtures("plain")

Golden = Callable[[str, str], None]


def sparse(shape: tuple[int, ...], nnz: int, format: Format | str, dtype: torch.dtype = torch.float32) -> Storage:
    """A tensor with `nnz` entries in random places."""
    rng = np.random.default_rng(0)
    coords = np.stack([rng.integers(extent, size=nnz) for extent in shape])
    return as_storage(scorch.from_coo(coords, torch.ones(nnz, dtype=dtype), shape, format=format))


def skewed(rows: int, columns: int, longest: int) -> Storage:
    """A csr matrix with one long row and two entries in each other."""
    lengths = np.full(rows, 2)
    lengths[rows // 2] = longest
    crd = np.concatenate([np.arange(length, dtype=np.int32) * (columns // length) for length in lengths])
    arrays = [{}, {"pos": np.append(0, np.cumsum(lengths)), "crd": crd}]
    return as_storage(scorch.Tensor.from_levels((rows, columns), "csr", arrays, torch.ones(len(crd))))


def dense(*shape: int) -> Storage:
    return Storage.from_dense(torch.ones(shape))


def windows(*shape: int) -> Storage:
    """The 3 x 3 windows of an image: x[n,c,i+r,j+s]."""
    n, c, i, r, j, s = map(Affine.of, "ncirjs")
    read = View("x", (n, c, i + r, j + s))
    image = {"x": dense(*shape)}
    extents = {"n": shape[0], "c": shape[1], "i": shape[2] - 2, "r": 3, "j": shape[3] - 2, "s": 3}
    return view(read, image, extents, ("n", "o", "i", "j"))


N = 2000
KERNELS: dict[str, tuple[str, Callable[[], Sequence[Storage]], str | Format | None]] = {
    "spmv_csr": ("ik,k->i", lambda: [sparse((N, N), 20 * N, "csr"), dense(N)], None),
    "spmv_csr_skewed": ("ik,k->i", lambda: [skewed(10 * N, 40 * N, 40 * N), dense(40 * N)], None),
    "spmv_csc": ("ik,k->i", lambda: [sparse((N, N), 20 * N, "csc"), dense(N)], None),
    "spmm_csr_64": ("ik,kj->ij", lambda: [sparse((N, N), 20 * N, "csr"), dense(N, 64)], None),
    "spmm_csr_33_serial": ("ik,kj->ij", lambda: [sparse((20, 30), 60, "csr"), dense(30, 33)], None),
    "spmm_coo_300": ("ik,kj->ij", lambda: [sparse((N, N), 20 * N, "coo"), dense(N, 300)], None),
    "spmspm_csr": ("ik,kj->ij", lambda: [sparse((N, N), 10 * N, "csr"), sparse((N, N), 10 * N, "csr")], None),
    "spmspm_dcsr_small": ("ik,kj->ij", lambda: [sparse((9, 9), 20, "dcsr"), sparse((9, 9), 20, "csr")], "coo"),
    "spmspm_csr_short_rows": (
        "ik,kj->ij",
        lambda: [sparse((50 * N, 50 * N), 150 * N, "csr"), sparse((50 * N, 50 * N), 150 * N, "csr")],
        None,
    ),
    "sddmm_csr": ("ij,ik,jk->ij", lambda: [sparse((N, N), 20 * N, "csr"), dense(N, 48), dense(N, 48)], None),
    "elementwise_csr_coo": ("ij,ij->ij", lambda: [sparse((50, 40), 300, "csr"), sparse((50, 40), 300, "coo")], "csr"),
    "trace_csr": ("ii->", lambda: [sparse((50, 50), 300, "csr")], None),
    "mttkrp_csf": ("ijk,jl,kl->il", lambda: [sparse((60, 50, 40), 5000, csf(3)), dense(50, 16), dense(40, 16)], None),
    "convolution_csf": (
        "ncirjs,ocrs->noij",
        lambda: [windows(4, 16, 34, 34), sparse((16, 16, 3, 3), 300, csf(4))],
        None,
    ),
    "galloping_csr": ("ij,ij->i", lambda: [sparse((90, N), 300, "csr"), sparse((90, N), 9 * N, "csr")], None),
    "ttv_coo": ("ijk,k->ij", lambda: [sparse((90, 80, 70), 20000, coo(3)), dense(70)], None),
    "dense_to_csr": ("ij->ij", lambda: [dense(30, 20)], "csr"),
    "csr_to_dense_transposed": ("ij->ji", lambda: [sparse((30, 20), 100, "csr")], "dense"),
}


def planned(name: str) -> tuple[str, Plan]:
    """The einsum string of a kernel, and its plan for two threads as one loop nest."""
    notation, operands, wanted = KERNELS[name]
    storages = operands()
    statement = parse_einsum(notation, [s.pattern.shape for s in storages])
    with scorch.config.using(threads=2):
        rank = len(statement.target.indices)
        result = None if wanted is None else scorch.formats.resolve(wanted, rank)
        return notation, schedule(replace(engine.problem_of(statement, storages, result), machine=AVX512))


def section(title: str, text: object) -> list[str]:
    return [f"==== {title}", str(text).rstrip(), ""]


@pytest.mark.parametrize("name", KERNELS)
def test_stages(name: str, golden: Golden) -> None:
    notation, plan = planned(name)
    kernel, statement = plan.kernel, plan.kernel.statement
    formats = {spec.name: spec.format for spec in kernel.operands}
    lines = section(f"einsum {notation!r}", statement)
    lines += section("iteration graph", build_graph(statement, formats, dict(plan.extents)))
    for index in statement.indices:
        lattice = build_lattice(statement.expr, index, lambda a, v=index: walks(a, v, formats[a.tensor]))
        lines += section(f"merge lattice of {index}", lattice)
    # prices change with every measurement; what follows from them is what is kept
    shown = [line for line in str(plan).splitlines() if not line.startswith("because")]
    lines += section("plan", "\n".join(shown))
    lines += section("source", emit(kernel).source)
    golden(name, "\n".join(lines))


@pytest.mark.smoke
def test_a_plan_is_the_same_each_time() -> None:
    first, second = planned("spmspm_csr")[1], planned("spmspm_csr")[1]
    assert first.kernel == second.kernel
    assert hash(first.kernel) == hash(second.kernel)
    assert emit(first.kernel).source == emit(second.kernel).source

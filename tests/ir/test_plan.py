"""Plans: walking the loop tree, phases, and what the parts print."""

from __future__ import annotations

import pytest

from scorch.formats import csr
from scorch.ir.notation import Access, Apply, Assign
from scorch.ir.plan import Assembly, Block, Compute, Kernel, Loop, Partition, TensorSpec, Tile, Where, Workspace, walk

A, B, C = Access("A", ("i", "k")), Access("B", ("k", "j")), Access("C", ("i", "j"))
w = Workspace("w", ("j",), "bitmap", "float32")
product = Apply("mul", (A, B))


@pytest.mark.smoke
def test_walk_is_outermost_first() -> None:
    inner = Compute(C, "add", product)
    where = Where(w, Loop("k", inner), Loop("j", Compute(C, None, Access("w", ("j",)))))
    found = [type(stmt).__name__ for stmt in walk(Loop("i", Block((where,))))]
    assert found == ["Loop", "Block", "Where", "Loop", "Compute", "Loop", "Compute"]


@pytest.mark.parametrize(
    ("assembly", "phases"),
    [
        (Assembly("locate"), 1),
        (Assembly("share", source=A), 1),
        (Assembly("append"), 2),
        (Assembly("append", bounded=True), 2),
    ],
)
def test_phases(assembly: Assembly, phases: int) -> None:
    spec = TensorSpec("C", csr, "float32")
    kernel = Kernel((), spec, Assign(C, product), Compute(C, None, product), assembly)
    assert len(kernel.phases) == phases


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (Tile(16, 4, count=1), "tile(4 x 16 lanes, once)"),
        (Tile(16, 4, rest=2, masked=True, prefetch=8), "tile(4 x 16 lanes; rest 2 x 16 masked; prefetch 8 ahead)"),
        (w, "w[j]: bitmap float32"),
        (Compute(C, "add", product), "C[i,j] += A[i,k] * B[k,j]"),
        (Assembly("locate", owned=True), "dense, each value written once"),
        (Assembly("append", filtered=True), "appended in order, counted first, fill values left out"),
        (Partition("serial"), "serial"),
        (
            Partition("positions", "i", A, 8),
            "8 chunks of positions of i, weighted by the nonzeros of A[i,k], taken dynamically",
        ),
        (
            Partition("coordinates", "i", A, 8, selected=B),
            "8 chunks of coordinates of i, weighted by what the nonzeros of A[i,k] select of B[k,j], taken dynamically",
        ),
        (Partition("coordinates", "k", None, 2, private=True), "2 chunks of coordinates of k, a private result each"),
        (TensorSpec("A", csr, "float32"), "A: csr float32"),
    ],
)
def test_text(part: object, text: str) -> None:
    assert str(part) == text

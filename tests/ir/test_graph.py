"""The iteration graph: which loop orders the operands' level trees allow."""

from __future__ import annotations

import pytest

from scorch.formats import Format, coo, csc, csf, csr, dcsr, dense
from scorch.ir.einsum import parse_einsum
from scorch.ir.graph import build_graph, level_indices, walks
from scorch.ir.notation import Access

SHAPES = [(2, 3), (3, 4)]
EXTENTS = {"i": 2, "k": 3, "j": 4}


def orders(*formats: Format) -> list[str]:
    graph = build_graph(parse_einsum("ik,kj->ij", SHAPES), dict(zip("AB", formats, strict=True)), EXTENTS)
    return ["".join(order) for order in graph.orders()]


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("formats", "wanted"),
    [
        ((csr, csr), ["ikj"]),
        ((csr, dense(2)), ["ijk", "ikj", "jik"]),
        ((csc, csr), ["kij", "kji"]),
        ((csr, csc), ["ijk", "jik"]),
        ((coo(2), dense(2)), ["ijk", "ikj", "jik"]),
    ],
)
def test_orders(formats: tuple[Format, Format], wanted: list[str]) -> None:
    assert sorted(orders(*formats)) == wanted


def test_a_cycle_has_no_order() -> None:
    graph = build_graph(parse_einsum("ij,ji->ij", [(2, 3), (3, 2)]), {"A": csr, "B": csr}, {"i": 2, "j": 3})
    assert list(graph.orders()) == []
    assert [str(access) for access in graph.conflicts(("i", "j"))] == ["B[j,i]"]
    assert [str(access) for access in graph.conflicts(("j", "i"))] == ["A[i,j]"]


def test_only_levels_that_are_walked_force_an_order() -> None:
    statement = parse_einsum("ijk->ijk", [(2, 3, 4)])
    extents = {"i": 2, "j": 3, "k": 4}
    for format, edges in ((dense(3), 0), (csf(3), 3), (Format("dense, dense, compressed"), 2)):
        assert len(build_graph(statement, {"A": format}, extents).edges) == edges


def test_level_indices_follow_the_storage_order() -> None:
    access = Access("A", ("i", "j", "k"))
    assert level_indices(access, csf(3, (2, 0, 1))) == ("k", "i", "j")
    assert [walks(access, v, Format("dense, compressed, dense", (2, 0, 1))) for v in "ijk"] == [True, False, False]
    assert walks(Access("A", ("i", "j")), "i", dcsr)

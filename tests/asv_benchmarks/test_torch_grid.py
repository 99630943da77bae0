"""Every cell of the torch grid."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import scorch
from asv_benchmarks import torch_grid


@pytest.fixture(autouse=True)
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with scorch.config.using(jit=False, cache_dir=tmp_path_factory.getbasetemp() / "grid-kernels"):
        yield


@pytest.mark.parametrize("format", torch_grid.FORMATS)
@pytest.mark.parametrize("row", torch_grid.ROWS, ids=lambda row: row.operation)
def test_cell(row: torch_grid.Row, format: str) -> None:
    assert torch_grid.tried(row, format) == ""


def test_a_wrong_result_is_red() -> None:
    def check(S: scorch.Tensor, s: object) -> None:
        torch_grid.same(S * 2, S.to_dense())

    row = torch_grid.Row("wrong", "none", check)
    assert torch_grid.tried(row, "csr").startswith("AssertionError")
    assert torch_grid.Grid({("wrong", "csr"): "AssertionError"}).green == 0


def test_the_page_has_every_row() -> None:
    page = torch_grid.PAGE.read_text(encoding="utf-8")
    for row in torch_grid.ROWS:
        assert f"| {row.operation} | " in page

"""What explain says of a function: the calls as they are written, beside what runs in their place."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

import scorch


def layer(A: Any, X: Any, W: Any, b: Any) -> Any:
    return torch.fft.rfft(torch.relu(A @ (X @ W) + b))


def test_both_programs_are_shown(t: SimpleNamespace) -> None:
    explained = scorch.explain(layer, t.A, t.X, t.Y, t.u)
    assert [line.split(" = ")[1].split("(")[0] for line in explained.original] == [
        "matmul",
        "matmul",
        "add",
        "relu",
        "fft_rfft",
    ]
    assert [len(part.calls) for part in explained.parts] == [4, 1]
    assert "relu(" in str(explained.notation[-1])
    text = str(explained)
    for words in (
        "layer, as it is written",
        "csr float32 12x12",
        "as it runs",
        "orders of multiplication, estimated time",
        "as it is",
        "1 kernel, estimated",
        "for i",
        "alternatives, estimated time",
    ):
        assert words in text
    assert text.count("->  ") >= 2
    assert "prange" in explained.source or "def body" in explained.source
    html = explained._repr_html_()
    assert html.startswith("<table>")
    assert "as it runs" in html
    assert "&lt;" not in html.split("</table>")[0]


def test_compiled_or_not(t: SimpleNamespace) -> None:
    given = (t.A, t.X, t.Y, t.u)
    assert scorch.explain(scorch.compile(layer), *given).notation == scorch.explain(layer, *given).notation


def test_named_arguments(t: SimpleNamespace) -> None:
    assert scorch.explain(layer, t.A, t.X, b=t.u, W=t.Y).kernels


def test_notation_is_explained_as_before(t: SimpleNamespace) -> None:
    assert str(scorch.explain("ik,kj->ij", t.A, t.X).notation) == "C[i,j] += A[i,k] * B[k,j]"
    assert "relu" in str(scorch.explain("C[i,j] = relu(A[i,k] * B[k,j])", A=t.A, B=t.X))
    with pytest.raises(scorch.NotationError):
        scorch.explain("ik,kj->ij", t.A, t.X, x=t.u)


def test_what_is_explained_with_gradients(t: SimpleNamespace) -> None:
    W = t.Y.clone().requires_grad_()
    explained = scorch.explain(layer, t.A, t.X, W, t.u)
    assert len(explained.parts) == 4  # the chain, and each function of its values
    assert len(explained.original) == 5

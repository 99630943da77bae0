from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import scorch

DENSE = torch.rand(6, 6, generator=torch.Generator().manual_seed(0)) * (torch.arange(36).view(6, 6) % 3 == 0)
A = scorch.tensor(DENSE).to("csr")
X = torch.rand(6, 6, generator=torch.Generator().manual_seed(1))  # square, so that swapped operands would go unnoticed


@pytest.fixture(autouse=True)
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    torch._dynamo.reset()
    home: Path = tmp_path_factory.mktemp("kernels")
    with scorch.config.using(jit=False, cache_dir=home):
        yield


def compiled(function: Any) -> Any:
    return torch.compile(function, fullgraph=True, backend="aot_eager")


def test_an_einsum_is_a_node_of_a_whole_graph() -> None:
    f = compiled(lambda x: torch.relu(scorch.einsum("ik,kj->ij", A, x) * 2 - 1))
    assert torch.allclose(f(X), torch.relu(DENSE @ X * 2 - 1))
    assert torch.allclose(f(X[:, :2].contiguous()), torch.relu(DENSE @ X[:, :2] * 2 - 1))


def test_gradients_in_a_compiled_function() -> None:
    f = compiled(lambda v, x: scorch.einsum("ik,kj->ij", A.with_values(v), x).square())
    v, x = A.values.clone().requires_grad_(), X.clone().requires_grad_()
    f(v, x).sum().backward()
    w, y = DENSE.clone().requires_grad_(), X.clone().requires_grad_()
    (w @ y).square().sum().backward()
    assert torch.allclose(v.grad, w.grad[tuple(A.coords())])
    assert torch.allclose(x.grad, y.grad)


def test_a_result_on_the_pattern_of_an_operand() -> None:
    f = compiled(lambda a, x: scorch.einsum("ij,ij->ij", a, x).values + 1)
    x = X.clone().requires_grad_()
    values = f(A, x)
    assert torch.allclose(values, A.values * X[tuple(A.coords())] + 1)
    values.sum().backward()
    assert torch.allclose(x.grad, DENSE)


@pytest.mark.parametrize("function", [torch.matmul, torch.mm])
def test_products_keep_their_order(function: Any) -> None:
    assert torch.allclose(compiled(lambda x: function(A, x))(X), DENSE @ X)
    torch._dynamo.reset()
    assert torch.allclose(compiled(lambda x: function(x, A))(X), X @ DENSE)


def test_the_operator_keeps_its_order() -> None:
    # Square matrices: swapped operands would give wrong numbers and no error.
    assert torch.allclose(compiled(lambda x: A @ x)(X), DENSE @ X)
    torch._dynamo.reset()
    assert torch.allclose(compiled(lambda x: x @ A)(X), X @ DENSE)


def test_the_operator_is_refused_where_dynamo_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    from scorch import ops

    monkeypatch.setattr(ops, "is_mended", lambda: False)
    with pytest.raises(torch._dynamo.exc.Unsupported, match=r"torch\.matmul\(A, x\) for A @ x"):
        compiled(lambda x: A @ x)(X)


def test_an_unknown_number_of_entries_is_refused() -> None:
    with pytest.raises(Exception, match="depends on its operands' coordinates"):
        compiled(lambda x: scorch.einsum("ij,jk->ik", A, A).values)(X)


def test_the_operator_passes_torchs_own_checks() -> None:
    compiled(lambda x: scorch.einsum("ik,kj->ij", A, x))(X)
    from scorch import ops

    handles = (A._storage.pattern.handle, ops.DENSE)
    spec = next(spec for spec, call in ops._CALLS.items() if call[:2] == ("ik,kj->ij", handles))
    torch.library.opcheck(
        torch.ops.scorch.run.default,
        (spec, [A.values, X], [6, 6], torch.float32),
        test_utils=("test_schema", "test_faketensor"),
    )


def test_importing_scorch_loads_no_compiler() -> None:
    code = "import scorch, sys; print([m for m in ('torch._dynamo', 'numba', 'scorch.ops') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("strict", [True, False])
def test_an_exported_module_runs_the_operator(strict: bool) -> None:
    class Layer(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(scorch.einsum("ik,kj->ij", A, x))

    program = torch.export.export(Layer(), (X,), strict=strict)
    called = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert called == ["scorch.run.default", "aten.relu.default"]
    assert torch.allclose(program.module()(X), torch.relu(DENSE @ X))

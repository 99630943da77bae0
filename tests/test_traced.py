from __future__ import annotations

from typing import Any

import pytest
import torch

import scorch

GENERATOR = torch.Generator().manual_seed(0)
DENSE = torch.rand(6, 6, generator=GENERATOR) * (torch.arange(36).view(6, 6) % 3 == 0)
A = scorch.tensor(DENSE).to("csr")
X = torch.rand(6, 6, generator=GENERATOR) - 0.5
B = torch.rand(6, generator=GENERATOR) - 0.5
LAYER = "T[i,j] += A[i,k] * X[k,j]; C[i,j] = relu(T[i,j] + b[j])"


@pytest.fixture(autouse=True)
def fresh(plain: None) -> None:
    torch._dynamo.reset()


def compiled(function: Any) -> Any:
    return torch.compile(function, fullgraph=True, backend="aot_eager")


def test_statements_are_a_node_of_a_whole_graph() -> None:
    f = compiled(lambda x, b: scorch.compute(LAYER, A=A, X=x, b=b) * 2)
    assert torch.allclose(f(X, B), torch.relu(DENSE @ X + B) * 2)
    assert torch.allclose(f(X[:, :3].contiguous(), B[:3]), torch.relu(DENSE @ X[:, :3] + B[:3]) * 2)


def test_gradients_of_statements_in_a_compiled_function() -> None:
    def gradients(function: Any) -> list[torch.Tensor]:
        leaves = [x.clone().requires_grad_() for x in (A.values, X, B)]
        function(*leaves).square().sum().backward()
        return [leaf.grad for leaf in leaves]

    def layer(v: torch.Tensor, x: torch.Tensor, b: torch.Tensor) -> Any:
        return scorch.compute(LAYER, A=A.with_values(v), X=x, b=b)

    def dense(v: torch.Tensor, x: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.relu(torch.zeros(6, 6).index_put(tuple(A.coords()), v) @ x + b)

    for found, expected in zip(gradients(compiled(layer)), gradients(dense), strict=True):
        assert torch.allclose(found, expected, atol=1e-6)


def _layer_in_double(v: torch.Tensor, x: torch.Tensor, b: torch.Tensor) -> Any:
    smooth = LAYER.replace("relu", "sigmoid")
    return scorch.compute(smooth, A=A.to(torch.float64).with_values(v), X=x, b=b)


def _leaves_in_double() -> list[torch.Tensor]:
    return [x.double().requires_grad_() for x in (A.values, X[:, :2].contiguous(), B[:2])]


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_gradients_of_compiled_statements_agree_with_differences(backend: str) -> None:
    f = torch.compile(_layer_in_double, fullgraph=True, backend=backend)
    assert torch.autograd.gradcheck(f, _leaves_in_double())


def test_second_derivatives_of_compiled_statements() -> None:
    f = torch.compile(_layer_in_double, fullgraph=True, backend="eager")
    assert torch.autograd.gradgradcheck(f, _leaves_in_double())


def test_second_derivatives_are_refused_where_torchs_backend_has_none() -> None:
    f, leaves = torch.compile(_layer_in_double, fullgraph=True, backend="aot_eager"), _leaves_in_double()
    first = torch.autograd.grad(f(*leaves).square().sum(), leaves[1], create_graph=True)[0]
    with pytest.raises(RuntimeError, match="does not currently support double backward"):
        first.sum().backward()


def test_an_operand_without_influence_has_gradient_zero() -> None:
    x = X.clone().requires_grad_()
    f = compiled(lambda x: scorch.compute("C[i,j] = A[i,j] + 0 * (x[i,j] > 0)", A=A, x=x, out_format="dense"))
    f(x).sum().backward()
    assert torch.equal(x.grad, torch.zeros(6, 6))


def test_a_result_on_the_pattern_of_an_operand() -> None:
    f = compiled(lambda a, x: scorch.compute("C[i,j] = A[i,j] * x[i,j] * s", A=a, x=x, s=0.5))
    assert torch.allclose(f(A, X).to_dense(), DENSE * X * 0.5)


def test_temporaries_carry_extents_from_one_statement_to_the_next() -> None:
    text = "T[i] += A[i,k] * x[k]; C[p,q] = T[p] * y[q]"
    y = torch.rand(4)
    assert torch.allclose(compiled(lambda x, y: scorch.compute(text, A=A, x=x, y=y))(B, y), torch.outer(DENSE @ B, y))


def test_kernel_objects_are_traced_as_what_they_compute() -> None:
    product = scorch.kernel("ik,kj->ij", A, X)
    statements = scorch.kernel(LAYER, A=A, X=X, b=B)
    f = compiled(lambda x, b: product(A, x) + statements(A=A, X=x, b=b))
    assert torch.allclose(f(X, B), DENSE @ X + torch.relu(DENSE @ X + B))


@pytest.mark.parametrize("strict", [True, False])
def test_an_exported_module_runs_the_operator(strict: bool) -> None:
    class Layer(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            return scorch.compute(LAYER, A=A, X=x, b=B)

    program = torch.export.export(Layer(), (X,), strict=strict)
    assert "scorch.compute.default" in [str(node.target) for node in program.graph.nodes]
    assert torch.allclose(program.module()(X), torch.relu(DENSE @ X + B))


def test_what_cannot_be_traced_says_why() -> None:
    with pytest.raises(Exception, match="depends on its operands' coordinates"):
        compiled(lambda: scorch.compute("C[i,j] += A[i,k] * A[k,j]", A=A).values)()
    with pytest.raises(Exception, match="computed coordinates"):
        compiled(lambda x: scorch.compute("y[i] = x[i+1]", x=x))(B)
    with pytest.raises(Exception, match="statements that are text"):
        compiled(lambda x: scorch.compute("y[i] = 1 * x[j]", x=x, extents={"i": 3}))(B)


def test_the_operator_passes_torchs_own_checks() -> None:
    compiled(lambda x: scorch.compute(LAYER, A=A, X=x, b=B))(X)
    from scorch import traced

    spec = next(spec for spec, call in traced._CALLS.items() if call.text == LAYER)
    arguments = (spec, [A.values, X, B], [6, 6], torch.float32)
    checks = ("test_schema", "test_faketensor", "test_autograd_registration")
    torch.library.opcheck(torch.ops.scorch.compute.default, arguments, test_utils=checks)

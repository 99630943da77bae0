"""The text of a kernel module: valid Python, self-contained, named after what it computes."""

from __future__ import annotations

import ast
from dataclasses import replace

import pytest

from scorch.emit.lower import lower
from scorch.emit.module import emit
from scorch.emit.values import combine, identity, is_vector
from scorch.errors import ScheduleError, UnsupportedError
from scorch.ir import loops as ir
from scorch.ir.plan import Loop
from tests.test_golden import KERNELS, planned


@pytest.mark.smoke
@pytest.mark.parametrize("name", KERNELS)
def test_every_module_is_python_and_carries_its_plan(name: str) -> None:
    _, plan = planned(name)
    module = emit(plan.kernel)
    tree = ast.parse(module.source)
    assert str(plan.kernel.statement) in str(ast.get_docstring(tree))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert [phase.name for phase in module.phases] == list(plan.kernel.phases)
    for phase in module.phases:
        assert [arg.arg for arg in functions[phase.body].args.args] == [
            "chunk",
            "lo",
            "hi",
            *(p.name for p in phase.params),
        ]
        assert (phase.kernel in functions) == (plan.kernel.unit != "serial")


def test_checked_modules_import_the_checking_vocabulary() -> None:
    kernel = planned("spmm_csr_64")[1].kernel
    assert "from scorch.emit.vocabulary import" in emit(kernel).source
    assert "from scorch.emit.vocabulary.checked import" in emit(kernel, checked=True).source


def test_a_kernel_has_no_parameter_that_it_does_not_use() -> None:
    for name in KERNELS:
        kernel = planned(name)[1].kernel
        for phase in kernel.phases:
            function, params = lower(kernel, phase)
            assert {p.name for p in params} <= ir.variables(function.body)


def test_two_kernels_of_one_expression_have_two_texts() -> None:
    assert emit(planned("spmv_csr")[1].kernel).source != emit(planned("spmv_csc")[1].kernel).source


def test_identities() -> None:
    assert identity("add", "float32") == ir.Const(0, "float32")
    assert identity("min", "float32").value == float("inf")
    assert identity("max", "int32").value == -(2**31)
    assert identity("min", "uint8").value == 255


def test_bool_sums_are_or() -> None:
    x, y = ir.Var("x", "bool"), ir.Var("y", "bool")
    assert combine("add", x, y, "bool") == ir.Binary("|", x, y)
    assert combine("mul", x, y, "bool") == ir.Binary("&", x, y)


def test_narrow_integers_are_cast_back() -> None:
    x = ir.Var("x", "uint8")
    assert combine("mul", x, x, "uint8") == ir.Call("np.uint8", (ir.Binary("*", x, x),), "uint8")


def test_vectors_are_told_by_their_type() -> None:
    assert is_vector(ir.Var("v", "float32x16"))
    assert not is_vector(ir.Var("c", "complex64"))


def test_a_loop_order_that_no_operand_allows_is_found() -> None:
    kernel = planned("elementwise_csr_coo")[1].kernel
    assert isinstance(kernel.root, Loop)
    assert isinstance(kernel.root.body, Loop)
    outer, inner = kernel.root, kernel.root.body
    swapped = replace(inner, body=replace(outer, body=inner.body))
    with pytest.raises((ScheduleError, UnsupportedError)):
        emit(replace(kernel, root=swapped))

"""A product with what a layer does to its result, in one kernel, where nothing is differentiated."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch

import scorch
from scorch import engine, recall
from scorch.api import kept
from scorch.autograd import transforming
from scorch.functions.registry import taker
from scorch.nn.functional.epilogue import Activation, epilogue
from scorch.operand import Stored, as_storage, bind

__all__ = ["finished", "is_known", "is_plain_call", "keep_viewed", "product", "scalar", "viewed"]

_EXPRESSIONS = {
    None: "{0}",
    "relu": "relu({0})",
    "leaky_relu": "where({0} > 0, {0}, 0.01 * ({0}))",
    "sigmoid": "sigmoid({0})",
    "silu": "{0} * sigmoid({0})",
    "elu": "where({0} > 0, {0}, expm1({0}))",
    "tanh": "tanh({0})",
    "gelu": "0.5 * {0} * (1 + erf(0.7071067811865476 * {0}))",
}
"""Activations by name, which kernels compute on SIMD lanes; functions are called with the kernel's result."""


def is_plain_call(*operands: Any) -> bool:
    """Whether only the value of what is computed with these operands is asked for: no gradient, no transform.

    >>> is_plain_call(torch.ones(2)), is_plain_call(torch.ones(2, requires_grad=True))
    (True, False)
    """
    if not torch.compiler.is_compiling() and transforming():
        return False
    if torch.is_grad_enabled():
        return not any(getattr(x, "requires_grad", False) for x in operands)
    return True


def product(
    a: Any,
    b: Any,
    bias: torch.Tensor | None = None,
    activation: Activation = None,
    *,
    by_row: bool = False,
    added: torch.Tensor | None = None,
    scale: torch.Tensor | None = None,
) -> torch.Tensor:
    """activation(a @ b + scale * added + bias): a dense matrix, or a vector if `b` is one.

    `a` is a sparse matrix; `bias` has a value a column or, `by_row`, a row; `added` has the shape of the result,
    `scale` is a scalar. For calls of which `is_plain_call` holds.

    >>> a = scorch.tensor([[0.0, 2.0], [1.0, 0.0]], "csr")
    >>> product(a, torch.eye(2), torch.tensor([0.5, -3.0]), "relu")
    tensor([[0.5000, 0.0000],
            [1.5000, 0.0000]])
    """
    if torch.compiler.is_compiling():
        return _written(a, b, bias, activation, by_row, added, scale)
    taken = taker()
    if taken is not None:
        options = {"bias": bias, "activation": activation, "added": added, "scale": scale}
        said = {name: x for name, x in options.items() if x is not None} | ({"by_row": True} if by_row else {})
        made: torch.Tensor = taken("sparse_product", product, (a, b), said)
        return made
    given = (a, b, bias, added, scale)
    operands = [x for x in given if x is not None]
    call = _call(a, activation, by_row, bias is None, added is None, scale is None)
    result: torch.Tensor | None = recall.run(call, operands)
    if result is None:
        bound = bind(operands)
        key = None if bound is None else (call, bound[0], engine.settings())
        found = None if key is None else engine.find(key)
        if bound is None or found is None:
            whole = _written(*given[:3], activation, by_row, added, scale)
            if key is not None:
                _remember(key, given, activation, by_row)
            return whole
        program, slots = found
        result = program([bound[1][n] for n in slots])
        recall.keep(call, operands, bound[0], program, slots)
    return result if is_known(activation) else epilogue(result, None, activation)


def _call(a: Any, activation: Activation, *options: bool) -> tuple[object, ...]:
    """All that the statements depend on; their text and the operands' names need not be made again."""
    return ("product", as_storage(a).key, activation, *options)


def viewed(a: Any, x: Any, bias: torch.Tensor | None, activation: Activation) -> torch.Tensor | None:
    """The product of a layer with x, samples by features, if it was one of features by samples before, else None."""
    if torch.compiler.is_compiling() or taker() is not None or not is_known(activation) or not isinstance(a, Stored):
        return None
    operands = (a, x) if bias is None else (a, x, bias)
    found: torch.Tensor | None = recall.run(("viewed", a._storage.key, activation, bias is None), operands)
    return found


def keep_viewed(
    a: Any, x: torch.Tensor, columns: torch.Tensor, bias: torch.Tensor | None, activation: Activation, result: Any
) -> None:
    """Remember that a product with `columns`, on the memory of x, gave a result of which `result` is a view."""
    if torch.compiler.is_compiling() or taker() is not None or not is_known(activation) or not isinstance(a, Stored):
        return
    if columns.data_ptr() != x.data_ptr():
        return
    rest = () if bias is None else (bias,)
    inner = _call(a, activation, True, bias is None, True, True)
    call = ("viewed", a._storage.key, activation, bias is None)
    recall.keep_view(call, (a, x, *rest), inner, (a, columns, *rest), result)


def _remember(key: object, given: tuple[Any, ...], activation: Activation, by_row: bool) -> None:
    """Keep the program of a product that was computed as a text, if it is one kernel."""
    a, b, bias, added, scale = given
    text, operands, _ = _statements(a, b, bias, activation, by_row, added, scale)
    program = kept(text, "dense", operands)
    if program is not None:
        engine.remember(key, program, [as_storage(a)])


def _written(*given: Any) -> torch.Tensor:
    """The product as a text, which may be recorded or traced."""
    text, operands, rest = _statements(*given)
    result = scorch.compute(text, out_format="dense", **operands)
    return result if rest is None else epilogue(result, None, rest)  # type: ignore[return-value, arg-type]


def _statements(
    a: Any,
    b: Any,
    bias: torch.Tensor | None,
    activation: Activation,
    by_row: bool,
    added: torch.Tensor | None,
    scale: torch.Tensor | None,
) -> tuple[str, dict[str, Any], Activation]:
    """The text and its operands, and the activation that is left to torch."""
    known = is_known(activation)
    operands = {"A": a, "B": b, "b": bias, "D": added, "s": scale}
    operands = {name: x for name, x in operands.items() if x is not None}
    write = _text if torch.compiler.is_compiling() else _kept_text
    text = write(activation if known else None, tuple(operands), by_row, b.ndim)  # type: ignore[arg-type]
    return text, operands, None if known else activation


def finished(value: str, activation: Activation) -> tuple[str, Activation]:
    """The text of an activation of a value, and the activation that is left to torch.

    >>> finished("T[i] + b[i]", "silu"), finished("T[i]", len)
    (('(T[i] + b[i]) * sigmoid((T[i] + b[i]))', None), ('T[i]', <built-in function len>))
    """
    if not is_known(activation):
        return value, activation
    value = f"({value})" if " " in value and activation not in (None, "relu", "sigmoid") else value
    return _EXPRESSIONS[activation].format(value), None  # type: ignore[index]


def is_known(activation: Activation) -> bool:
    """Whether kernels compute an activation.

    >>> is_known("relu"), is_known(torch.relu)
    (True, False)
    """
    return activation is None or (type(activation) is str and activation in _EXPRESSIONS)


def scalar(value: float, dtype: torch.dtype) -> torch.Tensor:
    """A number as an operand, the same tensor each time; it is read, never written.

    >>> scalar(0.5, torch.float64)
    tensor(0.5000, dtype=torch.float64)
    """
    return torch.tensor(value, dtype=dtype) if torch.compiler.is_compiling() else _kept_scalar(value, dtype)


@lru_cache(maxsize=256)
def _kept_scalar(value: float, dtype: torch.dtype) -> torch.Tensor:
    with torch.inference_mode(False):
        return torch.tensor(value, dtype=dtype)


def _text(activation: str | None, operands: tuple[str, ...], by_row: bool, rank: int) -> str:
    """The statements of a product.

    >>> print(_text("relu", ("A", "B", "b", "D"), False, 2))
    T[i,j] += A[i,k] * B[k,j]; C[i,j] = relu(T[i,j] + D[i,j] + b[j])
    """
    place = "i,j" if rank == 2 else "i"
    value = f"T[{place}]"
    if "D" in operands:
        value += f" + s * D[{place}]" if "s" in operands else f" + D[{place}]"
    if "b" in operands:
        value += f" + b[{'i' if by_row or rank == 1 else 'j'}]"
    read = f"A[i,k] * B[k{place[1:]}]"
    if value == f"T[{place}]" and activation is None:
        return f"C[{place}] += {read}"
    return f"T[{place}] += {read}; C[{place}] = {finished(value, activation)[0]}"


_kept_text = lru_cache(maxsize=256)(_text)

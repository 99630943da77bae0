"""The calls that Scorch can put off, by torch's names, and what they compute in index notation."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from numbers import Real
from typing import Any, TypeAlias

import torch

from scorch.errors import ScorchError
from scorch.ir.einsum import parse_einsum
from scorch.ir.notation import Access, Apply, Expr, Literal, accesses, substitute
from scorch.ir.parse import parse_expression
from scorch.ir.statement import ABSENT
from scorch.operand import Stored
from scorch.trace.node import Call, Contract, Draft, Map, Node, Softmax, Sum, is_sparse, letters

__all__ = ["draft_of", "in_place", "is_known", "is_rearranging", "known_name", "outside"]

Rule: TypeAlias = "Callable[..., Draft | None]"

_RULES: dict[str, Rule] = {}
_ALIASES = {
    "multiply": "mul",
    "divide": "div",
    "true_divide": "div",
    "subtract": "sub",
    "negative": "neg",
    "absolute": "abs",
    "truediv": "div",
    "mm": "matmul",
    "mv": "matmul",
    "dot": "matmul",
    "expit": "sigmoid",
    "_sparse_mm": "matmul",
    "linalg_matmul": "matmul",
    "_sparse_softmax": "softmax",
    "sparse_sampled_addmm": "sampled_addmm",
}


@lru_cache(maxsize=4096)
def known_name(name: str) -> str:
    """The one name of an operation: `__add__`, `Tensor.add` and `torch.add` are all `add`.

    >>> known_name("__matmul__"), known_name("Tensor.__rsub__"), known_name("multiply")
    ('matmul', 'rsub', 'mul')
    """
    plain = name.rsplit(".", 1)[-1]
    if plain.startswith("__") and plain.endswith("__"):
        plain = plain[2:-2]
    return _ALIASES.get(plain, plain)


def is_known(name: str) -> bool:
    """Whether there are calls of that name that Scorch can put off."""
    return name in _RULES


_REARRANGING = frozenset(
    (
        *("get T", "get mT", "t", "transpose", "permute", "swapaxes", "swapdims", "movedim", "contiguous", "getitem"),
        *("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "expand"),
    )
)


def is_rearranging(name: str) -> bool:
    """Whether calls of that name give values of a tensor in another arrangement, and do nothing else.

    >>> is_rearranging("get T"), is_rearranging("add")
    (True, False)
    """
    return name in _REARRANGING


_IN_PLACE = {"relu_": "relu", "add_": "add", "sub_": "sub", "mul_": "mul", "div_": "div", "neg_": "neg"} | {
    "iadd": "add",
    "isub": "sub",
    "imul": "mul",
    "itruediv": "div",
    "sigmoid_": "sigmoid",
    "leaky_relu_": "leaky_relu",
}


def in_place(name: str) -> str | None:
    """The name of the operation that a call does in place; None if it is not known.

    >>> in_place("relu_"), in_place("iadd"), in_place("copy_")
    ('relu', 'add', None)
    """
    return _IN_PLACE.get(name)


def outside(name: str) -> Callable[..., Any]:
    """torch's function of that name which changes nothing in place."""
    found: Callable[..., Any] = getattr(torch, name, None) or getattr(torch.nn.functional, name)
    return found


def draft_of(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Draft | None:
    """What a call computes, over tensors and nodes; None for a call that is left to torch.

    A call over dense tensors alone is put off only if it is a product, or works on one that was put off.

    >>> print(draft_of("matmul", (torch.ones(2, 3), torch.ones(3, 4)), {}).form)
    rd,dc->rc
    """
    rule = _RULES.get(name)
    if rule is None or not any(isinstance(x, torch.Tensor | Stored | Node) for x in args):
        return None
    try:
        return rule(*args, **kwargs)
    except TypeError:  # other arguments than the rule knows
        return None


def _rule(*names: str) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        _RULES.update(dict.fromkeys(names, rule))
        return rule

    return register


# --- functions of each value --------------------------------------------------------------------------------


def _mapped(text: Expr, *operands: Any) -> Draft | None:
    """A Map over the operands that are tensors; numbers become constants."""
    if not all(map(_is_operand, operands)):
        return None
    tensors = [x for x in operands if not isinstance(x, Real)]
    if not any(is_sparse(x) or isinstance(x, Node) for x in tensors):
        return None
    if any(is_sparse(x) and isinstance(x, torch.Tensor) for x in tensors):
        return None  # torch gives a torch.sparse tensor
    names = iter(letters(len(tensors)))
    by: dict[Access, Expr] = {
        letter: Literal(x) if isinstance(x, Real) else next(names)
        for letter, x in zip(letters(len(operands)), operands, strict=True)
    }
    return Draft(Map(substitute(text, by)), tuple(tensors))


def _is_operand(x: Any) -> bool:
    if isinstance(x, bool):
        return False
    if isinstance(x, int | float):
        return math.isfinite(x)
    return isinstance(x, torch.Tensor | Stored | Node)


def _function(name: str, text: str) -> None:
    expr = parse_expression(text)

    @_rule(name)
    def unary(input: Any) -> Draft | None:
        return _mapped(expr, input)


for _name in ("neg", "abs", "square", "exp", "log", "sqrt", "sigmoid", "tanh", "sin", "cos", "erf", "expm1", "log1p"):
    _function(_name, f"{_name}(a)" if _name != "neg" else "-a")

_RELU, _SILU = parse_expression("relu(a)"), parse_expression("a * sigmoid(a)")
_LEAKY, _ELU = parse_expression("where(a > 0, a, a * b)"), parse_expression("where(a > 0, a, b * expm1(a))")
_SUM, _SCALED_SUM = parse_expression("a + b"), parse_expression("a + b * c")
_DIFFERENCE, _PRODUCT, _QUOTIENT = (parse_expression(text) for text in ("a - b", "a * b", "a / b"))


@_rule("relu")
def _relu(input: Any, inplace: bool = False) -> Draft | None:
    return None if inplace else _mapped(_RELU, input)


@_rule("silu")
def _silu(input: Any, inplace: bool = False) -> Draft | None:
    return None if inplace else _mapped(_SILU, input)


@_rule("leaky_relu")
def _leaky(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Draft | None:
    return None if inplace else _mapped(_LEAKY, input, negative_slope)


@_rule("elu")
def _elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Draft | None:
    return None if inplace else _mapped(_ELU, input, alpha)


@_rule("add", "radd")
def _add(input: Any, other: Any, *, alpha: Any = 1) -> Draft | None:
    return _mapped(_SUM, input, other) if alpha == 1 else _mapped(_SCALED_SUM, input, other, alpha)


@_rule("sub")
def _sub(input: Any, other: Any) -> Draft | None:
    return _mapped(_DIFFERENCE, input, other)


@_rule("rsub")
def _rsub(input: Any, other: Any) -> Draft | None:
    return _mapped(_DIFFERENCE, other, input)


@_rule("mul", "rmul")
def _mul(input: Any, other: Any) -> Draft | None:
    return _mapped(_PRODUCT, input, other)


@_rule("div")
def _div(input: Any, other: Any) -> Draft | None:
    if isinstance(other, int | float) and other:
        return _mapped(_PRODUCT, input, 1 / other)
    return _mapped(_QUOTIENT, input, other)


@_rule("rtruediv")
def _rdiv(input: Any, other: Any) -> Draft | None:
    return _mapped(_QUOTIENT, other, input)


# --- products -----------------------------------------------------------------------------------------------

_MATMUL = {
    (2, 2): Contract((("r", "d"), ("d", "c")), ("r", "c")),
    (2, 1): Contract((("r", "d"), ("d",)), ("r",)),
    (1, 2): Contract((("d",), ("d", "c")), ("c",)),
}
_LINEAR = Contract((("r", "d"), ("c", "d")), ("r", "c"))


@_rule("matmul")
def _matmul(input: Any, other: Any) -> Draft | None:
    form = _MATMUL.get((len(input.shape), len(other.shape)))
    return None if form is None else _product(form, input, other)


@_rule("rmatmul")
def _rmatmul(input: Any, other: Any) -> Draft | None:
    return _matmul(other, input)


@_rule("einsum")
def _einsum(equation: str, *operands: Any, out_format: Any = None, out: Any = None) -> Draft | None:
    if out_format is not None or out is not None or not isinstance(equation, str) or "..." in equation:
        return None
    given = operands[0] if len(operands) == 1 and isinstance(operands[0], list | tuple) else operands
    if not all(isinstance(x, torch.Tensor | Stored | Node) for x in given):
        return None
    try:
        statement = parse_einsum(equation, tuple(tuple(x.shape) for x in given))
    except ScorchError:
        return None
    read = tuple(accesses(statement.expr))
    if statement.equal or not statement.target.indices or len(read) != len(given):
        return None
    return _product(Contract(tuple(a.indices for a in read), statement.target.indices), *given)


def _product(form: Contract, *operands: Any) -> Draft | None:
    """A contraction; torch's own sparse tensors take part if one of them is multiplied to a dense result."""
    theirs = [x for x in operands if isinstance(x, torch.Tensor) and is_sparse(x)]
    if theirs and (
        len(theirs) > 1 or theirs[0].requires_grad or any(is_sparse(x) for x in operands if x is not theirs[0])
    ):
        return None
    if theirs and set(form.terms[[x is theirs[0] for x in operands].index(True)]) <= set(form.out):
        return None
    return Draft(form, operands)


@_rule("linear")
def _linear(input: Any, weight: Any, bias: Any = None) -> Draft | None:
    if len(input.shape) != 2 or len(weight.shape) != 2:
        return None
    product = Draft(_LINEAR, (input, weight), Call(torch.nn.functional.linear, (input, weight)))
    if bias is None:
        return product
    return _biased(product, bias) if is_sparse(input) or is_sparse(weight) else None


@_rule("addmm")
def _addmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Draft | None:
    if beta != 1 or alpha != 1 or not (is_sparse(mat1) or is_sparse(mat2)) or is_sparse(input):
        return None
    form = _MATMUL[2, 2]
    product = _product(form, mat1, mat2)
    return None if product is None else _biased(Draft(form, (mat1, mat2), Call(torch.matmul, (mat1, mat2))), input)


def _biased(product: Draft, bias: Any) -> Draft:
    """A product and what is added to it, as two calls."""
    return Draft(Map(_SUM), (product, bias), Call(torch.add, (product, bias)))


# --- rows of sparse tensors ---------------------------------------------------------------------------------


@_rule("softmax")
def _softmax(input: Any, dim: Any = None, _stacklevel: int = 3, dtype: Any = None) -> Draft | None:
    if dtype is not None or not isinstance(dim, int) or not _is_ours(input) or len(input.shape) < 2:
        return None
    return Draft(Softmax(), (input,)) if dim in (-1, len(input.shape) - 1) else None


@_rule("sum")
def _total(input: Any, dim: Any = None, keepdim: bool = False) -> Draft | None:
    if not _is_ours(input) or dim is None:
        return None
    rank = len(input.shape)
    gone = tuple(sorted({d % rank for d in ((dim,) if isinstance(dim, int) else dim)}))
    return Draft(Sum(gone, keepdim), (input,)) if 0 < len(gone) < rank else None


def _is_ours(x: Any) -> bool:
    """Whether an operand is sparse and of Scorch."""
    return is_sparse(x) and not isinstance(x, torch.Tensor)


_A, _B = letters(2)
_AT_ENTRIES = Apply("where", (Apply("stored", (_A,)), _B, ABSENT))


@_rule("sampled_addmm")
def _sampled(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Draft | None:
    if beta != 0 or alpha != 1 or not _is_ours(input) or len(input.shape) != 2:
        return None
    if is_sparse(mat1) or is_sparse(mat2):
        return None
    product = Draft(_MATMUL[2, 2], (mat1, mat2), Call(torch.matmul, (mat1, mat2)))
    return Draft(Map(_AT_ENTRIES), (input, product))

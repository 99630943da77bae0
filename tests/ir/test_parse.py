"""Text to statements: precedence, every construct, and errors that point at the column."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorch.errors import NotationError
from scorch.ir.notation import Access, Apply, Expr, Literal
from scorch.ir.operators import OPERATORS
from scorch.ir.parse import parse_expression, parse_statements
from scorch.ir.statement import ABSENT, Raw
from scorch.ir.tokens import tokenize

pytestmark = pytest.mark.smoke


def shown(expr: Expr) -> str:
    """An expression with every operator in parentheses, so that precedence can be read."""
    if isinstance(expr, Apply):
        return f"({expr.op} {' '.join(map(shown, expr.args))})"
    return str(expr)


EXPRESSIONS = [
    ("a", "a"),
    ("A[i]", "A[i]"),
    ("A[ i , k ]", "A[i,k]"),
    ("A[i,i]", "A[i,i]"),
    ("weight_2[row1,k]", "weight_2[row1,k]"),
    ("a + b * c", "(add a (mul b c))"),
    ("(a + b) * c", "(mul (add a b) c)"),
    ("a * b * c", "(mul a b c)"),
    ("a * (b * c)", "(mul a b c)"),
    ("a + b + (c + d)", "(add a b c d)"),
    ("a - b - c", "(sub (sub a b) c)"),
    ("a - (b - c)", "(sub a (sub b c))"),
    ("a - b + c", "(add (sub a b) c)"),
    ("a / b / c", "(div (div a b) c)"),
    ("a * b / c", "(div (mul a b) c)"),
    ("a // b % c", "(mod (floordiv a b) c)"),
    ("-a ** 2", "(neg (pow a 2))"),
    ("a ** -b", "(pow a (neg b))"),
    ("a ** b ** c", "(pow a (pow b c))"),
    ("-a * b", "(mul (neg a) b)"),
    ("a - -b", "(sub a (neg b))"),
    ("+a", "a"),
    ("-2", "-2"),
    ("--2", "2"),
    ("-2 ** 2", "(neg (pow 2 2))"),
    ("~a & b | c", "(or (and (not a) b) c)"),
    ("a < b + c", "(lt a (add b c))"),
    ("a & b == c", "(eq (and a b) c)"),
    ("(a == b) & (c != d)", "(and (eq a b) (ne c d))"),
    ("a <= b", "(le a b)"),
    ("a >= b", "(ge a b)"),
    ("a > b", "(gt a b)"),
    ("max(a, b)", "(max a b)"),
    ("max(a, b, c)", "(max a b c)"),
    ("min(max(a, 0), 6)", "(min (max a 0) 6)"),
    ("where(a > 0, a, 0.1 * a)", "(where (gt a 0) a (mul 0.1 a))"),
    ("where(stored(M[i]), a, absent)", "(where (stored M[i]) a absent)"),
    ("exp(-a) + relu(b)", "(add (exp (neg a)) (relu b))"),
    ("log1p(a)", "(log1p a)"),
    ("not(a)", "(not a)"),
    ("add(a, b)", "(add a b)"),
    ("exp", "exp"),
    ("max * exp(max)", "(mul max (exp max))"),
    ("1e-3 + .5 + 2. + 7", "(add 0.001 0.5 2.0 7)"),
    ("inf + nan", "(add inf nan)"),
    ("True | False", "(or True False)"),
    ("2j * a", "(mul 2j a)"),
    ("(a\n + b)", "(add a b)"),
    ("max(a,\n    b)", "(max a b)"),
]


@pytest.mark.parametrize(("text", "expected"), EXPRESSIONS)
def test_expressions(text: str, expected: str) -> None:
    assert shown(parse_expression(text)) == expected


STATEMENTS = [
    ("C[i] = A[i]", None),
    ("C[i]=A[i]", None),
    ("C[i] += A[i]", "add"),
    ("C[i] *= A[i]", "mul"),
    ("C[i] max= A[i]", "max"),
    ("C[i] min= A[i]", "min"),
    ("C[i] min = A[i]", "min"),
    ("C[i] |= A[i]", "or"),
    ("C[i] &= A[i]", "and"),
]


@pytest.mark.parametrize(("text", "reduce"), STATEMENTS)
def test_assignments(text: str, reduce: str | None) -> None:
    assert parse_statements(text) == (Raw(Access("C", ("i",)), reduce, Access("A", ("i",))),)


@pytest.mark.parametrize("text", ["a = b; c = d", "a = b\nc = d", "\n a = b ;;\n\n c = d ; \n"])
def test_several_statements(text: str) -> None:
    assert [str(raw) for raw in parse_statements(text)] == ["a = b", "c = d"]


def test_names_of_functions_are_free_for_tensors() -> None:
    assert [str(raw) for raw in parse_statements("max[i] = min[i]; exp max= max[i]")] == [
        "max[i] = min[i]",
        "exp max= max[i]",
    ]


@pytest.mark.parametrize(("name", "rule"), OPERATORS.items())
def test_every_operator_can_be_called(name: str, rule: object) -> None:
    arity = OPERATORS[name].arity
    assert parse_expression(f"{name}({', '.join('abc'[:arity])})").op == name  # type: ignore[union-attr]


def test_constants_have_python_types() -> None:
    values = [parse_expression(text) for text in ("1", "1.", "True", "-inf", "absent")[:4]]
    assert [type(value.value) for value in values if isinstance(value, Literal)] == [int, float, bool, float]
    assert parse_expression("where(a, absent, 1)") == Apply("where", (Access("a", ()), ABSENT, Literal(1)))


ERRORS = [
    # statements
    ("", 0, "expected a statement such as"),
    (" ;\n", 0, "expected a statement such as"),
    ("C", 1, "expected an assignment, one of =  +=  *=  max=  min=  |=  &=, found the end"),
    ("C[i,j]", 6, "expected an assignment"),
    ("C A", 2, "expected an assignment, .* found 'A'"),
    ("C[i] = ", 6, "expected a tensor, a number or '\\(', found the end"),
    ("C[i] = A[i]; = B", 13, "expected the name of a result, as in .*, found '='"),
    ("3 = A[i]", 0, "expected the name of a result"),
    ("(A) = B", 0, "expected the name of a result"),
    ("A[i] + B[i] = C[i]", 5, "only a tensor can be assigned to, no expression"),
    ("exp(A[i]) = B[i]", 3, "only a tensor can be assigned to, no expression"),
    ("C[i] == A[i]", 5, "only a tensor can be assigned to, no expression"),
    ("C[i] -= A[i]", 5, "nothing can be reduced by -="),
    ("C[i] /= A[i]", 5, "nothing can be reduced by /="),
    ("C[i] **= A[i]", 5, r"nothing can be reduced by \*\*="),
    ("C[i] = A[i] = B[i]", 12, "found '='; statements are separated by ';'"),
    ("ik,kj->ij", 2, "found ','; scorch.einsum takes strings"),
    ("ij->ji", 2, "found '->'; scorch.einsum takes strings"),
    ("C[i,j,i] = A[i,j]", 6, "index 'i' is duplicate"),
    ("inf[i] = A[i]", 0, "'inf' is reserved and can't name a result"),
    # operands and operators
    ("C[i] = A[i] +", 13, "expected a tensor, a number or"),
    ("C[i] = * A[i]", 7, r"found '\*'"),
    ("C[i] = A[i] B[i]", 12, "expected an operator or the end of the statement, found 'B'"),
    ("C[i] = 2A[i]", 8, "expected an operator"),
    ("C[i] = A[i] ^ 2", 12, r"unexpected '\^'; a power is written \*\*"),
    ("C = A @ B", 6, "a product of matrices is written with indices"),
    ("C[i] = A[i] ? 2", 12, r"unexpected '\?'"),
    ("C[i] = !A[i]", 7, "'not' is written ~"),
    ("C[i] = not A[i]", 7, "'not' is reserved and can't name a tensor; 'not' is written ~"),
    ("C[i] = A[i] and B[i]", 12, "'and' is written &"),
    ("C[i] = A[i] if B[i] else 2", 12, "a choice is written where"),
    ("C[i] = lambda * A[i]", 7, "'lambda' is reserved"),
    ("C[i] = A[i] < B[i] < 3", 19, "comparisons are not chained"),
    ("C = 99999999999999999999", 4, "does not fit into 64 bits"),
    ("C[i] = absent", 7, "'absent' is only a value of where"),
    ("C[i] = max(A[i], absent)", 17, "'absent' is only a value of where"),
    ("C[i] = where(absent, 1, 2)", 13, "'absent' is only a value of where"),
    # brackets
    ("C[i] = A[i", 8, r"this '\[' is not closed: expected '\]'"),
    ("C[i = A[i]", 1, r"this '\[' is not closed"),
    ("C[i] = (A[i] + B[i]", 7, r"this '\(' is not closed: expected '\)'"),
    ("C[i] = ((A[i] + B[i]); D = 3", 7, r"this '\(' is not closed"),
    ("C[i] = max(A[i], B[i]", 10, r"this '\(' is not closed"),
    ("C[i] = (A[i] B[i])", 13, r"expected an operator or '\)', found 'B'"),
    ("C[i] = A[i])", 11, r"'\)' closes nothing"),
    ("C[i] = A[i]]", 11, r"'\]' closes nothing"),
    ("C[i] = (A[i]]", 12, r"expected an operator or '\)', found '\]'"),
    ("C[i] = ()", 8, "expected a tensor, a number or"),
    # indices
    ("C[i] = A[]", 9, "expected an index; a scalar is written without brackets"),
    ("C[] = A[i]", 2, "expected an index"),
    ("C[i] = A[i,,j]", 11, "expected an index, found ','"),
    ("C[i] = A[i,]", 11, r"expected an index, found '\]'"),
    ("C[i] = A[i j]", 11, r"expected ',' or '\]', found 'j'"),
    ("C[i] = A[i/2]", 10, r"multiplied and shifted by whole numbers, as in x\[2\*i \+ r - 1\]; found '/'"),
    ("C[i] = A[i*k]", 11, "expected a whole number, found 'k'"),
    ("C[i] = A[1.5*i]", 9, "expected a whole number, found '1.5'"),
    ("C[i] = A[i-i]", 9, "not the number 0"),
    ("C[i] = A[idx[i+1]]", 9, "by different indices alone"),
    ("C[i] = A[idx[i]+1]", 15, "a coordinate that a tensor holds is taken as it is"),
    ("C[i+1] = A[i]", 0, "a result is indexed by names alone"),
    ("C[i] = A[0]", 9, "not the number 0; slice the tensor first"),
    ("C[i] = A[:]", 9, "slices are not part of index notation"),
    ("C[...] = A[i]", 2, "an ellipsis is for scorch.einsum"),
    ("C[in] = A[in]", 2, "'in' is reserved and can't name an index"),
    # functions
    ("C[i] = foo(A[i])", 7, "unknown function 'foo'; did you mean 'floor'"),
    ("C[i] = sigmiod(A[i])", 7, "did you mean 'sigmoid'"),
    ("C[i] = qwxyz(A[i])", 7, "unknown function 'qwxyz'; there are add, mul"),
    ("C[i] = where(A[i], 2)", 7, "where takes 3 arguments, but 2 are given"),
    ("C[i] = max(A[i])", 7, "max takes 2 arguments or more, but 1 is given"),
    ("C[i] = exp()", 7, "exp takes 1 argument, but 0 are given"),
    ("C[i] = max(A[i], )", 17, "expected a tensor, a number or"),
    ("C[i] = max(A[i] B[i])", 16, "expected an operator or '\\)', found 'B'"),
    ("C[i] = stored(A[i] + 1)", 7, "stored takes a tensor"),
    # sizes that would exhaust the stack
    ("C = " + "(" * 100 + "a" + ")" * 100, 69, "nested more than 64 deep"),
    ("C = " + "-" * 100 + "a", 69, "nested more than 64 deep"),
    ("C = a" + " - a" * 200, 0, "nested more than 100 deep"),
]


@pytest.mark.parametrize(("text", "column", "message"), ERRORS)
def test_errors_point_at_the_column(text: str, column: int, message: str) -> None:
    with pytest.raises(NotationError, match=message) as caught:
        parse_statements(text)
    _, line, caret = str(caught.value).split("\n")
    assert line == "  " + text.split("\n")[0]
    assert caret == " " * (column + 2) + "^"


def test_errors_show_the_line_in_question() -> None:
    with pytest.raises(NotationError) as caught:
        parse_statements("T[i] = A[i]\n\tC[i] = T[i] + * 3\nD = 2")
    assert str(caught.value).split("\n")[1:] == ["  \tC[i] = T[i] + * 3", "  \t              ^"]


def test_long_sums_and_products_are_flat() -> None:
    assert len(parse_expression(" + ".join(["a"] * 5000)).args) == 5000  # type: ignore[union-attr]


@given(st.text(alphabet="aiC[](),;=+-*/<>&|~.29 \nmaxwhere", max_size=40))
def test_any_text_is_parsed_or_refused_with_a_caret(text: str) -> None:
    with nullcontext() if is_legal(text) else pytest.raises(NotationError, match=r"\n +\^$"):
        parse_statements(text)


def is_legal(text: str) -> bool:
    try:
        return bool(parse_statements(text))
    except NotationError:
        return False


def test_tokens_have_columns() -> None:
    assert [(t.text, t.column) for t in tokenize("a **b")] == [("a", 0), ("**", 2), ("b", 4), ("", 5)]

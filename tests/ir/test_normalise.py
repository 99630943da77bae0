"""Written statements to statements that reduce their whole right-hand side: goldens, einsums, and random expressions
against the definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorch.errors import NotationError
from scorch.ir.check import operands_of
from scorch.ir.constants import fold
from scorch.ir.einsum import operand_names, parse_einsum
from scorch.ir.normalise import normalise
from scorch.ir.notation import Access, Apply, Assign, Expr, Literal, accesses
from scorch.ir.operators import evaluate
from scorch.ir.parse import parse_expression, parse_statements
from scorch.ir.statement import Raw, apply

# --- goldens: statements in, statements out; " where i2 == i" after a statement whose access repeats an index

GOLDENS = {
    "product": ("C[i,j] = A[i,k] * B[k,j]", "C[i,j] += A[i,k] * B[k,j]"),
    "copy": ("C[j,i] = A[i,j]", "C[j,i] = A[i,j]"),
    "reduction": ("D[i,j] min= A[i,k] + B[k,j]", "D[i,j] min= A[i,k] + B[k,j]"),
    "sum of a product and a matrix": (
        "C[i,j] = A[i,k] * B[k,j] + D[i,j]",
        "_t0[i,j] += A[i,k] * B[k,j]; C[i,j] = _t0[i,j] + D[i,j]",
    ),
    "the same, reduced as a whole": (
        "C[i,j] += A[i,k] * B[k,j] + D[i,j]",
        "C[i,j] += A[i,k] * B[k,j] + D[i,j]",
    ),
    "two products": (
        "C[i,j] = A[i,k] * B[k,j] + D[i,l] * E[l,j]",
        "_t0[i,j] += A[i,k] * B[k,j]; _t1[i,j] += D[i,l] * E[l,j]; C[i,j] = _t0[i,j] + _t1[i,j]",
    ),
    "two products over one index": (
        "C[i,j] = A[i,k] * B[k,j] - D[i,k] * E[k,j]",
        "C[i,j] += A[i,k] * B[k,j] - D[i,k] * E[k,j]",
    ),
    "terms with the index stay together wherever they stand": (
        "C[i] = A[i,k] + d[i] + B[i,k]",
        "_t0[i] += A[i,k] + B[i,k]; C[i] = _t0[i] + d[i]",
    ),
    "signs of terms": (
        "C[i] = d[i] - A[i,k] + B[i,k] - e[i]",
        "_t0[i] += A[i,k] - B[i,k]; C[i] = d[i] - e[i] - _t0[i]",
    ),
    "a negative term first": (
        "C[i] = -A[i,k] + d[i]",
        "_t0[i] += -A[i,k]; C[i] = _t0[i] + d[i]",
    ),
    "differences stay as they are": ("C[i] = a[i] - (b[i] - c[i])", "C[i] = a[i] - (b[i] - c[i])"),
    "each term over indices of its own": (
        "C[i] = A[i,k] - B[i,l] + D[i,m]",
        "_t0[i] += A[i,k]; _t1[i] += B[i,l]; _t2[i] += D[i,m]; C[i] = _t0[i] - _t1[i] + _t2[i]",
    ),
    "an index that some terms share": (
        "C[i] = A[i,k,l] + B[i,k] + D[i,l]",
        "_t0[i] += A[i,k,l]; _t1[i] += B[i,k]; _t2[i] += D[i,l]; C[i] = _t0[i] + _t1[i] + _t2[i]",
    ),
    "scaled product": ("C[i,j] = s * (A[i,k] * B[k,j])", "C[i,j] += s * A[i,k] * B[k,j]"),
    "sum under a factor": ("C[i] = (A[i,k] + B[i,k]) * d[i]", "C[i] += (A[i,k] + B[i,k]) * d[i]"),
    "sum with a constant": ("C[i] = A[i,k] + 1", "_t0[i] += A[i,k]; C[i] = _t0[i] + 1"),
    "negative sum": ("C[i] = -(A[i,k] * x[k])", "C[i] += -(A[i,k] * x[k])"),
    "function of a product": (
        "C[i,j] = relu(A[i,k] * B[k,j] + b[j])",
        "_t0[i,j] += A[i,k] * B[k,j]; C[i,j] = relu(_t0[i,j] + b[j])",
    ),
    "sum of a function": ("C[i] += exp(A[i,k])", "C[i] += exp(A[i,k])"),
    "function of a sum": ("C[i] = exp(A[i,k])", "_t0[i] += A[i,k]; C[i] = exp(_t0[i])"),
    "quotient of sums": (
        "C[i] = A[i,k] / B[i,l]",
        "_t0[i] += A[i,k]; _t1[i] += B[i,l]; C[i] = _t0[i] / _t1[i]",
    ),
    "sum of quotients": ("C[i] = A[i,k] / B[i,k]", "C[i] += A[i,k] / B[i,k]"),
    "an index on both sides of a quotient": (
        "C[i] = exp(A[i,k]) / (exp(A[i,k]) + 1)",
        "C[i] += exp(A[i,k]) / (exp(A[i,k]) + 1)",
    ),
    "indices of their own under functions": (
        "C[i] = max(A[i,k], 0) * 2 + max(A[i,l], 0)",
        "_t0[i] += A[i,k]; _t1[i] += A[i,l]; C[i] = max(_t0[i], 0) * 2 + max(_t1[i], 0)",
    ),
    "sums within sums": (
        "C[i] = (A[i,k] * B[k,l] + D[i,l]) * x[l]",
        "_t0[i,l] += A[i,k] * B[k,l]; C[i] += (_t0[i,l] + D[i,l]) * x[l]",
    ),
    "temporary in the target's order": (
        "C[j,i] = exp(A[i,k] * B[k,j])",
        "_t0[j,i] += A[i,k] * B[k,j]; C[j,i] = exp(_t0[j,i])",
    ),
    "scalar": ("s = A[i,k] * B[i,k]", "s += A[i,k] * B[i,k]"),
    "mask": ("S[i,j] = M[i,j] * (Q[i,d] * K[j,d])", "S[i,j] += M[i,j] * Q[i,d] * K[j,d]"),
    "mask of stored entries": (
        "S[i,j] = where(stored(M[i,j]), Q[i,d] * K[j,d], absent)",
        "S[i,j] += where(stored(M[i,j]), Q[i,d] * K[j,d], absent)",
    ),
    "choice of zero": ("C[i] = where(m[i] > 0, 0, A[i,k])", "C[i] += where(m[i] > 0, 0, A[i,k])"),
    "choice of something": (
        "C[i] = where(m[i] > 0, A[i,k], 1)",
        "_t0[i] += A[i,k]; C[i] = where(m[i] > 0, _t0[i], 1)",
    ),
    "trace": ("t = A[i,i]", "t += A[i,i2] where i2 == i"),
    "diagonal": ("d[i] = A[i,i]", "d[i] = A[i,i2] where i2 == i"),
    "a copy's name is free": (
        "C[i,i2] = A[i,i] * B[i2,i2] * A[i,i]",
        "C[i,i2] = A[i,i3] * B[i2,i22] * A[i,i3] where i3 == i, i22 == i2",
    ),
    "three times": ("t = A[i,i,i]", "t += A[i,i2,i3] where i2 == i, i3 == i"),
    "trace in a sum": ("C = A[i,i] + b", "_t0 += A[i,i2] where i2 == i; C = _t0 + b"),
    "temporaries": (
        "T[i,j] = A[i,k] * B[k,j]; C[i] max= T[i,j] - x[j]",
        "T[i,j] += A[i,k] * B[k,j]; C[i] max= T[i,j] - x[j]",
    ),
    "names of temporaries are free": (
        "_t0[i] = A[i,k]; C[i] = exp(_t0[i]) + B[i,_t1]",
        "_t0[i] += A[i,k]; _t2[i] += B[i,_t1]; C[i] = exp(_t0[i]) + _t2[i]",
    ),
    "constants": ("C[i] = 2 * A[i] * 3 + (1 - 4) / 2", "C[i] = 6 * A[i] + -1.5"),
    "factors of one stay": ("C[i] = 1.0 * A[i] + 0", "C[i] = 1.0 * A[i] + 0"),
    "constant temporaries": ("a = 2 ** 3; b = a + 1; C[i] = a * A[i] * b", "C[i] = 72 * A[i]"),
    "a constant alone": ("C = 2 * 3", "C = 6"),
    "softmax": (
        "m[i] max= A[i,k]; e[i,k] = exp(A[i,k] - m[i]); s[i] = e[i,k]; C[i,k] = e[i,k] / s[i]",
        "m[i] max= A[i,k]; e[i,k] = exp(A[i,k] - m[i]); s[i] += e[i,k]; C[i,k] = e[i,k] / s[i]",
    ),
}


def read(golden: str) -> tuple[Assign, ...]:
    """The statements of a golden text: compared as trees, so that a change of printing shows in other tests."""
    out = []
    for line in golden.split("; "):
        text, _, rule = line.partition(" where ")
        (raw,) = parse_statements(text)
        equal = tuple(tuple(pair.split(" == ")) for pair in rule.split(", ")) if rule else ()
        out.append(Assign(raw.target, raw.expr, raw.reduce or "add", equal))  # type: ignore[arg-type]
    return tuple(out)


@pytest.mark.smoke
@pytest.mark.parametrize("name", GOLDENS)
def test_goldens(name: str) -> None:
    text, expected = GOLDENS[name]
    found = normalise(parse_statements(text))
    assert found == read(expected), "\n" + "\n".join(map(str, found))


def test_reduced_indices_print_as_a_reduction() -> None:
    statements = normalise(parse_statements(GOLDENS["sum of a product and a matrix"][0]))
    assert "; ".join(map(str, statements)) == "_t0[i,j] += A[i,k] * B[k,j]; C[i,j] = _t0[i,j] + D[i,j]".replace(
        "D", "D"
    )


EINSUMS = [
    "ik,kj->ij", "ki,jk->ji", "ij,ij->ij", "ij,ij->", "ij,jk,kl->il", "ij,ik,jk->ij", "ii->i", "ii->", "ii,ij->j",
    "ii,ii->", "ii,jj->ij", "ij,->ji", "ijk,jl,kl->il", "i,j->ij", "ij->ji", "->", "iii->i", "ij,jj,jk->ik",
]  # fmt: skip


@pytest.mark.smoke
@pytest.mark.parametrize("sign", ["=", "+="])
@pytest.mark.parametrize("notation", EINSUMS)
def test_an_einsum_is_the_same_statement(notation: str, sign: str) -> None:
    inputs, _, output = notation.partition("->")
    terms = inputs.split(",")
    *names, result = (
        f"{name}[{','.join(term)}]" if term else name
        for name, term in zip(operand_names(len(terms)), [*terms, output], strict=True)
    )
    written = parse_statements(f"{result} {sign} {' * '.join(names)}")
    assert normalise(written) == (parse_einsum(notation, [(3,) * len(term) for term in terms]),)


ERRORS = [
    ("C[i] = A[i]; C[i] = B[i]", 13, "C is assigned twice"),
    ("C[i] = T[i]; T[i] = A[i]", 7, "T is read before it is assigned"),
    ("C[i] = A[i] + C[i]", 14, "C is read by the statement that assigns it"),
    ("C[i,j] = A[i]", 0, "index j of the result is in no operand of its right-hand side"),
    ("C[i] = 3", 0, "index i of the result is in no operand"),
    ("C[i] = A[i] + A[i,j]", 14, r"A\[i,j\] has 2 indices, but A\[i\] has 1 index"),
    ("C[i] = A[i] * A", 14, r"A has no index, but A\[i\] has 1 index"),
    ("T[i] = A[i]; C[i,j] = T[i,j]", 22, r"T\[i,j\] has 2 indices, but T\[i\] has 1 index"),
    ("C[i] = i * A[i]", 7, "i is an index, so no tensor can have its name"),
    ("i[j] = A[i,j]", 0, "i is an index, so no tensor can have its name"),
]


@pytest.mark.smoke
@pytest.mark.parametrize(("text", "column", "message"), ERRORS)
def test_errors(text: str, column: int, message: str) -> None:
    with pytest.raises(NotationError, match=message) as caught:
        normalise(parse_statements(text))
    assert str(caught.value).split("\n")[1:] == ["  " + text, " " * (column + 2) + "^"]


def test_errors_without_a_text_show_the_statement() -> None:
    raw = Raw(Access("C", ("i", "i")), None, Access("A", ("i",)))
    with pytest.raises(NotationError) as caught:
        normalise([raw])
    assert str(caught.value) == "index 'i' is duplicate: a result has each index once\n  C[i,i] = A[i]"
    with pytest.raises(NotationError, match="there is no statement"):
        normalise([])
    with pytest.raises(NotationError, match="'absent' is only a value of where"):
        normalise([Raw(Access("C", ()), None, parse_expression("where(a, absent, 1)").args[1])])  # type: ignore[union-attr]


def test_operands_are_what_no_statement_assigns() -> None:
    assert operands_of(parse_statements("T[i] = a * A[i]; C[i] = T[i] + B[i] * A[i]")) == ("a", "A", "B")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 / 0", Literal(float("inf"))),
        ("where(1 < 2, 3, 4)", Literal(3)),
        ("sqrt(4) * 2 ** -1", Literal(1.0)),
        ("a * (2 + 3)", Apply("mul", (Access("a", ()), Literal(5)))),
        ("2 + a + 3 + b", Apply("add", (Literal(5), Access("a", ()), Access("b", ())))),
        ("a - 2 - 3", Apply("sub", (Apply("sub", (Access("a", ()), Literal(2))), Literal(3)))),
        ("1.5 | 2", Apply("or", (Literal(1.5), Literal(2)))),
    ],
)
def test_fold(text: str, expected: Expr) -> None:
    assert fold(parse_expression(text)) == expected


# --- random expressions against the definition ----------------------------------------------------------------

EXTENTS = {"i": 2, "j": 3, "k": 2, "l": 3}
AXES = "ijkl"


def value(access: Access) -> np.ndarray:
    """The values of an operand, over all four axes; those that it lacks have extent 1."""
    rng = np.random.default_rng(sum(map(ord, access.tensor)))
    full = rng.uniform(0.5, 2.0, [EXTENTS[v] for v in access.indices])
    order = sorted(range(len(access.indices)), key=lambda n: AXES.index(access.indices[n]))
    return full.transpose(order).reshape([EXTENTS[v] if v in access.indices else 1 for v in AXES])


def total(array: np.ndarray, summed: set[str]) -> np.ndarray:
    return array.sum(axis=tuple(AXES.index(v) for v in summed), keepdims=True) if summed else array


def indices(expr: Expr) -> set[str]:
    return {v for access in accesses(expr) for v in access.indices}


def terms(expr: Expr, sign: int = 1) -> list[tuple[int, Expr]]:
    if not isinstance(expr, Apply) or expr.op not in ("add", "sub"):
        return [(sign, expr)]
    first, *rest = expr.args
    inner = -sign if expr.op == "sub" else sign
    return terms(first, sign) + [term for arg in rest for term in terms(arg, inner)]


ufunc = {name: np.frompyfunc(lambda *a, name=name: evaluate(name, *a), n, 1) for name, n in
         {"mul": 2, "max": 2, "div": 2, "neg": 1, "square": 1, "where": 3, "gt": 2}.items()}  # fmt: skip


def meaning(expr: Expr, outside: set[str]) -> np.ndarray:
    """By the definition: each index that is not outside is summed where all its occurrences first come together."""
    if isinstance(expr, Literal):
        return np.full((1,) * 4, expr.value)
    if isinstance(expr, Access):
        return total(value(expr), indices(expr) - outside)
    args = terms(expr) if expr.op in ("add", "sub") else [(1, arg) for arg in expr.args]
    held = [indices(arg) for _, arg in args]
    around = [outside | set().union(*held[:n], *held[n + 1 :]) for n in range(len(args))]
    values = [meaning(arg, others) for (_, arg), others in zip(args, around, strict=True)]
    here = indices(expr) - outside
    if expr.op in ("add", "sub"):  # linear: each term that holds the index is summed over it
        left = [total(v, {x for x in mine & here if v.shape[AXES.index(x)] > 1})
                for v, mine in zip(values, held, strict=True)]  # fmt: skip
        return sum(sign * v for (sign, _), v in zip(args, left, strict=True))  # type: ignore[return-value]
    whole = values[0] if len(values) == 1 or expr.op != "mul" else np.prod(np.broadcast_arrays(*values), axis=0)
    if expr.op != "mul":
        whole = ufunc[expr.op](*values).astype(float)
    return total(whole, {x for x in here if whole.shape[AXES.index(x)] > 1})


def computed(statements: tuple[Assign, ...]) -> np.ndarray:
    """What the normalised statements give, each reduced as a whole."""
    known: dict[str, np.ndarray] = {}

    def plain(expr: Expr) -> np.ndarray:
        if isinstance(expr, Literal):
            return np.full((1,) * 4, expr.value)
        if isinstance(expr, Access):
            return known[expr.tensor] if expr.tensor in known else value(expr)
        args = [plain(arg) for arg in expr.args]
        if expr.op in ("add", "mul"):
            return (np.sum if expr.op == "add" else np.prod)(np.broadcast_arrays(*args), axis=0)
        return args[0] - args[1] if expr.op == "sub" else ufunc[expr.op](*args).astype(float)

    for s in statements:
        assert s.reduce == "add"
        known[s.target.tensor] = total(plain(s.expr), set(s.reduced))
    return known[statements[-1].target.tensor]


leaves = st.builds(
    lambda name, chosen: Access(name + "".join(chosen), tuple(chosen)),
    st.sampled_from("ABC"),
    st.lists(st.sampled_from(AXES), unique=True, max_size=2).map(sorted),
) | st.builds(Literal, st.sampled_from([0, 1, 2.5]))


def nodes(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    pair = st.builds(apply, st.sampled_from(["add", "add", "sub", "mul", "mul", "max", "div"]), inner, inner)
    choice = st.builds(lambda a, b, c: apply("where", apply("gt", a, Literal(1.0)), b, c), inner, inner, inner)
    return pair | st.builds(apply, st.sampled_from(["neg", "square"]), inner) | choice


@settings(max_examples=400, deadline=None)
@given(st.recursive(leaves, nodes, max_leaves=7), st.lists(st.sampled_from(AXES), unique=True, max_size=2))
def test_random_expressions_keep_their_meaning(expr: Expr, wanted: list[str]) -> None:
    target = Access("R", tuple(v for v in wanted if v in indices(expr)))
    statements = normalise([Raw(target, None, expr)])
    for s in statements:
        assert set(s.target.indices) <= indices(s.expr)
    with np.errstate(all="ignore"):
        expected, found = np.broadcast_arrays(meaning(expr, set(target.indices)), computed(statements))
    plain = np.isfinite(expected)  # a product of zero and infinity depends on the order of sums
    np.testing.assert_allclose(found[plain], expected[plain], rtol=1e-9, atol=1e-9)

"""Index notation from text: statements such as `C[i,j] = A[i,k] * B[k,j] + D[i,j]`, by precedence climbing.

Operators bind as in Python, weakest first: comparisons, |, &, + -, * / // %, unary - ~, **. Every operator of the table
can also be called by its name: max(a, b), where(c, a, b), exp(a).
"""

from __future__ import annotations

import difflib
from typing import NoReturn

from scorch.ir.notation import Access, Expr, Literal
from scorch.ir.operators import OPERATORS, operator
from scorch.ir.statement import ABSENT, Absent, Raw, Source, apply, arity_problem
from scorch.ir.tokens import RESERVED, Token, fail_at, tokenize
from scorch.ir.views import Affine, Place, View

__all__ = ["ASSIGNMENTS", "parse_expression", "parse_statements"]

ASSIGNMENTS: dict[str, str | None] = {"=": None} | {
    f"{operator(name).symbol}=": name for name in ("add", "mul", "max", "min", "or", "and")
}
"""The operator of a reduction by its assignment sign."""

_LEVELS = (
    ("eq", "ne", "lt", "le", "gt", "ge"),
    ("or",),
    ("and",),
    ("add", "sub"),
    ("mul", "div", "floordiv", "mod"),
)
_BINARY = {operator(name).symbol: (level, name) for level, names in enumerate(_LEVELS, 1) for name in names}
_COMPARISON = 1
_PREFIX = {"-": "neg", "~": "not"}
_CONSTANTS = {"True": True, "False": False, "inf": float("inf"), "nan": float("nan")}
_DEEPEST = 64  # brackets within brackets
_HINTS = {
    "if": "a choice is written where(condition, a, b)",
    "and": "'and' is written &",
    "or": "'or' is written |",
    "not": "'not' is written ~",
    "=": "statements are separated by ';', and '==' compares",
}


def parse_statements(text: str) -> tuple[Raw, ...]:
    """The statements of a text, separated by ';' or newlines.

    A name with brackets is a tensor, without them a scalar. NotationError shows the text with a caret under the
    offending column and says what was expected.

    >>> for statement in parse_statements("T[i] = A[i,k] * x[k]; y[i,j] min= max(T[i], B[i,j,k])"):
    ...     print(statement)
    T[i] = A[i,k] * x[k]
    y[i,j] min= max(T[i], B[i,j,k])
    """
    parser = _Parser(text)
    statements = []
    while not parser.at_end():
        statements.append(parser.statement())
    if not statements:
        fail_at(text, 0, "expected a statement such as C[i,j] = A[i,k] * B[k,j]")
    return tuple(statements)


def parse_expression(text: str) -> Expr:
    """One expression, such as an operator's derivative.

    >>> print(parse_expression("b * out / a").args[0])
    b * out
    """
    parser = _Parser(text)
    expr = parser.expression()
    parser.end()
    return expr


class _Parser:
    """One pass over the tokens of a text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokenize(text)
        self.at = 0
        self.depth = 0
        self.calls: list[str] = []  # names of the functions whose arguments are being read
        self.accesses: list[tuple[Access, int]] = []
        self.views: dict[str, View] = {}

    # --- tokens -------------------------------------------------------------------------------------------

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def next(self) -> Token:
        """The current token, which is left behind."""
        token = self.token
        self.at += token.kind != "end"
        return token

    def take(self, *symbols: str) -> bool:
        """Whether the current token is one of these symbols, which is left behind then."""
        found = self.token.kind == "symbol" and self.token.text in symbols
        self.at += found
        return found

    def fail(self, message: str, token: Token | None = None) -> NoReturn:
        fail_at(self.text, (token or self.token).column, message)

    def unexpected(self, wanted: str) -> NoReturn:
        """Fail at the current token, with what was wanted in its place and perhaps how it is written here."""
        hint = _HINTS.get(self.token.text)
        self.fail(f"expected {wanted}, found {self.token}" + (f"; {hint}" if hint else ""))

    def at_end(self) -> bool:
        """Whether no statement is left; empty ones are skipped."""
        while self.token.kind == "end of statement":
            self.at += 1
        return self.token.kind == "end"

    def end(self) -> None:
        """The end of a statement or expression."""
        if self.token.kind in ("end", "end of statement"):
            return
        if self.token.text in (")", "]"):
            self.fail(f"{self.token} closes nothing")
        self.unexpected("an operator or the end of the statement")

    # --- statements ---------------------------------------------------------------------------------------

    def statement(self) -> Raw:
        self.accesses = []
        first = self.token
        if first.kind != "name":
            self.unexpected("the name of a result, as in C[i,j] = ...")
        self.views = {}
        target = self.access(self.name("a result"))
        self.check_target(target, first)
        reduce = self.assignment()
        self.accesses = []
        expr = self.expression()
        self.end()
        source = Source(self.text, first.column, tuple(self.accesses))
        return Raw(target, reduce, expr, source, tuple(self.views.values()))

    def check_target(self, target: Access, first: Token) -> None:
        if self.views:
            self.fail(
                f"a result is indexed by names alone, not as {target}; compute coordinates on the right: "
                "y[i] = x[i-1] in place of y[i+1] = x[i]",
                first,
            )
        for n, index in enumerate(target.indices):
            if index in target.indices[:n]:
                again = [t for t in self.tokens[: self.at] if t.column > first.column and t.text == index][1]
                self.fail(f"index {index!r} is duplicate: a result has each index once", again)

    def assignment(self) -> str | None:
        sign = self.token
        wanted = f"an assignment, one of {'  '.join(ASSIGNMENTS)}"
        text = self.next().text
        if sign.kind == "name" and self.token.text == "=" and f"{text}=" in ASSIGNMENTS:
            text += self.next().text
        if text in ASSIGNMENTS:
            return ASSIGNMENTS[text]
        if text == "->" or text == ",":
            self.fail(f"expected {wanted}, found {sign}; scorch.einsum takes strings such as 'ik,kj->ij'", sign)
        if text.endswith("=") and text not in _BINARY:
            self.fail(f"nothing can be reduced by {text}; expected {wanted}", sign)
        if text in _BINARY or text == "(":
            self.fail(f"only a tensor can be assigned to, no expression; expected {wanted}, found {sign}", sign)
        self.at -= sign.kind != "end"
        self.unexpected(wanted)

    # --- expressions --------------------------------------------------------------------------------------

    def expression(self, level: int = _COMPARISON) -> Expr:
        """An expression of operators that bind at least as tightly as `level`."""
        left = self.prefix()
        compared = False
        while self.token.kind == "symbol" and self.token.text in _BINARY:
            own, op = _BINARY[self.token.text]
            if own < level:
                break
            if own == _COMPARISON and compared:
                self.fail("comparisons are not chained; write (a < b) & (b < c)")
            self.at += 1
            compared = own == _COMPARISON
            left = apply(op, left, self.expression(own + 1))
        return left

    def prefix(self) -> Expr:
        """An operand with the operators before it, which bind less tightly than its power."""
        if self.depth > _DEEPEST:
            self.fail(f"nested more than {_DEEPEST} deep; assign parts of the expression to temporaries")
        self.depth += 1
        sign = self.token.text
        if self.take("+"):
            expr = self.prefix()
        elif self.take(*_PREFIX):
            expr = _prefixed(sign, self.prefix())
        else:
            expr = self.operand()
            if self.take("**"):
                expr = apply("pow", expr, self.prefix())
        self.depth -= 1
        return expr

    def operand(self) -> Expr:
        """A number, a constant, a tensor, a scalar, a call, or an expression in parentheses."""
        token = self.token
        if token.kind == "number":
            return self.number()
        if token.text == "(":
            self.at += 1
            expr = self.expression()
            self.close(token)
            return expr
        if token.kind != "name":
            self.unexpected("a tensor, a number or '('")
        if self.tokens[self.at + 1].text == "(":
            return self.call()
        if token.text in _CONSTANTS:
            return Literal(_CONSTANTS[self.next().text])
        if token.text == "absent":
            return self.absent()
        return self.access(self.name("a tensor"))

    def number(self) -> Literal:
        text = self.token.text
        value: complex | int = (
            complex(text) if text.endswith("j") else float(text) if not text.isdecimal() else int(text)
        )
        if isinstance(value, int) and value >= 2**63:
            self.fail(f"the integer {text} does not fit into 64 bits; write {text}.0 for a floating-point number")
        self.at += 1
        return Literal(value)

    def absent(self) -> Literal:
        before, after = self.tokens[self.at - 1].text, self.tokens[self.at + 1].text
        if self.calls[-1:] != ["where"] or before != "," or after not in (",", ")"):
            self.fail("'absent' is only a value of where(condition, value, absent)")
        self.at += 1
        return ABSENT

    def close(self, opened: Token) -> None:
        """The bracket that closes an opened one."""
        closing = {"(": ")", "[": "]"}[opened.text]
        if self.take(closing):
            return
        if self.token.kind in ("end", "end of statement") or self.token.text in ASSIGNMENTS:
            self.fail(f"this {opened} is not closed: expected {closing!r}", opened)
        more = "an operator" if opened.text == "(" else "','"
        self.unexpected(f"{more} or {closing!r}")

    def call(self) -> Expr:
        """An operator of the table by its name."""
        token = self.next()
        if token.text not in OPERATORS:
            near = difflib.get_close_matches(token.text, OPERATORS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(n for n in OPERATORS)}"
            self.fail(f"unknown function {token.text!r}; {hint}", token)
        args = self.arguments(token)
        problem = arity_problem(token.text, len(args))
        if problem:
            self.fail(problem, token)
        if token.text == "stored" and not isinstance(args[0], Access):
            self.fail("stored takes a tensor, as in stored(M[i,j])", token)
        return apply(token.text, *args)

    def arguments(self, function: Token) -> list[Expr]:
        opened = self.next()
        self.calls.append(function.text)
        args: list[Expr] = []
        if self.token.text != ")":
            args.append(self.expression())
            while self.take(","):
                args.append(self.expression())
        if self.token.kind == "symbol" and self.token.text not in (")", "]"):
            self.unexpected("an operator, ',' or ')'")
        self.close(opened)
        self.calls.pop()
        return args

    # --- tensors ------------------------------------------------------------------------------------------

    def name(self, role: str) -> str:
        token = self.next()
        if token.text in RESERVED:
            self.at -= 1
            hint = _HINTS.get(token.text, "")
            self.fail(f"{token} is reserved and can't name {role}" + (f"; {hint}" if hint else ""))
        return token.text

    def access(self, name: str) -> Access:
        """The indices in brackets behind a name, if there are any."""
        column, opened = self.tokens[self.at - 1].column, self.token
        places: list[Place] = []
        if self.take("["):
            if self.token.text == "]":
                self.fail("expected an index; a scalar is written without brackets")
            places.append(self.place())
            while self.take(","):
                places.append(self.place())
            self.close(opened)
        view = View(name, tuple(places))
        access = view.access
        if view.is_plain:
            access = Access(name, tuple(index for place in places for index in place.indices))
        else:
            self.views[str(view)] = view
        self.accesses.append((access, column))
        return access

    def place(self) -> Place:
        """An index, a sum of multiples of indices and numbers, or an access to a tensor of coordinates."""
        first = self.token
        if first.kind == "name" and self.tokens[self.at + 1].text == "[":
            return self.held()
        total = self.term(1)
        while self.token.text in ("+", "-"):
            total = total + self.term(1 if self.next().text == "+" else -1)
        if self.token.text in ("/", "//", "%", "*", "**", "(", "["):
            self.fail(
                f"an index may be multiplied and shifted by whole numbers, as in x[2*i + r - 1]; found {self.token}"
            )
        if not total.terms:
            self.fail(f"an index is a name such as i, not the number {total}; slice the tensor first", first)
        return total

    def term(self, sign: int) -> Affine:
        """An index, a whole number, or their product."""
        if self.take("-"):
            return self.term(-sign)
        if self.token.kind != "number":
            index = Affine.of(self.index())
            return index * (sign * self.whole()) if self.take("*") else index * sign
        number = sign * self.whole()
        return Affine.of(self.index()) * number if self.take("*") else Affine((), number)

    def whole(self) -> int:
        if self.token.kind != "number" or not self.token.text.isdecimal():
            self.unexpected("a whole number")
        return int(self.next().text)

    def held(self) -> Access:
        """The tensor that holds a coordinate."""
        token = self.token
        access = self.access(self.name("a tensor"))
        self.accesses.pop()
        if self.views.pop(access.tensor, None) is not None or len(set(access.indices)) < len(access.indices):
            self.fail(
                "coordinates are read from a tensor by different indices alone; assign them to a temporary", token
            )
        if self.token.text in ("+", "-", "*"):
            self.fail(
                "a coordinate that a tensor holds is taken as it is; assign what you compute of it to a temporary"
            )
        return access

    def index(self) -> str:
        if self.token.kind != "name":
            self.unexpected("an index")
        return self.name("an index")


def _prefixed(sign: str, expr: Expr) -> Expr:
    """An operator before its operand; a negative number is one constant."""
    if sign == "-" and isinstance(expr, Literal) and not isinstance(expr.value, bool | Absent):
        return Literal(-expr.value)
    return apply(_PREFIX[sign], expr)

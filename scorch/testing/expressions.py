"""Random statements in index notation, and the operands that they read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from scorch.ir.notation import Access, Apply, Expr, Literal, accesses
from scorch.ir.statement import ABSENT, Raw, apply
from scorch.ir.views import Affine, Place, View

__all__ = ["Vocabulary", "random_statements"]

_NUMBERS = ("add", "add", "mul", "mul", "mul", "sub", "max", "min")
_EXACT = ("neg", "abs", "square", "relu", "sign")
_SMOOTH = ("exp", "sin", "cos", "tanh", "sigmoid", "erf", "expm1", "atan", "asinh", "floor", "ceil", "round", "trunc")
_COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")
_REDUCTIONS = ("add", "add", "mul", "max", "min")
_NAMES = "ABDEFGHMNPQRSUVW"
_EXTENTS = (3, 4, 2, 5, 1, 0)
_LONG = (33, 70, 130)  # long enough for tiles, searches and accumulators of other kinds


@dataclass
class Vocabulary:
    """What the statements of one case are made of: indices and their extents, tensors and their indices.

    `kind` is the least number type that holds every operand: "bool", "int", "float" or "complex". `views` are what is
    read at computed coordinates, by their text; `below` has the tensors that hold coordinates, with the end of those.
    """

    rng: Random
    kind: str
    extents: dict[str, int] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    views: dict[str, View] = field(default_factory=dict)
    below: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        usual = self.rng.random() < 0.9
        self.extents = {v: self.rng.choice(_EXTENTS[:4] if usual else _EXTENTS) for v in "ijkl"}
        if self.rng.random() < 0.15:
            for v in self.rng.sample("ijkl", self.rng.choice((1, 1, 2))):
                self.extents[v] = self.rng.choice(_LONG)

    def access(self, scope: Sequence[str]) -> Access:
        """A tensor over some of the indices, a new one or one that is read elsewhere; now and then a view."""
        if self.rng.random() < 0.06 and len(scope):
            return self.view(scope)
        indices = self.rng.sample(scope, self.rng.randint(0 if self.rng.random() < 0.2 else 1, len(scope)))
        if indices and len(indices) < 3 and self.rng.random() < 0.1:
            indices.append(self.rng.choice(indices))
        shape = tuple(self.extents[v] for v in indices)
        known = [name for name, other in self.shapes.items() if other == shape and name not in self.below]
        if known and self.rng.random() < 0.4:
            return Access(self.rng.choice(known), tuple(indices))
        return Access(self.named(shape), tuple(indices))

    def named(self, shape: tuple[int, ...]) -> str:
        """The name of a new tensor."""
        count = len(self.shapes)
        name = _NAMES[count] if count < len(_NAMES) else f"A{count}"
        self.shapes[name] = shape
        return name

    def view(self, scope: Sequence[str]) -> Access:
        """A new tensor at computed coordinates, some of which may lie outside of it."""
        made = [self.place(scope) for _ in range(self.rng.choice((1, 1, 2)))]
        view = View(self.named(tuple(size for _, size in made)), tuple(place for place, _ in made))
        if view.is_plain:
            return Access(view.tensor, tuple(v for place in view.places for v in place.indices))
        self.views[str(view)] = view
        return view.access

    def place(self, scope: Sequence[str]) -> tuple[Place, int]:
        """Where a dimension is read, and its extent."""
        indices = self.rng.sample(scope, min(len(scope), self.rng.choice((1, 1, 2))))
        roll = self.rng.random()
        if roll < 0.25:
            size = self.rng.randint(1, 5)
            name = self.named(tuple(self.extents[v] for v in indices))
            self.below[name] = size
            return Access(name, tuple(indices)), size
        if roll < 0.4:
            return Affine.of(indices[0]), self.extents[indices[0]]
        place = Affine((), self.rng.choice((0, 0, 1, -1, 2)))
        for v in indices:
            place = self.rng.choice((1, 1, 2, -1)) * Affine.of(v) + place
        if place.is_plain:
            return place, self.extents[indices[0]]
        return place, max(1, place.range(self.extents)[1] + self.rng.choice((1, 1, 2, 0)))

    def value(self, scope: Sequence[str], depth: int) -> Expr:
        """An expression over some of the indices, operators nested at most so deep."""
        if depth == 0 or self.rng.random() < 0.15:
            return self.leaf(scope)
        if self.kind == "bool":
            return self.truth(scope, depth)
        roll = self.rng.random()
        if roll < 0.62:
            return self.binary(scope, depth)
        if roll < 0.8 or self.kind == "complex":
            return self.unary(scope, depth)
        if roll < 0.86:
            return self.truth(scope, depth)
        return apply("where", self.truth(scope, depth - 1), self.value(scope, depth - 1), self.value(scope, depth - 1))

    def leaf(self, scope: Sequence[str]) -> Expr:
        """A tensor, sometimes a constant."""
        if self.rng.random() < 0.9:
            return self.access(scope)
        if self.kind == "bool":
            return Literal(self.rng.random() < 0.5)
        return Literal(self.rng.choice((2, 3, 0, 1) if self.kind == "int" else (2, 0.5, 1, 0, -1.5)))

    def binary(self, scope: Sequence[str], depth: int) -> Expr:
        """A sum, product, quotient or power."""
        left = self.value(scope, depth - 1)
        if self.kind == "float" and self.rng.random() < 0.12:
            denominator = self.value(scope, depth - 1)
            safe = apply("add", apply("mul", denominator, denominator), Literal(1))
            return apply("div", left, safe if self.rng.random() < 0.7 else denominator)
        if self.kind != "complex" and self.rng.random() < 0.08:
            op = self.rng.choice(("pow", "floordiv", "mod"))
            return apply(op, left, Literal(self.rng.choice((2, 3))))
        op = self.rng.choice(_NUMBERS[:6] if self.kind == "complex" else _NUMBERS)
        return apply(op, left, self.value(scope, depth - 1))

    def unary(self, scope: Sequence[str], depth: int) -> Expr:
        """A function of one argument."""
        smooth = self.kind == "float" and self.rng.random() < 0.5
        op = self.rng.choice(_SMOOTH if smooth else ("neg",) if self.kind == "complex" else _EXACT)
        arg = self.value(scope, depth - 1)
        return apply("mul", arg, Literal(2)) if isinstance(arg, Literal) else apply(op, arg)

    def truth(self, scope: Sequence[str], depth: int) -> Expr:
        """A truth value."""
        roll = self.rng.random()
        if depth <= 0 and self.kind == "bool":
            return self.access(scope)
        if roll < 0.2:
            return apply("stored", self.access(scope))
        if depth > 0 and roll < 0.45:
            op = self.rng.choice(("and", "or", "not"))
            args = [self.truth(scope, depth - 1) for _ in range(1 if op == "not" else 2)]
            return apply(op, *args)
        if depth > 0 and roll < 0.55 and self.kind == "bool":
            return apply("where", *(self.truth(scope, depth - 1) for _ in range(3)))
        op = self.rng.choice(_COMPARISONS[:2] if self.kind in ("bool", "complex") else _COMPARISONS)
        return apply(op, self.value(scope, max(0, depth - 1)), self.leaf(scope))


def random_statements(words: Vocabulary) -> tuple[Raw, ...]:
    """One statement or some, each of the later ones over the result of an earlier one.

    >>> len(random_statements(Vocabulary(Random(3), "float"))) in (1, 2, 3)
    True
    """
    count = words.rng.choice((1, 1, 1, 2, 3))
    made: list[Raw] = []
    for name in ("T", "X", "C")[3 - count :]:
        scope = words.rng.sample("ijkl", words.rng.choice((1, 2, 2, 2, 3, 3)))
        expr = words.value(scope, words.rng.choice((0, 1, 1, 2, 2, 3)))
        inner = words.rng.random() < 0.3  # then what the mask leaves out is an operand of something else
        expr = _reading(_masked(expr, scope, words) if inner else expr, made, words)
        expr = expr if inner else _masked(expr, scope, words)
        if not any(True for _ in accesses(expr)):
            expr = words.access(scope)
        made.append(_statement(name, expr, words))
    return tuple(made)


def _reading(expr: Expr, made: Sequence[Raw], words: Vocabulary) -> Expr:
    """The expression combined with the result of the statement before it."""
    if not made:
        return expr
    op = words.rng.choice(("and", "or") if words.kind == "bool" else ("mul", "add", "sub"))
    return apply(op, *words.rng.sample((made[-1].target, expr), 2))


def _masked(expr: Expr, scope: Sequence[str], words: Vocabulary) -> Expr:
    """Now and then only where something is stored, or holds."""
    if words.rng.random() > 0.12:
        return expr
    condition = apply("stored", words.access(scope)) if words.rng.random() < 0.7 else words.truth(scope, 1)
    return Apply("where", (condition, expr, ABSENT))


def _statement(name: str, expr: Expr, words: Vocabulary) -> Raw:
    used = sorted({v for access in accesses(expr) for v in access.indices})
    kept = words.rng.sample(used, words.rng.randint(max(0, min(1, len(used) - 1)), min(3, len(used))))
    reduces = len(kept) < len(used) and words.rng.random() < 0.5
    ops = ("or", "and") if words.kind == "bool" else ("add", "mul") if words.kind == "complex" else _REDUCTIONS
    read = dict.fromkeys(access.tensor for access in accesses(expr))
    views = tuple(words.views[each] for each in read if each in words.views)
    return Raw(Access(name, tuple(kept)), words.rng.choice(ops) if reduces else None, expr, views=views)

"""Calls as statements in index notation."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from scorch.ir.einsum import operand_names
from scorch.ir.normalise import normalise
from scorch.ir.notation import Access, Apply, Assign, Expr, Literal, accesses, substitute
from scorch.ir.plan import Alternative, Split
from scorch.ir.statement import ABSENT, Raw, apply
from scorch.runtime import threads
from scorch.schedule.path import contract, estimated
from scorch.trace.graph import Graph, Ref
from scorch.trace.node import Contract, Map, Softmax, Sum, contraction, described, letters

__all__ = ["written"]

NAMES = "ijklmnpqrstuvw"
Names = tuple[str | None, ...]
"""An index for each dimension, None for one of extent 1, which notation leaves out."""


def written(
    graph: Graph, leader: int, members: frozenset[int]
) -> tuple[tuple[Assign, ...], tuple[tuple[str, Ref], ...], tuple[Alternative, ...]]:
    """The statements of some nodes, what their names stand for, and the orders of multiplication that were priced."""
    writer = _Writer(graph, members)
    node = graph.nodes[leader]
    names = tuple(None if e == 1 else NAMES[d] for d, e in enumerate(node.shape))
    writer.used = len(names)
    expr = writer.whole(leader, names)
    writer.assign("out", names, expr)
    return normalise(tuple(writer.raws)), tuple(writer.operands.items()), tuple(writer.orders)


class _Writer:
    """Writes statements of temporaries while it writes the expression of a node."""

    def __init__(self, graph: Graph, members: frozenset[int]) -> None:
        self.graph = graph
        self.members = members
        self.raws: list[Raw] = []
        self.operands: dict[str, Ref] = {}
        self.temporaries: dict[int, str] = {}
        self.orders: list[Alternative] = []
        self.used = 0

    def assign(self, name: str, names: Names, expr: Expr, reduce: str | None = None) -> Access:
        """A statement; the access that reads its result."""
        target = Access(name, _indices(names))
        self.raws.append(Raw(target, reduce, expr))
        return target

    def fresh(self) -> str:
        """An index that no expression being written has."""
        self.used += 1
        return NAMES[self.used - 1] if self.used <= len(NAMES) else f"i{self.used}"

    # --- expressions --------------------------------------------------------------------------------------

    def read(self, ref: Ref, names: Names, once: bool = True) -> Expr:
        """What an operand is worth at some indices; a temporary of it unless it is read once."""
        n = self.graph.node(ref)
        if n is None or n not in self.members:
            name = f"{'t' if n is not None else 'x'}{ref[1]}"
            self.operands[name] = ref
            return Access(name, _indices(names))
        if n in self.temporaries:
            return Access(self.temporaries[n], _indices(names))
        expr = self.whole(n, names)
        if once and len(self.graph.readers[n]) == 1:
            return expr
        self.temporaries[n] = f"t{n}"
        return self.assign(f"t{n}", names, expr)

    def whole(self, n: int, names: Names) -> Expr:
        """The expression of a node at some indices."""
        node, refs = self.graph.nodes[n], self.graph.operands[n]
        match node.form:
            case Map(expr=expr):
                times = Counter(accesses(expr))
                by = {
                    letter: self.read(ref, self.aligned(ref, names), once=times[letter] < 2)
                    for letter, ref in zip(letters(len(refs)), refs, strict=True)
                }
                return _flat(substitute(expr, by))
            case Contract():
                return self.product(n, names)
            case Softmax():
                powers, total, at = self.softmax(n, names)
                return Apply("where", (Apply("stored", (at,)), Apply("div", (powers, total)), ABSENT))
            case Sum(gone=gone, keepdim=keepdim):
                kept = iter([v for d, v in enumerate(names) if not (keepdim and d in gone)])
                rank = len(self.graph.shape(refs[0]))
                return self.read(refs[0], tuple(self.fresh() if d in gone else next(kept) for d in range(rank)))

    def aligned(self, ref: Ref, names: Names) -> Names:
        """The indices of an operand that is broadcast to a result."""
        shape = self.graph.shape(ref)
        own = names[len(names) - len(shape) :]
        return tuple(None if e == 1 else v for v, e in zip(own, shape, strict=True))

    # --- softmax ------------------------------------------------------------------------------------------

    def softmax(self, n: int, names: Names) -> tuple[Expr, Expr, Access]:
        """The powers of a sparse tensor's entries, their sum over a row, and the access that has the entries."""
        (ref,) = self.graph.operands[n]
        scores = self.read(ref, names)
        if not isinstance(scores, Access):
            scores = self.assign(f"s{n}", names, scores)
        row = names[:-1]
        largest = self.assign(f"m{n}", row, _where(scores, scores), "max")
        shifted = Apply("exp", (Apply("sub", (scores, largest)),))
        powers = self.assign(f"e{n}", names, _where(scores, shifted))
        total = self.assign(f"z{n}", row, powers, "add")
        return powers, total, powers

    # --- products -----------------------------------------------------------------------------------------

    def product(self, n: int, names: Names) -> Expr:
        """The product of a contraction's operands, summed over the indices that the result lacks.

        The sums of a softmax divide the whole product, not each of its terms.
        """
        factors = list(self.factors(n, names))
        if len(factors) > 2:
            return _product(self.ordered(factors, names))
        above: list[Expr] = []
        below: list[Expr] = []
        for ref, own in factors:
            m = self.graph.node(ref)
            if m in self.members and isinstance(self.graph.nodes[m].form, Softmax) and len(self.graph.readers[m]) == 1:
                powers, total, _ = self.softmax(m, own)
                above.append(powers)
                below.append(total)
            else:
                above.append(self.read(ref, own))
        expr = _product(above)
        for total in below:  # 1 at least, where a row has an entry: the power of the largest one
            expr = Apply("div", (expr, Apply("max", (total, Literal(1)))))
        return expr

    def factors(self, n: int, names: Names) -> Iterator[tuple[Ref, Names]]:
        """The operands of a contraction with their indices; those of a contraction among them in its place."""
        form, refs = self.graph.nodes[n].form, self.graph.operands[n]
        assert isinstance(form, Contract)
        by: dict[str, str | None] = dict(zip(form.out, names, strict=True))
        for term, ref in zip(form.terms, refs, strict=True):
            for v, e in zip(term, self.graph.shape(ref), strict=True):
                if v not in by:
                    by[v] = None if e == 1 else self.fresh()
        for term, ref in zip(form.terms, refs, strict=True):
            own = tuple(by[v] for v in term)
            m = self.graph.node(ref)
            if m in self.members and isinstance(self.graph.nodes[m].form, Contract):
                yield from self.factors(m, own)
            else:
                yield ref, own

    def ordered(self, factors: Sequence[tuple[Ref, Names]], names: Names) -> list[Expr]:
        """A chain's factors, the pairs replaced that are better multiplied first: as many as one kernel should take.

        The order that is expected to take least time follows from the operands' shapes and numbers of entries.
        """
        read = [self.read(ref, own) for ref, own in factors]
        operands = [described(self.graph.operand(ref)) for ref, _ in factors]
        dtype = self.graph.operand(factors[0][0]).dtype
        while len(read) > 2 and not any(None in own for _, own in factors):
            terms = tuple(access.indices for access in read if isinstance(access, Access))
            problem = contraction(Contract(terms, _indices(names)), operands, dtype, threads.available())
            chosen = contract(problem)
            called = dict(zip(operand_names(len(read)), map(_tensor, read), strict=False))
            self.orders += [Alternative(_renamed(a.description, called), a.cost) for a in chosen.alternatives]
            if not isinstance(chosen, Split):
                break
            pair = [read[k] for k in chosen.pair]
            kept = chosen.first.target.indices
            made = self.assign(f"p{len(self.raws)}", kept, _product(pair), "add")
            terms = tuple(terms[k] for k in chosen.pair)
            first = contraction(Contract(terms, kept), [operands[k] for k in chosen.pair], dtype)
            read = [made, *(x for k, x in enumerate(read) if k not in chosen.pair)]
            operands = [estimated(first), *(x for k, x in enumerate(operands) if k not in chosen.pair)]
        return read


def _indices(names: Sequence[str | None]) -> tuple[str, ...]:
    return tuple(v for v in names if v is not None)


def _product(factors: Sequence[Expr]) -> Expr:
    return factors[0] if len(factors) == 1 else apply("mul", *factors)


def _tensor(expr: Expr) -> str:
    return expr.tensor if isinstance(expr, Access) else str(expr)


def _where(access: Access, value: Expr) -> Expr:
    """The value where the access has an entry; nothing elsewhere."""
    return Apply("where", (Apply("stored", (access,)), value, ABSENT))


def _renamed(text: str, names: dict[str, str]) -> str:
    """The text of statements over A, B, ... with other names for these."""
    return re.sub(r"\b[A-Z](?=\[)", lambda found: names.get(found.group(), found.group()), text)


def _flat(expr: Expr) -> Expr:
    """The expression with products and sums of products and sums as one each."""
    return apply(expr.op, *map(_flat, expr.args)) if isinstance(expr, Apply) else expr

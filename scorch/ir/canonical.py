"""Statements with names that don't matter: operands A, B, C ... in order of appearance, one for each way of access."""

from __future__ import annotations

from functools import lru_cache

from scorch.ir.einsum import operand_names
from scorch.ir.notation import Access, Apply, Assign, Expr, accesses

__all__ = ["canonical"]


@lru_cache(maxsize=4096)
def canonical(statement: Assign) -> tuple[Assign, tuple[str, ...]]:
    """The statement over A, B, C ..., and the tensor that each of them is.

    A tensor that is accessed in two ways is two operands, which may be read in two formats.

    >>> a, b = Access("X", ("i", "j")), Access("X", ("j", "i"))
    >>> renamed, tensors = canonical(Assign(Access("out", ("i", "j")), Apply("sub", (a, b))))
    >>> print(renamed, tensors)
    C[i,j] = A[i,j] - B[j,i] ('X', 'X')
    """
    read = tuple(dict.fromkeys(accesses(statement.expr)))
    names = operand_names(len(read))
    by = {access: Access(name, access.indices) for access, name in zip(read, names, strict=False)}
    target = Access(names[len(read)], statement.target.indices)
    renamed = Assign(target, _replaced(statement.expr, by), statement.reduce, statement.equal)
    return renamed, tuple(access.tensor for access in read)


def _replaced(expr: Expr, by: dict[Access, Access]) -> Expr:
    if isinstance(expr, Access):
        return by[expr]
    return Apply(expr.op, tuple(_replaced(arg, by) for arg in expr.args)) if isinstance(expr, Apply) else expr

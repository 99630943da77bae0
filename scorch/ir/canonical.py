"""Statements with names that don't matter: operands A, B, C ... in order of appearance, one for each way of access."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from scorch.ir.einsum import operand_names
from scorch.ir.notation import Access, Assign, substitute

__all__ = ["canonical", "canonical_run"]


@lru_cache(maxsize=4096)
def canonical(statement: Assign) -> tuple[Assign, tuple[str, ...]]:
    """The statement over A, B, C ..., and the tensor that each of them is.

    A tensor that is accessed in two ways is two operands, which may be read in two formats.

    >>> from scorch.ir.notation import Apply
    >>> a, b = Access("X", ("i", "j")), Access("X", ("j", "i"))
    >>> renamed, tensors = canonical(Assign(Access("out", ("i", "j")), Apply("sub", (a, b))))
    >>> print(renamed, tensors)
    C[i,j] = A[i,j] - B[j,i] ('X', 'X')
    """
    read = statement.accesses
    names = operand_names(len(read))
    by = {access: Access(name, access.indices) for access, name in zip(read, names, strict=False)}
    target = Access(names[len(read)], statement.target.indices)
    finish = None if statement.finish is None else substitute(statement.finish, by)
    renamed = Assign(target, substitute(statement.expr, by), statement.reduce, statement.equal, finish)
    return renamed, tuple(access.tensor for access in read)


@lru_cache(maxsize=4096)
def canonical_run(statements: tuple[Assign, ...]) -> tuple[tuple[Assign, ...], tuple[str, ...]]:
    """Several statements over A, B, C ... with temporaries t1, t2 ..., and the tensor that each operand is.

    >>> from scorch.ir.notation import Apply
    >>> a, x, y = (Access(name, ("i",)) for name in ("in", "x", "y"))
    >>> renamed, tensors = canonical_run((Assign(x, a), Assign(y, Apply("mul", (a, x)))))
    >>> print(*renamed, tensors, sep="; ")
    t1[i] = A[i]; B[i] = A[i] * t1[i]; ('in',)
    """
    temporaries = {s.target.tensor: f"t{n}" for n, s in enumerate(statements[:-1], 1)}
    read = tuple(dict.fromkeys(a for s in statements for a in s.accesses if a.tensor not in temporaries))
    names = operand_names(len(read))
    by = {access: Access(name, access.indices) for access, name in zip(read, names, strict=False)}
    made = []
    for statement in statements:
        by |= {a: Access(temporaries[a.tensor], a.indices) for a in statement.accesses if a.tensor in temporaries}
        target = Access(temporaries.get(statement.target.tensor, names[len(read)]), statement.target.indices)
        made.append(replace(statement, target=target, expr=substitute(statement.expr, by)))
    return tuple(made), tuple(access.tensor for access in read)

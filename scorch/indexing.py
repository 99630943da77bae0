"""Index notation from Python objects: `C[i, j] << A[i, k] * B[k, j]` says what the text `C[i,j] = A[i,k] * B[k,j]` says.

    i, j, k = scorch.indices("i j k")
    C = scorch.result("C")
    scorch.compute(C[i, j] << A[i, k] * B[k, j] + D[i, j])
    scorch.compute(C[i, j].reduce("min", A[i, k] + B[k, j]))

A tensor indexed by Index objects is a Term, which nothing evaluates; Terms are combined by Python's operators, by
torch's functions (torch.exp, torch.maximum, torch.where ...) and by methods named as the operators of the table.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, NoReturn

from scorch.errors import NotationError
from scorch.ir.notation import Access, Apply, Expr, Literal, accesses
from scorch.ir.operators import OPERATORS, operator
from scorch.ir.statement import ABSENT, Raw, apply, check_depth

__all__ = [
    "Collected",
    "Index",
    "Result",
    "Statement",
    "Term",
    "absent",
    "access",
    "collect",
    "indices",
    "is_symbolic",
    "result",
    "stored",
    "where",
]

absent = ABSENT
"""The value of a place that the result leaves out, in `where(stored(M[i, j]), e, absent)`."""

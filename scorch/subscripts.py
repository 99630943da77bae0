"""What stands in brackets behind a tensor: index variables, and sums of multiples of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from scorch.errors import NotationError
from scorch.ir.tokens import is_name
from scorch.ir.views import Affine

if TYPE_CHECKING:
    from scorch.indexing import Term

__all__ = ["Index", "IndexSum", "Subscript", "indices", "is_symbolic", "refuse_assignment"]


class Subscript(ABC):
    """What selects nothing, but makes notation of the tensor that it stands behind."""

    __slots__ = ()

    @property
    @abstractmethod
    def place(self) -> Affine:
        """The coordinate that it stands for."""

    def __add__(self, other: object) -> IndexSum:
        return IndexSum(self.place + _summand(other, self))

    def __sub__(self, other: object) -> IndexSum:
        return IndexSum(self.place - _summand(other, self))

    def __rsub__(self, other: object) -> IndexSum:
        return IndexSum(_summand(other, self) - self.place)

    def __mul__(self, other: object) -> IndexSum:
        if isinstance(other, bool) or not isinstance(other, int):
            _refuse(other, self)
        return IndexSum(self.place * other)

    def __neg__(self) -> IndexSum:
        return IndexSum(-self.place)

    __radd__, __rmul__ = __add__, __mul__

    def _other(self, other: object) -> NoReturn:
        _refuse(other, self)

    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __pow__ = __rpow__ = _other

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Term:
        """What `tensor[i, k]` of a torch tensor gives."""
        from scorch.indexing import access  # mutual: a Term is indexed by these

        name = getattr(func, "__name__", str(func))
        if name == "__getitem__":
            return access(*args)
        if name == "__setitem__":
            refuse_assignment()
        raise NotationError(f"an index has no value, so torch's {name} can't take one; use it in brackets")


@dataclass(frozen=True, slots=True)
class Index(Subscript):
    """An index variable; `A[i, k]` with two of them is a Term. Indices of one name are the same index."""

    name: str

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not is_name(self.name):
            raise NotationError(f"an index is named by a word such as i, not {self.name!r}")

    @property
    def place(self) -> Affine:
        return Affine.of(self.name)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class IndexSum(Subscript):
    """A sum of multiples of indices and a whole number, as in `x[2 * i + r - 1]`.

    >>> i, r = indices("i r")
    >>> print(2 * i + r - 1)
    2*i+r-1
    """

    sum: Affine

    @property
    def place(self) -> Affine:
        return self.sum

    def __str__(self) -> str:
        return str(self.sum)


def _summand(other: object, self: Subscript) -> Affine:
    if isinstance(other, Subscript):
        return other.place
    if isinstance(other, bool) or not isinstance(other, int):
        _refuse(other, self)
    return Affine((), other)


def _refuse(other: object, self: Subscript) -> NoReturn:
    raise NotationError(
        f"index {self} is added to indices and whole numbers and multiplied by whole numbers, not combined with {other}"
    )


def indices(names: str) -> tuple[Index, ...]:
    """Index variables, one for each name; names are separated by spaces or commas.

    Raises NotationError for a name that is none, or that stands twice.

    >>> i, j = indices("i j")
    >>> j
    Index(name='j')
    """
    split = names.replace(",", " ").split()
    if len(set(split)) < len(split):
        raise NotationError(f"{names!r} has a duplicate index")
    if not split:
        raise NotationError("expected the names of indices, as in indices('i j k')")
    return tuple(map(Index, split))


def is_symbolic(key: object) -> bool:
    """Whether a key in brackets holds an Index, so that it is notation and selects nothing.

    >>> i, r = indices("i r")
    >>> is_symbolic(i), is_symbolic((i + r, 0)), is_symbolic((0, 1))
    (True, True, False)
    """
    from scorch.indexing import Term  # mutual: coordinates that a tensor holds are a Term

    parts = key if isinstance(key, tuple) else (key,)
    return any(isinstance(part, Subscript | Term) for part in parts)


def refuse_assignment() -> NoReturn:
    """NotationError for `C[i, j] = value`."""
    raise NotationError("a statement is written C[i, j] << value, or C[i, j].reduce('add', value) for C[i,j] += value")

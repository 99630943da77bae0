"""The arrays of a tensor: its Pattern (which coordinates are stored, and how) and its values.

Everything that can be computed once from the structure hangs on the Pattern's `cache` (statistics, permutations,
partitions), which all tensors that share the structure share. Values are never cached.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import Any, TypeAlias

import numpy as np
import torch

from scorch.errors import FormatError, ShapeError, UnsupportedError
from scorch.formats import dtypes
from scorch.formats.blocks import stored_shape
from scorch.formats.format import Format
from scorch.formats.levels import Adjacent, Arrays, Level, Nodes, Strided
from scorch.formats.memory import bytes_text
from scorch.formats.named import dense

__all__ = [
    "Pattern",
    "Storage",
    "Values",
    "as_array",
    "as_tensor",
    "bindable",
    "checked_size",
    "dense_pattern",
    "hold",
    "pattern_of",
    "strided_pattern",
]

Array: TypeAlias = np.ndarray[Any, Any]
Values: TypeAlias = "Array | torch.Tensor"  # flat in stored order, or a tensor that is contiguous in that order

_tokens = itertools.count()
_patterns: weakref.WeakValueDictionary[str, Pattern] = weakref.WeakValueDictionary()
INDEX_LIMIT = 2**63 - 1


class _Borrowed:
    """Offers the memory of a read-only array as writable, which Numba types as it types every other array."""

    def __init__(self, array: Array) -> None:
        self.owner = array
        interface = dict(array.__array_interface__)
        interface["data"] = (interface["data"][0], False)
        self.__array_interface__ = interface


def bindable(array: Array) -> Array:
    """The array as kernels take it: contiguous, aligned, native byte order, not flagged read-only. Shares memory if it
    can.

    Kernels never write to an operand, so lifting the flag is safe; with it, Numba would compile each kernel twice.
    """
    flags = array.flags
    as_it_is = flags.c_contiguous and flags.aligned and flags.writeable and array.dtype.isnative
    if as_it_is and array.ndim and type(array) is np.ndarray:
        return array
    plain = np.ascontiguousarray(array)
    if not plain.dtype.isnative:
        plain = plain.astype(plain.dtype.newbyteorder("="))
    if not plain.flags.aligned:
        plain = plain.copy()
    if not plain.flags.writeable:
        plain = np.asarray(_Borrowed(plain)) if plain.size else plain.copy()
    return plain


def checked_size(shape: Sequence[int]) -> int:
    """The product of the extents; ShapeError if one is negative or the product is over 2^63 - 1."""
    total = 1
    for extent in shape:
        if extent < 0:
            raise ShapeError(f"an extent cannot be negative: shape {tuple(shape)}")
        total *= int(extent)
    if total > INDEX_LIMIT:
        raise ShapeError(
            f"shape {tuple(shape)} has {total} places, over the limit of 2^63 - 1 for a dense tensor (values of 4 "
            f"bytes would take {bytes_text(4 * total)}); store what is there, with out_format='coo' or 'dcsr'"
        )
    return total


class Pattern:
    """Shape, format and level arrays: a tensor without its values.

    `arrays[d]` maps the array names of level d (pos, crd) to 1-d integer arrays. `positions[d]` is the number of
    positions of level d. With `validate`, FormatError tells what the arrays claim and don't hold. `strides` are
    those of a view, one a dimension. Not changed after construction.

    >>> import numpy as np
    >>> from scorch.formats import csr
    >>> p = Pattern((2, 3), csr, [{}, {"pos": np.array([0, 2, 3]), "crd": np.array([0, 2, 1])}])
    >>> p.nnz, p.positions
    (3, (2, 3))
    """

    __slots__ = (
        "__dict__", "__weakref__", "arrays", "cache", "format", "handle", "positions", "shape", "strides", "token"
    )  # fmt: skip

    def __init__(
        self,
        shape: Sequence[int],
        format: Format,
        arrays: Sequence[Arrays],
        validate: bool = True,
        strides: tuple[int, ...] | None = None,
    ) -> None:
        self.shape = tuple(map(int, shape))
        self.format = format
        self.strides = strides
        self.cache: dict[Any, Any] = {}
        self.token = next(_tokens)  # never reused, unlike id()
        self.handle = f"p{self.token}"  # by which a traced graph knows the pattern
        _patterns[self.handle] = self
        if format.blocks and len(arrays) == format.ndim:
            arrays = [*arrays, *({} for _ in format.levels[format.ndim :])]  # those of the insides are always empty
        if len(self.shape) != format.ndim or len(arrays) != len(format.levels):
            raise FormatError(
                f"format {format} has {len(format.levels)} levels for {format.ndim} dimensions; "
                f"shape {self.shape} and {len(arrays)} sets of level arrays don't fit"
            )
        for extent in self.shape:
            if extent < 0:
                raise ShapeError(f"an extent cannot be negative: shape {self.shape}")
            if extent > INDEX_LIMIT:
                raise ShapeError(f"an extent cannot be over 2^63 - 1: shape {self.shape}")
        self.stored_shape = stored_shape(self.shape, format.blocks) if format.blocks else self.shape
        self.arrays = tuple([self._level(depth, level) for depth, level in enumerate(arrays)])
        self.positions = self._validated() if validate else self._counted()

    narrowed: Pattern | None = None  # the same with narrower arrays, of a frozen tensor
    packing = ""  # how it was packed, for explain

    @property
    def packed(self) -> Pattern:
        """The pattern whose arrays kernels read in place of these: narrower ones of a frozen tensor, else its own."""
        return self if self.narrowed is None else self.narrowed

    def _level(self, depth: int, arrays: Arrays) -> dict[str, Array]:
        kind = self.format.levels[depth]
        if not kind.arrays and not arrays:
            return {}
        if set(kind.arrays) != set(arrays):
            raise FormatError(f"level {depth} ({kind}) needs the arrays {kind.arrays}, got {tuple(arrays)}")
        return {name: bindable(np.asarray(arrays[name])) for name in kind.arrays}

    def extent(self, depth: int) -> int:
        """The extent of the dimension that level `depth` stores."""
        return self.stored_shape[self.format.order[depth]]

    @property
    def numbers(self) -> tuple[dict[str, int], ...]:
        """What kernels are given of each level beside its arrays."""
        return tuple({"stride": self.strides[d]} if self.strides else {} for d in self.format.order)

    @property
    def stored(self) -> Pattern:
        """The pattern of the tensor of blocks, on the same arrays; itself without blocks."""
        return self._of_blocks if self.format.blocks else self

    @property
    def plain(self) -> Pattern:
        """The pattern in the format that kernels read: itself unless a level encodes another one. Positions are the
        same."""
        return self if self.format.plain == self.format else self._decoded

    # A pattern that kept itself would live until the collector looks, and its arrays with it.

    @cached_property
    def _of_blocks(self) -> Pattern:
        return Pattern(self.stored_shape, self.format.stored, self.arrays, validate=False)

    @cached_property
    def _decoded(self) -> Pattern:
        return self._recoded(self.format.plain, [level.decoded for level in self.format.levels])

    def encoded(self, format: Format) -> Pattern:
        """The pattern in a format of which this one is the plain form."""
        return self if format == self.format else self._recoded(format, [level.encoded for level in format.levels])

    def _recoded(self, format: Format, recode: list[Callable[[int, int, Arrays], Arrays]]) -> Pattern:
        """The pattern with the arrays of each level rewritten, given its parents, its extent and its arrays."""
        parents = (1, *self.positions[:-1])
        sizes = [self.extent(depth) for depth in range(len(recode))]
        arrays = [way(*level) for way, level in zip(recode, zip(parents, sizes, self.arrays, strict=True), strict=True)]
        return Pattern(self.shape, format, arrays, validate=False)

    def _counted(self) -> tuple[int, ...]:
        counts: list[int] = []
        for depth, level in enumerate(self.format.levels):
            counts.append(level.positions(counts[-1] if counts else 1, self.extent(depth), self.arrays[depth]))
        return tuple(counts)

    def _validated(self) -> tuple[int, ...]:
        nodes, counts = Nodes(1), []
        for depth, level in enumerate(self.format.levels):
            try:
                nodes = level.validate(nodes, self.extent(depth), self.arrays[depth])
            except FormatError as error:
                raise FormatError(
                    f"level {depth} (dimension {self.format.order[depth]}) of a {self.format} tensor: {error}"
                ) from None
            counts.append(nodes.count)
        return tuple(counts)

    @property
    def nnz(self) -> int:
        """Number of stored values."""
        return self.positions[-1] if self.positions else 1

    @cached_property
    def shown(self) -> tuple[dict[str, torch.Tensor], ...]:
        """The level arrays as torch tensors on the same memory, made once: their versions tell of changes."""
        with torch.inference_mode(False):  # whose tensors have no versions
            return tuple([{name: torch.from_numpy(array) for name, array in level.items()} for level in self.arrays])

    def check_unchanged(self) -> None:
        """FormatError if torch has written into the arrays that were shown."""
        for level, arrays in enumerate(self.__dict__.get("shown", ())):
            for name, array in arrays.items():
                if array._version:
                    raise FormatError(
                        f"{name} of level {level} was changed in place, so {self} is no longer what was computed with; "
                        "patterns don't change: make another tensor by scorch.from_coo or Tensor.from_levels"
                    )

    @cached_property
    def nbytes(self) -> int:
        """Bytes of the level arrays."""
        return sum(array.nbytes for level in self.arrays for array in level.values())

    @cached_property
    def size(self) -> int:
        """Number of places of the dense tensor (a Python int, of any size)."""
        total = 1
        for extent in self.shape:
            total *= extent
        return total

    def equals(self, other: Pattern) -> bool:
        """Whether both store the same coordinates in the same places, as the matrices of an undirected graph and of its
        transpose do.

        >>> from scorch.formats import csr
        >>> a, b = (Pattern((1, 3), csr, [{}, {"pos": np.array([0, 2]), "crd": np.array([0, 2])}]) for _ in "ab")
        >>> a.equals(b), a.equals(a.permuted((1, 0)))
        (True, False)
        """
        if self is other:
            return True
        if (self.shape, self.format, self.positions) != (other.shape, other.format, other.positions):
            return False
        return self.strides == other.strides and all(
            np.array_equal(mine[name], level[name])
            for mine, level in zip(self.arrays, other.arrays, strict=True)
            for name in mine
        )

    def permuted(self, dims: tuple[int, ...]) -> Pattern:
        """The pattern with dimension dims[d] as its d-th, on the same arrays: one object a permutation, so that its
        statistics are kept.

        >>> from scorch.formats import csr
        >>> p = Pattern((1, 3), csr, [{}, {"pos": np.array([0, 2]), "crd": np.array([0, 2])}])
        >>> p.permuted((1, 0))
        Pattern(shape=(3, 1), format=csc, nnz=2)
        """
        if dims == tuple(range(len(dims))):
            return self
        found = self.cache.get(("permuted", dims))
        if isinstance(found, Pattern):
            return found
        shape = tuple(self.shape[d] for d in dims)
        format = self.format.permuted(dims)
        if format.is_dense:
            return dense_pattern(shape, format.order)
        made = self.cache["permuted", dims] = Pattern(shape, format, self.arrays, validate=False)
        return made

    def above(self, depth: int, format: Format, shape: tuple[int, ...]) -> Pattern:
        """The pattern of a tensor that has the first `depth` levels of this one and dense levels below them: one object
        for each format and shape, so that its statistics are kept."""
        found = self.cache.get(("above", depth, format, shape))
        if isinstance(found, Pattern):
            return found
        arrays = [*self.arrays[:depth], *({} for _ in format.levels[depth:])]
        made = self.cache["above", depth, format, shape] = Pattern(shape, format, arrays, validate=False)
        return made

    def __repr__(self) -> str:
        return f"Pattern(shape={self.shape}, format={self.format}, nnz={self.nnz})"


@lru_cache(maxsize=4096)
def dense_pattern(shape: tuple[int, ...], order: tuple[int, ...]) -> Pattern:
    """The pattern of a dense tensor, one object for each shape and dimension order, so that its identity can be a
    key."""
    checked_size(shape)
    return Pattern(shape, dense(len(shape), order), [{}] * len(shape), validate=False)


@lru_cache(maxsize=4096)
def strided_pattern(shape: tuple[int, ...], strides: tuple[int, ...], order: tuple[int, ...]) -> Pattern:
    """The pattern of a view of memory, one object for all with these strides, its levels in this dimension order.

    >>> strided_pattern((3, 2), (1, 1), (1, 0)).format.spelling
    'strided, adjacent; order=(1, 0)'
    """
    checked_size(shape)
    levels: list[Level] = [Strided() for _ in order]
    if order and strides[order[-1]] == 1:
        levels[-1] = Adjacent()
    return Pattern(shape, Format(levels, order), [{}] * len(shape), validate=False, strides=strides)


def pattern_of(handle: str) -> Pattern:
    """The pattern with this handle, as long as it lives.

    >>> pattern_of(dense_pattern((2,), (0,)).handle)
    Pattern(shape=(2,), format=dense, nnz=2)
    """
    return _patterns[handle]


def hold(pattern: Pattern) -> Callable[[], Pattern]:
    """A way to a pattern that keeps it alive only if it is dense: what is kept for sparse ones goes with them."""
    return weakref.ref(pattern) if not pattern.format.is_dense else lambda: pattern  # type: ignore[return-value]


class Storage:
    """A Pattern with its values: `values`, a torch tensor, and `vals`, the same memory as a flat numpy array for
    kernels, made when it is first asked for: values that torch only traces have no memory.

    `fill` is the value of every coordinate that isn't stored. ShapeError if the number of values isn't that of the
    pattern.
    """

    __slots__ = ("_vals", "fill", "key", "pattern", "values")

    def __init__(self, pattern: Pattern, values: torch.Tensor, fill: bool | int | float | complex = 0) -> None:
        if values.numel() != pattern.nnz:
            raise ShapeError(f"{pattern} stores {pattern.nnz} values, got {values.numel()}")
        self.pattern = pattern
        self.values = values
        self._vals: Array | None = None
        self.fill = fill
        # equal for storages that one program serves
        self.key = (pattern.token, values.dtype) if fill == 0 else (pattern.token, values.dtype, fill)

    @property
    def is_frozen(self) -> bool:
        """Whether the values stay as they are, and no other tensor shares the pattern: then copies are kept."""
        return False

    @property
    def vals(self) -> Array:
        """The values in stored order, flat."""
        made = self._vals
        if made is None:
            made = self._vals = flat(self.values, self.pattern)
        return made

    @property
    def dtype(self) -> str:
        """Name of the number type."""
        return dtypes.name_of(self.values.dtype)

    @classmethod
    def from_dense(cls, tensor: torch.Tensor) -> Storage:
        """Wrap a dense CPU torch tensor: no copy if it is contiguous in some order of its dimensions."""
        if not tensor.is_cpu:
            raise UnsupportedError(f"Scorch runs on CPU; the operand is on {tensor.device}: pass tensor.cpu()")
        order = dense_order(tensor)
        if order is None:
            tensor, order = tensor.contiguous(), tuple(range(tensor.ndim))
        return cls(dense_pattern(tuple(tensor.shape), order), tensor)

    @classmethod
    def of_vals(cls, pattern: Pattern, vals: Values, dtype: str, fill: bool | int | float | complex = 0) -> Storage:
        """The storage whose `vals` these are."""
        values = as_tensor(vals, dtype)
        if pattern.strides is not None:
            values = values.as_strided(pattern.shape, pattern.strides)
        return cls(pattern, values, fill)

    @classmethod
    def like(cls, pattern: Pattern, tensor: torch.Tensor) -> Storage:
        """Wrap a dense tensor as the view that `pattern` describes, or as what it is by now."""
        if pattern.strides is not None and tensor.stride() == pattern.strides and tuple(tensor.shape) == pattern.shape:
            return cls(pattern, tensor)
        return cls.from_dense(tensor)

    def __repr__(self) -> str:
        return f"Storage({self.pattern}, dtype={self.dtype})"


def dense_order(tensor: torch.Tensor) -> tuple[int, ...] | None:
    """The dimension order in which a strided tensor is contiguous, or None if it is in no order."""
    natural = tuple(range(tensor.ndim))
    if tensor.is_contiguous():
        return natural
    strides = tensor.stride()
    order = tuple(sorted(natural, key=lambda d: (-strides[d], d)))
    return order if tensor.permute(order).is_contiguous() else None


def as_array(values: Values) -> Array:
    """Values as kernels take them, flat."""
    if isinstance(values, np.ndarray):
        return values
    return dtypes.array_of(values.detach() if values.requires_grad else values).ravel()


def as_tensor(values: Values, dtype: str) -> torch.Tensor:
    """Values of a named number type as a tensor."""
    return values.detach() if isinstance(values, torch.Tensor) else dtypes.tensor_of(values, dtype)


def flat(values: torch.Tensor, pattern: Pattern) -> Array:
    """A flat numpy view of `values` in storage order."""
    plain = values.detach() if values.requires_grad else values
    if plain.is_conj() or plain.is_neg():
        plain = plain.resolve_conj().resolve_neg()
    order = pattern.format.order
    if pattern.strides is not None:
        return dtypes.array_of(plain.as_strided((_span(pattern),), (1,)))
    if pattern.format.is_dense and values.ndim == len(order) and order != tuple(range(len(order))):
        plain = plain.permute(order)
    # numpy's reshape costs a fifth of torch's.
    return dtypes.array_of(plain).reshape(-1)


def _span(pattern: Pattern) -> int:
    """How many values of memory a view reaches over."""
    assert pattern.strides is not None
    steps = zip(pattern.shape, pattern.strides, strict=True)
    return 0 if pattern.size == 0 else 1 + sum((extent - 1) * stride for extent, stride in steps)

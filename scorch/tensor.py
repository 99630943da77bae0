"""Tensor: a stored pattern and its values, and the functions that make one."""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch.compiler import is_compiling

from scorch import exchange, frozen, tensor_repr
from scorch.arguments import Fill, as_indices, as_values, checked_fill, index_array, values_for
from scorch.errors import DtypeError, FormatError, ScorchError, ShapeError, UnsupportedError
from scorch.formats import Format, Pattern, Storage, dtypes, resolve
from scorch.formats.coordinates import coordinates, listed
from scorch.formats.storage import Array, dense_pattern
from scorch.functions import registry
from scorch.functions.methods import Functions, is_operand
from scorch.operand import Stored, as_storage

if TYPE_CHECKING:
    from scorch.exchange import ScipyArray

__all__ = ["Tensor", "from_coo", "tensor"]

FormatLike: TypeAlias = "Format | str | None"

_DEVICES = ("cpu", "cuda", "mps", "xpu", "meta")


class Tensor(Functions):
    """A tensor in any format: a pattern (shape, format, level arrays) and a value for each stored coordinate.

    Made by `scorch.tensor`, `scorch.from_coo`, `scorch.read` or `Tensor.from_levels`. The pattern doesn't
    change; the values are an ordinary torch tensor, in the order of `coords()`. Coordinates that aren't
    stored have the value `fill`.

    >>> A = from_coo([[0, 0, 1], [0, 2, 1]], [1.0, 2.0, 3.0], (2, 3))
    >>> A
    scorch.Tensor(shape=(2, 3), format=coo, dtype=float32, nnz=3, density=0.5, memory=76 B, values=[1, 2, 3])
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    @classmethod
    def from_levels(
        cls,
        shape: Sequence[int],
        format: Format | str,
        arrays: Sequence[Mapping[str, Any]],
        values: Any,
        fill: Fill = 0,
    ) -> Tensor:
        """A tensor from its raw level arrays, which are validated and not copied.

        `arrays[d]` maps the array names of level d (pos, crd; none for a dense level) to 1-d integer arrays.
        Raises FormatError for arrays that don't fit together or lack a property that the format claims.

        >>> arrays = [{}, {"pos": [0, 2, 3], "crd": [0, 2, 1]}]
        >>> Tensor.from_levels((2, 3), "csr", arrays, [1.0, 2.0, 3.0]).coords().tolist()
        [[0, 0, 1], [0, 2, 1]]
        """
        indices = [{name: _level_array(name, array) for name, array in level.items()} for level in arrays]
        pattern = Pattern(shape, resolve(format, len(shape)), indices)
        return cls(Storage(pattern, values_for(pattern, values), checked_fill(fill, as_values(values).dtype)))

    # --- what it is ---------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """The extent of each dimension."""
        return self._storage.pattern.shape

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self._storage.pattern.shape)

    @property
    def dtype(self) -> torch.dtype:
        """Number type of the values."""
        return self._storage.values.dtype

    @property
    def format(self) -> Format:
        """Level types, outermost first, and the dimension that each stores."""
        return self._storage.pattern.format

    @property
    def fill(self) -> Fill:
        """The value of every coordinate that isn't stored."""
        return self._storage.fill

    @property
    def nnz(self) -> int:
        """Number of stored values, zeros among them included."""
        return self._storage.pattern.nnz

    @property
    def density(self) -> float:
        """Stored values per place; 0 for a tensor without places."""
        return tensor_repr.density(self._storage)

    @property
    def nbytes(self) -> int:
        """Bytes of the level arrays and the values."""
        values = self._storage.values
        return self._storage.pattern.nbytes + values.numel() * values.element_size()

    @property
    def values(self) -> torch.Tensor:
        """The stored values in the order of `coords()`, the tensor's own memory: one dimension, or (blocks, r, c)."""
        return exchange.shaped_values(self._storage)

    @property
    def level_arrays(self) -> tuple[dict[str, torch.Tensor], ...]:
        """The arrays of each level (pos, crd) as torch tensors on the same memory: to be read, not written.

        >>> from_coo([[0, 1]], [1.0, 2.0], (5,)).level_arrays[0]["crd"]
        tensor([0, 1])
        """
        return tuple([dict(level) for level in self._storage.pattern.shown])

    @property
    def _key(self) -> tuple[int, str]:
        """Identifies pattern and number type in caches."""
        return self._storage.pattern.token, self._storage.dtype

    def coords(self) -> torch.Tensor:
        """Coordinates of the stored values, (ndim, nnz) int64, in stored order; to be read, not written."""
        return torch.from_numpy(coordinates(self._storage.pattern))

    def validate(self) -> Tensor:
        """Check the level arrays again and return the tensor; FormatError says what is wrong."""
        pattern = self._storage.pattern
        Pattern(pattern.shape, pattern.format, pattern.arrays)
        values_for(pattern, self.values)
        return self

    # --- gradients ----------------------------------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        """Whether operations on the values are recorded for differentiation."""
        return self._storage.values.requires_grad

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Record operations on the values from now on; returns the tensor. DtypeError for integers and truth values."""
        if requires_grad and not (self.dtype.is_floating_point or self.dtype.is_complex):
            name = dtypes.name_of(self.dtype)
            raise DtypeError(f"values of type {name} have no gradient; convert them with A.to(torch.float32)")
        self._storage.values.requires_grad_(requires_grad)
        return self

    @property
    def grad(self) -> Tensor | None:
        """The gradient of the values, on the same pattern; None if there is none (yet)."""
        values = self._storage.values
        return self.with_values(values.grad) if values.is_leaf and values.grad is not None else None

    def detach(self) -> Tensor:
        """The same tensor without its history of operations; shares memory."""
        return self._with(self._storage.values.detach())

    # --- the same tensor in another form ------------------------------------------------------------------

    def with_values(self, values: Any) -> Tensor:
        """The same pattern (the same object, statistics included) with other values, in stored order.

        `values` has shape (nnz,), or the tensor's shape if its format is dense; any number type. ShapeError
        otherwise.

        >>> A = from_coo([[0, 1]], [1.0, 2.0], (5,))
        >>> A.with_values(A.values * 10).values
        tensor([10., 20.])
        """
        return self._with(values_for(self._storage.pattern, values))

    def _with(self, values: torch.Tensor) -> Tensor:
        return Tensor(Storage(self._storage.pattern, values, self._storage.fill))

    def freeze(self) -> Tensor:
        """The same tensor for use as it is: its structure is packed once, so that kernels read less memory.

        Shares the values, which have no gradient then. Changing them in place through torch makes the next use raise
        ScorchError; writes through numpy or `.data` can't be seen. Without memory for packing, a RuntimeWarning.

        >>> A = from_coo([[0, 1]], [1.0, 2.0], (5,)).freeze()
        >>> A.values.mul_(2)
        tensor([2., 4.])
        >>> A.sum()
        Traceback (most recent call last):
          ...
        scorch.errors.ScorchError: the values of a frozen tensor were changed in place; ...
        """
        return Tensor(frozen.freeze(self._storage))

    def clone(self) -> Tensor:
        """The same pattern with a copy of the values, differentiable."""
        return self._with(self._storage.values.clone())

    def to(self, *targets: Any, **options: Any) -> Tensor:
        """The tensor in another format, another number type, or both; itself if nothing changes.

        Takes torch's arguments too: dtype=, device= (the CPU only), copy=, another tensor. Raises FormatError for a
        format that doesn't exist or has another rank, DtypeError for an unknown number type.

        >>> from_coo([[0, 1]], [1.0, 2.0], (5,)).to(torch.float64).dtype
        torch.float64
        """
        if options or any(is_device(target) or hasattr(target, "dtype") for target in targets):
            from scorch.functions import casting

            return casting.to(self, *targets, **options)
        storage = self._storage
        for target in targets:
            if isinstance(target, torch.dtype) or (isinstance(target, str) and target in dtypes.NAMES):
                storage = _retyped(storage, dtypes.name_of(target))
            else:
                storage = _reformatted(storage, target)
        return self if storage is self._storage else Tensor(storage)

    @property
    def T(self) -> Tensor:
        """The tensor with its dimensions reversed, without a copy: csr becomes csc."""
        return self.permute(*reversed(range(self.ndim)))

    def permute(self, *dims: Any) -> Tensor:
        """The tensor with dimension dims[d] as its d-th, without a copy: only the format's order changes.

        >>> A = from_coo([[0, 1], [2, 2]], [1.0, 2.0], (2, 3)).permute(1, 0)
        >>> A.shape, str(A.format)
        ((3, 2), 'coo(1,0)')
        """
        chosen = dims[0] if len(dims) == 1 and isinstance(dims[0], Sequence) else dims
        return Tensor(exchange.permuted(self._storage, chosen))

    def to_dense(self) -> torch.Tensor:
        """A dense torch tensor; shares memory if the format is dense."""
        return exchange.to_dense(self._storage)

    def to_torch(self, layout: torch.layout | None = None) -> torch.Tensor:
        """A torch tensor: csr, csc, bsr, bsc, coo and dense formats as they are, any other as coo; `layout` overrides.

        Shares memory where torch has the same arrays. Raises UnsupportedError for other layouts and for a
        fill that isn't 0.

        >>> from_coo([[0, 1], [2, 1]], [1.0, 2.0], (2, 3)).to_torch().layout
        torch.sparse_coo
        """
        return exchange.to_torch(self._storage, layout)

    def to_scipy(self) -> ScipyArray:
        """A scipy.sparse csr_array, csc_array, bsr_array or coo_array; shares memory where scipy has the same arrays.

        Raises UnsupportedError for dense formats and for a fill that isn't 0. Gradients stay behind.

        >>> from_coo([[0, 1], [2, 1]], [1.0, 2.0], (2, 3)).to_scipy().format
        'coo'
        """
        return exchange.to_scipy(self._storage)

    def item(self) -> bool | int | float | complex:
        """The value of a tensor of one place as a Python number; ShapeError if there are more or none.

        >>> from_coo([[0], [0]], [2.5], (1, 1)).item()
        2.5
        """
        if self._storage.pattern.size != 1:
            raise ShapeError(f"item() needs a tensor of one place; the shape is {self.shape}")
        values = self.values.detach()
        if self.nnz == 0:
            return values.new_full((), self.fill).item()
        total = values.any() if values.dtype is torch.bool else values.sum(dtype=values.dtype)
        return total.item()

    # --- protocols ----------------------------------------------------------------------------------------

    def __dlpack__(self, **options: Any) -> object:
        return self._only_dense().__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[Any, int]:
        return self._only_dense().__dlpack_device__()

    def _only_dense(self) -> torch.Tensor:
        if not self.format.is_dense:
            raise UnsupportedError(
                f"DLPack holds dense tensors, this one is {self.format}; exchange its level_arrays and values"
            )
        return exchange.dense_view(self._storage)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if not self.format.is_dense:
            raise TypeError(f"a {self.format} tensor is no numpy array; call .to_dense() for a dense copy")
        if self.dtype is torch.bfloat16:
            raise DtypeError("numpy has no bfloat16; use .to('float32')")
        return np.array(exchange.dense_view(self._storage).detach().numpy(), dtype=dtype, copy=copy)

    def __matmul__(self, other: Any) -> Any:
        return _matmul(self, other) if is_operand(other) else NotImplemented

    def __rmatmul__(self, other: Any) -> Any:
        return _matmul(other, self) if is_operand(other) else NotImplemented

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a 0-d tensor")
        return self.shape[0]

    def __bool__(self) -> bool:
        if self._storage.pattern.size != 1:
            raise ShapeError(f"the truth value of a tensor of shape {self.shape} is ambiguous")
        return bool(self.item())

    def __repr__(self) -> str:
        return tensor_repr.as_text(self._storage)

    def _repr_html_(self) -> str:
        return tensor_repr.as_html(self._storage)

    def __copy__(self) -> Tensor:
        return Tensor(self._storage)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        # The pattern doesn't change, so copies share it and the statistics on it.
        return self._with(copy.deepcopy(self._storage.values, memo))

    def __reduce__(self) -> tuple[Any, ...]:
        pattern = self._storage.pattern
        return Tensor.from_levels, (
            pattern.shape,
            self.format,
            pattern.arrays,
            self._storage.values,
            self.fill,
        )


def tensor(x: Any, format: FormatLike = None, dtype: Any = None, fill: Fill = 0) -> Tensor:
    """A Tensor of anything that holds numbers, without a copy where neither format nor number type changes.

    `x`: torch dense or torch.sparse, numpy, scipy.sparse, anything with `__dlpack__`, a Tensor, nested lists.
    `format`: a name such as "csr", a Format, or None for the source's layout. A dense source into a sparse
    format keeps the entries that differ from `fill`; a Tensor keeps its own fill. Raises FormatError,
    DtypeError, ShapeError or UnsupportedError (see `as_storage`).

    >>> tensor(torch.eye(2).to_sparse_csr())
    scorch.Tensor(shape=(2, 2), format=csr, dtype=float32, nnz=2, density=0.5, memory=48 B, values=[1, 1])
    """
    source = as_storage(x)
    if isinstance(x, Stored):
        if fill not in (0, source.fill):
            raise FormatError(f"the tensor has the fill {source.fill}; it cannot be given the fill {fill}")
        fill = source.fill
    # An alias of its own: requires_grad_() on the result leaves the source as it is.
    values = source.values if source.values.requires_grad else source.values.detach()
    storage = Storage(source.pattern, values, checked_fill(fill, values.dtype))
    if dtype is not None:
        storage = _retyped(storage, dtypes.name_of(dtype))
    return Tensor(storage if format is None else _reformatted(storage, format))


def from_coo(coords: Any, values: Any, shape: Sequence[int], format: Format | str = "coo", fill: Fill = 0) -> Tensor:
    """A Tensor from coordinates in any order; the values of equal coordinates are summed (bool: "or").

    `coords` is (ndim, nnz), integers; `values` (nnz,). Shares memory if the coordinates are sorted and
    unique. Raises FormatError for a coordinate outside its dimension or no integers, ShapeError if the
    lengths don't fit.

    >>> from_coo([[1, 0, 1], [2, 1, 2]], [1.0, 2.0, 3.0], (2, 3)).values
    tensor([2., 4.])
    """
    shape = tuple(operator.index(extent) for extent in shape)
    target = resolve(format, len(shape))
    given = as_values(values)
    indices = as_indices(coords, len(shape), given.numel())
    if given.ndim != 1 or indices.shape != (len(shape), len(given)):
        raise ShapeError(
            f"shape {shape} takes coordinates of shape ({len(shape)}, nnz) and values of shape (nnz,), "
            f"got {tuple(indices.shape)} and {tuple(given.shape)}"
        )
    checked = checked_fill(fill, given.dtype)
    if any(extent < 0 for extent in shape):
        raise ShapeError(f"an extent cannot be negative: shape {shape}")
    if not shape:
        total = given.sum(dtype=given.dtype) if len(given) else given.new_full((), checked)
        return Tensor(Storage(dense_pattern((), ()), total, checked))
    return Tensor(_reformatted(Storage(listed(indices, shape), given, checked), target))


def _level_array(name: str, array: Any) -> Array:
    return np.asarray(array) if name == "bits" else index_array(array)


def _reformatted(storage: Storage, format: Format | str) -> Storage:
    return exchange.reformatted(storage, resolve(format, storage.pattern.format.ndim))


def is_device(target: Any) -> bool:
    return isinstance(target, torch.device) or (isinstance(target, str) and target.split(":")[0] in _DEVICES)


def _retyped(storage: Storage, dtype: str) -> Storage:
    if dtype == storage.dtype:
        return storage
    from scorch.convert import retype

    checked_fill(storage.fill, dtypes.to_torch(dtype))
    made: Storage = retype(storage, dtype)
    return made


_PRODUCTS = {(2, 2): "ij,jk->ik", (2, 1): "ij,j->i", (1, 2): "i,ij->j", (1, 1): "i,i->"}


@cache
def _contract() -> Callable[..., Any]:
    """The way to the compiler, which most uses of a tensor don't need. An import at each call would take its time."""
    from scorch.contraction import contract

    return contract


def _matmul(a: Any, b: Any) -> Any:
    notation = _PRODUCTS.get((getattr(a, "ndim", 0), getattr(b, "ndim", 0)))
    if notation is None or registry.taker() is not None:
        return registry.call("matmul", a, b)
    if is_compiling():
        from scorch.ops import traced_einsum

        return traced_einsum(notation, (a, b), None)[0]  # dense, or an error: a product has no operand's pattern
    try:
        result = _contract()(notation, (a, b))
    except ScorchError as error:
        raise error.explain_with(f"  in a product of shapes {tuple(a.shape)} @ {tuple(b.shape)}") from None
    return result if isinstance(result, torch.Tensor) else Tensor(result)

"""A sparse weight as torch modules hold it: the pattern in buffers, the values in a Parameter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, TypeVar

import torch
from torch import nn

import scorch
from scorch.autograd import transforming
from scorch.errors import DtypeError, FormatError, ScorchError, ShapeError, UnsupportedError

__all__ = ["SparseWeight", "freeze", "random_weight", "unfreeze"]


Module = TypeVar("Module", bound=nn.Module)


class SparseWeight(nn.Module):
    """A trainable sparse tensor: a fixed pattern and a Parameter with a value for each stored entry.

    Optimisers see `values`, `.to(dtype)` changes the values alone, and `state_dict` holds `values`, the level arrays
    (pos1, crd1: the arrays of level 1), the shape and the order of dimensions. A state_dict with another pattern is
    taken over as it is; one of another shape or format is refused and changes nothing, also with strict=False.
    `dense_shape` is the shape of the dense weight that the matrix stands for, if that is another: a convolution's has
    four dimensions. Where the number of entries changes, an optimiser has to be made anew. Raises FormatError for a
    dense matrix, DtypeError for integers, UnsupportedError off the CPU; `load_state_dict` raises RuntimeError, as
    torch's.

    >>> import torch, scorch
    >>> weight = SparseWeight(scorch.tensor(torch.eye(3), format="csr"))
    >>> sorted(weight.state_dict())
    ['crd1', 'order', 'pos1', 'shape', 'values']
    >>> weight().nnz
    3
    """

    values: nn.Parameter
    _thawed: bool | None = None  # of a frozen weight, whether it was trained before; not in pickles of older versions

    def __init__(self, matrix: scorch.Tensor, dense_shape: Sequence[int] | None = None) -> None:
        super().__init__()
        if matrix.format.is_dense:
            raise FormatError("a sparse weight needs a sparse format, such as 'csr': scorch.tensor(weight, 'csr')")
        if not (matrix.dtype.is_floating_point or matrix.dtype.is_complex):
            raise DtypeError(f"a weight is trained, and {matrix.dtype} has no gradient: pass weight.to(torch.float32)")
        self.shape = matrix.shape
        self.format = matrix.format
        self.dense_shape = tuple(matrix.shape if dense_shape is None else dense_shape)
        self._names: list[list[str]] = []
        for level, arrays in enumerate(matrix.level_arrays):
            self._names.append(list(arrays))
            for name, array in arrays.items():
                # A view with a version of its own: loading a state into it is no change of the matrix.
                self.register_buffer(f"{name}{level}", torch.from_numpy(array.numpy()))
        self.values = nn.Parameter(matrix.values.detach().clone())
        self._pattern: scorch.Tensor | None = matrix.detach()
        self._last: tuple[scorch.Tensor, nn.Parameter, int] | None = None

    @property
    def density(self) -> float:
        """Stored entries per place."""
        return self.values.numel() / max(1, math.prod(self.shape))

    def forward(self) -> scorch.Tensor:
        """The weight as a Tensor over the Parameter: gradients of what is computed with it reach `values`."""
        is_kept = not torch.compiler.is_compiling() and not transforming()  # whose tensors have no memory
        known = self.known() if is_kept else None
        if known is not None:
            return known
        values = self.values
        if not values.is_cpu:
            raise UnsupportedError(
                f"Scorch runs on CPU; the layer's values are on {values.device}: call layer.to('cpu')"
            )
        if self._pattern is None:
            self._pattern = self._checked()
        made = self._pattern.with_values(values)
        if is_kept:
            shares = made._storage.values is values
            if self.is_frozen:
                made = made.freeze()
            self._last = (made, values, values.data_ptr()) if shares else None
        return made

    def known(self) -> scorch.Tensor | None:
        """The tensor of the last call, which serves as long as the Parameter is the same object on the same memory."""
        last = self._last
        if last is None:
            return None
        made, values, address = last
        return made if self._parameters.get("values") is values and values.data_ptr() == address else None

    @property
    def is_frozen(self) -> bool:
        """Whether the weight is kept as it is, for inference."""
        return self._thawed is not None

    def freeze(self) -> None:
        """Keep the weight as it is: packed once, with copies in the formats that products read fastest; not trained.

        Values that are changed in place are a ScorchError from then on; a loaded state is packed anew.
        """
        if not self.is_frozen:
            self._thawed, self._last = self.values.requires_grad, None
            self.values.requires_grad_(False)

    def unfreeze(self) -> None:
        """Let the weight change again; it is trained if it was before."""
        if self._thawed is not None:
            self.values.requires_grad_(self._thawed)
            self._thawed = self._last = None

    def _apply(self, *args: Any, **kwargs: Any) -> SparseWeight:
        """Apply a function to the values alone: a pattern stays what it is, also where `to_empty` makes new memory."""
        arrays = {key: self._buffers[key] for key in self._keys()}
        super()._apply(*args, **kwargs)  # type: ignore[no-untyped-call]
        self._buffers.update(arrays)
        return self

    def _keys(self) -> list[str]:
        """The level arrays, as buffers are named."""
        return [f"{name}{level}" for level, names in enumerate(self._names) for name in names]

    def _checked(self, given: Mapping[str, torch.Tensor] | None = None) -> scorch.Tensor:
        """The tensor of the buffers and values, or of what is given in their place, validated."""
        held = {**self._buffers, "values": self.values.detach(), **(given or {})}
        arrays = [{name: held[f"{name}{level}"] for name in names} for level, names in enumerate(self._names)]
        return scorch.Tensor.from_levels(self.shape, self.format, arrays, held["values"])

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        # Level arrays don't tell these: those of fewer columns, or of a transposed matrix, would pass for this one's.
        destination[prefix + "shape"] = torch.tensor(self.dense_shape, device="cpu")
        destination[prefix + "order"] = torch.tensor(self.format.order, device="cpu")

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        """Take over the pattern too, whose arrays may have other lengths than this weight's: all or nothing."""
        state, errors = dict(state_dict), args[-1]
        saved = {key: state.pop(prefix + key, None) for key in ("shape", "order")}  # None in states of older versions
        held = {key: getattr(self, key) for key in (*self._keys(), "values")}
        given = {key: state[prefix + key] for key in held if isinstance(state.get(prefix + key), torch.Tensor)}
        problem = self._mismatch(prefix.removesuffix(".") or "weight", saved)
        if problem is None:
            try:
                self._take(given)
            except ScorchError as error:
                problem = f"the state of {prefix or 'the weight'} is no {self.format} tensor: {error}"
        if problem is not None:
            errors.append(problem)
            state |= {prefix + key: held[key] for key in given}  # torch then looks for missing and other keys only
        super()._load_from_state_dict(state, prefix, *args)

    def _mismatch(self, name: str, saved: Mapping[str, torch.Tensor | None]) -> str | None:
        """What torch says of a tensor of another shape, with the way out; None for a state that fits."""
        shape, order = (None if x is None else tuple(x.tolist()) for x in (saved["shape"], saved["order"]))
        if shape not in (None, self.dense_shape):
            return (
                f"size mismatch for {name}: copying a sparse weight with shape {shape} from checkpoint, the shape in "
                f"current model is {self.dense_shape}; the pattern may differ, the shape may not: make the layer with "
                "the sizes that were saved"
            )
        if order not in (None, self.format.order):
            return (
                f"format mismatch for {name}: the dimensions in checkpoint are stored in the order {order}, those in "
                f"current model, of a weight in {self.format}, in the order {self.format.order}; make the layer of a "
                "weight in the format that was saved"
            )
        return None

    def _take(self, given: Mapping[str, torch.Tensor]) -> None:
        """Make room for the values of a state, and take its level arrays; a ScorchError leaves all as it was."""
        values = given.get("values", self.values)
        # New memory for level arrays always: other tensors may share the old, and patterns do not change.
        types = {key: getattr(self, key).dtype for key in self._keys()}
        arrays = {key: x.detach().to("cpu", types[key], copy=True) for key, x in given.items() if key in types}
        self._pattern, self._last = self._checked({**arrays, "values": torch.empty(values.shape)}), None
        for key, array in arrays.items():
            setattr(self, key, array)
        if values.shape != self.values.shape:
            self.values.grad = None
            self.values.data = self.values.new_empty(values.shape)

    def __getstate__(self) -> dict[str, Any]:
        # The tensor is made again from the buffers; a pickle with both would hold the pattern twice.
        return {**self.__dict__, "_pattern": None, "_last": None}

    def extra_repr(self) -> str:
        frozen = ", frozen" if self.is_frozen else ""
        return f"{tuple(self.shape)}, {self.format}, nnz={self.values.numel()}, density={self.density:.3g}{frozen}"


def freeze(model: Module) -> Module:
    """The model, its sparse weights kept as they are: for inference, like `A.freeze()` of one tensor.

    Kernels then read packed copies, which are made with the first call; weights of 50 to 80 % zeros gain most by it:
    four rows at a time share what they read of the activations. Frozen values want no gradient. Changing them in place
    is a ScorchError at the next use; `unfreeze` takes it back, and a loaded state is packed anew. Dense layers stay as
    they are.

    >>> model = freeze(nn.Sequential(scorch.nn.Linear(8, 4), nn.ReLU()))
    >>> model[0].weight.is_frozen, any(p.requires_grad for p in model[0].weight.parameters())
    (True, False)
    """
    for weight in _weights(model):
        weight.freeze()
    return model


def unfreeze(model: Module) -> Module:
    """The model, its sparse weights free to change, and trained if they were before `freeze`.

    >>> model = unfreeze(freeze(scorch.nn.Linear(8, 4)))
    >>> model.weight.values.requires_grad
    True
    """
    for weight in _weights(model):
        weight.unfreeze()
    return model


def _weights(model: nn.Module) -> list[SparseWeight]:
    return [module for module in model.modules() if isinstance(module, SparseWeight)]


def random_weight(
    shape: Sequence[int], sparsity: float, dtype: torch.dtype | None = None, generator: torch.Generator | None = None
) -> scorch.Tensor:
    """A random csr matrix with the share `sparsity` of its places empty, for a layer to begin with.

    Values are uniform in +-1 / sqrt(stored entries a row), as torch.nn.Linear begins for a dense row. Raises
    FormatError for a sparsity outside [0, 1), ShapeError for sizes below 0, DtypeError for integers.

    >>> random_weight((4, 5), 0.75).nnz
    5
    """
    if not isinstance(sparsity, Real) or not 0 <= sparsity < 1:
        raise FormatError(f"sparsity is a share in [0, 1), got {sparsity!r}")
    if any(not isinstance(extent, int) or extent < 0 for extent in shape):
        raise ShapeError(f"a weight has whole numbers of rows and columns, from 0 on, not {tuple(shape)}")
    if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
        raise DtypeError(f"a weight is trained, and {dtype} has no gradient: pass dtype=torch.float32")
    rows, cols = shape
    count = rows * cols - round(sparsity * rows * cols)
    bound = 1 / math.sqrt(max(1.0, count / max(1, rows)))
    with torch.device("cpu"):  # where patterns are, whatever device the other parameters are made on
        places = torch.randperm(rows * cols, generator=generator)[:count].sort().values
        values = torch.empty(count, dtype=dtype).uniform_(-bound, bound, generator=generator)
        return scorch.from_coo(torch.stack([places // cols, places % cols]), values, (rows, cols), format="csr")

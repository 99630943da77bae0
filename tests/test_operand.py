from __future__ import annotations

import gc
import re
import warnings
import weakref
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from scorch import operand
from scorch.errors import DtypeError, FormatError, ShapeError, UnsupportedError
from scorch.exchange import stored_order
from scorch.formats import Format, Storage, coo, csc, csr, dense, dtypes
from scorch.formats.coordinates import coordinates
from scorch.operand import as_storage

UNSORTED_CSR = Format("dense, compressed(nonordered, nonunique)")
DENSE = torch.tensor([[0.0, 1.0, 2.0], [0.0, 0.0, 0.0], [3.0, 0.0, 4.0], [0.0, 5.0, 0.0]])


def densified(storage: Storage) -> torch.Tensor:
    """The dense tensor by plain indexing, without the compiler."""
    rows = tuple(torch.from_numpy(np.array(coordinates(storage.pattern))))
    made = torch.zeros(storage.pattern.shape, dtype=storage.values.dtype)
    return made.index_put(rows, stored_order(storage).detach(), accumulate=True)


def addresses(storage: Storage) -> list[int]:
    return [array.ctypes.data for level in storage.pattern.arrays for array in level.values()]


# --- torch ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", [torch.int32, torch.int64])
@pytest.mark.parametrize("row_major", [True, False])
def test_compressed_shares_memory(index: torch.dtype, row_major: bool) -> None:
    source = DENSE.to_sparse_csr() if row_major else DENSE.to_sparse_csc()
    names = ("crow_indices", "col_indices") if row_major else ("ccol_indices", "row_indices")
    pos, crd = (getattr(source, name)().to(index) for name in names)
    make = torch.sparse_csr_tensor if row_major else torch.sparse_csc_tensor
    x = make(pos, crd, source.values(), source.shape, check_invariants=False)
    storage = as_storage(x)
    assert storage.pattern.format == (csr if row_major else csc)
    assert addresses(storage) == [pos.data_ptr(), crd.data_ptr()]
    assert storage.values.data_ptr() == storage.vals.ctypes.data == x.values().data_ptr()
    assert torch.equal(densified(storage), DENSE)


def test_coalesced_coo_shares_memory() -> None:
    x = DENSE.to_sparse().coalesce()
    storage = as_storage(x)
    assert storage.pattern.format == coo(2)
    assert addresses(storage)[1:] == [x.indices()[0].data_ptr(), x.indices()[1].data_ptr()]
    assert storage.values.data_ptr() == x.values().data_ptr()


def test_uncoalesced_coo_is_coalesced() -> None:
    x = torch.sparse_coo_tensor(
        torch.tensor([[1, 0, 1], [2, 1, 2]]), torch.tensor([1.0, 2.0, 3.0]), (2, 3), check_invariants=False
    )
    assert torch.equal(densified(as_storage(x)), x.to_dense())
    assert as_storage(x).pattern.format == coo(2)


def test_values_of_an_uncoalesced_coo_are_taken_anew() -> None:
    values = torch.tensor([1.0, 2.0, 3.0])
    x = torch.sparse_coo_tensor(torch.tensor([[1, 0, 1], [2, 1, 2]]), values, (2, 3))
    first = as_storage(x)
    values.mul_(2)  # shares memory with x, whose version counter doesn't see it
    second = as_storage(x)
    assert torch.equal(densified(second), x.to_dense())
    assert second.pattern is first.pattern


def test_coo_that_only_claims_to_be_coalesced() -> None:
    indices, values = torch.tensor([[1, 0, 1], [2, 1, 2]]), torch.tensor([1.0, 2.0, 3.0])
    x = torch.sparse_coo_tensor(indices, values, (2, 3), is_coalesced=True)
    assert densified(as_storage(x)).tolist() == [[0, 2, 0], [0, 0, 4]]


@pytest.mark.parametrize("crd", [[2, 1, 0, 2, 1], [1, 1, 0, 0, 1]])
def test_unsorted_csr_keeps_its_arrays(crd: list[int]) -> None:
    pos, values = torch.tensor([0, 2, 2, 4, 5]), torch.arange(1.0, 6.0)
    x = torch.sparse_csr_tensor(pos, torch.tensor(crd), values, (4, 3), check_invariants=False)
    storage = as_storage(x)
    assert storage.pattern.format == UNSORTED_CSR
    assert addresses(storage) == [pos.data_ptr(), x.col_indices().data_ptr()]
    expected = torch.zeros(4, 3).index_put((torch.tensor([0, 0, 2, 2, 3]), torch.tensor(crd)), values, accumulate=True)
    assert torch.equal(densified(storage), expected)


@pytest.mark.parametrize("layout", [torch.sparse_csr, torch.sparse_csc])
def test_batches_and_dense_dimensions(layout: torch.layout) -> None:
    x = torch.zeros(2, 3, 4, 2)
    x[:, 1, 2], x[0, 0, 3], x[1, 2, 0] = 1.0, torch.tensor([2.0, 3.0]), torch.tensor([4.0, 5.0])
    batched = x.to_sparse(layout=layout, dense_dim=1)
    storage = as_storage(batched)
    assert torch.equal(densified(storage), x)
    assert storage.values.data_ptr() == batched.values().data_ptr()


def test_hybrid_coo() -> None:
    x = torch.zeros(3, 4, 2)
    x[2, 1], x[0, 3] = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])
    for source in (x.to_sparse(2), x.to_sparse(1)):
        assert torch.equal(densified(as_storage(source)), x)


def test_a_sparse_tensor_is_wrapped_once() -> None:
    x = DENSE.to_sparse_csr()
    first = as_storage(x)
    assert as_storage(x) is first
    x.values().mul_(2)  # the version counter moves, so that the arrays are looked at again
    second = as_storage(x)
    assert second is not first
    assert torch.equal(densified(second), 2 * DENSE)


def test_a_changed_pattern_is_seen() -> None:
    x = DENSE.to_sparse_csr()
    as_storage(x)
    x.col_indices()[0] = 7
    with pytest.raises(FormatError, match="coordinate 7 at position 0 is outside"):
        as_storage(x)
    y = DENSE.to_sparse().coalesce()
    as_storage(y)
    y.add_(torch.ones(4, 3).to_sparse())
    assert torch.equal(densified(as_storage(y)), DENSE + 1)


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("layout", [torch.sparse_csr, torch.sparse_coo])
def test_wrapped_tensors_are_let_go(layout: torch.layout, grad: bool) -> None:
    x = DENSE.to_sparse(layout=layout).requires_grad_(grad)
    if layout is torch.sparse_coo and not grad:
        x = x.coalesce()
    key, alive = id(x), weakref.ref(x)
    as_storage(x)
    assert key in operand._wrapped or not x.is_leaf
    del x
    gc.collect()
    assert alive() is None
    assert key not in operand._wrapped


def test_values_given_to_a_csc_keep_their_history() -> None:
    # torch cannot accumulate the gradient of a csc tensor that is a leaf; one made of values passes it on.
    values, base = torch.ones(5, requires_grad=True), DENSE.to_sparse_csc()
    x = torch.sparse_csc_tensor(base.ccol_indices(), base.row_indices(), values, base.shape, check_invariants=False)
    (as_storage(x).values * torch.arange(5.0)).sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize("layout", [torch.sparse_csr, torch.sparse_coo])
def test_values_keep_their_history(layout: torch.layout) -> None:
    x = DENSE.to_sparse(layout=layout).detach().requires_grad_()
    for _ in range(2):
        storage = as_storage(x)
        assert storage.values.requires_grad
        assert not as_storage(x.detach()).values.requires_grad
    (storage.values * torch.arange(5.0)).sum().backward()
    assert x.grad is not None
    assert x.grad.to_dense()[0, 2] == 1.0
    assert x.grad.to_dense()[3, 1] == 4.0


def test_uncoalesced_values_keep_their_history() -> None:
    values = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    x = torch.sparse_coo_tensor(torch.tensor([[1, 0, 1], [2, 1, 2]]), values, (2, 3))
    as_storage(x).values.mul(torch.tensor([2.0, 5.0])).sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [5.0, 2.0, 5.0]


def test_inference_mode() -> None:
    with torch.inference_mode():
        x = DENSE.to_sparse_csr()
        assert torch.equal(densified(as_storage(x)), DENSE)
        assert torch.equal(densified(as_storage(x)), DENSE)


def test_expanded_values_are_not_remembered() -> None:
    base = DENSE.to_sparse_csr()
    one = torch.ones(1)
    values = one.expand(5)
    x = torch.sparse_csr_tensor(base.crow_indices(), base.col_indices(), values, base.shape, check_invariants=False)
    as_storage(x)
    one.mul_(3)
    assert as_storage(x).vals.tolist() == x.values().tolist()


@pytest.mark.parametrize(
    ("pos", "crd", "count", "message"),
    [
        ([0, 1, 5], [0, 1], 2, "pos must run from 0 to the number of coordinates 2; it runs from 0 to 5"),
        ([0, 3, 2], [0, 1], 2, "pos runs backwards"),
        ([0, 1, 2], [0, 9], 2, "coordinate 9 at position 1 is outside the dimension's extent 3"),
        ([0, 1, 2], [0, -2], 2, "coordinate -2 at position 1"),
        ([0, 2], [0, 1], 2, "pos must have 3 entries"),
        ([0, 1, 2], [0, 1], 3, "there are 2 coordinates but 3 values"),
    ],
)
def test_torch_defects(pos: list[int], crd: list[int], count: int, message: str) -> None:
    x = torch.sparse_csr_tensor(torch.tensor(pos), torch.tensor(crd), torch.ones(count), (2, 3), check_invariants=False)
    with pytest.raises(FormatError, match=re.escape(message)):
        as_storage(x)


def test_torch_coo_out_of_range() -> None:
    x = torch.sparse_coo_tensor(torch.tensor([[0, 5]]), torch.ones(2), (3,), check_invariants=False)
    with pytest.raises(FormatError, match="coordinate 5 of entry 1 is outside dimension 0 of extent 3"):
        as_storage(x)


def test_layouts_devices_and_types_that_are_not_supported() -> None:
    with pytest.raises(UnsupportedError, match="Scorch runs on CPU; the operand is on meta"):
        as_storage(torch.empty(2, device="meta"))
    with pytest.raises(DtypeError, match="is not supported; Scorch computes with"):
        as_storage(torch.quantize_per_tensor(torch.ones(2), 1.0, 0, torch.qint8))


def test_conjugate_and_negative_views() -> None:
    x = torch.tensor([1 + 2j, 3 - 1j])
    assert as_storage(x.conj()).vals.tolist() == [1 - 2j, 3 + 1j]
    assert as_storage(x.conj().imag).vals.tolist() == [-2.0, 1.0]


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
@pytest.mark.parametrize("layout", [torch.sparse_csr, torch.sparse_csc, torch.sparse_coo, torch.strided])
def test_zero_length_dimensions(shape: tuple[int, int], layout: torch.layout) -> None:
    x = torch.zeros(shape)
    storage = as_storage(x if layout is torch.strided else x.to_sparse(layout=layout))
    assert storage.pattern.shape == shape
    assert storage.pattern.nnz == 0


# --- scipy ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [sp.csr_array, sp.csc_array, sp.csr_matrix, sp.csc_matrix])
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_scipy_compressed_shares_memory(kind: Any, index: type) -> None:
    x = kind(DENSE.numpy())
    x.indptr, x.indices = x.indptr.astype(index), x.indices.astype(index)
    storage = as_storage(x)
    assert storage.pattern.format == (csr if x.format == "csr" else csc)
    assert addresses(storage) == [x.indptr.ctypes.data, x.indices.ctypes.data]
    assert storage.vals.ctypes.data == x.data.ctypes.data
    assert torch.equal(densified(storage), DENSE)


def test_scipy_read_only_arrays_are_shared_without_a_warning() -> None:
    x = sp.csr_array(DENSE.numpy())
    for array in (x.indptr, x.indices, x.data):
        array.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        storage = as_storage(x)
    assert [*addresses(storage), storage.vals.ctypes.data] == [a.ctypes.data for a in (x.indptr, x.indices, x.data)]


def test_scipy_flags_are_not_believed() -> None:
    x = sp.csr_array((np.arange(1.0, 4.0), np.array([2, 0, 1]), np.array([0, 2, 3])), shape=(2, 3))
    x.has_sorted_indices = x.has_canonical_format = True
    storage = as_storage(x)
    assert storage.pattern.format == UNSORTED_CSR
    assert storage.vals.ctypes.data == x.data.ctypes.data


def test_scipy_spare_room_in_the_arrays() -> None:
    x = sp.csr_array(DENSE.numpy())
    x.indices = np.append(x.indices, [99, 99]).astype(np.int32)
    x.data = np.append(x.data, [7, 7]).astype(np.float32)
    assert torch.equal(densified(as_storage(x)), DENSE)


def test_scipy_coo_sorted_and_not() -> None:
    x = sp.coo_array(DENSE.numpy())
    storage = as_storage(x)
    assert addresses(storage)[1:] == [row.ctypes.data for row in x.coords]
    assert storage.vals.ctypes.data == x.data.ctypes.data
    shuffled = sp.coo_array((np.array([1.0, 2.0, 3.0]), (np.array([1, 0, 1]), np.array([2, 1, 2]))), shape=(2, 3))
    assert densified(as_storage(shuffled)).tolist() == [[0, 2, 0], [0, 0, 4]]


def test_scipy_other_layouts_and_ranks() -> None:
    for kind in (sp.lil_array, sp.dok_array, sp.bsr_array, sp.dia_array):
        assert torch.equal(densified(as_storage(kind(DENSE.numpy()))), DENSE)
    row = np.array([0.0, 2.0, 0.0, 3.0])
    for vector in (sp.coo_array(row), sp.csr_array(row)):
        assert densified(as_storage(vector)).tolist() == row.tolist()
    cube = sp.coo_array((np.array([1.0, 2.0]), ([1, 0], [0, 1], [1, 1])), shape=(2, 2, 2))
    assert densified(as_storage(cube)).tolist() == cube.toarray().tolist()


def test_scipy_defects() -> None:
    x = sp.csr_array(DENSE.numpy())
    x.indices[0] = 17
    with pytest.raises(FormatError, match="coordinate 17 at position 0"):
        as_storage(x)
    y = sp.coo_array(DENSE.numpy())
    y.coords[0][0] = -1
    with pytest.raises(FormatError, match="coordinate -1 of entry 0 is outside dimension 0"):
        as_storage(y)
    z = sp.csr_array(DENSE.numpy())
    z.data = z.data[:-1]
    with pytest.raises(FormatError, match="there are 5 coordinates but 4 values"):
        as_storage(z)
    with pytest.raises(DtypeError, match=r"longdouble|float128"):
        as_storage(sp.csr_array(np.eye(2, dtype=np.longdouble)))


# --- numpy, DLPack, Python ------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["C", "F"])
def test_numpy_shares_memory(order: Any) -> None:
    x = np.array(np.arange(12.0).reshape(3, 4), order=order)
    x.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        storage = as_storage(x)
    assert storage.pattern.format == dense(2, (0, 1) if order == "C" else (1, 0))
    assert storage.vals.ctypes.data == x.ctypes.data


@pytest.mark.parametrize(
    "x",
    [
        np.arange(12.0).reshape(3, 4)[::-1],
        np.arange(12.0).reshape(3, 4)[:, ::2],
        np.broadcast_to(np.arange(3.0), (2, 3)),
        np.arange(6, dtype=">i4").reshape(2, 3),
        np.zeros((0, 3)),
        np.float32(2.5),
        np.array(3),
    ],
)
def test_numpy_of_any_layout(x: Any) -> None:
    assert np.array_equal(as_storage(x).values.numpy(), x)


@pytest.mark.parametrize("x", [np.ones(2, dtype=np.uint16), np.array(["a"]), np.array([None])])
def test_numpy_types_that_are_not_supported(x: Any) -> None:
    with pytest.raises(DtypeError, match="is not supported; Scorch computes with"):
        as_storage(x)


def test_masked_arrays_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="masked arrays are not supported"):
        as_storage(np.ma.masked_equal(np.arange(3), 1))


class Exchanged:
    """Offers DLPack and nothing else."""

    def __init__(self, tensor: torch.Tensor, device: tuple[int, int] = (1, 0)) -> None:
        self.tensor, self.device = tensor, device

    def __dlpack__(self, **options: Any) -> Any:
        return self.tensor.__dlpack__()

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device


def test_dlpack() -> None:
    assert as_storage(Exchanged(DENSE)).vals.ctypes.data == DENSE.data_ptr()
    with pytest.raises(UnsupportedError, match=re.escape("DLPack device is (2, 0)")):
        as_storage(Exchanged(DENSE, (2, 0)))


@pytest.mark.parametrize(
    ("x", "dtype", "shape"),
    [
        (2, "int64", ()),
        (2.5, "float32", ()),
        (True, "bool", ()),
        ([[1, 2], [3, 4]], "int64", (2, 2)),
        ([], "float32", (0,)),
    ],
)
def test_python_numbers(x: Any, dtype: str, shape: tuple[int, ...]) -> None:
    storage = as_storage(x)
    assert (storage.dtype, storage.pattern.shape) == (dtype, shape)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ([[1, 2], [3]], ShapeError, "cannot make a tensor of the nested list"),
        (["a"], DtypeError, "cannot make a tensor of the nested list"),
        ("csr", DtypeError, "cannot use a str as a tensor"),
        (None, DtypeError, "cannot use a NoneType as a tensor"),
        ({1: 2}, DtypeError, "cannot use a dict as a tensor"),
    ],
)
def test_what_is_no_tensor(x: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        as_storage(x)


@pytest.mark.parametrize("name", dtypes.NAMES)
def test_every_number_type(name: str) -> None:
    x = DENSE.to(dtypes.to_torch(name))
    half = name in dtypes.HALVES  # numpy has one of them, scipy.sparse none
    others = () if half else (x.numpy(), sp.csr_array(x.numpy()))
    for source in (x, x.to_sparse(), x.to_sparse_csr(), *others):
        storage = as_storage(source)
        assert storage.dtype == name
        assert torch.equal(densified(storage).to(torch.complex128), x.to(torch.complex128))

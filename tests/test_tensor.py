from __future__ import annotations

import copy
import pickle
import re
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from scorch.config import config
from scorch.errors import DtypeError, FormatError, ShapeError, UnsupportedError
from scorch.formats import Format, coo, csc, csf, csr, dense
from scorch.tensor import Tensor, from_coo, tensor

pytestmark = pytest.mark.usefixtures("plain")

DENSE = torch.tensor([[0.0, 1.0, 2.0], [0.0, 0.0, 0.0], [3.0, 0.0, 4.0], [0.0, 5.0, 0.0]])
UNSORTED_CSR = Format("dense, compressed(nonordered, nonunique)")
MATRIX_FORMATS = ["csr", "csc", "dcsr", "dcsc", "coo", "csf", "dense", coo(2, (1, 0)), dense(2, (1, 0))]


def unsorted_csr() -> Tensor:
    """[[0, 4, 2], [0, 0, 5]] with unsorted and repeated columns."""
    arrays = [{}, {"pos": [0, 3, 4], "crd": [2, 1, 1, 2]}]
    return Tensor.from_levels((2, 3), UNSORTED_CSR, arrays, [2.0, 1.0, 3.0, 5.0])


UNSORTED_DENSE = torch.tensor([[0.0, 4.0, 2.0], [0.0, 0.0, 5.0]])

# --- making ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", MATRIX_FORMATS)
@pytest.mark.parametrize(
    "source", [DENSE, DENSE.to_sparse_csr(), DENSE.to_sparse(), sp.csc_array(DENSE.numpy()), DENSE.numpy()]
)
def test_any_source_in_any_format(source: Any, format: Any) -> None:
    A = tensor(source, format)
    assert torch.equal(A.to_dense(), DENSE)
    assert A.validate() is A
    if not A.format.is_dense:
        assert A.nnz == 5


def test_the_source_layout_is_kept() -> None:
    sources = [DENSE.to_sparse_csr(), DENSE.to_sparse_csc(), DENSE.to_sparse(), DENSE, DENSE.t()]
    assert [str(tensor(x).format) for x in sources] == ["csr", "csc", "coo", "dense", "dense(1,0)"]


def test_attributes() -> None:
    A = tensor(DENSE.to_sparse_csr())
    assert (A.shape, A.ndim, A.dtype, A.format, A.fill, A.nnz) == ((4, 3), 2, torch.float32, csr, 0, 5)
    assert A.density == pytest.approx(5 / 12)
    assert len(A) == 4
    assert A.values.tolist() == [1, 2, 3, 4, 5]
    assert A.coords().tolist() == [[0, 0, 2, 2, 3], [1, 2, 0, 2, 1]]
    assert A.coords().dtype == torch.int64
    assert A.nbytes == A._storage.pattern.nbytes + 20
    assert A._key == (A._storage.pattern.token, "float32")


def test_memory_is_shared_all_the_way() -> None:
    x = DENSE.to_sparse_csr()
    A = tensor(x)
    assert A.values.data_ptr() == x.values().data_ptr()
    assert A.level_arrays[0] == {}
    assert A.level_arrays[1]["pos"].data_ptr() == x.crow_indices().data_ptr()
    assert A.level_arrays[1]["crd"].data_ptr() == x.col_indices().data_ptr()
    again = A.to_torch()
    assert again.values().data_ptr() == x.values().data_ptr()
    assert again.col_indices().data_ptr() == x.col_indices().data_ptr()
    assert tensor(A).values.data_ptr() == A.values.data_ptr()


def test_dtype_and_fill() -> None:
    assert tensor(DENSE.to_sparse_csr(), dtype=torch.float64).dtype == torch.float64
    assert tensor(DENSE.numpy(), dtype="int32").values.tolist() == DENSE.reshape(-1).int().tolist()
    A = tensor(DENSE + 7, "csr", fill=7)
    assert (A.nnz, A.fill) == (5, 7)
    assert torch.equal(A.to_dense(), DENSE + 7)
    assert tensor(A).fill == 7
    assert tensor(DENSE.to_sparse_csr(), fill=float("-inf")).to_dense()[1].tolist() == [float("-inf")] * 3


@pytest.mark.parametrize(
    ("dtype", "fill"),
    [
        (torch.int32, 0.5),
        (torch.uint8, 300),
        (torch.int64, float("inf")),
        (torch.int8, float("nan")),
        (torch.bool, 2),
        (torch.float32, 1j),
        (torch.float32, "x"),
    ],
)
def test_fill_that_the_type_cannot_hold(dtype: torch.dtype, fill: Any) -> None:
    with pytest.raises(DtypeError, match="fill"):
        tensor(torch.ones(2, dtype=dtype), fill=fill)


def test_fill_of_a_tensor_cannot_change() -> None:
    A = from_coo([[0]], [1.0], (3,), fill=2.0)
    assert tensor(A, fill=2).fill == 2
    with pytest.raises(FormatError, match=re.escape("has the fill 2.0; it cannot be given the fill 3")):
        tensor(A, fill=3)
    with pytest.raises(DtypeError, match="cannot have the fill inf"):
        from_coo([[0]], [1.0], (3,), fill=float("inf")).to(torch.int32)


def test_requires_grad_of_a_tensor_leaves_its_source_alone() -> None:
    for x in (DENSE.clone(), DENSE.to_sparse_csr()):
        assert tensor(x).requires_grad_().requires_grad
        assert not x.requires_grad
        assert not tensor(x).requires_grad


# --- from_coo and from_levels ---------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["coo", *MATRIX_FORMATS])
def test_from_coo_sorts_and_sums(format: Any) -> None:
    A = from_coo([[3, 0, 3, 1], [2, 1, 2, 0]], [1.0, 2.0, 4.0, 8.0], (4, 3), format)
    expected = torch.zeros(4, 3)
    expected[3, 2], expected[0, 1], expected[1, 0] = 5.0, 2.0, 8.0
    assert torch.equal(A.to_dense(), expected)


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint8, np.uint64, np.int16])
def test_from_coo_index_types(dtype: type) -> None:
    coords = np.array([[0, 1], [2, 0]], dtype=dtype)
    assert from_coo(coords, [1.0, 2.0], (2, 3)).coords().tolist() == [[0, 1], [2, 0]]


def test_from_coo_of_every_rank() -> None:
    assert from_coo(np.empty((0, 3), dtype=int), [1.0, 2.0, 4.0], ()).item() == 7.0
    assert from_coo(np.empty((0, 0), dtype=int), [], (), fill=3.0).item() == 3.0
    assert from_coo([[2, 0, 2]], [1, 2, 4], (3,)).to_dense().tolist() == [2, 0, 5]
    coords = np.array([[1, 0], [2, 0], [0, 3], [1, 1]])
    A = from_coo(coords, [1.0, 2.0], (2, 3, 4, 2), "csf")
    assert A.to_dense()[0, 0, 3, 1] == 2.0
    assert A.format == csf(4)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0, 3)])
def test_from_coo_of_nothing(shape: tuple[int, ...]) -> None:
    A = from_coo([[]] * len(shape), [], shape)
    assert (A.nnz, A.density, A.shape) == (0, 0.0, shape)
    assert A.coords().shape == (len(shape), 0)
    assert A.to_dense().shape == shape


def test_from_coo_shares_sorted_arrays() -> None:
    coords, values = torch.tensor([[0, 1], [2, 0]]), torch.tensor([1.0, 2.0])
    A = from_coo(coords, values, (2, 3))
    assert A.coords().data_ptr() == coords.data_ptr()
    assert A.values.data_ptr() == values.data_ptr()


def test_from_coo_beyond_64_bits() -> None:
    A = from_coo([[2**40, 1], [0, 2**50]], [1.0, 2.0], (2**41, 2**51))
    assert A.coords().tolist() == [[1, 2**40], [2**50, 0]]
    assert "density=9.1e-29" not in repr(A)
    assert A.density == pytest.approx(2 / 2**92)


def test_from_coo_is_differentiable() -> None:
    values = torch.ones(3, requires_grad=True)
    (from_coo([[1, 0, 1]], values, (2,)).values * torch.tensor([2.0, 5.0])).sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [5.0, 2.0, 5.0]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            ([[0, 4]], [1.0, 2.0], (3,)),
            FormatError,
            "coordinate 4 of entry 1 is outside dimension 0 of extent 3",
        ),
        (([[0, -1]], [1.0, 2.0], (3,)), FormatError, "coordinate -1 of entry 1"),
        (([[0.5, 1.0]], [1.0, 2.0], (3,)), FormatError, "coordinates must be integers, got float64"),
        ((torch.tensor([[True]]), [1.0], (3,)), FormatError, "coordinates must be integers, got bool"),
        (
            ([[0, 1]], [1.0], (3,)),
            ShapeError,
            "coordinates of shape (1, nnz) and values of shape (nnz,), got (1, 2) and (1,)",
        ),
        (([0, 1], [1.0, 2.0], (3,)), ShapeError, "got (2,) and (2,)"),
        (([[0], [1]], [1.0], (3,)), ShapeError, "got (2, 1) and (1,)"),
        (([[0]], 1.0, (3,)), ShapeError, "got (1, 1) and ()"),
        (([[]], [], (-3,)), ShapeError, "cannot be negative"),
        (([[0]], [1.0], (3,), "csr"), FormatError, "format csr is for 2 dimensions; the tensor has 1"),
        (([[0]], ["a"], (3,)), DtypeError, "cannot make a tensor of the nested list"),
    ],
)
def test_from_coo_mistakes(arguments: tuple[Any, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        from_coo(*arguments)


def test_from_levels_validates() -> None:
    with pytest.raises(FormatError, match="claims strictly ascending coordinates"):
        Tensor.from_levels((1, 3), "csr", [{}, {"pos": [0, 2], "crd": [2, 0]}], [1.0, 2.0])
    with pytest.raises(FormatError, match="coordinates must be integers, got float64"):
        Tensor.from_levels((1, 3), "csr", [{}, {"pos": [0, 2], "crd": [0.5, 1.5]}], [1.0, 2.0])
    with pytest.raises(ShapeError, match=re.escape("takes values of shape (2,), got (3,)")):
        Tensor.from_levels((1, 3), "csr", [{}, {"pos": [0, 2], "crd": [0, 2]}], [1.0, 2.0, 3.0])
    with pytest.raises(FormatError, match="is outside the dimension's extent 3"):
        Tensor.from_levels((1, 3), "csr", [{}, {"pos": [0, 1], "crd": np.array([2**64 - 1], dtype=np.uint64)}], [1.0])


def test_from_levels_shares_memory_and_takes_dense_values() -> None:
    pos, crd, values = (
        np.array([0, 2], dtype=np.int32),
        np.array([0, 2], dtype=np.int32),
        torch.tensor([1.0, 2.0]),
    )
    A = Tensor.from_levels((1, 3), "csr", [{}, {"pos": pos, "crd": crd}], values)
    assert A.level_arrays[1]["crd"].data_ptr() == crd.ctypes.data
    assert A.values.data_ptr() == values.data_ptr()
    B = Tensor.from_levels((2, 3), dense(2, (1, 0)), [{}, {}], torch.arange(6.0))
    assert B.to_dense().tolist() == [[0, 2, 4], [1, 3, 5]]


def test_validate_looks_again() -> None:
    A = tensor(DENSE.to_sparse_csr().detach().clone())
    A.level_arrays[1]["crd"][0] = 9
    with pytest.raises(FormatError, match="coordinate 9 at position 0"):
        A.validate()


# --- other forms ----------------------------------------------------------------------------------------


def test_with_values_keeps_the_pattern() -> None:
    A = tensor(DENSE.to_sparse_csr())
    B = A.with_values(torch.arange(5))
    assert B._storage.pattern is A._storage.pattern
    assert B.dtype == torch.int64
    assert A.with_values(np.arange(5.0)).dtype == torch.float64
    strided = A.with_values(torch.arange(10.0)[::2])
    assert strided._storage.vals.ctypes.data == strided.values.data_ptr()
    with pytest.raises(ShapeError, match=re.escape("takes values of shape (5,), got (4,)")):
        A.with_values(torch.ones(4))
    with pytest.raises(ShapeError, match=re.escape("takes values of shape (5,), got ()")):
        A.with_values(1.0)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_with_values_of_dense_formats(order: tuple[int, int]) -> None:
    A = tensor(DENSE, dense(2, order))
    assert torch.equal(A.with_values(A.values * 2).to_dense(), DENSE * 2)
    B = A.with_values(DENSE * 3)
    assert torch.equal(B.to_dense(), DENSE * 3)
    assert B._storage.vals.ctypes.data == B.values.data_ptr()


def test_clone_detach_copy_deepcopy() -> None:
    A = tensor(DENSE.to_sparse_csr()).requires_grad_()
    assert A.clone().values.data_ptr() != A.values.data_ptr()
    assert A.clone().requires_grad
    assert not A.detach().requires_grad
    assert A.detach().values.data_ptr() == A.values.data_ptr()
    assert copy.copy(A).values.data_ptr() == A.values.data_ptr()
    deep = copy.deepcopy([A, A])
    assert deep[0] is deep[1]
    assert deep[0].values.data_ptr() != A.values.data_ptr()
    assert deep[0].requires_grad


def test_gradients_live_on_the_pattern() -> None:
    A = from_coo([[0, 2]], [1.0, 2.0], (3,)).requires_grad_()
    assert A.grad is None
    (A.values**2).sum().backward()
    assert A.grad is not None
    assert A.grad.values.tolist() == [2.0, 4.0]
    assert A.grad._storage.pattern is A._storage.pattern


@pytest.mark.parametrize("format", MATRIX_FORMATS)
def test_transposition_copies_nothing(format: Any) -> None:
    A = tensor(DENSE, format)
    assert A.T.shape == (3, 4)
    assert torch.equal(A.T.to_dense(), DENSE.t())
    assert A.T.values.data_ptr() == A.values.data_ptr()
    assert A.T._storage.pattern is A.T._storage.pattern
    assert A.T.T.format == A.format
    A.T.validate()


def test_permute() -> None:
    x = torch.zeros(2, 3, 4)
    x[1, 2, 3], x[0, 1, 0] = 1.0, 2.0
    for format in ("coo", "csf", "dense", "dense, dense, compressed"):
        A = tensor(x, format)
        assert torch.equal(A.permute(2, 0, 1).to_dense(), x.permute(2, 0, 1))
        assert torch.equal(A.permute((-1, 0, 1)).to_dense(), x.permute(2, 0, 1))
        assert A.permute(0, 1, 2)._storage.pattern is A._storage.pattern
        assert torch.equal(A.T.to_dense(), x.permute(2, 1, 0))
    assert (csr.with_order((1, 0)), tensor(DENSE.to_sparse_csr()).T.format) == (csc, csc)
    with pytest.raises(ShapeError, match=re.escape("(0, 0) is no permutation of the tensor's 2 dimensions")):
        tensor(DENSE).permute(0, 0)


def test_to() -> None:
    A = tensor(DENSE.to_sparse_csr())
    assert A.to("csr") is A
    assert A.to(torch.float32) is A
    B = A.to("csc", torch.float64)
    assert (B.format, B.dtype) == (csc, torch.float64)
    assert A.to("int64").dtype == torch.int64
    assert A.to(torch.float64)._storage.pattern is A._storage.pattern
    assert torch.equal(unsorted_csr().to("csr").to_dense(), UNSORTED_DENSE)
    with pytest.raises(FormatError, match="unknown format 'cssr'"):
        A.to("cssr")
    with pytest.raises(DtypeError, match="is not supported"):
        A.to(torch.qint8)


# --- torch, scipy, numpy --------------------------------------------------------------------------------


@pytest.mark.parametrize("format", MATRIX_FORMATS)
def test_to_torch_layouts(format: Any) -> None:
    A = tensor(DENSE, format)
    kept = {"csr": torch.sparse_csr, "csc": torch.sparse_csc}
    expected = torch.strided if A.format.is_dense else kept.get(str(A.format), torch.sparse_coo)
    assert A.to_torch().layout == expected
    for layout in (torch.strided, torch.sparse_coo, torch.sparse_csr, torch.sparse_csc):
        made = A.to_torch(layout)
        assert made.layout == layout
        assert torch.equal(made.to_dense(), DENSE)
    with torch.sparse.check_sparse_tensor_invariants():
        torch.sparse_coo_tensor(
            *(getattr(A.to_torch(torch.sparse_coo), name)() for name in ("indices", "values")), (4, 3)
        )


def test_to_torch_of_unsorted_and_mixed_indices() -> None:
    A = unsorted_csr()
    assert A.to_torch().layout == torch.sparse_csr
    assert A.to_torch().col_indices().tolist() == [1, 2, 2]
    assert torch.equal(A.to_torch().to_dense(), UNSORTED_DENSE)
    crd = np.array([1, 2, 2], dtype=np.int32)
    B = Tensor.from_levels((2, 3), "csr", [{}, {"pos": np.array([0, 2, 3]), "crd": crd}], [4.0, 2.0, 5.0])
    assert B.to_torch().crow_indices().dtype == torch.int32
    assert B.to_torch().col_indices().data_ptr() == crd.ctypes.data


def test_to_torch_of_other_ranks() -> None:
    x = torch.zeros(2, 3, 4)
    x[1, 2, 3], x[0, 1, 0] = 1.0, 2.0
    assert torch.equal(tensor(x, "csf").to_torch().to_dense(), x)
    assert torch.equal(tensor(x, coo(3, (2, 1, 0))).to_torch().to_dense(), x)
    assert tensor(x[0, 1], "coo").to_torch().layout == torch.sparse_coo
    assert tensor(2.0).to_torch().item() == 2.0
    with pytest.raises(ShapeError, match=re.escape("torch.sparse_csr holds matrices; the tensor's shape is (2, 3, 4)")):
        tensor(x, "csf").to_torch(torch.sparse_csr)


def test_to_torch_keeps_the_history() -> None:
    A = from_coo([[0, 1], [1, 0]], [1.0, 2.0], (2, 2)).requires_grad_()
    A.to_torch().to_dense().sum().backward()
    assert A.grad is not None
    assert A.grad.values.tolist() == [1.0, 1.0]


def test_what_torch_and_scipy_cannot_hold() -> None:
    A = tensor(DENSE.to_sparse_csr(), fill=1.0)
    with pytest.raises(UnsupportedError, match=r"torch.sparse has no fill value, and this tensor's is 1.0"):
        A.to_torch()
    with pytest.raises(UnsupportedError, match=r"scipy.sparse has no fill value"):
        A.to_scipy()
    with pytest.raises(UnsupportedError, match=r"scipy.sparse has no dense arrays"):
        tensor(DENSE).to_scipy()
    with pytest.raises(UnsupportedError, match=r"torch.sparse_bsr needs the size of its blocks"):
        tensor(DENSE).to_torch(torch.sparse_bsr)


@pytest.mark.parametrize("format", ["csr", "csc", "coo", "dcsr", "dcsc", coo(2, (1, 0))])
def test_to_scipy(format: Any) -> None:
    A = tensor(DENSE, format)
    made = A.to_scipy()
    assert made.format == (str(A.format) if str(A.format) in ("csr", "csc") else "coo")
    assert np.array_equal(made.toarray(), DENSE.numpy())
    assert np.array_equal((made @ np.ones(3)), DENSE.numpy().sum(1))


@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_to_scipy_shares_memory(index: type) -> None:
    x = sp.csr_array(DENSE.numpy())
    x.indptr, x.indices = x.indptr.astype(index), x.indices.astype(index)
    made = tensor(x).to_scipy()
    for name in ("indptr", "indices", "data"):
        assert getattr(made, name).ctypes.data == getattr(x, name).ctypes.data
    y = DENSE.to_sparse().coalesce()
    assert tensor(y).to_scipy().coords[1].ctypes.data == y.indices()[1].data_ptr()


def test_to_scipy_of_an_unsorted_tensor() -> None:
    A = unsorted_csr()
    made = A.to_scipy()
    assert made.data.ctypes.data == A.values.data_ptr()
    assert np.array_equal(made.toarray(), UNSORTED_DENSE.numpy())
    made.sum_duplicates()
    assert made.nnz == 3


def test_dlpack_of_dense_tensors_and_of_level_arrays() -> None:
    A = tensor(DENSE, dense(2, (1, 0)))
    assert np.from_dlpack(A).ctypes.data == A.values.data_ptr()
    assert torch.equal(torch.from_dlpack(A), DENSE)
    B = tensor(DENSE.to_sparse_csr())
    assert np.from_dlpack(B.level_arrays[1]["crd"]).ctypes.data == B.level_arrays[1]["crd"].data_ptr()
    for exchange in (B.__dlpack__, B.__dlpack_device__):
        with pytest.raises(UnsupportedError, match="exchange its level_arrays and values"):
            exchange()


def test_numpy() -> None:
    A = tensor(DENSE)
    assert np.asarray(A).ctypes.data == DENSE.data_ptr()
    assert np.array(A, dtype=np.float64).dtype == np.float64
    with pytest.raises(TypeError, match=re.escape("a csr tensor is no numpy array; call .to_dense()")):
        np.asarray(tensor(DENSE.to_sparse_csr()))


# --- scalars, protocols, texts --------------------------------------------------------------------------


def test_item_and_truth() -> None:
    assert tensor(2.5).item() == 2.5
    assert from_coo([[], []], torch.empty(0, dtype=torch.int32), (1, 1), fill=3).item() == 3
    assert isinstance(from_coo([[0]], [True], (1,)).item(), bool)
    assert not tensor(torch.zeros(1, 1).to_sparse_csr())
    assert tensor([[1]])
    repeated = Tensor.from_levels((1, 1), UNSORTED_CSR, [{}, {"pos": [0, 2], "crd": [0, 0]}], [1.0, 2.0])
    assert repeated.item() == 3.0
    with pytest.raises(ShapeError, match=re.escape("item() needs a tensor of one place; the shape is (4, 3)")):
        tensor(DENSE).item()
    with pytest.raises(ShapeError, match=re.escape("the truth value of a tensor of shape (4, 3) is ambiguous")):
        bool(tensor(DENSE.to_sparse_csr()))
    with pytest.raises(TypeError, match="0-d"):
        len(tensor(1.0))
    assert [row.tolist() for row in tensor(torch.eye(2))] == [[1.0, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize("format", MATRIX_FORMATS)
def test_pickle(format: Any) -> None:
    A = tensor(DENSE, format)
    again = pickle.loads(pickle.dumps(A))
    assert (again.format, again.shape, again.fill) == (A.format, A.shape, A.fill)
    assert torch.equal(again.values, A.values)
    assert torch.equal(again.coords(), A.coords())


def test_pickle_of_unsorted_filled_and_no_dimension() -> None:
    assert pickle.loads(pickle.dumps(unsorted_csr())).coords().tolist() == unsorted_csr().coords().tolist()
    assert pickle.loads(pickle.dumps(from_coo([[0]], [1.0], (3,), fill=2.0))).fill == 2.0
    assert pickle.loads(pickle.dumps(tensor(4.0))).item() == 4.0


def test_repr() -> None:
    A = from_coo([[0, 1], [2, 1]], [1.0, 2.5], (2, 3), fill=-1.0).requires_grad_()
    assert repr(A) == (
        "scorch.Tensor(shape=(2, 3), format=coo, dtype=float32, nnz=2, density=0.333, memory=56 B, "
        "fill=-1.0, requires_grad=True, values=[1, 2.5])"
    )
    assert repr(tensor(torch.arange(100).to_sparse())).endswith("values=[1, 2, 3, 4, 5, 6, ...])")
    html = tensor(DENSE.to_sparse_csr())._repr_html_()
    assert html.startswith("<table>")
    assert "<td style='text-align:left'>csr</td>" in html


def test_matmul_takes_the_notation_from_the_ranks() -> None:
    A = tensor(DENSE.to_sparse_csr())
    with config.using(jit=False):
        for product, expected in (
            (A @ A.T, DENSE @ DENSE.T),
            (A @ torch.ones(3), DENSE.sum(1)),
            (np.ones(4, dtype=np.float32) @ A, DENSE.sum(0)),
            (tensor(torch.ones(4).to_sparse()) @ A, DENSE.sum(0)),
            (torch.ones(2, 4) @ A, torch.ones(2, 4) @ DENSE),
        ):
            assert torch.equal(product.to_dense() if isinstance(product, Tensor) else product, expected)
        with pytest.raises(ShapeError, match=re.escape("in a product of shapes (4, 3) @ (4, 3)")):
            A @ A
    with pytest.raises(TypeError, match="unsupported operand"):
        A @ "x"  # type: ignore[operator]

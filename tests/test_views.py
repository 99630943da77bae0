"""Statements that read tensors at computed coordinates: convolutions, shifts, gathers, of dense and sparse operands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import scorch
from scorch.errors import DtypeError, NotationError, ShapeError

CONV = "y[n,o,i,j] += x[n,c,{a}*i+{b}*r-{p},{a}*j+{b}*s-{p}] * W[o,c,r,s]"


@pytest.fixture(autouse=True, scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with scorch.config.using(jit=False, cache_dir=tmp_path_factory.getbasetemp() / "view-kernels"):
        yield


def weights(*shape: int) -> torch.Tensor:
    torch.manual_seed(3)
    return torch.randn(*shape) * (torch.rand(*shape) < 0.5)


@pytest.mark.parametrize("format", ["csf", "coo", "dense"])
@pytest.mark.parametrize(("stride", "dilation", "padding"), [(1, 1, 0), (2, 1, 1), (1, 2, 2), (2, 3, 1)])
def test_a_convolution_is_torch_s(format: str, stride: int, dilation: int, padding: int) -> None:
    x, W = torch.randn(2, 3, 9, 8), weights(4, 3, 3, 2)
    expected = F.conv2d(x, W, stride=stride, dilation=dilation, padding=padding)
    extents = {"i": expected.shape[2], "j": expected.shape[3]}
    made = scorch.compute(
        CONV.format(a=stride, b=dilation, p=padding),
        x=x, W=scorch.tensor(W, format=format), extents=extents if padding else None,
    )  # fmt: skip
    torch.testing.assert_close(made, expected)


def test_a_convolution_of_a_sparse_image() -> None:
    x, W = weights(2, 3, 7, 6), weights(4, 3, 3, 2)
    for image in (scorch.tensor(x, format="csf"), x.to_sparse_coo()):
        made = scorch.compute(CONV.format(a=1, b=1, p=0), x=image, W=scorch.tensor(W, format="csf"))
        dense = made if isinstance(made, torch.Tensor) else made.to_dense()
        torch.testing.assert_close(dense, F.conv2d(x, W))


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 1)])
def test_a_convolution_has_gradients(stride: int, padding: int) -> None:
    x, W = torch.randn(2, 2, 5, 6, dtype=torch.float64), weights(3, 2, 3, 2).double()
    mine, theirs = (x.clone().requires_grad_() for _ in range(2))
    sparse = scorch.tensor(W, format="csf").requires_grad_()
    dense = W.clone().requires_grad_()
    expected = F.conv2d(theirs, dense, stride=stride, padding=padding)
    extents = {"i": expected.shape[2], "j": expected.shape[3]} if padding else None
    made = scorch.compute(CONV.format(a=stride, b=1, p=padding), x=mine, W=sparse, extents=extents)
    grad = torch.randn_like(expected)
    made.backward(grad)
    expected.backward(grad)
    torch.testing.assert_close(mine.grad, theirs.grad)
    assert dense.grad is not None
    torch.testing.assert_close(sparse.grad.to_dense(), dense.grad * (W != 0))


def test_a_dense_operand_is_not_copied() -> None:
    explained = scorch.explain("y[i] = x[i + r] * w[r]", x=torch.arange(9.0), w=torch.ones(3).to_sparse_coo())
    assert "(x[i+r])  view" in str(explained)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("y[i] = x[i] - x[i-1]", [0, 1, 1, 1, 1, 1]),
        ("y[i] = x[5-i]", [5, 4, 3, 2, 1, 0]),
        ("y[i] = x[2*i]", [0, 2, 4]),
        ("y[i] = x[2*i+1]", [1, 3, 5]),
        ("y[i] = x[i+4]", [4, 5]),
        ("y = x[i+1] * x[i]", [40]),
        ("T[i] = x[i] * 2; y[i] = T[i+1] - T[i]", [2, 2, 2, 2, 2, -10]),
        ("T[i] = x[i] * 2; y[i] = T[i] + x[i+1]", [1, 4, 7, 10, 13, 10]),
    ],
)
def test_shifts(text: str, expected: list[float]) -> None:
    x = torch.arange(6.0)
    for operand in (x, x.to_sparse_coo(), scorch.tensor(x, format="bitmap")):
        made = scorch.compute(text, x=operand)
        dense = made if isinstance(made, torch.Tensor) else made.to_dense()
        assert dense.reshape(-1).tolist() == expected, text


def test_what_is_outside_has_the_fill() -> None:
    x = torch.tensor([3.0, 1.0, 2.0])
    inf = float("inf")
    for format in ("dense", "coo"):
        filled = scorch.tensor(x, format=format, fill=inf)
        made = scorch.compute("y[i] min= x[i+r-1] + w[r]", x=filled, w=torch.zeros(3), extents={"i": 3})
        assert torch.as_tensor(made if isinstance(made, torch.Tensor) else made.to_dense()).tolist() == [1, 1, 1]


def test_any_memory_of_a_dense_operand() -> None:
    x = torch.randn(6, 7)
    w = torch.tensor([1.0, -2.0])
    expected = x[:-1] - 2 * x[1:]
    for operand in (x, x.T.contiguous().T, torch.stack([x, x], -1)[..., 1], x.numpy(), x.double()):
        made = scorch.compute("y[i,j] = x[i+r,j] * w[r]", x=operand, w=w)
        torch.testing.assert_close(made.float(), expected)


@pytest.mark.parametrize("dtype", [torch.int32, torch.bool, torch.float16, torch.complex64])
def test_every_number_type(dtype: torch.dtype) -> None:
    x = torch.tensor([1, 0, 1, 1]).to(dtype)
    made = scorch.compute("y[i] = x[i-1]", x=x, extents={"i": 6})
    assert made.dtype is dtype
    assert made.tolist() == torch.cat([x.new_zeros(1), x, x.new_zeros(1)]).tolist()


def test_extents_of_zero() -> None:
    assert scorch.compute("y[i] = x[i+r] * w[r]", x=torch.ones(2), w=torch.ones(5)).shape == (0,)
    assert scorch.compute("y[i] = x[i+r] * w[r]", x=torch.ones(2), w=torch.ones(0)).tolist() == [0, 0]
    assert scorch.compute("y[i] = x[i+1]", x=torch.ones(0)).shape == (0,)
    assert scorch.compute("y[i] = x[idx[i]]", x=torch.ones(3), idx=torch.ones(0, dtype=torch.int64)).shape == (0,)


# --- gathers ----------------------------------------------------------------------------------------------


IDX = torch.tensor([2, 0, 2, 1])


@pytest.mark.parametrize("idx", [IDX, IDX.to(torch.int32), IDX.numpy(), IDX.to(torch.uint8)])
def test_a_gather_is_numpy_s(idx: Any) -> None:
    x = torch.randn(3, 5)
    for operand in (x, scorch.tensor(x, format="csr"), scorch.tensor(x, format="csc"), x.to_sparse_coo()):
        made = scorch.compute("y[i] = x[idx[i],k] * v[k]", x=operand, idx=idx, v=torch.arange(5.0))
        torch.testing.assert_close(made, x[IDX] @ torch.arange(5.0))


@pytest.mark.parametrize(
    ("text", "by_numpy"),
    [
        ("y[i,j] = x[idx[i],idx[j]]", lambda x, p, q: x[p][:, p]),
        ("y[i] = x[idx[i],i]", lambda x, p, q: x[p, np.arange(4)]),
        ("y[i,j,k] = x[k,two[i,j]]", lambda x, p, q: x.T[q]),
        ("y[j,i,k] = x[k,two[i,j]]", lambda x, p, q: x.T[q.T]),
        ("y[i,r] = x[idx[i],r-1] * two[r,r]", lambda x, p, q: np.stack([0 * p, x[p, 0] * q[1, 1]], 1)),
        ("y[i,r] = x[idx[i],r+1]", lambda x, p, q: x[p, 1:]),
        ("y[i] = x[idx[i],two[i,i2]] * ones[i2]", lambda x, p, q: x[p[:2, None], q].sum(1)),
    ],
)
def test_gathers_of_more_indices(text: str, by_numpy: Any) -> None:
    x = weights(4, 4).numpy()
    two = np.array([[3, 0], [1, 1]])
    idx = IDX.numpy()[:2] if "i2" in text else IDX.numpy()
    given = {"two": two} if "two" in text else {}
    given |= {"idx": idx} if "idx" in text else {}
    given |= {"ones": np.ones(2, np.float32)} if "ones" in text else {}
    for operand in (x, scorch.tensor(x, format="csr")):
        made = scorch.compute(text, x=operand, **given)
        dense = made if isinstance(made, torch.Tensor) else made.to_dense()
        np.testing.assert_allclose(dense.numpy(), by_numpy(x, idx, two), rtol=1e-5)


def test_gathers_have_gradients() -> None:
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)

    def dense(x: torch.Tensor) -> torch.Tensor:
        return scorch.compute("y[i] = x[idx[i],k] * x[idx[i],k]", x=x, idx=IDX)

    assert torch.autograd.gradcheck(dense, (x,))
    A = scorch.tensor(weights(3, 4).double(), format="csr").requires_grad_()
    scorch.compute("y = A[idx[i],k] * A[idx[i],k]", A=A, idx=IDX).backward()
    times = torch.bincount(IDX, minlength=3)[:, None]
    torch.testing.assert_close(A.grad.to_dense(), (2 * times * A.detach().to_dense()))


def test_coordinates_that_are_not_there() -> None:
    for bad in ([0, 3], [-1, 0]):
        for x in (torch.ones(3, 2), torch.ones(3, 2).to_sparse_csr()):
            with pytest.raises(ShapeError, match=rf"idx holds the coordinate {bad[0] or bad[1]}, outside"):
                scorch.compute("y[i,k] = x[idx[i],k]", x=x, idx=torch.tensor(bad))
    with pytest.raises(DtypeError, match="integers, not float32"):
        scorch.compute("y[i] = x[idx[i]]", x=torch.ones(3), idx=torch.ones(2))


# --- what is refused --------------------------------------------------------------------------------------


def test_extents_that_the_user_gives() -> None:
    x = torch.ones(4)
    i = scorch.indices("i")[0]
    assert scorch.compute(scorch.result("y")[i] << x[i - 1], extents={i: 6}).tolist() == [0, 1, 1, 1, 1, 0]
    with pytest.raises(NotationError, match="extents gives 'q', which is no index; there are i"):
        scorch.compute("y[i] = x[i]", x=x, extents={"q": 2})
    with pytest.raises(NotationError, match="whole number"):
        scorch.compute("y[i] = x[i+1]", x=x, extents={"i": -1})
    with pytest.raises(ShapeError, match="extents gives i the extent 2, but it is 4"):
        scorch.compute("y[i] = x[i] + x[i+1]", x=x, extents={"i": 2})
    with pytest.raises(ShapeError, match="has other extents in"):
        scorch.compute("s = x[i+1]; y[i] = x[i+1] * x[i] + s", x=x)


def test_names_in_views_are_checked() -> None:
    x = torch.ones(4)
    with pytest.raises(NotationError, match="idx is read, but not given"):
        scorch.compute("y[i] = x[idx[i]]", x=x)
    with pytest.raises(NotationError, match="T is read before it is assigned"):
        scorch.compute("y[i] = T[i+1] * x[i]; T[i] = x[i]", x=x)
    with pytest.raises(NotationError, match="y is read by the statement that assigns it"):
        scorch.compute("y[i] = y[i-1] + x[i]", x=x)


def test_kernels_and_objects() -> None:
    x, w = torch.arange(5.0), torch.tensor([1.0, 10.0])
    f = scorch.kernel("y[i] = x[i+r-1] * w[r]", x=x, w=w, extents={"i": 5})
    assert f(x=x, w=w).tolist() == [0, 10, 21, 32, 43]
    i, r = scorch.indices("i r")
    y, idx = scorch.result("y"), torch.tensor([1, 1])
    assert scorch.compute(y[i] << x[i + r] * w[r]).tolist() == [10, 21, 32, 43]
    assert scorch.compute(y[i] << x[idx[i]] * w[i]).tolist() == [1, 10]
    assert scorch.compute(y[i] << scorch.tensor(x, format="coo")[idx[i]] * w[i]).to_dense().tolist() == [1, 10]

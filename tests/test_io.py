from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp
import torch

from scorch import frostt
from scorch.errors import DtypeError, FormatError, ShapeError, UnsupportedError
from scorch.formats import coo, csr, dense, dtypes
from scorch.io import read, write
from scorch.tensor import Tensor, from_coo, tensor

pytestmark = pytest.mark.usefixtures("plain")

DENSE = torch.tensor([[0.0, 1.5, 2.0], [0.0, 0.0, 0.0], [-3.25, 0.0, 4.0], [0.0, 1e-30, 0.0]])
BANNER = "%%MatrixMarket matrix coordinate"


def put(path: Path, text: str) -> Path:
    (gzip.open if path.suffix == ".gz" else open)(path, "wb").write(text.encode())  # type: ignore[operator]
    return path


def listed(A: Tensor) -> dict[tuple[int, ...], Any]:
    return dict(zip(map(tuple, A.coords().t().tolist()), A.values.tolist(), strict=True))


# --- round trips ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".mtx", ".mtx.gz", ".tns", ".tns.gz", ".npz"])
@pytest.mark.parametrize("layout", [torch.sparse_csr, torch.sparse_csc, torch.sparse_coo])
def test_round_trip(tmp_path: Path, suffix: str, layout: torch.layout) -> None:
    path = tmp_path / f"x{suffix}"
    A = tensor(DENSE.to_sparse(layout=layout))
    write(path, A)
    B = read(path, shape=DENSE.shape, dtype=torch.float32)
    assert listed(B) == listed(A)
    assert B.shape == A.shape
    assert B.format == (A.format if suffix == ".npz" else coo(2))
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("name", dtypes.NAMES)
@pytest.mark.parametrize("suffix", [".mtx", ".tns", ".npz"])
def test_numbers_survive_exactly(tmp_path: Path, name: str, suffix: str) -> None:
    dtype = dtypes.to_torch(name)
    values = torch.tensor([1.0, 1 / 3, 1e30, -1e-30]) if name.startswith("float") else torch.tensor([1, 0, 100, 7])
    A = from_coo([[0, 1, 2, 3], [3, 2, 1, 0]], values.to(dtype), (4, 4))
    path = tmp_path / f"x{suffix}"
    if suffix == ".tns" and dtype.is_complex:
        with pytest.raises(DtypeError, match="holds real numbers"):
            write(path, A)
        assert not path.exists()
        return
    write(path, A)
    assert torch.equal(read(path, dtype=dtype).values, A.values)


def test_any_operand_can_be_written(tmp_path: Path) -> None:
    write(tmp_path / "x.npz", sp.csr_array(DENSE.numpy()))
    assert read(tmp_path / "x.npz").format == csr
    write(tmp_path / "y.mtx", DENSE)
    assert read(tmp_path / "y.mtx").format.is_dense
    assert torch.equal(read(str(tmp_path / "y.mtx"), dtype="float32").to_dense(), DENSE)
    write(tmp_path / "z.tns", DENSE.to_sparse().requires_grad_())
    assert listed(read(tmp_path / "z.tns", dtype=torch.float32)) == listed(tensor(DENSE.to_sparse()))


@pytest.mark.parametrize("shape", [(3,), (2, 3, 4), (2, 1, 3, 2, 2)])
@pytest.mark.parametrize("suffix", [".tns", ".npz"])
def test_other_ranks(tmp_path: Path, shape: tuple[int, ...], suffix: str) -> None:
    x = torch.zeros(shape)
    x[tuple(n - 1 for n in shape)] = 2.5
    x[(0,) * len(shape)] = 1.0
    write(tmp_path / f"x{suffix}", tensor(x.to_sparse()))
    A = read(tmp_path / f"x{suffix}", format="csf", dtype="float32")
    assert torch.equal(A.to_dense(), x)


@pytest.mark.parametrize("suffix", [".mtx", ".tns", ".npz", ".smtx"])
@pytest.mark.parametrize("shape", [(3, 4), (0, 4)])
def test_nothing_stored(tmp_path: Path, suffix: str, shape: tuple[int, int]) -> None:
    write(tmp_path / f"x{suffix}", tensor(torch.zeros(shape).to_sparse_csr()))
    A = read(tmp_path / f"x{suffix}", shape=shape)
    assert (A.nnz, A.shape) == (0, shape)


def test_format_and_dtype_of_the_result(tmp_path: Path) -> None:
    write(tmp_path / "x.mtx", DENSE.to_sparse())
    A = read(tmp_path / "x.mtx", format="csr", dtype=torch.float32)
    assert (A.format, A.dtype) == (csr, torch.float32)


# --- each kind of file ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "body", "expected"),
    [
        ("real general", "2 2 2\n1 2 3.5\n2 1 4\n", {(0, 1): 3.5, (1, 0): 4.0}),
        ("integer general", "2 2 1\n1 2 3\n", {(0, 1): 3}),
        ("pattern general", "2 2 1\n1 2\n", {(0, 1): 1}),
        ("real symmetric", "2 2 2\n1 1 1\n2 1 4\n", {(0, 0): 1, (0, 1): 4, (1, 0): 4}),
        ("real skew-symmetric", "2 2 1\n2 1 4\n", {(0, 1): -4, (1, 0): 4}),
        ("pattern symmetric", "2 2 1\n2 1\n", {(0, 1): 1, (1, 0): 1}),
        ("complex hermitian", "2 2 1\n2 1 1 2\n", {(0, 1): 1 - 2j, (1, 0): 1 + 2j}),
        ("complex general", "2 2 1\n2 1 1 2\n", {(1, 0): 1 + 2j}),
        ("real general", "2 2 2\n1 2 3.5\n1 2 4\n", {(0, 1): 7.5}),
    ],
)
def test_matrix_market_fields_and_symmetries(tmp_path: Path, header: str, body: str, expected: Any) -> None:
    A = read(put(tmp_path / "x.mtx", f"{BANNER} {header}\n% a comment\n{body}"))
    assert listed(A) == expected
    assert A.dtype.is_complex == header.startswith("complex")


def test_matrix_market_array(tmp_path: Path) -> None:
    A = read(put(tmp_path / "x.mtx", "%%MatrixMarket matrix array real general\n2 2\n1\n2\n3\n4\n"))
    assert A.to_dense().tolist() == [[1, 3], [2, 4]]


def test_frostt_text(tmp_path: Path) -> None:
    text = "# a comment\n1 2 1 1.5\r\n\n  2\t1  3 -2e0 \n# another 1 2\n1 2 1 1"
    A = read(put(tmp_path / "x.tns", text))
    assert (A.shape, A.dtype) == ((2, 2, 3), torch.float64)
    assert listed(A) == {(0, 1, 0): 2.5, (1, 0, 2): -2.0}
    assert read(tmp_path / "x.tns", shape=(5, 5, 5)).shape == (5, 5, 5)


def test_frostt_in_many_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frostt, "_BLOCK", 7)
    monkeypatch.setattr(frostt, "_ROWS", 3)
    A = from_coo([list(range(20)), list(range(20, 0, -1))], torch.arange(1.0, 21.0), (20, 21))
    write(tmp_path / "x.tns", A)
    assert listed(read(tmp_path / "x.tns")) == listed(A)
    put(tmp_path / "y.tns", "1 1 1\n" * 10 + "1 z 1\n")
    with pytest.raises(FormatError, match="line 11: 'z' is no number"):
        read(tmp_path / "y.tns")


def test_smtx(tmp_path: Path) -> None:
    A = read(put(tmp_path / "x.smtx.gz", "2, 3, 3\n0 2 3\n0 2 1\n"))
    assert (A.shape, A.format, A.dtype) == ((2, 3), csr, torch.float32)
    assert A.to_torch().to_dense().tolist() == [[1, 0, 1], [0, 1, 0]]
    write(tmp_path / "y.smtx", A)
    assert (tmp_path / "y.smtx").read_text() == "2, 3, 3\n0 2 3\n0 2 1\n"
    assert str(read(put(tmp_path / "z.smtx", "1, 3, 2\n0 2\n2 0\n")).format) == "csr(unsorted, repeated)"


def test_npz_of_older_kinds(tmp_path: Path) -> None:
    for kind in (sp.csr_matrix, sp.csc_array, sp.bsr_array, sp.dia_array):
        sp.save_npz(tmp_path / "x.npz", kind(DENSE.numpy()))
        A = read(tmp_path / "x.npz")
        stored = {place: value for place, value in listed(A).items() if value}
        assert stored == listed(tensor(DENSE.to_sparse()))


# --- mistakes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.mtx", "", "not a MatrixMarket file that can be read: Line 1"),
        ("x.mtx", f"{BANNER} real general\n2 2 1\n3 1 5\n", "Line 3: Row index out of bounds"),
        ("x.mtx", f"{BANNER} real general\n2 2 1\n1 1 x\n", "Line 3: Invalid floating-point value"),
        ("x.mtx", f"{BANNER} real general\n2 2 2\n1 1 5\n", "Truncated file. Expected another 1 lines"),
        ("x.tns", "1 2 3\n1 2 3 4\n", "line 2: expected 2 indices and a value, got 4 words"),
        ("x.tns", "1 2 3 4\n1 2\n3 4 1 2 3 4\n", "line 2: expected 3 indices and a value, got 2 words"),
        ("x.tns", "# c\n1 2 3\n1 b 3\n", "line 3: 'b' is no number"),
        ("x.tns", "1 2 3\n\n0 2 3\n", "line 3: indices must be integers from 1 to 2^53, got 0 2"),
        ("x.tns", "1 1.5 3\n", "line 1: indices must be integers from 1 to 2^53, got 1 1.5"),
        ("x.tns", "nan 1 3\n", "line 1: indices must be integers"),
        ("x.tns", "7\n", "line 1: expected at least one index and a value, got 1 words"),
        ("x.tns", "# nothing\n", "the file holds no entries, so that its shape is unknown; pass shape="),
        ("x.smtx", "2 3\n0 1 2\n0 1\n", "line 1 must be 'rows, columns, nonzeros', got '2 3"),
        ("x.smtx", "2, b, 3\n0 1 2\n0 1\n", "line 1: expected integers, got 'b'"),
        ("x.smtx", "2, 3, 2\n0 1\n0 1\n", "line 2 must hold 3 integers, it holds 2"),
        ("x.smtx", "2, 3, 2\n0 1 2\n0 1 2\n", "line 3 must hold 2 integers, it holds 3"),
        ("x.smtx", "2, 3, 2\n0 1 2\n0 x\n", "line 3: expected integers, got 'x'"),
        ("x.smtx", "2, 3, 2\n0 1 2\n0 5\n", "coordinate 5 at position 1 is outside"),
        ("x.smtx", "2, 3, 2\n0 3 2\n0 1\n", "pos runs backwards"),
        ("x.npz", "not a zip file", "not a file of scipy.sparse.save_npz"),
    ],
)
def test_malformed_content(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = put(tmp_path / name, text)
    with pytest.raises(FormatError, match=re.escape(message)) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))


def test_damaged_files(tmp_path: Path) -> None:
    write(tmp_path / "x.mtx.gz", tensor(torch.eye(200).to_sparse()))
    whole = (tmp_path / "x.mtx.gz").read_bytes()
    (tmp_path / "cut.mtx.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "cut.tns.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "plain.tns.gz").write_bytes(b"1 1 1\n")
    write(tmp_path / "x.npz", tensor(DENSE.to_sparse_csr()))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "x.npz").read_bytes()[:200])
    for name in ("cut.mtx.gz", "cut.tns.gz", "plain.tns.gz", "cut.npz"):
        with pytest.raises(FormatError, match=name):
            read(tmp_path / name)


def test_npz_that_scipy_did_not_write(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.arange(3))
    with pytest.raises(FormatError, match=r"not a file of scipy.sparse.save_npz"):
        read(tmp_path / "x.npz")
    np.savez(tmp_path / "y.npz", format=np.array([{"pickled": 1}], dtype=object), shape=(1, 1))
    with pytest.raises(FormatError, match=r"not a file of scipy.sparse.save_npz"):
        read(tmp_path / "y.npz")
    broken = {
        "format": b"csr",
        "shape": (2, 3),
        "data": np.ones(2),
        "indices": np.array([0, 9]),
        "indptr": np.array([0, 1, 2]),
    }
    np.savez(tmp_path / "z.npz", **broken)  # type: ignore[arg-type]
    with pytest.raises(FormatError, match=r"coordinate 9 at position 1|must be < 3"):
        read(tmp_path / "z.npz")


def test_names_and_shapes(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no file"):
        read(tmp_path / "none.mtx")
    for name in ("x.csv", "x.gz", "x", "x.npz.gz"):
        (tmp_path / name).touch()
        with pytest.raises(FormatError, match=re.escape("known suffixes are .mtx, .mtx.gz, .tns, .tns.gz, .smtx")):
            read(tmp_path / name)
        with pytest.raises(FormatError, match="unknown kind of file"):
            write(tmp_path / name, DENSE)
    write(tmp_path / "x.mtx", DENSE.to_sparse())
    with pytest.raises(ShapeError, match=re.escape("holds a tensor of shape (4, 3), not (3, 4)")):
        read(tmp_path / "x.mtx", shape=(3, 4))
    write(tmp_path / "x.tns", DENSE.to_sparse())
    with pytest.raises(ShapeError, match=re.escape("the largest indices are (4, 3), outside the shape (3, 3)")):
        read(tmp_path / "x.tns", shape=(3, 3))
    with pytest.raises(FormatError, match="line 1: expected 3 indices and a value, got 3 words"):
        read(tmp_path / "x.tns", shape=(3, 3, 3))


@pytest.mark.parametrize(
    ("name", "x", "message"),
    [
        (
            "x.mtx",
            torch.zeros(2, 2, 2),
            "a MatrixMarket file holds matrices; a tensor of shape (2, 2, 2) fits a .tns file",
        ),
        ("x.smtx", torch.zeros(2), "an .smtx file holds matrices"),
        ("x.smtx", DENSE.to_sparse_csr(), "an .smtx file holds a pattern without values"),
        ("x.npz", DENSE, "an .npz file of scipy holds sparse arrays"),
        (
            "x.mtx",
            from_coo([[0], [0]], [1.0], (2, 2), fill=3.0),
            "files hold no fill value, and this tensor's is 3.0",
        ),
    ],
)
def test_what_files_cannot_hold(tmp_path: Path, name: str, x: Any, message: str) -> None:
    (tmp_path / name).write_text("what was there")
    with pytest.raises(UnsupportedError, match=re.escape(message)):
        write(tmp_path / name, x)
    assert (tmp_path / name).read_text() == "what was there"
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_writing_into_no_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write(tmp_path / "none" / "x.mtx", DENSE)


# --- real data ------------------------------------------------------------------------------------------


def test_real_matrices(data_dir: Path) -> None:
    A = read(data_dir / "matrices" / "email-Enron.mtx.gz")
    assert (A.shape, A.nnz, A.format) == ((36692, 36692), 367662, coo(2))
    B = read(data_dir / "matrices" / "bayer10.mtx.gz")
    assert (B.shape, B.nnz) == ((13436, 13436), 94926)  # explicit zeros are kept
    C = read(data_dir / "matrices" / "cnr-2000.npz")
    assert (C.shape, C.nnz, C.format, C.dtype) == ((325557, 325557), 3216152, csr, torch.int8)
    reference = scipy.io.mmread(data_dir / "matrices" / "bcsstk16.mtx.gz", spmatrix=False)
    assert abs(read(data_dir / "matrices" / "bcsstk16.mtx.gz").to_scipy() - reference).max() == 0


def test_real_tensors(data_dir: Path) -> None:
    A = read(data_dir / "tensors" / "nycflights13.tns.gz")
    assert (A.shape, A.nnz) == ((365, 24, 16, 3, 105), 330813)
    B = read(data_dir / "tensors" / "nell-995.tns.gz", shape=(75492, 200, 75492))
    assert (B.shape, B.nnz) == ((75492, 200, 75492), 154213)


def test_real_pruned_weights(data_dir: Path, tmp_path: Path) -> None:
    names = sorted((data_dir / "weights").glob("*.smtx.gz"))
    tensors = [read(name) for name in names]
    assert [(A.shape, A.nnz) for A in tensors] == [((2048, 512), 104857), ((512, 512), 26214)]
    write(tmp_path / "x.smtx", tensors[1])
    assert torch.equal(read(tmp_path / "x.smtx").coords(), tensors[1].coords())


def test_dense_format_round_trip_in_column_order(tmp_path: Path) -> None:
    write(tmp_path / "x.mtx", tensor(DENSE, dense(2, (1, 0))))
    assert torch.equal(read(tmp_path / "x.mtx", dtype="float32").to_dense(), DENSE)

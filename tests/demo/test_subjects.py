import sys

import numpy as np
import pytest
import scipy.sparse as sp

from scorch.demo.cases import _affordable_rows
from scorch.demo.subjects import Subject, built_in, digits, from_file, power_law
from scorch.demo.tensors import _Groups, _Job
from scorch.errors import UnsupportedError


def test_the_built_in_subjects_are_seeded_and_sound():
    for subject, again in zip(built_in(3), built_in(3), strict=True):
        assert (subject.matrix != again.matrix).nnz == 0
        assert subject.matrix.dtype == np.float32
        assert subject.matrix.has_canonical_format
        assert subject.nnz > 10_000


def test_the_graph_is_skewed():
    degrees = np.diff(power_law().matrix.indptr)
    assert degrees.max() > 20 * degrees.mean()


def test_digits_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    assert "not installed" in digits().name
    assert digits().shape == (1797, 64)


def test_a_subject_tells_its_size():
    subject = Subject.of_matrix("small", sp.csr_array(np.eye(4)))
    assert str(subject) == "small: 4 x 4, 4 nonzeros, density 0.25"
    assert Subject.of_matrix("none", sp.csr_array((0, 4))).density == 0.0


def test_a_product_is_cut_to_what_is_affordable(monkeypatch):
    monkeypatch.setattr("scorch.demo.cases._MULTIPLICATIONS", 10)
    full = sp.csr_array(np.ones((4, 4)))
    assert _affordable_rows(full, full) == 1
    monkeypatch.setattr("scorch.demo.cases._MULTIPLICATIONS", 33)
    assert _affordable_rows(full, full) == 2
    eye = sp.csr_array(np.eye(4))
    assert _affordable_rows(eye, eye) == 4
    assert _affordable_rows(sp.csr_array((0, 0)), sp.csr_array((0, 0))) == 0


@pytest.mark.parametrize(("kept", "factors", "notation"), [(2, 1, "ijk,kz->ijz"), (1, 2, "ijk,jz,kz->iz")])
def test_the_rivals_of_tensors_agree_with_numpy(kept, factors, notation):
    rng = np.random.default_rng(0)
    dense = rng.random((4, 5, 6), dtype=np.float32) * (rng.random((4, 5, 6)) < 0.3)
    coords = np.array(np.nonzero(dense))
    subject = Subject("t", dense.shape, None, coords, dense[tuple(coords)])
    dims = dense.shape[3 - factors :]
    matrices = [rng.standard_normal((extent, 7), dtype=np.float32) for extent in dims]
    job = _Job(subject, matrices, _Groups.of(subject, kept))
    expected = np.einsum(notation, dense, *matrices).reshape(4, -1)
    for result in (job.with_numpy(), job.with_torch()()):
        np.testing.assert_allclose(job.place(result).toarray(), expected, atol=1e-5)
    exact, scale = job.reference()
    np.testing.assert_allclose(exact.toarray(), expected, atol=1e-5)
    assert (abs(exact) > scale * (1 + 1e-9)).nnz == 0


def test_files_become_subjects(tmp_path):
    matrix = sp.random_array((6, 5), density=0.4, format="csr", rng=np.random.default_rng(0))
    sp.save_npz(tmp_path / "m.npz", matrix)
    subject = from_file(tmp_path / "m.npz")
    assert subject.name == "m.npz"
    np.testing.assert_allclose(subject.matrix.toarray(), matrix.toarray(), rtol=1e-6)
    (tmp_path / "t.tns").write_text("1 1 1 2.5\n3 2 1 1\n")
    tensor = from_file(tmp_path / "t.tns")
    assert tensor.shape == (3, 2, 1)
    assert tensor.matrix is None
    assert tensor.nnz == 2


@pytest.mark.parametrize("value", ["nan", "inf", "-1e30", "1e300"])
def test_what_no_product_could_hold_is_refused(tmp_path, value):
    (tmp_path / "m.tns").write_text(f"1 1 2.5\n3 2 {value}\n")
    with pytest.raises(UnsupportedError, match=r"m\.tns holds nan or values beyond 1e\+15"):
        from_file(tmp_path / "m.tns")

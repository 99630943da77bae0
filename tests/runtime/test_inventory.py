import pickle

import pytest

from scorch.runtime.inventory import clear, kind_of, survey, writable

MINE = {"thesis.txt", "script.py", "script.main-3.py311.1.nbc"}


@pytest.fixture
def version():
    return __import__("importlib.metadata").metadata.version("numba")


def _index(path, version):
    path.write_bytes(pickle.dumps(version, protocol=-1) + pickle.dumps(("stamp", {})))


@pytest.fixture
def cache(tmp_path, version):
    """A cache with one sound kernel and with files that are none of its business."""
    (tmp_path / "spmm_0123456789abcdef.py").write_text(
        "# generated\nfrom scorch.emit.vocabulary import vload\n"
    )
    folder = tmp_path / "__pycache__"
    folder.mkdir()
    _index(folder / "spmm_0123456789abcdef.body-3.py311.nbi", version)
    (folder / "spmm_0123456789abcdef.body-3.py311.1.nbc").write_bytes(pickle.dumps("code"))
    (folder / "spmm_0123456789abcdef.cpython-311.pyc").write_bytes(b"code")
    (tmp_path / "thesis.txt").write_text("mine")
    (tmp_path / "script.py").write_text("import scorch")
    (folder / "script.main-3.py311.1.nbc").write_bytes(b"mine")
    return tmp_path


def test_counts_what_the_cache_wrote(cache):
    found = survey(cache)
    assert (found.kernels, found.compiled) == (1, 1)
    assert found.writable
    assert found.exists
    assert found.stale == found.damaged == ()
    ours = [p for p in cache.rglob("*") if p.is_file() and p.name not in MINE]
    assert found.bytes == sum(p.stat().st_size for p in ours)


def test_a_folder_that_is_not_there(tmp_path):
    found = survey(tmp_path / "no" / "such")
    assert not found.exists
    assert found.writable
    assert (found.kernels, found.bytes) == (0, 0)


def test_entries_of_another_numba_and_without_source_are_stale(cache, version):
    _index(cache / "__pycache__" / "spmm_0123456789abcdef.kernel-9.py311.nbi", "0.1")
    _index(cache / "__pycache__" / "gone_0123456789abcdef.body-3.py311.nbi", version)
    defects = {entry.path.name.split("-")[0]: entry.defect for entry in survey(cache).stale}
    assert defects == {
        "spmm_0123456789abcdef.kernel": f"written by Numba 0.1, this is {version}",
        "gone_0123456789abcdef.body": "its source is gone",
    }


@pytest.mark.parametrize(
    ("name", "content", "defect"),
    [
        ("a_0123456789abcdef.body-1.py311.1.nbc", b"", "empty"),
        ("a_0123456789abcdef.body-1.py311.1.nbc", pickle.dumps([1, 2])[:-1], "cut short"),
        ("a_0123456789abcdef.body-1.py311.nbi", b"garbage.", "not an index of Numba"),
        ("a_0123456789abcdef.body-1.py311.nbi", pickle.dumps(7), "not an index of Numba"),
        ("a_0123456789abcdef.body-1.py311.nbi", pickle.dumps(pytest.raises), "not an index of Numba"),
    ],
)
def test_damage_is_recognised(tmp_path, name, content, defect):
    (tmp_path / name).write_bytes(content)
    assert [entry.defect for entry in survey(tmp_path).damaged] == [defect]


def test_looking_runs_no_code_of_an_entry(tmp_path):
    class Evil:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").write_text, ("x",))

    (tmp_path / "a_0123456789abcdef.body-1.py311.nbi").write_bytes(pickle.dumps(Evil()))
    assert survey(tmp_path).damaged
    assert not (tmp_path / "ran").exists()


def test_clear_deletes_its_own_files_only(cache):
    count, size = clear(cache)
    assert count == 4
    assert size > 0
    assert {p.name for p in cache.rglob("*") if p.is_file()} == MINE
    assert clear(cache) == (0, 0)
    assert clear(cache / "no" / "such") == (0, 0)


def test_writable_looks_at_what_exists(tmp_path):
    (tmp_path / "file").write_text("")
    assert writable(tmp_path / "new" / "folder")
    assert not writable(tmp_path / "file")
    assert not writable(tmp_path / "file" / "folder")


def test_foreign_files_have_no_kind(tmp_path):
    assert kind_of(tmp_path / "x.py") is None
    assert kind_of(tmp_path / "x.txt") is None
    assert kind_of(tmp_path / "x_0123456789abcdef.txt") is None
    assert kind_of(tmp_path / "x_0123456789abcdef.py1a2b.tmp") == "other"

import os

import pytest

from scorch.emit.cache import digest
from scorch.emit.entry import pack
from scorch.runtime.inventory import clear, kind_of, survey, writable

MINE = {"thesis.txt", "script.py", "script.main.nbc", "deep_0123456789abcdef.py"}
SOURCE = "# generated\nfrom scorch.emit.vocabulary import vload\n"


def _add(folder, name="spmm", source=SOURCE, checked=False):
    """A source with its machine code."""
    stem = f"{name}_{digest(source, checked)}"
    (folder / f"{stem}.py").write_text(source)
    (folder / f"{stem}.body.0123456789abcdef.nbc").write_bytes(pack("body", b"code"))
    return stem


@pytest.fixture
def cache(tmp_path):
    """A cache with one sound kernel and with files that are none of its business."""
    _add(tmp_path)
    (tmp_path / "thesis.txt").write_text("mine")
    (tmp_path / "script.py").write_text("import scorch")
    (tmp_path / "script.main.nbc").write_bytes(b"mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "deep_0123456789abcdef.py").write_text("mine")
    return tmp_path


def test_counts_what_the_cache_wrote(cache):
    found = survey(cache)
    assert (found.kernels, found.compiled) == (1, 1)
    assert found.writable
    assert found.exists
    assert found.stale == found.damaged == ()
    assert found.bytes == sum(p.stat().st_size for p in cache.iterdir() if kind_of(p))


def test_a_checked_kernel_is_no_less_sound(cache):
    _add(cache, "checked", checked=True)
    assert survey(cache).stale == ()


def test_measurements_are_sound_and_are_cleared(cache):
    (cache / "calibration_0123456789abcdef.json").write_text("{}")
    found = survey(cache)
    assert (found.kernels, found.stale, found.damaged) == (1, (), ())
    clear(cache)
    assert not (cache / "calibration_0123456789abcdef.json").exists()


def test_no_folder(tmp_path):
    found = survey(tmp_path / "no" / "such")
    assert not found.exists
    assert found.writable
    assert (found.kernels, found.bytes) == (0, 0)


def test_stale_entries(cache):
    (cache / "edited_0123456789abcdef.py").write_text(SOURCE)
    (cache / "gone_0123456789abcdef.body.0123456789abcdef.nbc").write_bytes(pack("body", b"code"))
    (cache / "new_0123456789abcdef.py.77.tmp").write_bytes(b"")
    (cache / "old_0123456789abcdef.py.77.tmp").write_bytes(b"")
    os.utime(cache / "old_0123456789abcdef.py.77.tmp", (0, 0))
    assert {entry.path.name.split("_")[0]: entry.defect for entry in survey(cache).stale} == {
        "edited": "made by another version of Scorch or Numba, or edited",
        "gone": "its source is gone",
        "old": "left by a process that ended while writing",
    }


@pytest.mark.parametrize(
    ("content", "defect"),
    [
        (b"", "empty"),
        (b"garbage", "not written by this version of Scorch"),
        (pack("body", b"code")[:-1], "cut short or changed"),
        (pack("body", b"code")[:-1] + b"f", "cut short or changed"),
    ],
)
def test_damage_is_recognised(cache, content, defect):
    (path,) = cache.glob("spmm_*.nbc")
    path.write_bytes(content)
    assert [entry.defect for entry in survey(cache).damaged] == [defect]
    assert str(path) in str(survey(cache).damaged[0])


def test_clear_deletes_its_own_files_only(cache):
    (cache / "left_0123456789abcdef.py.77.tmp").write_bytes(b"x")
    count, size = clear(cache)
    assert count == 3
    assert size > 0
    assert {p.name for p in cache.rglob("*") if p.is_file()} == MINE
    assert clear(cache) == (0, 0)
    assert clear(cache / "no" / "such") == (0, 0)


def test_clear_takes_an_empty_folder_away(tmp_path):
    (tmp_path / "kernels").mkdir()
    _add(tmp_path / "kernels")
    assert clear(tmp_path / "kernels")[0] == 2
    assert list(tmp_path.iterdir()) == []


def test_writable_looks_at_what_exists(tmp_path):
    (tmp_path / "file").write_text("")
    assert writable(tmp_path / "new" / "folder")
    assert not writable(tmp_path / "file")
    assert not writable(tmp_path / "file" / "folder")


def test_foreign_files_have_no_kind(tmp_path):
    assert kind_of(tmp_path / "x.py") is None
    assert kind_of(tmp_path / "x.txt") is None
    assert kind_of(tmp_path / "x_0123456789abcdef.txt") is None
    assert kind_of(tmp_path / "x_0123456789abcdef.py.1a2b.tmp") == "unfinished"

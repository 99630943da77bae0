import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from scorch.config import Config

ROOT = Path(__file__).resolve().parent.parent


def test_the_environment_sets_the_defaults():
    found = Config({"SCORCH_THREADS": " 3 ", "SCORCH_CHECK": "yes", "SCORCH_JIT": "0", "SCORCH_CACHE_DIR": "/x/y"})
    assert (found.threads, found.check, found.jit, found.cache_dir) == (3, True, False, Path("/x/y"))
    assert (Config({}).threads, Config({}).jit) == (None, True)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("threads", "0", "at least 1"),
        ("threads", "two", "a whole number of threads, got 'two'"),
        ("threads", "2.5", "a whole number"),
        ("check", "maybe", "a truth value"),
        ("cache_dir", "~nobody-of-that-name/x", "home"),
        ("cache_dir", "a\0b", "the path of a directory"),
    ],
)
def test_a_wrong_value_is_refused_when_assigned_and_ignored_in_the_environment(name, value, message):
    found = Config({})
    before = repr(found)
    with pytest.raises(ValueError, match=rf"scorch\.config\.{name}: .*{message}"):
        setattr(found, name, value)
    assert repr(found) == before
    with pytest.warns(RuntimeWarning, match=rf"SCORCH_{name.upper()}=.* is ignored: .*{message}"):
        assert repr(Config({f"SCORCH_{name.upper()}": value})) == before


def test_directories_are_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Config({"SCORCH_CACHE_DIR": "here"}).cache_dir == tmp_path / "here"
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    assert Config({}).cache_dir == tmp_path / "cache" / "scorch"


def test_no_such_setting():
    with pytest.raises(AttributeError, match="no setting 'thread'; there are threads, "):
        Config({}).thread = 2


def test_settings_are_restored_after_an_error():
    found = Config({})
    with pytest.raises(ZeroDivisionError), found.using(jit=False, threads=2):
        raise ZeroDivisionError
    assert (found.jit, found.threads) == (True, None)


def test_a_sound_environment_gives_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Config({"SCORCH_THREADS": "", "SCORCH_CACHE_DIR": ""})


def test_a_wrong_environment_is_a_warning_of_the_import():
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SCORCH_THREADS": "0"}
    program = [sys.executable, "-c", "import scorch; print(scorch.config.threads)"]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "None\n"
    assert "SCORCH_THREADS='0' is ignored" in done.stderr
    assert "Traceback" not in done.stderr
